// A server whose WebSocket mode is switched off, in front of a backend that does
// not want its reasoning back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './lib/codex.mjs';
import { regimes } from './lib/regimes.mjs';
import { useStage } from '../node/lib/stage.mjs';

const stage = useStage({ flags: ['--set', 'websocket.enabled=false', '--set', 'upstream.overrides.reasoning.replay=none'] });

for (const regime of regimes) {
  test(`${regime.name}: at 426 Codex goes on with HTTP at once`, async (t) => {
    const codex = await open(t, stage, { websocket: true });
    const begin = (await stage.exchanges()).length;
    const model = await stage.play(
      { replies: [{ reasoning: 'Write it.', calls: [regime.shell('echo written > file.txt')] }, { text: 'Done.' }] },
      regime.family,
    );
    const { text } = await codex.work(model, 'Write a file.');
    assert.equal(text, 'Done.');
    assert.equal(await codex.read('file.txt'), 'written\n');
    const ways = (await stage.exchanges()).slice(begin).map((x) => `${x.method} ${x.path} ${x.status}`);
    assert.ok(ways.includes('GET /v1/responses 426'), ways.join());
    assert.equal(ways.filter((way) => way === 'POST /v1/responses 200').length, 2, ways.join());
    assert.ok((await stage.messages(model)).every((message) => !('reasoning_content' in message)));
  });
}
