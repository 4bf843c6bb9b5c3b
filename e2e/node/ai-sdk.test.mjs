// Vercel's AI SDK, the default model of which speaks Responses. With the default
// store it refers to earlier items by id.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { generateObject, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { cityArguments, forecast, forecastText, rainy, weatherIn } from './lib/scripts.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

const newModel = (name) => createOpenAI({ baseURL: stage.url, apiKey: 'sk-e2e' })(name);

const tools = {
  get_weather: tool({ description: 'The weather in a city.', inputSchema: cityArguments, execute: weatherIn }),
};

// The SDK asks by model name what a model can do; this is one that reasons.
const reasons = { openai: { reasoningSummary: 'auto', forceReasoning: true } };

test('streamText', async () => {
  const name = await stage.says(rainy);
  const result = streamText({ model: newModel(name), system: 'Be brief.', prompt: 'Weather?' });
  const parts = [];
  for await (const part of result.textStream) parts.push(part);
  assert.equal(parts.join(''), rainy);
  assert.ok(parts.length > 3);
  assert.equal(await result.finishReason, 'stop');
  const usage = await result.usage;
  assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
});

test('streamText with several steps of tools, and a next turn', async () => {
  const name = await stage.play(forecast);
  const messages = [{ role: 'user', content: 'Oslo and Rome?' }];
  const common = { model: newModel(name), tools, stopWhen: stepCountIs(5), providerOptions: reasons };
  const result = streamText({ ...common, messages });
  const kinds = new Set();
  for await (const part of result.stream) {
    kinds.add(part.type);
    assert.notEqual(part.type, 'error', String(part.error));
  }
  for (const kind of ['reasoning-delta', 'text-delta', 'tool-input-delta', 'tool-call', 'tool-result']) {
    assert.ok(kinds.has(kind), `there is no ${kind} among ${[...kinds]}`);
  }
  assert.equal(await result.text, forecastText);
  const steps = await result.steps;
  assert.equal(steps.length, 2);
  assert.equal(steps[0].finishReason, 'tool-calls');
  assert.equal(steps[0].reasoningText, 'Two cities, two calls.');

  messages.push(...(await result.responseMessages), { role: 'user', content: 'Thanks.' });
  const next = await generateText({ ...common, messages });
  assert.equal(next.text, 'You are welcome.');

  const [, calls, oslo, rome, answer, thanks] = await stage.messages(name);
  assert.deepEqual(
    calls.tool_calls.map((c) => c.id),
    ['call_oslo', 'call_rome'],
  );
  assert.deepEqual([oslo.content, rome.content], ['snow', 'sun']);
  assert.equal(answer.content, forecastText);
  assert.match(JSON.stringify(thanks.content), /Thanks/);
});

test('tools without anything stored', async () => {
  const name = await stage.play(forecast);
  const result = await generateText({
    model: newModel(name),
    prompt: 'Oslo and Rome?',
    tools,
    stopWhen: stepCountIs(5),
    providerOptions: { openai: { ...reasons.openai, store: false } },
  });
  assert.equal(result.text, forecastText);
  assert.equal(result.steps[0].reasoningText, 'Two cities, two calls.');
});

const Weather = z.object({ city: z.string(), degrees: z.number() });
const weather = { city: 'Oslo', degrees: -3.5 };

test('generateObject', async () => {
  const name = await stage.says(JSON.stringify(weather));
  const { object } = await generateObject({ model: newModel(name), schema: Weather, prompt: 'Oslo?' });
  assert.deepEqual(object, weather);
  const [{ body }] = await stage.requests(name);
  assert.equal(body.response_format.type, 'json_schema');
});

test('streamText with an object as output', async () => {
  const name = await stage.says(JSON.stringify(weather));
  const result = streamText({ model: newModel(name), output: Output.object({ schema: Weather }), prompt: 'Oslo?' });
  const partial = [];
  for await (const object of result.partialOutputStream) partial.push(object);
  assert.deepEqual(partial.at(-1), weather);
  assert.deepEqual(await result.output, weather);
});

test('an answer that is cut short', async () => {
  const name = await stage.play({ replies: [{ text: 'Once upon a', finish: 'length' }] });
  const result = await generateText({ model: newModel(name), prompt: 'A story.' });
  assert.equal(result.finishReason, 'length');
  assert.equal(result.text, 'Once upon a');
});

test('a stream that fails', async () => {
  const name = await stage.play({ replies: [{ text: 'It will rain on', break: { how: 'error', after: 3 } }] });
  const errors = [];
  const result = streamText({ model: newModel(name), prompt: 'Weather?', onError: ({ error }) => errors.push(error) });
  const parts = [];
  for await (const part of result.stream) parts.push(part);
  assert.ok(errors.length > 0);
  assert.match(JSON.stringify(errors[0]) + String(errors[0].message), /fallen over/);
  assert.ok(parts.some((part) => part.type === 'error'));
  assert.equal(parts.findLast((part) => part.type === 'finish')?.finishReason, 'error');
});

test('a stream that is aborted stops the model', async () => {
  const name = await stage.play({ replies: [{ text: 'This takes forever.', break: { how: 'stall', after: 3 } }] });
  const controller = new AbortController();
  const result = streamText({ model: newModel(name), prompt: 'Hello?', abortSignal: controller.signal });
  for await (const part of result.stream) if (part.type === 'text-delta') controller.abort();
  await stage.await(name, 'left');
});

test('too many requests are tried again', async () => {
  const name = await stage.play({ first: [{ status: 429, headers: { 'Retry-After': '1' } }], replies: [{ text: 'At last.' }] });
  const result = await generateText({ model: newModel(name), prompt: 'Now?' });
  assert.equal(result.text, 'At last.');
});
