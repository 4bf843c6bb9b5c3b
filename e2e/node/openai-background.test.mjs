import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { collect, newClient, rejection } from './lib/openai.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();
const text = 'one two three four five six seven';

/** slowly is a model that takes its time. */
const slowly = () => stage.play({ replies: [{ text, gap_ms: 50 }] });

/** ended polls until a response has ended. */
async function ended(client, id) {
  for (;;) {
    const response = await client.responses.retrieve(id);
    if (!['queued', 'in_progress'].includes(response.status)) return response;
    await sleep(20);
  }
}

test('polled', async () => {
  const client = newClient(stage);
  const model = await slowly();
  const queued = await client.responses.create({ model, input: 'x', background: true });
  assert.deepEqual([queued.status, queued.output, queued.background], ['queued', [], true]);
  assert.equal((await ended(client, queued.id)).output_text, text);
});

test('a stream that is left, and read again', async () => {
  const client = newClient(stage);
  const model = await slowly();
  const seen = [];
  for await (const event of await client.responses.create({ model, input: 'x', background: true, stream: true })) {
    seen.push(event);
    if (seen.length === 8) break;
  }
  assert.deepEqual(seen.slice(0, 3).map((e) => e.type), ['response.created', 'response.queued', 'response.in_progress']);
  const { id } = seen[0].response;
  const starting_after = seen.at(-1).sequence_number;
  const rest = [];
  for await (const event of await client.responses.retrieve(id, { stream: true, starting_after })) rest.push(event);
  const all = [...seen, ...rest];
  assert.deepEqual(all.map((e) => e.sequence_number), all.map((_, i) => i));
  assert.equal(all.at(-1).type, 'response.completed');
  assert.deepEqual(await collect(await client.responses.retrieve(id, { stream: true })), all);

  // The helper skips what it has been told.
  const helper = client.responses.stream({ response_id: id, starting_after });
  assert.equal((await helper.finalResponse()).output_text, text);
});

test('cancelled', async () => {
  const client = newClient(stage);
  const model = await stage.play({ replies: [{ text, delay_ms: 5000 }, { text }] });
  const { id } = await client.responses.create({ model, input: 'x', background: true });
  assert.equal((await client.responses.cancel(id)).status, 'cancelled');
  assert.equal((await client.responses.cancel(id)).status, 'cancelled');
  assert.equal((await client.responses.retrieve(id)).status, 'cancelled');
  const other = await client.responses.create({ model, input: 'x' });
  const error = await rejection(client.responses.cancel(other.id));
  assert.equal(error.status, 400);
  assert.match(error.message, /Cannot cancel a synchronous response\./);
});
