import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { collect, newClient, rejection } from './lib/openai.mjs';
import { useStage } from './lib/stage.mjs';

const config = path.join(mkdtempSync(path.join(tmpdir(), 'antiphon-')), 'antiphon.yml');
writeFileSync(config, 'store:\n  chat_completions: true\n');

const stage = useStage({ flags: ['--config', config] });

/** all reads a list page by page. */
async function all(pages) {
  const list = [];
  for await (const item of pages) list.push(item);
  return list;
}

const texts = (items) => items.map((item) => item.content[0].text);

test('a conversation, from its making to its end', async () => {
  const client = newClient(stage);
  const created = await client.conversations.create({
    items: [{ role: 'user', content: 'zero' }],
    metadata: { topic: 'birds' },
  });
  assert.equal(created.object, 'conversation');
  assert.deepEqual((await client.conversations.retrieve(created.id)).metadata, { topic: 'birds' });
  const updated = await client.conversations.update(created.id, { metadata: { topic: 'fish' } });
  assert.deepEqual([updated.id, updated.created_at, updated.metadata], [created.id, created.created_at, { topic: 'fish' }]);

  const added = await client.conversations.items.create(created.id, {
    items: Array.from({ length: 20 }, (_, i) => ({ role: 'user', content: `item ${i + 1}` })),
  });
  assert.equal(added.data.length, 20);
  const forth = ['zero', ...Array.from({ length: 20 }, (_, i) => `item ${i + 1}`)];
  for (const limit of [1, 7, 20, 21, 100]) {
    assert.deepEqual(texts(await all(client.conversations.items.list(created.id, { order: 'asc', limit }))), forth);
  }
  assert.deepEqual(texts(await all(client.conversations.items.list(created.id))), forth.toReversed());

  const one = added.data[4];
  const item = await client.conversations.items.retrieve(one.id, { conversation_id: created.id });
  assert.deepEqual(item, one);
  const after = await client.conversations.items.delete(one.id, { conversation_id: created.id });
  assert.equal(after.id, created.id);
  assert.equal((await rejection(client.conversations.items.retrieve(one.id, { conversation_id: created.id }))).status, 404);

  const deleted = await client.conversations.delete(created.id);
  assert.deepEqual(deleted, { id: created.id, object: 'conversation.deleted', deleted: true });
  const error = await rejection(client.conversations.retrieve(created.id));
  assert.equal(error.status, 404);
  assert.match(error.message, new RegExp(`Conversation with id '${created.id}' not found.`));
});

test('responses in a conversation', async () => {
  const client = newClient(stage);
  const model = await stage.says('one: {{user}}', 'two: {{user}}', 'three: {{user}}');
  const { id } = await client.conversations.create({});
  const first = await client.responses.create({ model, input: 'a', conversation: id });
  assert.equal(first.output_text, 'one: a');
  assert.deepEqual(first.conversation, { id });
  const stream = client.responses.stream({ model, input: 'b', conversation: { id }, store: false });
  const second = await stream.finalResponse();
  assert.equal(second.output_text, 'two: b');
  const third = await client.responses.create({ model, input: 'c', conversation: id });
  assert.equal(third.output_text, 'three: c');
  assert.deepEqual(texts(await all(client.conversations.items.list(id, { order: 'asc', limit: 2 }))), [
    'a', 'one: a', 'b', 'two: b', 'c', 'three: c',
  ]);
  const ids = (await all(client.conversations.items.list(id, { order: 'asc' }))).map((item) => item.id);
  assert.equal(ids[1], first.output[0].id);
  assert.equal(ids[3], second.output[0].id);

  const both = await rejection(client.responses.create({ model, input: 'd', conversation: id, previous_response_id: third.id }));
  assert.equal(both.code, 'mutually_exclusive_parameters');
});

test('two responses cannot be made in one conversation at once', async () => {
  const client = newClient(stage);
  const model = await stage.play({ replies: [{ text: 'slow', delay_ms: 1000 }, { text: 'then' }] });
  const { id } = await client.conversations.create({});
  const slow = client.responses.create({ model, input: 'first', conversation: id });
  await stage.await(model, 'open');
  const error = await rejection(client.responses.create({ model, input: 'second', conversation: id }));
  assert.deepEqual([error.status, error.code, error.param], [400, 'conversation_locked', 'conversation']);
  await slow;
  assert.equal((await client.responses.create({ model, input: 'second', conversation: id })).output_text, 'then');
});

test('input items in pages', async () => {
  const client = newClient(stage);
  const model = await stage.says('Many.');
  const input = Array.from({ length: 25 }, (_, i) => ({ role: 'user', content: `${i}` }));
  const response = await client.responses.create({ model, input });
  for (const limit of [1, 10, 100]) {
    const listed = await all(client.responses.inputItems.list(response.id, { order: 'asc', limit }));
    assert.deepEqual(texts(listed), input.map((item) => item.content));
  }
});

test('compact, and go on from there', async () => {
  const client = newClient(stage);
  const model = await stage.says('They speak of parrots.', 'A summary of two.', 'Done: {{user}} ({{system}})');
  const compacted = await client.responses.compact({
    model,
    input: [
      { role: 'user', content: 'Polly?' },
      { role: 'assistant', content: 'Yes.' },
      { role: 'user', content: 'Cracker?' },
    ],
  });
  assert.equal(compacted.object, 'response.compaction');
  assert.deepEqual(compacted.output.map((item) => item.type), ['message', 'message', 'compaction']);
  assert.ok(compacted.usage.input_tokens > 0 && compacted.usage.total_tokens > compacted.usage.input_tokens);

  const response = await client.responses.create({
    model,
    input: [...compacted.output, { role: 'assistant', content: 'x' }, { role: 'assistant', content: 'y' }, { role: 'user', content: 'Well?' }],
  });
  assert.match(response.output_text, /^Done: Well\? \(.*A summary of two\./s);
  const [head, ...rest] = await stage.messages(model);
  assert.equal(head.role, 'system');
  assert.deepEqual(rest.slice(0, 2).map((m) => m.content), ['Polly?', 'Cracker?']);

  const foreign = await rejection(client.responses.create({
    model,
    input: [{ type: 'compaction', id: 'cmp_1', encrypted_content: 'gAAAA' }, { role: 'user', content: 'Well?' }],
  }));
  assert.deepEqual([foreign.status, foreign.code, foreign.param], [400, 'invalid_value', 'input[0].encrypted_content']);
});

test('context_management compacts in the stream', async () => {
  const client = newClient(stage);
  const model = await stage.says('ready', 'Summary.', 'never');
  const first = await client.responses.create({ model, input: 'many words to read '.repeat(400) });
  const stream = client.responses.stream({
    model,
    input: 'And?',
    previous_response_id: first.id,
    context_management: [{ type: 'compaction', compact_threshold: 1000 }],
  });
  const final = await stream.finalResponse();
  assert.deepEqual(final.output.map((item) => item.type), ['compaction', 'message']);
  // Of what came before, the model has only seen the summary: it is at its first reply again.
  assert.equal(final.output_text, 'ready');

  const raw = await collect(await client.responses.create({
    model,
    input: [{ role: 'user', content: 'Hi' }, { type: 'compaction_trigger' }],
    stream: true,
  }));
  assert.deepEqual(raw.at(-1).response.output.map((item) => item.type), ['compaction']);
});

test('input_tokens', async () => {
  const client = newClient(stage);
  const model = await stage.says('Never.');
  const short = await client.responses.inputTokens.count({ model, input: 'Hello there' });
  const long = await client.responses.inputTokens.count({ model, input: 'Hello there '.repeat(100), instructions: 'Be kind.' });
  assert.equal(short.object, 'response.input_tokens');
  assert.ok(short.input_tokens > 5 && short.input_tokens < 20 && long.input_tokens > 180 && long.input_tokens < 280, `${short.input_tokens} ${long.input_tokens}`);
});

test('stored chat completions', async () => {
  const client = newClient(stage);
  const model = await stage.says('Hello, {{user}}.');
  const messages = [{ role: 'system', content: 'Greet.' }, { role: 'user', content: 'Ann' }];
  const whole = await client.chat.completions.create({ model, messages, store: true, metadata: { n: '1' } });
  const stream = client.chat.completions.stream({ model, messages, store: true, metadata: { n: '2' } });
  const streamed = await stream.finalChatCompletion();
  const listed = await all(client.chat.completions.list({ model, limit: 1 }));
  assert.deepEqual(listed.map((c) => [c.id, c.choices[0].message.content, c.metadata.n]), [
    [whole.id, 'Hello, Ann.', '1'],
    [streamed.id, 'Hello, Ann.', '2'],
  ]);
  assert.deepEqual((await all(client.chat.completions.list({ metadata: { n: '2' }, model }))).map((c) => c.id), [streamed.id]);
  const said = await all(client.chat.completions.messages.list(whole.id));
  assert.deepEqual(said.map((m) => [m.role, m.content]), [['system', 'Greet.'], ['user', 'Ann']]);
  const changed = await client.chat.completions.update(whole.id, { metadata: { n: '3' } });
  assert.deepEqual(changed.metadata, { n: '3' });
  assert.equal((await client.chat.completions.retrieve(whole.id)).metadata.n, '3');
  assert.equal((await client.chat.completions.delete(whole.id)).deleted, true);
  assert.equal((await rejection(client.chat.completions.retrieve(whole.id))).status, 404);
});
