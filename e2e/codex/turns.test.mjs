// What Codex does besides plain rounds of tools: several calls at once, images,
// an answer after a schema, compaction, and trying again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './lib/codex.mjs';
import { regimes } from './lib/regimes.mjs';
import { useStage } from '../node/lib/stage.mjs';

const stage = useStage();
const [plain, search] = regimes;

for (const websocket of [false, true]) {
  const way = websocket ? 'WebSocket' : 'SSE';

  test(`several calls at once, over ${way}`, async (t) => {
    const codex = await open(t, stage, { websocket });
    const calls = ['a', 'b', 'c'].map((name) => ({ id: `call_${name}`, ...plain.shell(`echo ${name} > ${name}.txt; echo did ${name}`) }));
    const model = await stage.play({ replies: [{ calls, interleave: true }, { text: '{{tools}}' }] }, plain.family);
    const { text } = await codex.work(model, 'Write three files.');
    for (const name of ['a', 'b', 'c']) {
      assert.equal(await codex.read(`${name}.txt`), `${name}\n`);
      assert.match(text, new RegExp(`did ${name}`));
    }
    const [, result] = await stage.requests(model);
    const roles = result.body.messages.map((message) => message.role);
    assert.deepEqual(roles.slice(-4), ['assistant', 'tool', 'tool', 'tool']);
  });

  test(`a stream that is cut is tried again, over ${way}`, async (t) => {
    const codex = await open(t, stage, { websocket, retries: 2 });
    const model = await stage.play(
      { first: [{ text: 'This is never heard of', break: { how: 'cut', after: 3 } }], replies: [{ text: 'At last.' }] },
      search.family,
    );
    const { text } = await codex.work(model, 'Hello?');
    assert.equal(text, 'At last.');
  });

  test(`too many requests, over ${way}`, async (t) => {
    const codex = await open(t, stage, { websocket, retries: 2 });
    const model = await stage.play({ first: [{ status: 429, headers: { 'Retry-After': '1' } }], replies: [{ text: 'At last.' }] }, search.family);
    const { text } = await codex.work(model, 'Now?');
    assert.equal(text, 'At last.');
  });

  test(`a conversation that is too long, over ${way}`, async (t) => {
    const codex = await open(t, stage, { websocket, retries: 2 });
    const body = { error: { message: 'Too long.', type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' } };
    const model = await stage.play({ replies: [{ status: 400, body }] }, plain.family);
    const { code, events } = await codex.exec(model, 'Hello?');
    assert.equal(code, 1);
    assert.match(JSON.stringify(events), /context window|context_length_exceeded/);
    assert.equal((await stage.requests(model)).length, 1, 'it is not tried again');
  });
}

// A red dot.
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64');

/** images are the parts that are images among the messages of users. */
const images = (messages) =>
  messages.filter((m) => m.role === 'user' && Array.isArray(m.content)).flatMap((m) => m.content.filter((p) => p.type === 'image_url'));

test('an image that a tool shows', async (t) => {
  const codex = await open(t, stage);
  await codex.write('dot.png', png);
  const call = { name: 'view_image', arguments: JSON.stringify({ path: codex.path('dot.png') }) };
  const model = await stage.play({ replies: [{ calls: [call] }, { text: 'A dot.' }] }, search.family);
  assert.equal((await codex.work(model, 'What is it?')).text, 'A dot.');
  const [image] = images(await stage.messages(model));
  assert.match(image.image_url.url, /^data:image\/png;base64,/);
  assert.ok([undefined, 'auto', 'low', 'high'].includes(image.image_url.detail), image.image_url.detail);
});

test('an image that the user shows', async (t) => {
  const codex = await open(t, stage);
  await codex.write('dot.png', png);
  const model = await stage.play({ replies: [{ text: 'A dot.' }] }, search.family);
  assert.equal((await codex.work(model, '--image=dot.png', '--', 'What is it?')).text, 'A dot.');
  assert.equal(images(await stage.messages(model)).length, 1);
});

test('an answer after a schema', async (t) => {
  const codex = await open(t, stage);
  const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
  await codex.write('schema.json', JSON.stringify(schema));
  const model = await stage.play({ replies: [{ text: '{"city":"Oslo"}' }] }, search.family);
  const { text } = await codex.work(model, '--output-schema', codex.path('schema.json'), 'Where?');
  assert.deepEqual(JSON.parse(text), { city: 'Oslo' });
  const [{ body }] = await stage.requests(model);
  assert.deepEqual(body.response_format.json_schema.schema, schema);
});

test('a conversation that Codex compacts', async (t) => {
  const codex = await open(t, stage, { config: 'model_auto_compact_token_limit = 100' });
  const model = await stage.play({ replies: [{ text: 'First answer.' }, { text: 'A handover.' }, { text: 'Another.' }] }, plain.family);
  const { thread } = await codex.work(model, 'Remember the heron.');
  const { text } = await codex.work(model, 'resume', thread, 'What was it?');
  const requests = await stage.requests(model);
  const summary = requests.find(({ body }) => /CONTEXT CHECKPOINT COMPACTION/.test(JSON.stringify(body.messages.at(-1))));
  assert.ok(summary, 'there was no compaction');
  assert.equal(summary.body.tools, undefined);
  assert.match(JSON.stringify(requests.at(-1).body.messages), /A handover\./);
  assert.ok(text);
});
