// Jobs for the Codex CLI: several rounds of tools, files that change, and a
// second turn by another process.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './lib/codex.mjs';
import { regimes } from './lib/regimes.mjs';
import { useStage } from '../node/lib/stage.mjs';

// The backend wants its reasoning back. Codex stores nothing with the API, so it
// must come from what Codex carries.
const stage = useStage({ flags: ['--set', 'upstream.overrides.reasoning.replay=all'] });

const patch = `*** Begin Patch
*** Update File: greeting.txt
@@
-Hello.
+Hello, wörld 🌧 "quoted" \\ back.
*** Add File: new.txt
+New.
*** End Patch`;

const greeting = 'Hello, wörld 🌧 "quoted" \\ back.\n';

/** traffic returns what Codex has asked the API for since the exchange number from. */
const traffic = async (from) => (await stage.exchanges()).slice(from);

for (const regime of regimes) {
  for (const websocket of [false, true]) {
    test(`${regime.name}, over ${websocket ? 'WebSocket' : 'SSE'}`, async (t) => {
      const codex = await open(t, stage, { websocket });
      await codex.write('greeting.txt', 'Hello.\n');
      const begin = (await stage.exchanges()).length;
      const rounds = [
        { reasoning: 'Which greeting?', text: 'I look.', calls: [regime.shell('cat greeting.txt')] },
        ...(regime.search ? [{ reasoning: 'Which tools?', calls: [regime.search] }] : []),
        { reasoning: 'Echo first.', calls: [regime.echo('łódź 🚣')] },
        { reasoning: 'Now change it.', calls: [regime.patch(patch)] },
        { reasoning: 'Changed.', text: 'Changed it: {{tools}}' },
        { reasoning: 'And away with it.', calls: [regime.shell('rm new.txt')] },
        { text: 'Removed it.' },
      ];
      const model = await stage.play({ replies: rounds }, regime.family);

      const first = await codex.work(model, 'Change the greeting.');
      assert.match(first.text, /^Changed it: /);
      assert.equal(await codex.read('greeting.txt'), greeting);
      assert.equal(await codex.read('new.txt'), 'New.\n');
      const kinds = first.items.map((item) => item.type);
      for (const kind of ['command_execution', 'mcp_tool_call', 'file_change']) assert.ok(kinds.includes(kind), kinds.join(' '));
      const usage = first.events.at(-1).usage;
      assert.ok(usage.input_tokens > 0 && usage.output_tokens > 0 && usage.reasoning_output_tokens > 0);

      const second = await codex.work(model, 'resume', first.thread, 'Remove the new file.');
      assert.equal(second.text, 'Removed it.');
      await assert.rejects(codex.read('new.txt'));

      const requests = await stage.requests(model);
      assert.equal(requests.length, rounds.length);
      const offered = requests[0].body.tools.map((tool) => tool.function.name);
      for (const name of regime.offers) assert.ok(offered.includes(name), `${name} is not among ${offered}`);
      for (const name of regime.hides) assert.ok(!offered.includes(name), `${name} is among ${offered}`);

      // The model gets back all it has said and thought, in one piece each, and
      // the results of its calls.
      const messages = requests.at(-1).body.messages;
      const said = messages.filter((message) => message.role === 'assistant');
      assert.deepEqual(
        said.map((message) => message.reasoning_content),
        rounds.slice(0, -1).map((round) => round.reasoning),
      );
      said.forEach((message, i) => {
        const calls = message.tool_calls?.map(({ function: { name, arguments: args } }) => ({ name, arguments: JSON.parse(args) }));
        assert.deepEqual(
          calls,
          rounds[i].calls?.map((c) => ({ name: c.name, arguments: JSON.parse(c.arguments) })),
        );
      });
      const results = messages.filter((message) => message.role === 'tool').map((message) => JSON.stringify(message.content));
      assert.match(results[0], /Hello\./);
      assert.match(results.join(), /echo: łódź 🚣/);

      await checkTransport(await traffic(begin), websocket);
    });
  }
}

/** checkTransport: two processes, all requests of each in its own way. */
async function checkTransport(exchanges, websocket) {
  const ways = exchanges.map((x) => `${x.method} ${x.path} ${x.status}`);
  if (!websocket) {
    assert.deepEqual([...new Set(ways)], ['POST /v1/responses 200']);
    return;
  }
  assert.deepEqual(ways, Array(2).fill('GET /v1/responses 101'));
  for (const { sent } of exchanges) {
    const [warm, first, next] = sent.map((message) => JSON.parse(message));
    assert.equal(warm.generate, false);
    assert.equal(warm.store, false);
    // Codex sends only what is new: the rest is with the connection.
    for (const frame of [first, next]) assert.ok(frame.previous_response_id, JSON.stringify(Object.keys(frame)));
    assert.ok(next.input.length < warm.input.length + 3);
  }
}
