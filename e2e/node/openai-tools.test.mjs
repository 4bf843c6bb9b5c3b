import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponsesToolRunner, runnerFunction } from 'openai/helpers/responses-tool-runner';
import { zodResponsesFunction } from 'openai/helpers/zod';
import { newClient } from './lib/openai.mjs';
import { cityArguments, forecast, forecastText, runTools, weatherIn, weatherTool } from './lib/scripts.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

/** The conversation that the model must have been told, however it was kept. */
async function checkMessages(model) {
  const messages = await stage.messages(model);
  const [question, calls, oslo, rome, answer, thanks] = messages;
  assert.deepEqual(
    messages.map((m) => m.role),
    ['user', 'assistant', 'tool', 'tool', 'assistant', 'user'],
  );
  assert.equal(question.content, 'Oslo and Rome?');
  assert.equal(calls.content, 'I will look.');
  assert.deepEqual(
    calls.tool_calls.map((c) => [c.id, c.function.name, c.function.arguments]),
    [
      ['call_oslo', 'get_weather', '{"city":"Oslo"}'],
      ['call_rome', 'get_weather', '{"city":"Rome"}'],
    ],
  );
  assert.deepEqual([oslo.tool_call_id, oslo.content, rome.tool_call_id, rome.content], ['call_oslo', 'snow', 'call_rome', 'sun']);
  assert.deepEqual([answer.content, thanks.content], [forecastText, 'Thanks.']);
}

/** How an application makes a turn: with a stream helper or without. */
const ways = {
  'as a whole': (client, params) => client.responses.create(params),
  streamed: (client, params) => client.responses.stream(params).finalResponse(),
};

for (const [way, turn] of Object.entries(ways)) {
  test(`stateless tool loop, ${way}`, async () => {
    const client = newClient(stage);
    const model = await stage.play(forecast);
    const params = { model, tools: [weatherTool], store: false, include: ['reasoning.encrypted_content'] };
    const input = [{ role: 'user', content: 'Oslo and Rome?' }];
    const first = await turn(client, { ...params, input });
    input.push(...first.output, ...runTools(first));
    const second = await turn(client, { ...params, input });
    assert.equal(second.output_text, forecastText);
    input.push(...second.output, { role: 'user', content: 'Thanks.' });
    assert.equal((await turn(client, { ...params, input })).output_text, 'You are welcome.');
    await checkMessages(model);
  });

  test(`stateless tool loop without ids, ${way}`, async () => {
    const client = newClient(stage);
    const model = await stage.play(forecast);
    const params = { model, tools: [weatherTool], store: false };
    const bare = (items) => items.map(({ id, status, ...rest }) => rest);
    const input = [{ role: 'user', content: 'Oslo and Rome?' }];
    const first = await turn(client, { ...params, input });
    input.push(...bare(first.output), ...runTools(first));
    const second = await turn(client, { ...params, input });
    assert.equal(second.output_text, forecastText);
    input.push(...bare(second.output), { role: 'user', content: 'Thanks.' });
    assert.equal((await turn(client, { ...params, input })).output_text, 'You are welcome.');
    await checkMessages(model);
  });

  test(`tool loop by previous_response_id, ${way}`, async () => {
    const client = newClient(stage);
    const model = await stage.play(forecast);
    const params = { model, tools: [weatherTool] };
    const first = await turn(client, { ...params, input: 'Oslo and Rome?' });
    const second = await turn(client, { ...params, input: runTools(first), previous_response_id: first.id });
    assert.equal(second.output_text, forecastText);
    const third = await turn(client, { ...params, input: 'Thanks.', previous_response_id: second.id });
    assert.equal(third.output_text, 'You are welcome.');
    await checkMessages(model);
    const branch = await turn(client, { ...params, input: runTools(first), previous_response_id: first.id });
    assert.equal(branch.output_text, forecastText);
  });

  test(`tool loop by item_reference, ${way}`, async () => {
    const client = newClient(stage);
    const model = await stage.play(forecast);
    const params = { model, tools: [weatherTool] };
    const reference = ({ id }) => ({ type: 'item_reference', id });
    const input = [{ role: 'user', content: 'Oslo and Rome?' }];
    const first = await turn(client, { ...params, input });
    input.push(...first.output.map(reference), ...runTools(first));
    const second = await turn(client, { ...params, input });
    assert.equal(second.output_text, forecastText);
    input.push(...second.output.map(reference), { role: 'user', content: 'Thanks.' });
    assert.equal((await turn(client, { ...params, input })).output_text, 'You are welcome.');
    await checkMessages(model);
  });
}

for (const options of [{}, { stream: true }, { stream: true, eager: true }]) {
  test(`OpenAI's own tool runner, with ${JSON.stringify(options)}`, async () => {
    const client = newClient(stage);
    const model = await stage.play(forecast);
    const asked = [];
    const runner = new ResponsesToolRunner({
      functions: [
        runnerFunction(
          zodResponsesFunction({
            name: 'get_weather',
            parameters: cityArguments,
            function: ({ city }) => {
              asked.push(city);
              return weatherIn({ city });
            },
          }),
        ),
      ],
    });
    const response = await runner.run(client, { model, input: 'Oslo and Rome?' }, options);
    assert.equal(response.output_text, forecastText);
    assert.deepEqual(asked, ['Oslo', 'Rome']);
  });
}

test('a tool that answers with a picture', async () => {
  const client = newClient(stage);
  const model = await stage.play({
    replies: [{ calls: [{ id: 'call_map', name: 'get_weather', arguments: '{"city":"Oslo"}' }] }, { text: 'A map.' }],
  });
  const first = await client.responses.create({ model, input: 'Oslo?', tools: [weatherTool] });
  const output = [
    { type: 'input_text', text: 'see the map' },
    { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'auto' },
  ];
  const second = await client.responses.create({
    model,
    tools: [weatherTool],
    input: [{ type: 'function_call_output', call_id: 'call_map', output }],
    previous_response_id: first.id,
  });
  assert.equal(second.output_text, 'A map.');
  const messages = await stage.messages(model);
  assert.ok(messages.some((m) => m.role === 'tool' && JSON.stringify(m.content).includes('see the map')));
  assert.ok(messages.some((m) => m.role === 'user' && JSON.stringify(m.content).includes('data:image/png')));
});

test('the choice of a tool', async () => {
  const client = newClient(stage);
  const other = { ...weatherTool, name: 'get_tide' };
  const model = await stage.says('Well.');
  const choose = async (tool_choice) => {
    const response = await client.responses.create({ model, input: 'Oslo?', tools: [weatherTool, other], tool_choice });
    assert.deepEqual(response.tool_choice, tool_choice);
    return (await stage.requests(model)).at(-1).body;
  };
  assert.equal((await choose('required')).tool_choice, 'required');
  assert.equal((await choose('none')).tool_choice, 'none');
  assert.deepEqual((await choose({ type: 'function', name: 'get_tide' })).tool_choice, {
    type: 'function',
    function: { name: 'get_tide' },
  });
  const allowed = await choose({ type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'get_tide' }] });
  const names = JSON.stringify(allowed.tool_choice) + JSON.stringify(allowed.tools.map((t) => t.function.name));
  assert.ok(names.includes('get_tide'), names);
});
