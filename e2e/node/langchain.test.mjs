// LangChain with useResponsesApi.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
import { cityArguments, forecast, forecastText, rainy, weatherIn } from './lib/scripts.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

const newModel = (model, fields = {}) =>
  new ChatOpenAI({
    model,
    apiKey: 'sk-e2e',
    useResponsesApi: true,
    maxRetries: 0,
    configuration: { baseURL: stage.url },
    ...fields,
  });

const getWeather = tool(weatherIn, { name: 'get_weather', description: 'The weather in a city.', schema: cityArguments });

test('invoke', async () => {
  const name = await stage.says(rainy);
  const message = await newModel(name).invoke('Weather?');
  assert.equal(message.text, rainy);
  assert.ok(message.usage_metadata.total_tokens > 0);
});

test('stream', async () => {
  // Only a model with such a name is asked for a summary.
  const name = await stage.play({ replies: [{ reasoning: 'It often rains.', text: rainy }] }, 'o4-fake');
  const chunks = [];
  for await (const chunk of await newModel(name, { reasoning: { summary: 'auto' } }).stream('Weather?')) chunks.push(chunk);
  const whole = chunks.reduce((a, b) => a.concat(b));
  assert.equal(whole.text, rainy);
  assert.match(JSON.stringify(whole.additional_kwargs.reasoning), /It often rains/);
  assert.ok(chunks.length > 5);
});

for (const [way, ask] of Object.entries({
  'as a whole': (model, messages) => model.invoke(messages),
  streamed: async (model, messages) => {
    let whole;
    for await (const chunk of await model.stream(messages)) whole = whole ? whole.concat(chunk) : chunk;
    return whole;
  },
})) {
  test(`a tool loop, ${way}`, async () => {
    const name = await stage.play(forecast);
    const model = newModel(name).bindTools([getWeather]);
    const messages = [new HumanMessage('Oslo and Rome?')];
    const first = await ask(model, messages);
    assert.deepEqual(
      first.tool_calls.map((call) => [call.id, call.args.city]),
      [
        ['call_oslo', 'Oslo'],
        ['call_rome', 'Rome'],
      ],
    );
    messages.push(first);
    for (const call of first.tool_calls) {
      messages.push(new ToolMessage({ tool_call_id: call.id, content: await getWeather.invoke(call.args) }));
    }
    const second = await ask(model, messages);
    assert.equal(second.text, forecastText);
    messages.push(second, new HumanMessage('Thanks.'));
    assert.equal((await ask(model, messages)).text, 'You are welcome.');
    const roles = (await stage.messages(name)).map((m) => m.role);
    assert.deepEqual(roles, ['user', 'assistant', 'tool', 'tool', 'assistant', 'user']);
  });
}

test('structured output', async () => {
  const name = await stage.says('{"city":"Oslo","degrees":-3.5}');
  const model = newModel(name).withStructuredOutput(z.object({ city: z.string(), degrees: z.number() }));
  assert.deepEqual(await model.invoke('Oslo?'), { city: 'Oslo', degrees: -3.5 });
});

test('a conversation by previous_response_id', async () => {
  const name = await stage.says('First.', 'Second.');
  const first = await newModel(name).invoke('One?');
  const second = await newModel(name).invoke('Two?', { previous_response_id: first.response_metadata.id });
  assert.equal(second.text, 'Second.');
});
