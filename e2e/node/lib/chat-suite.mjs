// What chat applications do with OpenAI's own package. The suite is run twice: with
// a chat backend, whose answers are passed through, and with one that speaks
// Responses, for which every request and answer is translated.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APIError, APIUserAbortError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { LengthFinishReasonError } from 'openai/core/error';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { newClient, rejection } from './openai.mjs';
import { cityArguments, forecast, forecastText, rainy, weatherIn, weatherTool } from './scripts.mjs';

const user = (content) => ({ role: 'user', content });

const { type: _, ...weatherFunction } = weatherTool;
const chatTool = { type: 'function', function: weatherFunction };

const runnable = {
  type: 'function',
  function: { ...weatherFunction, parse: JSON.parse, function: weatherIn },
};

// The package takes a call for complete when the next one begins.
const [calls, ...answers] = forecast.replies;
const loop = { replies: [{ ...calls, interleave: false }, ...answers] };

/** chunksOf reads a stream of chunks to its end. */
async function chunksOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

/** textOf puts the content of a choice together. */
const textOf = (chunks, index = 0) =>
  chunks
    .flatMap((chunk) => chunk.choices)
    .filter((choice) => choice.index === index)
    .map((choice) => choice.delta.content ?? '')
    .join('');

export function chatSuite(stage) {
  const completions = () => newClient(stage).chat.completions;

  test('create', async () => {
    const model = await stage.says('{{system}} {{user}}');
    const completion = await completions().create({
      model,
      messages: [{ role: 'system', content: 'Be brief.' }, user('Polly?')],
      temperature: 0.25,
      top_p: 0.5,
      max_completion_tokens: 77,
    });
    const [choice] = completion.choices;
    assert.equal(choice.message.content, 'Be brief. Polly?');
    assert.equal(choice.message.role, 'assistant');
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(completion.model, model);
    const { prompt_tokens: input, completion_tokens: output, total_tokens: total } = completion.usage;
    assert.ok(input > 0 && output > 0 && total === input + output);
    assert.equal(completion.usage.prompt_tokens_details.cached_tokens, 1);
    const [{ body }] = await stage.requests(model);
    assert.equal(body.temperature, 0.25);
    assert.equal(body.top_p, 0.5);
    assert.equal(body.max_completion_tokens ?? body.max_tokens, 77);
  });

  test('create, with parts and an image', async () => {
    const model = await stage.says('A dot.');
    const url = 'data:image/png;base64,iVBORw0KGgo=';
    const completion = await completions().create({
      model,
      messages: [user([{ type: 'text', text: 'What is it?' }, { type: 'image_url', image_url: { url, detail: 'low' } }])],
    });
    assert.equal(completion.choices[0].message.content, 'A dot.');
    const [message] = await stage.messages(model);
    assert.deepEqual(
      message.content.map((part) => part.text ?? part.image_url),
      ['What is it?', { url, detail: 'low' }],
    );
  });

  for (const usage of [false, true]) {
    test(`stream, usage: ${usage}`, async () => {
      const model = await stage.says(rainy);
      const chunks = await chunksOf(
        await completions().create({ model, messages: [user('Weather?')], stream: true, ...(usage && { stream_options: { include_usage: true } }) }),
      );
      assert.equal(textOf(chunks), rainy);
      assert.ok(chunks.length > 5);
      assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
      assert.equal(chunks[0].choices[0].delta.role, 'assistant');
      assert.equal(chunks.findLast((chunk) => chunk.choices.length > 0).choices[0].finish_reason, 'stop');
      const counts = chunks.filter((chunk) => chunk.usage);
      assert.equal(counts.length, usage ? 1 : 0);
      if (usage) assert.deepEqual([chunks.at(-1), chunks.at(-1).choices], [counts[0], []]);
    });
  }

  test('ChatCompletionStream', async () => {
    const model = await stage.says(rainy);
    const stream = completions().stream({ model, messages: [user('Weather?')], stream_options: { include_usage: true } });
    let text = '';
    stream.on('content', (delta, snapshot) => {
      text += delta;
      assert.equal(snapshot, text);
    });
    assert.equal(await stream.finalContent(), rainy);
    assert.equal(text, rainy);
    assert.ok((await stream.totalUsage()).total_tokens > 0);
  });

  test('two choices', async () => {
    const model = await stage.says(rainy);
    const body = { model, messages: [user('Weather?')], n: 2 };
    const whole = await completions().create(body);
    assert.deepEqual(
      whole.choices.map((choice) => [choice.index, choice.message.content]),
      [
        [0, rainy],
        [1, rainy],
      ],
    );
    const chunks = await chunksOf(await completions().create({ ...body, stream: true, stream_options: { include_usage: true } }));
    for (const index of [0, 1]) assert.equal(textOf(chunks, index), rainy);
    assert.ok(chunks.at(-1).usage.total_tokens > 0);
  });

  for (const stream of [false, true]) {
    test(`runTools, stream: ${stream}`, async () => {
      const model = await stage.play(loop);
      const runner = completions().runTools({ model, stream, messages: [user('Oslo and Rome?')], tools: [runnable] });
      assert.equal(await runner.finalContent(), forecastText);
      const results = (await stage.messages(model)).filter((message) => message.role === 'tool');
      assert.deepEqual(
        results.map((message) => [message.tool_call_id, message.content]),
        [
          ['call_oslo', 'snow'],
          ['call_rome', 'sun'],
        ],
      );
    });

    test(`a tool loop by hand, stream: ${stream}`, async () => {
      const model = await stage.play(loop);
      const messages = [user('Oslo and Rome?')];
      const ask = async () => {
        const body = { model, messages, tools: [chatTool], tool_choice: 'auto', parallel_tool_calls: true };
        const completion = stream ? await completions().stream(body).finalChatCompletion() : await completions().create(body);
        const { parsed: _, ...message } = completion.choices[0].message;
        messages.push(message);
        return completion.choices[0];
      };
      const first = await ask();
      assert.equal(first.finish_reason, 'tool_calls');
      assert.equal(first.message.content, 'I will look.');
      assert.deepEqual(
        first.message.tool_calls.map((call) => [call.id, call.type, call.function.name, call.function.arguments]),
        [
          ['call_oslo', 'function', 'get_weather', '{"city":"Oslo"}'],
          ['call_rome', 'function', 'get_weather', '{"city":"Rome"}'],
        ],
      );
      for (const call of first.message.tool_calls) {
        messages.push({ role: 'tool', tool_call_id: call.id, content: weatherIn(JSON.parse(call.function.arguments)) });
      }
      assert.equal((await ask()).message.content, forecastText);
      messages.push(user('Thanks.'));
      assert.equal((await ask()).message.content, 'You are welcome.');
      const sent = await stage.messages(model);
      assert.deepEqual(
        sent.map((message) => message.role),
        ['user', 'assistant', 'tool', 'tool', 'assistant', 'user'],
      );
    });
  }

  test('the choice of a tool', async () => {
    const model = await stage.play({ replies: [{ calls: [{ name: 'get_weather', arguments: '{"city":"Oslo"}' }] }] });
    const choice = { type: 'function', function: { name: 'get_weather' } };
    await completions().create({ model, messages: [user('Oslo?')], tools: [chatTool], tool_choice: choice });
    const [{ body }] = await stage.requests(model);
    assert.deepEqual(body.tool_choice, choice);
    assert.deepEqual(body.tools, [chatTool]);
  });

  const Weather = z.object({ city: z.string(), degrees: z.number() });
  const weather = { city: 'Oslo', degrees: -3.5 };

  test('parse, with a schema', async () => {
    const model = await stage.says(JSON.stringify(weather));
    const format = zodResponseFormat(Weather, 'weather');
    const body = { model, messages: [user('Oslo?')], response_format: format };
    const completion = await completions().parse(body);
    assert.deepEqual(completion.choices[0].message.parsed, weather);
    const streamed = await completions().stream(body).finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.parsed, weather);
    for (const { body: sent } of await stage.requests(model)) {
      assert.deepEqual(sent.response_format.json_schema.schema, format.json_schema.schema);
      assert.equal(sent.response_format.json_schema.strict, true);
    }
  });

  test('parse, with a function', async () => {
    const model = await stage.play({ replies: [{ calls: [{ name: 'get_weather', arguments: '{"city":"Oslo"}' }] }] });
    const tools = [zodFunction({ name: 'get_weather', parameters: cityArguments })];
    const completion = await completions().parse({ model, messages: [user('Oslo?')], tools });
    assert.deepEqual(completion.choices[0].message.tool_calls[0].function.parsed_arguments, { city: 'Oslo' });
  });

  test('parse, of an answer that is cut short', async () => {
    const model = await stage.play({ replies: [{ text: '{"city":', finish: 'length' }] });
    const body = { model, messages: [user('Oslo?')], response_format: zodResponseFormat(Weather, 'weather') };
    assert.ok((await rejection(completions().parse(body))) instanceof LengthFinishReasonError);
  });

  test('a refusal', async () => {
    const model = await stage.play({ replies: [{ refusal: 'I would rather not.' }] });
    const body = { model, messages: [user('Do.')] };
    const completion = await completions().create(body);
    assert.equal(completion.choices[0].message.refusal, 'I would rather not.');
    const streamed = await completions().stream(body).finalChatCompletion();
    assert.equal(streamed.choices[0].message.refusal, 'I would rather not.');
  });

  test('reasoning', async () => {
    const model = await stage.play({ replies: [{ reasoning: 'It often rains.', text: rainy }] });
    const body = { model, messages: [user('Weather?')] };
    const completion = await completions().create(body);
    assert.equal(completion.choices[0].message.reasoning_content, 'It often rains.');
    const chunks = await chunksOf(await completions().create({ ...body, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.reasoning_content ?? '').join(''), 'It often rains.');
    assert.equal(textOf(chunks), rainy);
  });

  test('logprobs', async () => {
    const model = await stage.says('Yes, perhaps.');
    const body = { model, messages: [user('Sure?')], logprobs: true, top_logprobs: 2 };
    const completion = await completions().create(body);
    const tokens = completion.choices[0].logprobs.content;
    assert.equal(tokens.map((t) => t.token).join(''), 'Yes, perhaps.');
    assert.equal(tokens[0].top_logprobs.length, 2);
    const chunks = await chunksOf(await completions().create({ ...body, stream: true }));
    const streamed = chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? []);
    assert.equal(streamed.map((t) => t.token).join(''), 'Yes, perhaps.');
    assert.ok(streamed.every((t) => t.top_logprobs.length === 2 && t.logprob < 0));
  });

  const errors = [
    [400, BadRequestError],
    [401, AuthenticationError],
    [429, RateLimitError],
  ];
  for (const [status, kind] of errors) {
    for (const stream of [false, true]) {
      test(`an error ${status}, stream: ${stream}`, async () => {
        const model = await stage.play({ replies: [{ status, headers: { 'Retry-After': '7' } }] });
        const error = await rejection(completions().create({ model, messages: [user('Hello?')], stream }));
        assert.ok(error instanceof kind, String(error));
        assert.match(error.message, /The script says so/);
        if (status === 429) assert.equal(error.headers.get('retry-after'), '7');
      });
    }
  }

  test('a model that does not exist', async () => {
    const error = await rejection(completions().create({ model: 'nobody', messages: [user('Hello?')] }));
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, 'model_not_found');
  });

  test('what fails is tried again', async () => {
    const model = await stage.play({ first: [{ status: 500 }, { status: 429, headers: { 'Retry-After': '1' } }], replies: [{ text: 'At last.' }] });
    const completion = await newClient(stage, { maxRetries: 2 }).chat.completions.create({ model, messages: [user('Now?')] });
    assert.equal(completion.choices[0].message.content, 'At last.');
  });

  test('a stream that fails', async () => {
    const model = await stage.play({ replies: [{ text: 'It will rain on', break: { how: 'error', after: 3 } }] });
    const error = await rejection(completions().create({ model, messages: [user('Weather?')], stream: true }).then(chunksOf));
    assert.ok(error instanceof APIError);
    assert.match(error.message, /fallen over/);
  });

  test('a stream that is aborted stops the model', async () => {
    const model = await stage.play({ replies: [{ text: 'This takes forever.', break: { how: 'stall', after: 3 } }] });
    const stream = completions().stream({ model, messages: [user('Hello?')] });
    stream.once('content', () => stream.abort());
    assert.ok((await rejection(stream.done())) instanceof APIUserAbortError);
    await stage.await(model, 'left');
  });
}
