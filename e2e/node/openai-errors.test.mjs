import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { newClient, rejection } from './lib/openai.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

for (const [status, type] of [
  [400, OpenAI.BadRequestError],
  [401, OpenAI.AuthenticationError],
  [403, OpenAI.PermissionDeniedError],
  [409, OpenAI.ConflictError],
  [422, OpenAI.UnprocessableEntityError],
  [429, OpenAI.RateLimitError],
  [500, OpenAI.InternalServerError],
  [503, OpenAI.InternalServerError],
]) {
  test(`the backend answers ${status}`, async () => {
    const client = newClient(stage);
    const model = await stage.play({ replies: [{ status, headers: { 'Retry-After': '3' } }] });
    const requests = {
      create: () => client.responses.create({ model, input: 'Hello?' }),
      'create with stream': () => client.responses.create({ model, input: 'Hello?', stream: true }),
      stream: () => client.responses.stream({ model, input: 'Hello?' }).finalResponse(),
    };
    for (const [name, request] of Object.entries(requests)) {
      const error = await rejection(request());
      assert.ok(error instanceof type, `${name}: ${error.constructor.name} ${error.message}`);
      assert.equal(error.status, status);
      assert.equal(error.headers.get('retry-after'), '3');
      assert.ok(error.type);
      assert.match(error.message, /The script says so/);
    }
  });
}

test('the backend does not know the model', async () => {
  const error = await rejection(newClient(stage).responses.create({ model: 'none', input: 'Hello?' }));
  assert.equal(error.code, 'model_not_found');
});

test('the request is wrong', async () => {
  const client = newClient(stage);
  const model = await stage.says('Hello.');
  for (const [request, code, param] of [
    [{ input: 'Hello?' }, 'missing_required_parameter', 'model'],
    [{ model }, 'missing_required_parameter', 'input'],
    [{ model, input: 'Hello?', temperature: 'hot' }, 'invalid_type', 'temperature'],
    [{ model, input: 'Hello?', top_logprobs: 21 }, 'integer_above_max_value', 'top_logprobs'],
    [{ model, input: [{ role: 'pirate', content: 'Arr' }] }, 'invalid_value', 'input[0].role'],
    [{ model, input: [{ role: 'user', content: [{ type: 'smell', text: 'x' }] }] }, 'invalid_value', 'input[0].content[0].type'],
    [{ model, input: 'Hello?', tools: [{ type: 'function' }] }, 'missing_required_parameter', 'tools[0].name'],
  ]) {
    for (const stream of [false, true]) {
      const error = await rejection(client.responses.create({ ...request, stream }));
      assert.ok(error instanceof OpenAI.BadRequestError, error.message);
      assert.equal(error.code, code, error.message);
      assert.equal(error.param, param, error.message);
    }
  }
  assert.equal((await stage.requests(model)).length, 0);
});

test('nobody answers', async () => {
  const client = newClient(stage);
  const model = await stage.play({ replies: [{ text: 'Hello.', break: { how: 'cut' } }] });
  const error = await rejection(client.responses.create({ model, input: 'Hello?' }));
  assert.equal(error.status, 502);
  assert.equal(error.code, 'upstream_connection_lost'); // it may have been read, so it is not sent again
  assert.equal((await stage.requests(model)).length, 1);
});

test('a retry after the time that the backend asks for', async () => {
  const client = newClient(stage, { maxRetries: 2 });
  const model = await stage.play({
    first: [{ status: 429, headers: { 'Retry-After': '1' } }, { status: 500 }],
    replies: [{ text: 'At last.' }],
  });
  const begin = Date.now();
  const response = await client.responses.create({ model, input: 'Now?' });
  assert.equal(response.output_text, 'At last.');
  assert.ok(Date.now() - begin >= 1000);
  assert.equal((await stage.requests(model)).length, 3);
});

test('a request that is given up stops the model', async () => {
  const client = newClient(stage);
  for (const after of [0, 1]) {
    const model = await stage.play({ replies: [{ text: 'Forever.', break: { how: 'stall', after } }] });
    const controller = new AbortController();
    const request = rejection(client.responses.create({ model, input: 'Hello?' }, { signal: controller.signal }));
    await stage.await(model, 'open');
    controller.abort();
    assert.ok((await request) instanceof OpenAI.APIUserAbortError);
    await stage.await(model, 'left');
  }
});
