// The Codex CLI in a folder of its own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { watchOutside } from '../../node/lib/outside.mjs';

const program = createRequire(import.meta.url).resolve('@openai/codex/bin/codex.js');
const mcpServer = path.join(path.dirname(fileURLToPath(import.meta.url)), 'mcp-server.mjs');

/**
 * open makes a folder to work in, and a CODEX_HOME that knows the stage, an MCP
 * server with one tool, and nothing else. All of it is gone after the test t.
 */
export async function open(t, stage, { websocket = false, retries = 0, config = '' } = {}) {
  const root = await mkdtemp(path.join(os.tmpdir(), 'antiphon-codex-'));
  t.after(() => rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  const codex = new Codex(root);
  await codex.start(
    t,
    `model_provider = "stage"
check_for_update_on_startup = false
${config}
[model_providers.stage]
name = "stage"
base_url = "${stage.url}"
env_key = "STAGE_KEY"
wire_api = "responses"
request_max_retries = ${retries}
stream_max_retries = ${retries}
supports_websockets = ${websocket}

[mcp_servers.demo]
command = "${process.execPath}"
args = ["${mcpServer}"]

[features]
plugins = false
apps = false

[analytics]
enabled = false

[otel]
metrics_exporter = "none"
`,
  );
  return codex;
}

class Codex {
  #root;
  #home;
  #work;
  #outside;

  constructor(root) {
    this.#root = root;
    this.#home = path.join(root, 'home');
    this.#work = path.join(root, 'work');
  }

  async start(t, config) {
    await mkdir(this.#work);
    await mkdir(this.#home);
    await writeFile(path.join(this.#home, 'config.toml'), config);
    this.#outside = await watchOutside(t);
  }

  /** path is that of a file in the folder. */
  path(name) {
    return path.join(this.#work, name);
  }

  /** write puts a file into the folder. */
  write(name, data) {
    return writeFile(this.path(name), data);
  }

  /** read returns what is in a file of the folder. */
  read(name) {
    return readFile(this.path(name), 'utf8');
  }

  /**
   * exec runs codex exec with further arguments, and returns its exit code, the
   * thread, what it has done (its items), and its last message.
   */
  async exec(model, ...args) {
    const child = spawn(
      process.execPath,
      [program, 'exec', '--json', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '-m', model, ...args],
      {
        cwd: this.#work,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env.PATH,
          HOME: this.#root,
          CODEX_HOME: this.#home,
          TMPDIR: this.#root,
          STAGE_KEY: 'sk-e2e',
          ...this.#outside.env,
        },
      },
    );
    let out = '';
    let log = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (log += chunk));
    const [code] = await once(child, 'close');
    assert.deepEqual(this.#outside.wanted, [], 'Codex has tried to leave the machine');
    const events = out
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
    const items = events.filter((event) => event.type === 'item.completed').map((event) => event.item);
    return {
      code,
      events,
      items,
      log,
      text: items.findLast((item) => item.type === 'agent_message')?.text,
      thread: events.find((event) => event.type === 'thread.started')?.thread_id,
    };
  }

  /** work is exec for what must succeed. */
  async work(...args) {
    const result = await this.exec(...args);
    assert.equal(result.code, 0, JSON.stringify(result, null, 1));
    assert.equal(result.events.at(-1).type, 'turn.completed', JSON.stringify(result.events, null, 1));
    return result;
  }
}
