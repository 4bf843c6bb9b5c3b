#!/bin/bash
# Installs what the tests need and runs them all: test.sh
# or a part of them: test.sh unit | fuzz [TIME] | e2e | ollama
set -euo pipefail
cd "$(dirname "$0")"
export GOFLAGS=${GOFLAGS:-} CGO_ENABLED=1

say() { printf '\n== %s\n' "$*"; }

# need COMMAND PACKAGE: install a Debian package if a command is missing.
need() {
  command -v "$1" >/dev/null && return
  say "installing $2"
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq "$2"
}

tools() {
  need go golang-go
  need gcc gcc
  need node nodejs
  need npm npm
  command -v valkey-server >/dev/null || need redis-server redis-server
}

unit() {
  say "format and vet"
  test -z "$(gofmt -l $(git ls-files '*.go'))" || { gofmt -l $(git ls-files '*.go'); exit 1; }
  go vet ./...
  (cd e2e && go vet ./...)
  say "tests, with the race detector"
  go test -race -timeout 15m ./...
  say "size of the binary"
  make -s build
}

# The targets that read what strangers send, and the others for a moment.
fuzz() {
  local time=${1:-60s}
  local target package
  while read -r package target long; do
    local t=5s
    [ "$long" = long ] && t=$time
    say "fuzz $target ($t)"
    go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$t" | tail -n 3
  done <<TARGETS
./translate/jsonx FuzzParse long
./translate/sse FuzzDecoder long
./translate FuzzRequest long
./translate FuzzTurn long
TARGETS
}

e2e() {
  say "real SDKs against the real binary"
  ./e2e/run.sh
}

ollama() {
  say "a real chat server behind the real binary"
  ./e2e/ollama/run.sh
}

case "${1:-all}" in
  all) tools; unit; fuzz 60s; e2e; ollama; say "all tests passed" ;;
  unit | e2e | ollama) tools; "$1" ;;
  fuzz) fuzz "${2:-60s}" ;;
  *) echo "usage: test.sh [unit | fuzz [TIME] | e2e | ollama]" >&2; exit 2 ;;
esac
