// OpenAI's Agents SDK.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agent, applyDiff, applyPatchTool, MemorySession, OpenAIProvider, Runner, shellTool, tool } from '@openai/agents';
import { z } from 'zod';
import { newClient } from './lib/openai.mjs';
import { cityArguments, forecast, forecastText, rainy, weatherIn } from './lib/scripts.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

const newRunner = () =>
  new Runner({ modelProvider: new OpenAIProvider({ openAIClient: newClient(stage), useResponses: true }), tracingDisabled: true });

const getWeather = tool({
  name: 'get_weather',
  description: 'The weather in a city.',
  parameters: cityArguments,
  execute: weatherIn,
});

test('an agent answers', async () => {
  const model = await stage.says('{{system}} {{user}}');
  const agent = new Agent({ name: 'Polly', instructions: 'Be brief.', model });
  const result = await newRunner().run(agent, 'Polly?');
  assert.equal(result.finalOutput, 'Be brief. Polly?');
});

test('an agent streams', async () => {
  const model = await stage.says(rainy);
  const agent = new Agent({ name: 'Polly', instructions: 'Be brief.', model });
  const result = await newRunner().run(agent, 'Weather?', { stream: true });
  let text = '';
  for await (const chunk of result.toTextStream()) text += chunk;
  await result.completed;
  assert.equal(text, rainy);
  assert.equal(result.finalOutput, rainy);
});

for (const stream of [false, true]) {
  test(`an agent uses a tool, and remembers, stream: ${stream}`, async () => {
    const model = await stage.play(forecast);
    const agent = new Agent({ name: 'Weather', instructions: 'Look it up.', model, tools: [getWeather] });
    const runner = newRunner();
    const first = await runner.run(agent, 'Oslo and Rome?', { stream });
    if (stream) for await (const _ of first);
    assert.equal(first.finalOutput, forecastText);
    const second = await runner.run(agent, [...first.history, { role: 'user', content: 'Thanks.' }], { stream });
    if (stream) for await (const _ of second);
    assert.equal(second.finalOutput, 'You are welcome.');
    const roles = (await stage.messages(model)).map((m) => m.role);
    assert.deepEqual(roles, ['system', 'user', 'assistant', 'tool', 'tool', 'assistant', 'user']);
  });

  test(`an agent goes on by previousResponseId, stream: ${stream}`, async () => {
    const model = await stage.play(forecast);
    const agent = new Agent({ name: 'Weather', instructions: 'Look it up.', model, tools: [getWeather] });
    const runner = newRunner();
    const first = await runner.run(agent, 'Oslo and Rome?', { stream });
    if (stream) for await (const _ of first);
    assert.equal(first.finalOutput, forecastText);
    const second = await runner.run(agent, 'Thanks.', { stream, previousResponseId: first.lastResponseId });
    if (stream) for await (const _ of second);
    assert.equal(second.finalOutput, 'You are welcome.');
  });
}

for (const stream of [false, true]) {
  test(`an agent hands off to another, stream: ${stream}`, async () => {
    const handsOff = await stage.play({ replies: [{ calls: [{ name: 'transfer_to_Weather', arguments: '{}' }] }] });
    const answers = await stage.play({ replies: [{}, { text: 'Snow, said the other one.' }] });
    const weather = new Agent({ name: 'Weather', instructions: 'Know the weather.', model: answers });
    const desk = Agent.create({ name: 'Desk', instructions: 'Pass it on.', model: handsOff, handoffs: [weather] });
    const result = await newRunner().run(desk, 'Oslo?', { stream });
    if (stream) for await (const _ of result);
    assert.equal(result.finalOutput, 'Snow, said the other one.');
    assert.equal(result.lastAgent.name, 'Weather');
  });

  test(`an agent with a session of its own, stream: ${stream}`, async () => {
    const model = await stage.play(forecast);
    const session = new MemorySession();
    const agent = new Agent({ name: 'Weather', instructions: 'Look it up.', model, tools: [getWeather] });
    for (const [text, answer] of [
      ['Oslo and Rome?', forecastText],
      ['Thanks.', 'You are welcome.'],
    ]) {
      const result = await newRunner().run(agent, text, { session, stream });
      if (stream) for await (const _ of result);
      assert.equal(result.finalOutput, answer);
    }
    const roles = (await stage.messages(model)).map((m) => m.role);
    assert.deepEqual(roles, ['system', 'user', 'assistant', 'tool', 'tool', 'assistant', 'user']);
  });

  test(`an agent patches files, stream: ${stream}`, async () => {
    const files = { 'old.txt': 'Goodbye.\n', 'greeting.txt': 'Hello.\n' };
    const editor = {
      createFile: async ({ path, diff }) => void (files[path] = applyDiff('', diff, 'create')),
      updateFile: async ({ path, diff }) => {
        files[path] = applyDiff(files[path], diff);
        return { status: 'completed', output: `changed ${path}` };
      },
      deleteFile: async ({ path }) => void delete files[path],
    };
    const patch = (id, args) => ({ id, name: 'apply_patch', arguments: JSON.stringify(args) });
    const model = await stage.play({
      replies: [
        {
          calls: [
            patch('call_1', { type: 'create_file', path: 'new.txt', diff: '+New 🌧.\n' }),
            patch('call_2', { type: 'delete_file', path: 'old.txt' }),
          ],
        },
        { calls: [patch('call_3', { type: 'update_file', path: 'greeting.txt', diff: '@@\n-Hello.\n+Hello, "world".\n' })] },
        { text: 'Done: {{tools}}' },
      ],
    });
    const agent = new Agent({ name: 'Patcher', instructions: 'Patch.', model, tools: [applyPatchTool({ editor })] });
    const result = await newRunner().run(agent, 'Patch!', { stream });
    if (stream) for await (const _ of result);
    assert.match(result.finalOutput, /^Done: .*changed greeting\.txt/s);
    assert.deepEqual(
      Object.entries(files).map(([name, text]) => [name, text.trimEnd()]),
      [
        ['greeting.txt', 'Hello, "world".'],
        ['new.txt', 'New 🌧.'],
      ],
    );
  });

  test(`an agent runs commands, stream: ${stream}`, async () => {
    const ran = [];
    const shell = {
      run: async ({ commands }) => {
        ran.push(...commands);
        return { output: commands.map((c) => ({ stdout: `did ${c}`, stderr: '', outcome: { type: 'exit', exitCode: 0 } })) };
      },
    };
    const model = await stage.play({
      replies: [{ calls: [{ name: 'shell', arguments: '{"commands":["ls -l","pwd"],"timeout_ms":1000}' }] }, { text: '{{tools}}' }],
    });
    const agent = new Agent({ name: 'Runner', instructions: 'Run.', model, tools: [shellTool({ shell })] });
    const result = await newRunner().run(agent, 'Run!', { stream });
    if (stream) for await (const _ of result);
    assert.deepEqual(ran, ['ls -l', 'pwd']);
    assert.match(result.finalOutput, /did ls -l.*did pwd/s);
  });
}

test('an agent answers with a type', async () => {
  const model = await stage.says('{"city":"Oslo","degrees":-3.5}');
  const outputType = z.object({ city: z.string(), degrees: z.number() });
  const agent = new Agent({ name: 'Weather', instructions: 'Look it up.', model, outputType });
  const result = await newRunner().run(agent, 'Oslo?');
  assert.deepEqual(result.finalOutput, { city: 'Oslo', degrees: -3.5 });
});
