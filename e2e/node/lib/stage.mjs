// A stage for the tests of a file: the real binary between a scripted model and
// the clients. After each test everything that went over the wire is checked;
// see ../../harness.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before } from 'node:test';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const e2e = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

// command runs e2e/cmd/stage: one that was built before, or from its source.
function command(flags) {
  const program = process.env.ANTIPHON_E2E_STAGE;
  const [file, args] = program ? [program, []] : ['go', ['run', './cmd/stage']];
  return spawn(file, [...args, ...flags], { cwd: e2e, stdio: ['pipe', 'pipe', 'pipe'] });
}

/**
 * useStage sets a stage up for all tests of the file that calls it: with flags
 * for antiphon, with two of them in a chain, or with the zoo behind it (see
 * harness.Options).
 */
export function useStage({ flags = [], chained = false, zoo = false } = {}) {
  const stage = new Stage();
  before(() => stage.open([...(chained ? ['-chained'] : []), ...(zoo ? ['-zoo'] : []), '--', ...flags]), { timeout: 180_000 });
  afterEach(() => stage.check());
  after(() => stage.close(), { timeout: 120_000 });
  return stage;
}

class Stage {
  #child;
  #stderr = '';
  #control;
  #model;
  #models = 0;

  async open(flags) {
    this.#child = command(flags);
    this.#child.stderr.on('data', (chunk) => (this.#stderr += chunk));
    const lines = createInterface(this.#child.stdout);
    const first = await Promise.race([
      once(lines, 'line').then(([line]) => line),
      once(this.#child, 'exit').then(() => assert.fail(`the stage has not opened: ${this.#stderr}`)),
    ]);
    const { url, model, control, zoo } = JSON.parse(first);
    this.url = url;
    this.zoo = zoo;
    this.#model = model;
    this.#control = control;
  }

  /** check fails when something was wrong on the wire since the last check. */
  async check() {
    const reply = await fetch(`${this.#control}/faults`);
    const faults = await reply.json();
    assert.equal(faults.length, 0, faults.join('\n'));
  }

  /** exchanges returns what clients have said and were told; see cmd/stage. */
  async exchanges() {
    return (await fetch(`${this.#control}/exchanges`)).json();
  }

  /** surprises returns what a member of the zoo has refused since the last time, though it was known. */
  async surprises(model) {
    return (await fetch(`${this.#control}/surprises?model=${encodeURIComponent(model)}`)).json();
  }

  async close() {
    const exit = once(this.#child, 'exit');
    this.#child.stdin.end();
    const [code] = await exit;
    assert.equal(code, 0, this.#stderr);
  }

  /**
   * play gives a model a script (see fakemodel/script.go), and returns its name.
   * Some clients tell from the beginning of the name what a model can do.
   */
  async play(script, family = 'model') {
    const name = `${family}-${++this.#models}`;
    const reply = await fetch(`${this.#model}/control/script?model=${name}`, { method: 'PUT', body: JSON.stringify(script) });
    assert.equal(reply.status, 204, await reply.text());
    return name;
  }

  /** says is play with texts only. */
  says(...texts) {
    return this.play({ replies: texts.map((text) => ({ text })) });
  }

  /** requests returns what a model was asked, oldest first. */
  async requests(model) {
    return (await fetch(`${this.#model}/control/requests?model=${model}`)).json();
  }

  /** messages returns the messages that a model was sent last. */
  async messages(model) {
    return (await this.requests(model)).at(-1).body.messages;
  }

  /** await waits until the last request to a model is open, answered or left. */
  async await(model, state) {
    const reply = await fetch(`${this.#model}/control/await?model=${model}&state=${state}&seconds=60`);
    assert.equal(reply.status, 204, await reply.text());
  }
}
