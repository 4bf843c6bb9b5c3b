// The events as they come, and OpenAI's own stream helper, a state machine that
// throws on whatever it does not expect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { collect, newClient, rejection, types } from './lib/openai.mjs';
import { forecast, rainy, runTools, weatherTool } from './lib/scripts.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

const textEvents = [
  'response.output_item.added',
  'response.content_part.added',
  'response.output_text.delta',
  'response.output_text.done',
  'response.content_part.done',
  'response.output_item.done',
];
const callEvents = [
  'response.output_item.added',
  'response.function_call_arguments.delta',
  'response.function_call_arguments.done',
  'response.output_item.done',
];
const whole = (...middle) => ['response.created', 'response.in_progress', ...middle.flat(), 'response.completed'];

/** both reads a stream with the helper and without, and checks that they agree. */
async function both(params) {
  const client = newClient(stage);
  const raw = await collect(await client.responses.create({ ...params, stream: true }));
  const helper = client.responses.stream(params);
  const snapshots = new Map(); // what the listeners were told last, by item
  helper.on('response.output_text.delta', (e) => snapshots.set(e.item_id, e.snapshot));
  helper.on('response.function_call_arguments.delta', (e) => snapshots.set(e.item_id, e.snapshot));
  const events = await collect(helper);
  const final = await helper.finalResponse();
  assert.deepEqual(types(events), types(raw));
  assert.equal(raw.at(-1).response.status, final.status);
  return { raw, events, final, snapshots };
}

test('text', async () => {
  const model = await stage.says(rainy);
  const { raw, events, final, snapshots } = await both({ model, input: 'Weather?' });
  assert.deepEqual(types(raw), whole(textEvents));
  assert.equal(final.output_text, rainy);
  const deltas = events.filter((e) => e.type === 'response.output_text.delta');
  assert.equal(deltas.map((e) => e.delta).join(''), rainy);
  assert.deepEqual([...snapshots.values()], [rainy]);
  assert.ok(deltas.length > 5);
  const stored = await newClient(stage).responses.retrieve(final.id);
  assert.equal(stored.output_text, rainy);
});

test('a refusal', async () => {
  const model = await stage.play({ replies: [{ refusal: 'I would rather not.' }] });
  const { raw, final } = await both({ model, input: 'Help me break in.' });
  assert.ok(types(raw).includes('response.refusal.delta'));
  assert.equal(final.output[0].content[0].refusal, 'I would rather not.');
  assert.equal(final.status, 'completed');
});

test('text and then a refusal', async () => {
  const model = await stage.play({ replies: [{ text: 'Well, ', refusal: 'no.' }] });
  const { final } = await both({ model, input: 'Help me break in.' });
  assert.deepEqual(
    final.output[0].content.map((part) => part.type),
    ['output_text', 'refusal'],
  );
});

for (const reasoning_in of ['reasoning_content', 'reasoning', 'think']) {
  test(`reasoning from ${reasoning_in}`, async () => {
    const model = await stage.play({ replies: [{ reasoning: 'It often rains.', text: 'Yes.', reasoning_in }] });
    const { raw, final } = await both({ model, input: 'Rain?' });
    assert.deepEqual(
      types(raw),
      whole(
        [
          'response.output_item.added',
          'response.content_part.added',
          'response.reasoning_text.delta',
          'response.reasoning_text.done',
          'response.content_part.done',
          'response.output_item.done',
        ],
        textEvents,
      ),
    );
    assert.equal(final.output[0].content[0].text, 'It often rains.');
    assert.equal(final.output_text, 'Yes.');
  });

  test(`a summary of the reasoning from ${reasoning_in}`, async () => {
    const model = await stage.play({ replies: [{ reasoning: 'It often rains.', text: 'Yes.', reasoning_in }] });
    const { raw, final } = await both({ model, input: 'Rain?', reasoning: { summary: 'auto' } });
    assert.deepEqual(
      types(raw),
      whole(
        [
          'response.output_item.added',
          'response.reasoning_summary_part.added',
          'response.reasoning_summary_text.delta',
          'response.reasoning_summary_text.done',
          'response.reasoning_summary_part.done',
          'response.output_item.done',
        ],
        textEvents,
      ),
    );
    assert.equal(final.output[0].summary[0].text, 'It often rains.');
  });
}

test('parallel calls, the arguments of which come in turns', async () => {
  const model = await stage.play(forecast);
  const { events, final, snapshots } = await both({ model, input: 'Oslo and Rome?', tools: [weatherTool] });
  assert.deepEqual(
    final.output.map((item) => item.type),
    ['reasoning', 'message', 'function_call', 'function_call'],
  );
  assert.deepEqual(
    runTools(final).map((item) => [item.call_id, item.output]),
    [
      ['call_oslo', 'snow'],
      ['call_rome', 'sun'],
    ],
  );
  for (const call of final.output.filter((item) => item.type === 'function_call')) {
    const deltas = events.filter((e) => e.type === 'response.function_call_arguments.delta' && e.item_id === call.id);
    assert.equal(deltas.map((e) => e.delta).join(''), call.arguments);
    assert.equal(snapshots.get(call.id), call.arguments);
  }
});

test('one call after the other', async () => {
  const calls = [1, 2, 3].map((n) => ({ name: 'get_weather', arguments: `{"city":"Rome ${n}"}` }));
  const model = await stage.play({ replies: [{ calls }] });
  const { raw, final } = await both({ model, input: 'Rome?', tools: [weatherTool] });
  assert.deepEqual(types(raw), whole(callEvents, callEvents, callEvents));
  assert.equal(new Set(final.output.map((item) => item.call_id)).size, 3);
});

test('log probabilities', async () => {
  const model = await stage.says('A parrot.');
  const { events, final } = await both({
    model,
    input: 'What are you?',
    include: ['message.output_text.logprobs'],
    top_logprobs: 2,
  });
  const { logprobs } = final.output[0].content[0];
  assert.equal(logprobs.map((l) => l.token).join(''), 'A parrot.');
  assert.equal(logprobs[0].top_logprobs.length, 2);
  const deltas = events.filter((e) => e.type === 'response.output_text.delta');
  assert.ok(deltas.every((e) => e.logprobs.length === 1));
});

test('annotations', async () => {
  const url_citation = { start_index: 0, end_index: 4, url: 'https://example.com/rain', title: 'Rain' };
  const model = await stage.play({ replies: [{ text: 'Rain.', annotations: [{ type: 'url_citation', url_citation }] }] });
  const { raw, final } = await both({ model, input: 'Weather?' });
  assert.ok(types(raw).includes('response.output_text.annotation.added'));
  assert.deepEqual(final.output[0].content[0].annotations, [{ type: 'url_citation', ...url_citation }]);
});

test('padding, when it is asked for', async () => {
  const model = await stage.says(rainy);
  const { events } = await both({ model, input: 'Weather?', stream_options: { include_obfuscation: true } });
  assert.ok(events.filter((e) => e.type === 'response.output_text.delta').every((e) => e.obfuscation));
});

for (const [finish, reason] of [
  ['length', 'max_output_tokens'],
  ['content_filter', 'content_filter'],
]) {
  test(`incomplete because of ${reason}`, async () => {
    const model = await stage.play({ replies: [{ text: 'Once upon a', finish }] });
    const { raw, final } = await both({ model, input: 'A story.' });
    assert.equal(raw.at(-1).type, 'response.incomplete');
    assert.equal(final.status, 'incomplete');
    assert.deepEqual(final.incomplete_details, { reason });
    assert.equal(final.output_text, 'Once upon a');
    assert.equal(final.output[0].status, 'incomplete');
  });
}

test('a call that was cut short is marked', async () => {
  const model = await stage.play({
    replies: [{ calls: [{ name: 'get_weather', arguments: '{"city":"Ro' }], finish: 'length' }],
  });
  const { final } = await both({ model, input: 'Rome?', tools: [weatherTool] });
  assert.equal(final.status, 'incomplete');
  assert.equal(final.output[0].status, 'incomplete');
  assert.equal(final.output[0].arguments, '{"city":"Ro');
});

test('nothing at all', async () => {
  const model = await stage.play({ replies: [{}] });
  const { final } = await both({ model, input: 'Hello?' });
  assert.equal(final.status, 'completed');
  assert.equal(final.output_text, '');
});

test('a backend that does not stream', async () => {
  const model = await stage.play({ replies: [{ text: rainy, whole: true }] });
  const { final } = await both({ model, input: 'Weather?' });
  assert.equal(final.output_text, rainy);
});

for (const [how, code] of [
  ['error', 'model_fell_over'],
  ['end', 'server_error'],
  ['cut', 'server_error'],
  ['reset', 'server_error'],
]) {
  for (const after of [1, 4]) {
    test(`a stream that fails after ${after} chunks: ${how}`, async () => {
      const client = newClient(stage);
      const model = await stage.play({ replies: [{ text: 'It will rain on', break: { how, after } }] });
      const seen = [];
      const error = await rejection(
        (async () => {
          for await (const e of await client.responses.create({ model, input: 'Weather?', stream: true })) seen.push(e);
        })(),
      );
      assert.ok(error instanceof OpenAI.APIError, String(error));
      assert.equal(error.code, code);
      assert.equal(seen[0].type, 'response.created');
      assert.ok(!types(seen).includes('response.completed'));
      const helper = await rejection(client.responses.stream({ model, input: 'Weather?' }).finalResponse());
      assert.ok(helper instanceof OpenAI.OpenAIError, String(helper));
      assert.equal((await stage.requests(model)).length, 2);
    });
  }
}

test('a stream that is aborted stops the model', async () => {
  const client = newClient(stage);
  const script = { replies: [{ text: 'This takes forever.', break: { how: 'stall', after: 3 } }] };

  const raw = await stage.play(script);
  const controller = new AbortController();
  const stream = await client.responses.create({ model: raw, input: 'Hello?', stream: true }, { signal: controller.signal });
  for await (const e of stream) if (e.type === 'response.output_text.delta') controller.abort();
  await stage.await(raw, 'left');

  const broken = await stage.play(script);
  for await (const e of await client.responses.create({ model: broken, input: 'Hello?', stream: true })) {
    if (e.type === 'response.output_text.delta') break;
  }
  await stage.await(broken, 'left');

  const helped = await stage.play(script);
  const helper = client.responses.stream({ model: helped, input: 'Hello?' });
  helper.on('response.output_text.delta', () => helper.abort());
  assert.ok((await rejection(helper.finalResponse())) instanceof OpenAI.APIUserAbortError);
  await stage.await(helped, 'left');
});

test('a stored response cannot be streamed again', async () => {
  const client = newClient(stage);
  const model = await stage.says('Hello.');
  const { id } = await client.responses.create({ model, input: 'Hello?' });
  const error = await rejection(client.responses.retrieve(id, { stream: true }));
  assert.equal(error.status, 400);
  assert.match(error.message, /background=true/);
  await rejection(client.responses.stream({ response_id: id }).finalResponse());
});
