// The client of OpenAI's own package, for a stage.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

export const newClient = (stage, options = {}) =>
  new OpenAI({ baseURL: stage.url, apiKey: 'sk-e2e', maxRetries: 0, timeout: 120_000, ...options });

/** types are the types of events, without repeats that follow each other. */
export const types = (events) => events.map((e) => e.type).filter((type, i, all) => type !== all[i - 1]);

/** collect reads a stream of events to its end. */
export async function collect(stream) {
  const events = [];
  for await (const event of stream) {
    assert.equal(event.sequence_number, events.length);
    events.push(event);
  }
  return events;
}

/** rejection returns the error that a promise is rejected with. */
export async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail('there was no error');
}
