#!/bin/bash
# Runs real SDKs against the real binary: run.sh [go | node] [ARGUMENTS OF go test OR node --test]
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
  say "openai-go, and a TCP proxy that breaks connections"
  go test -count=1 -timeout 10m "$@" ./...
}

node_clients() {
  # node_modules is from the lock file, and is made anew when that has changed.
  if ! cmp -s node/package-lock.json node/node_modules/.antiphon-lock.json; then
    say "installing the SDKs"
    (cd node && npm ci --loglevel=error)
    cp node/package-lock.json node/node_modules/.antiphon-lock.json
  fi
  say "openai-node, agents, AI SDK, LangChain"
  (cd node && node --test --test-concurrency=2 "$@")
}

begin=$SECONDS
build
case "${1:-all}" in
  all) go_clients; node_clients ;;
  go) shift; go_clients "$@" ;;
  node) shift; node_clients "$@" ;;
  *) echo "usage: run.sh [go | node] [ARGUMENTS]" >&2; exit 2 ;;
esac
say "done in $((SECONDS - begin)) s"
