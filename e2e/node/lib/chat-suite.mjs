// What chat applications do with OpenAI's own package. The suite is run twice: with
// a chat backend, whose answers are passed through, and with one that speaks
// Responses, for which every request and answer is translated.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  UnprocessableEntityError,
} from 'openai';
import { ContentFilterFinishReasonError, LengthFinishReasonError } from 'openai/core/error';
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

/** The proxy's loss report of a reply, by rule. */
const lossesOf = (response) => (response.headers.get('antiphon-loss') ?? '').split(', ').map((loss) => loss.split(';')[0]);

export function chatSuite(stage, { chained = false } = {}) {
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

  // The form that tools had before they were tools: one call, without an id.
  const functions = [weatherFunction].map(({ strict: _, ...f }) => f);
  const oneCall = {
    replies: [
      { calls: [{ name: 'get_weather', arguments: '{"city":"Oslo"}' }] },
      { text: 'In Oslo: {{tools}}.' },
      { calls: [{ name: 'get_weather', arguments: '{"city":"Rome"}' }] },
      { text: 'In Rome: {{tools}}.' },
    ],
  };
  for (const stream of [false, true]) {
    test(`functions and function_call, stream: ${stream}`, async () => {
      const model = await stage.play(oneCall);
      const messages = [];
      const ask = async (more) => {
        const body = { model, messages, functions, ...more };
        if (!stream) return (await completions().create(body)).choices[0];
        const chunks = await chunksOf(await completions().create({ ...body, stream: true }));
        const deltas = chunks.map((chunk) => chunk.choices[0]?.delta ?? {});
        assert.ok(!deltas.some((delta) => delta.tool_calls));
        const parts = deltas.map((delta) => delta.function_call).filter(Boolean);
        const function_call = parts.length && { name: parts[0].name, arguments: parts.map((part) => part.arguments ?? '').join('') };
        if (parts.length) assert.ok(parts.length > 2 && parts.slice(1).every((part) => !part.name));
        const { finish_reason } = chunks.findLast((chunk) => chunk.choices.length > 0).choices[0];
        return { finish_reason, message: { role: 'assistant', content: textOf(chunks) || null, ...(function_call && { function_call }) } };
      };
      for (const [city, weather, function_call] of [
        ['Oslo', 'snow', 'auto'],
        ['Rome', 'sun', { name: 'get_weather' }],
      ]) {
        messages.push(user(`${city}?`));
        const called = await ask({ function_call });
        assert.equal(called.finish_reason, 'function_call');
        assert.deepEqual(called.message.function_call, { name: 'get_weather', arguments: `{"city":"${city}"}` });
        assert.ok(!called.message.content && !called.message.tool_calls);
        messages.push({ role: 'assistant', content: null, function_call: called.message.function_call });
        messages.push({ role: 'function', name: 'get_weather', content: weather });
        const answer = await ask({ function_call: 'none' });
        assert.equal(answer.finish_reason, 'stop');
        assert.equal(answer.message.content, `In ${city}: ${weather}.`);
        messages.push({ role: 'assistant', content: answer.message.content });
      }
      const sent = (await stage.requests(model)).map(({ body }) => body);
      const last = sent.at(-1).messages;
      if (chained) {
        const called = last.filter((message) => message.tool_calls).map((message) => message.tool_calls[0]);
        assert.deepEqual(
          called.map((call) => call.function.arguments),
          ['{"city":"Oslo"}', '{"city":"Rome"}'],
        );
        assert.deepEqual(
          last.filter((message) => message.role === 'tool').map((message) => [message.tool_call_id, message.content]),
          [
            [called[0].id, 'snow'],
            [called[1].id, 'sun'],
          ],
        );
        assert.ok(called[0].id !== called[1].id);
        assert.equal(sent[0].parallel_tool_calls, false);
        assert.deepEqual(sent[2].tool_choice, { type: 'function', function: { name: 'get_weather' } });
      } else {
        assert.deepEqual(last, messages.slice(0, -1));
      }
    });
  }

  test('ChatCompletionStream with functions', async () => {
    const model = await stage.play(oneCall);
    const stream = completions().stream({ model, messages: [user('Oslo?')], functions });
    const message = await stream.finalMessage();
    assert.deepEqual(message.function_call, { name: 'get_weather', arguments: '{"city":"Oslo"}' });
    assert.equal((await stream.finalChatCompletion()).choices[0].finish_reason, 'function_call');
  });

  test('a function_call without functions', async () => {
    const model = await stage.says('No.');
    if (!chained) return; // it is the model's to refuse
    const error = await rejection(completions().create({ model, messages: [user('Hello?')], function_call: 'auto' }));
    assert.ok(error instanceof BadRequestError);
    assert.equal(error.param, 'function_call');
  });

  const sound = { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } };

  test('audio that is sent', async () => {
    const model = await stage.says('A bark.');
    const completion = await completions().create({ model, messages: [user([{ type: 'text', text: 'What is it?' }, sound])] });
    assert.equal(completion.choices[0].message.content, 'A bark.');
    const [message] = await stage.messages(model);
    assert.deepEqual(message.content[1], sound);
  });

  for (const stream of [false, true]) {
    // The Responses API gives no audio, so that cannot be honoured: it is refused, not left out.
    test(`audio that is asked for, stream: ${stream}`, async () => {
      const model = await stage.play({ replies: [{ audio: 'Woof.' }] });
      const body = { model, messages: [user('Bark.')], modalities: ['text', 'audio'], audio: { voice: 'alloy', format: stream ? 'pcm16' : 'wav' }, stream };
      if (chained) {
        const error = await rejection(completions().create(body));
        assert.ok(error instanceof BadRequestError);
        assert.deepEqual([error.code, error.param], ['unsupported_parameter', 'modalities']);
        assert.match(error.message, /audio/);
        assert.equal((await stage.requests(model)).length, 0);
        return;
      }
      let audio = {};
      if (stream) {
        for (const { audio: delta } of (await chunksOf(await completions().create(body))).flatMap((chunk) => chunk.choices[0]?.delta ?? [])) {
          for (const [key, value] of Object.entries(delta ?? {})) audio[key] = typeof value === 'string' ? (audio[key] ?? '') + value : value;
        }
      } else {
        audio = (await completions().create(body)).choices[0].message.audio;
      }
      assert.equal(audio.transcript, 'Woof.');
      assert.equal(Buffer.from(audio.data, 'base64').toString(), 'sound of Woof.');
    });
  }

  test('text that is asked for, with the parameters of audio', async () => {
    const model = await stage.says('No sound.');
    const body = { model, messages: [user('Hello?')], modalities: ['text'] };
    assert.equal((await completions().create(body)).choices[0].message.content, 'No sound.');
  });

  test('an answer in audio that is sent back', async () => {
    const model = await stage.says('And text.', 'And text.');
    const messages = [user('Bark.'), { role: 'assistant', content: null, audio: { id: 'audio_fake' } }, user('Again.')];
    const { data, response } = await completions().create({ model, messages }).withResponse();
    assert.equal(data.choices[0].message.content, 'And text.');
    const sent = await stage.messages(model);
    if (chained) {
      assert.deepEqual(lossesOf(response), ['chat.message.audio']);
      assert.deepEqual(
        sent.map((message) => message.role),
        ['user', 'user'],
      );
    } else {
      assert.deepEqual(sent, messages);
    }
  });

  test('a developer message, and names', async () => {
    const model = await stage.says('{{system}}');
    const { data, response } = await completions()
      .create({ model, messages: [{ role: 'developer', content: 'Be brief.' }, { ...user('Hello?'), name: 'ada' }] })
      .withResponse();
    assert.equal(data.choices[0].message.content, 'Be brief.');
    assert.deepEqual(lossesOf(response), [chained ? 'chat.message.name' : '']);
  });

  test('the events of ChatCompletionStream', async () => {
    const model = await stage.play(loop);
    const stream = completions().stream({ model, messages: [user('Oslo and Rome?')], tools: [chatTool] });
    const seen = [];
    for (const name of ['content.done', 'tool_calls.function.arguments.done', 'functionToolCall', 'finalFunctionToolCall', 'finalContent']) {
      stream.on(name, (event) => seen.push([name, event.arguments ?? event.content ?? event]));
    }
    let deltas = '';
    stream.on('tool_calls.function.arguments.delta', (event) => (deltas += event.arguments_delta));
    await stream.done();
    assert.equal(deltas, '{"city":"Oslo"}{"city":"Rome"}');
    assert.deepEqual(
      seen.filter(([name]) => name.includes('.')),
      [
        ['content.done', 'I will look.'],
        ['tool_calls.function.arguments.done', '{"city":"Oslo"}'],
        ['tool_calls.function.arguments.done', '{"city":"Rome"}'],
      ],
    );
    assert.equal((await stream.finalFunctionToolCall()).arguments, '{"city":"Rome"}');
  });

  test('the events of a refusal and of logprobs', async () => {
    const model = await stage.play({ replies: [{ refusal: 'I would rather not.' }] });
    let refusal = '';
    const stream = completions().stream({ model, messages: [user('Do.')] });
    stream.on('refusal.done', (event) => (refusal = event.refusal));
    await stream.done();
    assert.equal(refusal, 'I would rather not.');
    const sure = completions().stream({ model: await stage.says('Yes.'), messages: [user('Sure?')], logprobs: true });
    let tokens;
    sure.on('logprobs.content.done', (event) => (tokens = event.content));
    await sure.done();
    assert.equal(tokens.map((t) => t.token).join(''), 'Yes.');
  });

  test('an answer that is filtered, or cut short', async () => {
    for (const [finish, kind] of [
      ['content_filter', ContentFilterFinishReasonError],
      ['length', LengthFinishReasonError],
    ]) {
      const model = await stage.play({ replies: [{ text: '{"city":', finish }] });
      const body = { model, messages: [user('Oslo?')], response_format: zodResponseFormat(Weather, 'weather') };
      assert.ok((await rejection(completions().parse(body))) instanceof kind);
      const chunks = await chunksOf(await completions().create({ ...body, stream: true }));
      assert.equal(textOf(chunks), '{"city":');
      assert.equal(chunks.findLast((chunk) => chunk.choices.length > 0).choices[0].finish_reason, finish);
    }
  });

  const errors = [
    [400, BadRequestError],
    [401, AuthenticationError],
    [403, PermissionDeniedError],
    [404, NotFoundError],
    [409, ConflictError],
    [422, UnprocessableEntityError],
    [429, RateLimitError],
    [500, InternalServerError],
    [503, InternalServerError],
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

  // A chat backend's own stream is passed through with the cut that it has.
  for (const how of chained ? ['end', 'cut', 'reset'] : ['end']) {
    test(`a stream that breaks off: ${how}`, async () => {
      const model = await stage.play({ replies: [{ text: 'It will rain on', break: { how, after: 3 } }] });
      const stream = completions().stream({ model, messages: [user('Weather?')], stream_options: { include_usage: true } });
      const error = await rejection(stream.finalChatCompletion());
      if (chained) assert.ok(error instanceof APIError && /cut off|before the reply was complete/.test(error.message), String(error));
    });
  }

  test('a stream that is aborted stops the model', async () => {
    const model = await stage.play({ replies: [{ text: 'This takes forever.', break: { how: 'stall', after: 3 } }] });
    const stream = completions().stream({ model, messages: [user('Hello?')] });
    stream.once('content', () => stream.abort());
    assert.ok((await rejection(stream.done())) instanceof APIUserAbortError);
    await stage.await(model, 'left');
  });
}
