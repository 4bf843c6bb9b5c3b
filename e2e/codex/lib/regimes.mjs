// The tools that Codex gives a model depend on the model's name. These are the
// three kinds, and how a model calls them when all it knows is functions.

const call = (name, args) => ({ name, arguments: JSON.stringify(args) });

const quoted = (text) => JSON.stringify(text);

export const regimes = [
  {
    name: 'functions and namespaces',
    family: 'qwen3-coder', // any name that Codex does not know
    shell: (cmd) => call('exec_command', { cmd }),
    patch: (text) => call('exec_command', { cmd: `apply_patch <<'EOF'\n${text}\nEOF` }),
    echo: (text) => call('mcp__demo__echo', { text }),
    offers: ['exec_command', 'multi_agent_v1__spawn_agent', 'mcp__demo__echo'],
    hides: ['apply_patch', 'tool_search', 'functions__exec'],
  },
  {
    name: 'custom apply_patch and tool_search',
    family: 'gpt-5.5',
    shell: (cmd) => call('exec_command', { cmd }),
    patch: (text) => call('apply_patch', { input: text }),
    search: call('tool_search', { query: 'echo what it is told' }),
    echo: (text) => call('mcp__demo__echo', { text }),
    offers: ['exec_command', 'apply_patch', 'tool_search'],
    hides: ['mcp__demo__echo', 'functions__exec'],
  },
  {
    name: 'additional_tools, code mode',
    family: 'gpt-6-sol',
    shell: (cmd) => code(`text((await tools.exec_command({ cmd: ${quoted(cmd)} })).output);`),
    patch: (patch) => code(`text(JSON.stringify(await tools.apply_patch(${quoted(patch)})));`),
    echo: (message) => code(`text(JSON.stringify(await tools.mcp__demo__echo({ text: ${quoted(message)} })));`),
    offers: ['functions__exec', 'functions__wait', 'clock__sleep', 'collaboration__spawn_agent'],
    hides: ['exec_command', 'apply_patch', 'tool_search'],
  },
];

/** code is a call of the custom tool exec, the input of which is a program. */
function code(program) {
  return call('functions__exec', { input: program });
}
