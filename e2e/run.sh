#!/bin/bash
# Runs real clients against the real binary: run.sh [go | node | agents] [ARGUMENTS OF go test OR node --test]
#
# Needs Go, gcc (for the race detector) and Node with npm. The binary is built once, with the race detector, and every
# test has a proxy, a scripted model and a tap of its own between them; what went over the wire is checked after each
# (see harness).
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '== %s\n' "$*"; }

# build puts what both languages need where they look for it.
build() {
  mkdir -p .cache
  say "building antiphon, with the race detector"
  (cd .. && CGO_ENABLED=1 go build -race -o e2e/.cache/antiphon ./cmd/antiphon)
  go build -o .cache/stage ./cmd/stage
  export ANTIPHON_E2E_BINARY=$PWD/.cache/antiphon ANTIPHON_E2E_STAGE=$PWD/.cache/stage
}

go_clients() {
  say "openai-go, responses and chat, and a TCP proxy that breaks connections"
  go test -count=1 -timeout 10m "$@" ./...
}

# install DIRECTORY WHAT: node_modules is from the lock file, and is made anew when that has changed.
install() {
  cmp -s "$1/package-lock.json" "$1/node_modules/.antiphon-lock.json" && return
  say "installing $2"
  # Not npm ci: it refuses a lock file without the builds of a program for other systems, which a registry may not have.
  (cd "$1" && npm install --no-save --loglevel=error)
  cp "$1/package-lock.json" "$1/node_modules/.antiphon-lock.json"
}

node_clients() {
  install node "the SDKs"
  say "openai-node, responses and chat, agents, AI SDK, LangChain"
  (cd node && node --test --test-concurrency=2 "$@")
}

coding_agents() {
  install codex "the Codex CLI"
  install opencode opencode
  say "Codex CLI, opencode"
  node --test --test-concurrency=2 "$@" codex/*.test.mjs opencode/*.test.mjs
}

begin=$SECONDS
build
case "${1:-all}" in
  all) go_clients; node_clients; coding_agents ;;
  go) shift; go_clients "$@" ;;
  node) shift; node_clients "$@" ;;
  agents) shift; coding_agents "$@" ;;
  *) echo "usage: run.sh [go | node | agents] [ARGUMENTS]" >&2; exit 2 ;;
esac
say "done in $((SECONDS - begin)) s"
