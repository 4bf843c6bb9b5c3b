import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { ResponsesWS } from 'openai/resources/responses/ws';
import { newClient } from './lib/openai.mjs';
import { useStage } from './lib/stage.mjs';

const stage = useStage();

/** connect opens a connection; it is closed at the end of the test. */
async function connect(t) {
  const ws = new ResponsesWS(newClient(stage));
  t.after(() => ws.close());
  if (ws.socket.readyState !== 1) await once(ws.socket, 'open');
  return ws;
}

/** turn sends a response.create and returns the events up to its end. */
function turn(ws, body) {
  return new Promise((resolve, reject) => {
    const events = [];
    const lane = body.stream_id;
    const onEvent = (event) => {
      if (event.stream_id !== lane) return;
      events.push(event);
      if (event.type === 'error' || /^response\.(completed|incomplete|failed)$/.test(event.type)) {
        ws.off('event', onEvent);
        resolve(events);
      }
    };
    ws.on('event', onEvent);
    ws.on('error', () => {}); // they are among the events
    ws.on('close', (code) => reject(new Error(`closed with ${code}`)));
    ws.send({ type: 'response.create', ...body });
  });
}

const textOf = (events) => events.at(-1).response.output[0].content[0].text;

test('turns on one connection, which alone can continue them', async (t) => {
  const model = await stage.says('one: {{user}}', 'two: {{user}}', 'three: {{user}}');
  const ws = await connect(t);
  const first = await turn(ws, { model, input: 'a', store: false });
  assert.equal(textOf(first), 'one: a');
  assert.deepEqual(first.map((e) => e.sequence_number), first.map((_, i) => i));
  assert.equal(first[0].type, 'response.created');
  const previous_response_id = first.at(-1).response.id;
  const second = await turn(ws, { model, input: 'b', store: false, previous_response_id });
  assert.equal(textOf(second), 'two: b');

  const other = await connect(t);
  const [error] = await turn(other, { model, input: 'c', previous_response_id: second.at(-1).response.id });
  assert.equal(error.type, 'error');
  assert.equal(error.status, 400);
  assert.equal(error.error.code, 'previous_response_not_found');
});

test('a warm-up, and lanes', async (t) => {
  const model = await stage.says('one: {{user}}', 'one: {{user}}');
  const ws = await connect(t);
  const warm = await turn(ws, { model, store: false, generate: false, input: [{ role: 'developer', content: 'be brief' }] });
  assert.deepEqual(warm.at(-1).response.output, []);
  const previous_response_id = warm.at(-1).response.id;
  const lanes = await Promise.all(
    ['left', 'right'].map((stream_id) => turn(ws, { model, store: false, stream_id, input: stream_id, previous_response_id })),
  );
  assert.deepEqual(lanes.map(textOf).map((text) => text.split(': ')[1]), ['left', 'right']);
});
