// The Agents SDK, the AI SDK and LangChain, each with nothing stored and chained
// by previous_response_id: a tool loop whose reasoning the backend wants back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { Agent, OpenAIProvider, Runner, tool as agentTool } from '@openai/agents';
import { generateText, stepCountIs, streamText, tool as aiTool } from 'ai';
import { newClient } from './lib/openai.mjs';
import { cityArguments, forecast, forecastText, weatherIn } from './lib/scripts.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage({ flags: ['--set', 'upstream.overrides.reasoning.replay=all'] });

const [calls, ...answers] = forecast.replies;
const greeting = { reasoning: 'Be polite.', text: 'Hello.' };
const sealed = ['reasoning.encrypted_content'];

/** A client is what does the turns; each returns what the next one goes on from. */
const clients = {
  'Agents SDK': (model, { store, stream }) => {
    const modelSettings = store ? {} : { store: false, providerData: { include: sealed } };
    const getWeather = agentTool({ name: 'get_weather', description: 'The weather.', parameters: cityArguments, execute: weatherIn });
    const agent = new Agent({ name: 'Weather', instructions: 'Look it up.', model, modelSettings, tools: [getWeather] });
    const provider = new OpenAIProvider({ openAIClient: newClient(stage), useResponses: true });
    const runner = new Runner({ modelProvider: provider, tracingDisabled: true });
    return async (text, before) => {
      const input = store || !before ? text : [...before.history, { role: 'user', content: text }];
      const result = await runner.run(agent, input, { stream, ...(store && before && { previousResponseId: before.lastResponseId }) });
      if (stream) for await (const _ of result);
      return [result.finalOutput, result];
    };
  },

  'AI SDK': (name, { store, stream }) => {
    const tools = { get_weather: aiTool({ description: 'The weather.', inputSchema: cityArguments, execute: weatherIn }) };
    const model = createOpenAI({ baseURL: stage.url, apiKey: 'sk-e2e' })(name);
    const history = [];
    return async (text, before) => {
      if (store) history.length = 0;
      history.push({ role: 'user', content: text });
      const openai = { forceReasoning: true, reasoningSummary: 'auto', store, ...(store && { previousResponseId: before }) };
      const options = { model, tools, stopWhen: stepCountIs(5), system: 'Look it up.', messages: [...history], providerOptions: { openai } };
      const result = stream ? streamText(options) : await generateText(options);
      if (stream) await result.consumeStream();
      history.push(...(await result.responseMessages));
      return [await result.text, (await result.providerMetadata).openai.responseId];
    };
  },

  LangChain: (name, { store, stream }) => {
    const getWeather = langchainTool(weatherIn, { name: 'get_weather', description: 'The weather.', schema: cityArguments });
    const model = new ChatOpenAI({
      model: name,
      apiKey: 'sk-e2e',
      useResponsesApi: true,
      maxRetries: 0,
      zdrEnabled: !store,
      reasoning: { summary: 'auto' },
      configuration: { baseURL: stage.url },
    }).bindTools([getWeather]);
    const history = [];
    let previous;
    const ask = async (messages) => {
      history.push(...messages);
      const options = store ? { previous_response_id: previous } : { include: sealed };
      const input = store ? messages : history;
      let message;
      if (stream) for await (const chunk of await model.stream(input, options)) message = message ? message.concat(chunk) : chunk;
      else message = await model.invoke(input, options);
      history.push(message);
      previous = message.response_metadata.id;
      return message;
    };
    return async (text) => {
      let message = await ask([new HumanMessage(text)]);
      while (message.tool_calls.length > 0) {
        const results = message.tool_calls.map(async (call) => new ToolMessage({ tool_call_id: call.id, content: await getWeather.invoke(call.args) }));
        message = await ask(await Promise.all(results));
      }
      return [message.text, message];
    };
  },
};

for (const [name, client] of Object.entries(clients)) {
  for (const store of [false, true]) {
    for (const stream of [false, true]) {
      test(`${name}, ${store ? 'chained' : 'nothing stored'}, stream: ${stream}`, async () => {
        // LangChain asks for a summary only where the name is one that reasons.
        const model = await stage.play({ replies: [greeting, calls, ...answers] }, 'o4-fake');
        const turn = client(model, { store, stream });
        let [text, before] = await turn('Hello?');
        assert.equal(text, 'Hello.');
        [text, before] = await turn('Oslo and Rome?', before);
        assert.equal(text, forecastText);
        [text] = await turn('Thanks.', before);
        assert.equal(text, 'You are welcome.');

        // Chained, the AI SDK refers to all that a step has put out but its reasoning.
        const thought = name === 'AI SDK' && store ? undefined : calls.reasoning;
        const said = (await stage.messages(model)).filter((message) => message.role === 'assistant');
        assert.deepEqual(
          said.map((message) => [message.content, message.reasoning_content, message.tool_calls?.length]),
          [
            ['Hello.', 'Be polite.', undefined],
            ['I will look.', thought, 2],
            [forecastText, undefined, undefined],
          ],
        );
        const exchanges = (await stage.exchanges()).filter((x) => x.body.includes(`"${model}"`));
        await checkRequests(exchanges, store);
      });
    }
  }
}

/** checkRequests: what is stored is referred to, and what is not is not there. */
async function checkRequests(exchanges, store) {
  assert.equal(exchanges.length, 4);
  const bodies = exchanges.map((x) => JSON.parse(x.body));
  assert.equal(bodies.filter((body) => body.previous_response_id).length, store ? 3 : 0);
  if (store) {
    const sizes = bodies.map((body) => body.input.filter((item) => !['system', 'developer'].includes(item.role)).length);
    assert.ok(Math.max(...sizes) <= 6, sizes.join());
    return;
  }
  const id = /resp_[0-9a-f]+/.exec(exchanges[0].reply)[0];
  const reply = await fetch(`${stage.url}/responses/${id}`, { headers: { Authorization: 'Bearer sk-e2e' } });
  assert.equal(reply.status, 404);
}
