// opencode in a folder of its own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { watchOutside } from '../../node/lib/outside.mjs';

const program = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../node_modules/.bin/opencode');

/**
 * open makes a folder to work in, and a home that knows the stage and nothing
 * else. All of it is gone after the test t.
 */
export async function open(t, stage) {
  const root = await mkdtemp(path.join(os.tmpdir(), 'antiphon-opencode-'));
  t.after(() => rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  const work = path.join(root, 'work');
  await mkdir(work);
  const { env: noWayOut } = await watchOutside(t); // it wants to install a package for plugins, and does without

  const config = (model) => ({
    autoupdate: false,
    share: 'disabled',
    lsp: false,
    formatter: false,
    model: `stage/${model}`,
    small_model: `stage/${model}`,
    permission: { '*': 'allow' },
    enabled_providers: ['stage'],
    provider: {
      stage: {
        npm: '@ai-sdk/openai',
        name: 'stage',
        options: { baseURL: stage.url, apiKey: 'sk-e2e' },
        models: { [model]: { name: model, reasoning: true, tool_call: true, limit: { context: 200_000, output: 32_000 } } },
      },
    },
  });

  return {
    path: (name) => path.join(work, name),
    write: (name, text) => writeFile(path.join(work, name), text),
    read: (name) => readFile(path.join(work, name), 'utf8'),

    /** run runs opencode, and returns what it told: its parts by their types. */
    async run(model, ...args) {
      await writeFile(path.join(root, 'opencode.json'), JSON.stringify(config(model)));
      const child = spawn(program, ['run', '--format', 'json', '--print-logs', ...args], {
        cwd: work,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env.PATH,
          HOME: root,
          TMPDIR: root,
          OPENCODE_CONFIG: path.join(root, 'opencode.json'),
          OPENCODE_DISABLE_AUTOUPDATE: '1',
          OPENCODE_DISABLE_DEFAULT_PLUGINS: '1',
          OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
          OPENCODE_DISABLE_MODELS_FETCH: '1',
          ...noWayOut,
        },
      });
      let out = '';
      let log = '';
      child.stdout.on('data', (chunk) => (out += chunk));
      child.stderr.on('data', (chunk) => (log += chunk));
      const [code] = await once(child, 'close');
      assert.equal(code, 0, out + log);
      const events = out.split('\n').filter(Boolean).map((line) => JSON.parse(line));
      const parts = (type) => events.filter((event) => event.type === type).map((event) => event.part);
      assert.deepEqual(parts('error'), []);
      return { texts: parts('text').map((part) => part.text), tools: parts('tool_use') };
    },
  };
}
