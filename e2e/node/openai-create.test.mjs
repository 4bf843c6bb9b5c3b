import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newClient, rejection } from './lib/openai.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

test('create a response and read it back', async () => {
  const client = newClient(stage);
  const model = await stage.says('You said: {{user}}');
  const response = await client.responses.create({
    model,
    instructions: 'Repeat.',
    input: 'Polly?',
    metadata: { pirate: 'yes' },
    text: {},
    tools: [],
    include: [],
  });
  assert.equal(response.output_text, 'You said: Polly?');
  assert.equal(response.status, 'completed');
  assert.equal(response.model, model);
  assert.deepEqual(response.metadata, { pirate: 'yes' });
  assert.equal(response.usage.total_tokens, response.usage.input_tokens + response.usage.output_tokens);
  assert.ok(response._request_id);

  const again = await client.responses.retrieve(response.id);
  assert.deepEqual(again.output, response.output);
  assert.equal(again.output_text, 'You said: Polly?');

  const [system, user] = await stage.messages(model);
  assert.deepEqual([system.content, user.content], ['Repeat.', 'Polly?']);
});

test('a deleted response is gone', async () => {
  const client = newClient(stage);
  const model = await stage.says('Hello.');
  const { id } = await client.responses.create({ model, input: 'Hello?' });
  await client.responses.delete(id);
  assert.equal((await rejection(client.responses.retrieve(id))).status, 404);
  assert.equal((await rejection(client.responses.delete(id))).status, 404);
  const error = await rejection(client.responses.create({ model, input: 'And now?', previous_response_id: id }));
  assert.equal(error.code, 'previous_response_not_found');
  assert.equal(error.param, 'previous_response_id');
});

test('a conversation by previous_response_id, with instructions of its own for each turn', async () => {
  const client = newClient(stage);
  const model = await stage.says('1 {{user}} ({{system}})', '2 {{user}} ({{system}})', '3 {{user}} ({{system}})');
  let previous_response_id;
  for (const turn of ['1', '2', '3']) {
    const response = await client.responses.create({
      model,
      input: `turn ${turn}`,
      instructions: `rule ${turn}`,
      previous_response_id,
    });
    assert.equal(response.output_text, `${turn} turn ${turn} (rule ${turn})`);
    assert.equal(response.previous_response_id, previous_response_id ?? null);
    previous_response_id = response.id;
  }
  const roles = (await stage.messages(model)).map((m) => m.role);
  assert.deepEqual(roles, ['system', 'user', 'assistant', 'user', 'assistant', 'user']);
});

test('a picture reaches the model', async () => {
  const client = newClient(stage);
  const model = await stage.says('A cat.');
  const image_url = 'data:image/png;base64,iVBORw0KGgo=';
  await client.responses.create({
    model,
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'What is this?' },
          { type: 'input_image', image_url, detail: 'low' },
        ],
      },
    ],
  });
  const [{ content }] = await stage.messages(model);
  assert.deepEqual(content, [
    { type: 'text', text: 'What is this?' },
    { type: 'image_url', image_url: { url: image_url, detail: 'low' } },
  ]);
});

test('input items come in pages', async () => {
  const client = newClient(stage);
  const model = await stage.says('That is a lot.');
  const texts = Array.from({ length: 23 }, (_, i) => `item ${i}`);
  const { id } = await client.responses.create({
    model,
    input: texts.map((content) => ({ role: 'user', content })),
    include: ['message.output_text.logprobs'],
  });
  const back = [...texts].reverse();
  for (const [query, want] of [
    [{}, back],
    [{ limit: 7 }, back],
    [{ order: 'desc', limit: 22, include: ['message.input_image.image_url'] }, back],
    [{ order: 'asc', limit: 1 }, texts],
    [{ order: 'asc', limit: 23 }, texts],
    [{ order: 'asc', limit: 100 }, texts],
  ]) {
    const got = [];
    for await (const item of client.responses.inputItems.list(id, query)) got.push(item.content[0].text);
    assert.deepEqual(got, want, JSON.stringify(query));
  }
  const page = await client.responses.inputItems.list(id, { limit: 3, order: 'asc' });
  assert.equal(page.has_more, true);
  const next = await client.responses.inputItems.list(id, { limit: 3, order: 'asc', after: page.data[2].id });
  assert.equal(next.data[0].content[0].text, 'item 3');
});

test('unstored responses cannot be referred to', async () => {
  const client = newClient(stage);
  const model = await stage.says('Hello.');
  const response = await client.responses.create({ model, input: 'Hello?', store: false });
  assert.equal(response.store, false);
  const item = { type: 'item_reference', id: response.output[0].id };
  const error = await rejection(client.responses.create({ model, input: [item] }));
  assert.equal(error.status, 404);
  assert.match(error.message, /not found/);
});

test('models, and what else the backend has, are passed through', async () => {
  const client = newClient(stage);
  const model = await stage.says('Hello.');
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  assert.ok(ids.includes(model));
  const chat = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Hello?' }] });
  assert.equal(chat.choices[0].message.content, 'Hello.');
  const stream = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Hello?' }], stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  assert.equal(text, 'Hello.');
});
