// What applications do with OpenAI's own package, in front of every kind of server
// that there is a member of the zoo for (proxy/zoo): with the preset that is made for
// it, with what a probe has found out, and with nothing told, so that what it refuses
// is learned on the way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APIError, BadRequestError } from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { collect, newClient, rejection } from './lib/openai.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage({ zoo: true });

const text = { format: zodTextFormat(z.object({ answer: z.string() }), 'answer') };

const tools = ['get_weather', 'get_time'].map((name) => ({
  type: 'function',
  name,
  strict: true,
  parameters: { type: 'object', properties: { q: { type: 'string' } }, required: ['q'], additionalProperties: false },
}));
const question = 'CALL get_weather get_time';

/** visit does what applications do with a model; known says that nothing is left to be learned of it. */
async function visit({ model, tools: able }, known) {
  const { responses, chat } = newClient(stage);
  const says = (response, words) => {
    assert.equal(response.status, 'completed');
    assert.ok(response.output_text.includes(words), `${words} is not in ${response.output_text}`);
    assert.ok(response.usage.total_tokens > 0);
  };

  const hello = { model, input: 'Hello', instructions: 'Be brief.', temperature: 0.5, max_output_tokens: 200 };
  says(await responses.create(hello), 'Hello');
  const events = await collect(await responses.create({ ...hello, stream: true }));
  assert.equal(events[0].type, 'response.created');
  assert.equal(events.at(-1).type, 'response.completed');
  assert.match(events.findLast((event) => event.type === 'response.output_text.done').text, /Hello/);
  const completion = await chat.completions.create({ model, messages: [{ role: 'user', content: 'Hello' }] });
  assert.match(JSON.stringify(completion.choices[0].message.content), /Hello/); // which mistral gives in parts

  // The first answer of a server that ignores response_format shows that it does.
  const parsed = [];
  for (const ask of [() => responses.parse({ model, input: 'Give JSON', text }), () => responses.stream({ model, input: 'Give JSON', text }).finalResponse()]) {
    parsed.push(await ask().then((response) => typeof response.output_parsed?.answer, (error) => error.message));
  }
  assert.deepEqual(known ? parsed : parsed.slice(1), known ? ['string', 'string'] : ['string'], parsed.join('; '));

  if (able) {
    const resultsOf = (response) => {
      const calls = response.output.filter((item) => item.type === 'function_call');
      assert.deepEqual(
        calls.map((call) => call.name),
        ['get_weather', 'get_time'],
      );
      return calls.map((call) => ({ type: 'function_call_output', call_id: call.call_id, output: call.name }));
    };
    // The server keeps the conversation …
    const streamed = await responses.stream({ model, input: question, tools }).finalResponse();
    const next = await responses.create({ model, input: resultsOf(streamed), tools, previous_response_id: streamed.id });
    says(next, 'results: get_weather, get_time');
    // … or the application does.
    const whole = await responses.create({ model, input: question, tools, store: false });
    const input = [{ role: 'user', content: question }, ...whole.output, ...resultsOf(whole)];
    says(await responses.stream({ model, input, tools, store: false }).finalResponse(), 'results: get_weather, get_time');
  }

  const full = await rejection(responses.create({ model, input: 'OVERFLOW' }));
  assert.ok(full instanceof BadRequestError, String(full));
  assert.equal(full.code, 'context_length_exceeded');
  const broken = await rejection(collect(await responses.create({ model, input: 'FAIL', stream: true })));
  assert.ok(broken instanceof APIError && broken.code === 'server_error', String(broken));
  const unknown = await rejection(responses.create({ model, input: 'And?', previous_response_id: 'resp_unknown' }));
  assert.equal(unknown.code, 'previous_response_not_found');
}

for (const mode of ['preset', 'probe', 'learning']) {
  test(`by ${mode}`, { concurrency: 4 }, async (t) => {
    const members = stage.zoo.filter((member) => member.mode === mode);
    assert.ok(members.length > 25);
    const one = (member) =>
      t.test(member.model, async () => {
        await visit(member, mode !== 'learning');
        if (mode === 'learning') {
          // What is known is asked once, and nothing of it is refused.
          await stage.surprises(member.model);
          await visit(member, true);
        }
        assert.deepEqual(await stage.surprises(member.model), []);
      });
    await Promise.all(members.map(one));
  });
}
