// Jobs for opencode, the AI SDK of which stores nothing with the API.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './lib/opencode.mjs';
import { useStage } from '../node/lib/stage.mjs';

const stage = useStage({ flags: ['--set', 'upstream.overrides.reasoning.replay=all'] });

const call = (name, args) => ({ name, arguments: JSON.stringify(args) });

const patch = `*** Begin Patch
*** Update File: greeting.txt
@@
-Hello.
+Hello, wörld 🌧.
*** End Patch`;

/** What a model edits files with depends on its name. */
const ways = [
  ['qwen3', (opencode) => call('edit', { filePath: opencode.path('greeting.txt'), oldString: 'Hello.', newString: 'Hello, wörld 🌧.' })],
  ['gpt-5', () => call('apply_patch', { patchText: patch })],
];

for (const [family, edit] of ways) {
  test(`a file is changed by ${family}`, async (t) => {
    const opencode = await open(t, stage);
    await opencode.write('greeting.txt', 'Hello.\n');
    const rounds = [
      { reasoning: 'Which greeting?', text: 'I look.', calls: [call('read', { filePath: opencode.path('greeting.txt') })] },
      { reasoning: 'Change it.', calls: [edit(opencode)] },
      { reasoning: 'Look again.', calls: [call('bash', { command: 'cat greeting.txt', description: 'Shows the file' })] },
      { text: 'Changed: {{tools}}' },
    ];
    const model = await stage.play({ replies: rounds }, family);
    const { texts, tools } = await opencode.run(model, 'Change the greeting.');
    assert.equal(await opencode.read('greeting.txt'), 'Hello, wörld 🌧.\n');
    assert.match(texts.at(-1), /^Changed: Hello, wörld 🌧\./);
    assert.deepEqual(
      tools.map((part) => part.state.status),
      Array(3).fill('completed'),
    );
    const said = (await stage.requests(model))
      .map(({ body }) => body.messages.filter((message) => message.role === 'assistant'))
      .find((messages) => messages.length === 3);
    assert.deepEqual(
      said.map((message) => message.reasoning_content),
      rounds.slice(0, 3).map((round) => round.reasoning),
    );
  });
}
