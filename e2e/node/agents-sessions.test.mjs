// OpenAI's Agents SDK with sessions that are kept by the API.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agent, MemorySession, OpenAIConversationsSession, OpenAIProvider, OpenAIResponsesCompactionSession, Runner, tool } from '@openai/agents';
import { newClient } from './lib/openai.mjs';
import { cityArguments, forecast, forecastText, weatherIn } from './lib/scripts.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

const newRunner = (client) => new Runner({ modelProvider: new OpenAIProvider({ openAIClient: client, useResponses: true }), tracingDisabled: true });

const getWeather = tool({
  name: 'get_weather',
  description: 'The weather in a city.',
  parameters: cityArguments,
  execute: weatherIn,
});

test('a conversations session remembers a tool loop', async () => {
  const client = newClient(stage);
  const model = await stage.play(forecast);
  const session = new OpenAIConversationsSession({ client });
  const agent = new Agent({ name: 'Weather', instructions: 'Look it up.', model, tools: [getWeather] });
  const first = await newRunner(client).run(agent, 'Oslo and Rome?', { session });
  assert.equal(first.finalOutput, forecastText);
  const second = await newRunner(client).run(agent, 'Thanks.', { session });
  assert.equal(second.finalOutput, 'You are welcome.');
  const roles = (await stage.messages(model)).map((m) => m.role);
  assert.deepEqual(roles, ['system', 'user', 'assistant', 'tool', 'tool', 'assistant', 'user']);
  const items = await session.getItems();
  assert.deepEqual(items.filter((i) => i.role === 'user').length, 2);
  const last = await session.popItem();
  assert.ok(last);
  assert.equal((await session.getItems()).length, items.length - 1);
  await session.clearSession();
});

test('a conversation by conversationId', async () => {
  const client = newClient(stage);
  const model = await stage.play(forecast);
  const { id: conversationId } = await client.conversations.create({});
  const agent = new Agent({ name: 'Weather', instructions: 'Look it up.', model, tools: [getWeather] });
  const first = await newRunner(client).run(agent, 'Oslo and Rome?', { conversationId });
  assert.equal(first.finalOutput, forecastText);
  const second = await newRunner(client).run(agent, 'Thanks.', { conversationId });
  assert.equal(second.finalOutput, 'You are welcome.');
});

test('a compaction session compacts', async () => {
  const client = newClient(stage);
  const model = await stage.play({ replies: [{ text: 'Hello.' }, { text: 'A hand-over.' }] }, 'gpt-5');
  const session = new OpenAIResponsesCompactionSession({
    client,
    model,
    underlyingSession: new MemorySession(),
    shouldTriggerCompaction: () => true,
  });
  const agent = new Agent({ name: 'Polly', instructions: 'Be brief.', model });
  await newRunner(client).run(agent, 'Polly?', { session });
  await session.runCompaction({ force: true });
  const kinds = (await session.getItems()).map((item) => item.type ?? item.role);
  assert.equal(kinds.filter((kind) => kind === 'compaction').length, 1, kinds.join(' '));
  const next = await newRunner(client).run(agent, 'Still there?', { session });
  assert.equal(next.finalOutput, 'Hello.'); // the model has not seen what it said
  const [head, ...rest] = await stage.messages(model);
  assert.match(JSON.stringify(await stage.requests(model)), /A hand-over\./);
  assert.ok(head && rest.length > 0);
});
