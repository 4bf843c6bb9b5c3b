import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { newClient, rejection } from './lib/openai.mjs';
import { cityArguments, forecast } from './lib/scripts.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

const Weather = z.object({ city: z.string(), degrees: z.number(), sky: z.enum(['clear', 'snow']) });
const json = '{"city":"Oslo","degrees":-3.5,"sky":"snow"}';
const weather = { city: 'Oslo', degrees: -3.5, sky: 'snow' };
const text = { format: zodTextFormat(Weather, 'weather') };

test('parse an answer into a type', async () => {
  const client = newClient(stage);
  const model = await stage.says(json);
  const response = await client.responses.parse({ model, input: 'Oslo?', text });
  assert.deepEqual(response.output_parsed, weather);
  assert.equal(response.text.format.name, 'weather');
  const [{ body }] = await stage.requests(model);
  assert.equal(body.response_format.type, 'json_schema');
  assert.equal(body.response_format.json_schema.name, 'weather');
  assert.equal(body.response_format.json_schema.strict, true);
  assert.deepEqual(body.response_format.json_schema.schema.required, ['city', 'degrees', 'sky']);
});

test('parse a stream into a type', async () => {
  const client = newClient(stage);
  const model = await stage.says(json);
  const final = await client.responses.stream({ model, input: 'Oslo?', text }).finalResponse();
  assert.deepEqual(final.output_parsed, weather);
});

test('parse the arguments of calls', async () => {
  const client = newClient(stage);
  const model = await stage.play(forecast);
  const tools = [zodResponsesFunction({ name: 'get_weather', parameters: cityArguments })];
  for (const response of [
    await client.responses.parse({ model, input: 'Oslo and Rome?', tools }),
    await client.responses.stream({ model, input: 'Oslo and Rome?', tools }).finalResponse(),
  ]) {
    const calls = response.output.filter((item) => item.type === 'function_call');
    assert.deepEqual(
      calls.map((c) => c.parsed_arguments),
      [{ city: 'Oslo' }, { city: 'Rome' }],
    );
  }
});

test('an answer that is cut short has no parsed form', async () => {
  const client = newClient(stage);
  const model = await stage.play({ replies: [{ text: '{"city":"Os', finish: 'length' }] });
  const response = await client.responses.parse({ model, input: 'Oslo?', text });
  assert.equal(response.status, 'incomplete');
  assert.equal(response.output_parsed, null);
});

test('a refusal has no parsed form', async () => {
  const client = newClient(stage);
  const model = await stage.play({ replies: [{ refusal: 'No.' }] });
  const response = await client.responses.parse({ model, input: 'Oslo?', text });
  assert.equal(response.output_parsed, null);
  assert.equal(response.output[0].content[0].refusal, 'No.');
});

test('an answer that is no JSON is an error of the client', async () => {
  const client = newClient(stage);
  const model = await stage.says('It snows.');
  assert.ok((await rejection(client.responses.parse({ model, input: 'Oslo?', text }))) instanceof Error);
});

test('JSON without a schema', async () => {
  const client = newClient(stage);
  const model = await stage.says('{"any":"thing"}');
  const response = await client.responses.create({ model, input: 'JSON, please.', text: { format: { type: 'json_object' } } });
  assert.equal(response.output_text, '{"any":"thing"}');
  const [{ body }] = await stage.requests(model);
  assert.deepEqual(body.response_format, { type: 'json_object' });
});
