#!/bin/bash
# Installs what the tests need and runs them all: test.sh
# or a part of them: test.sh check | lint | unit | fuzz [TIME [PATTERN]] | e2e | ollama
set -euo pipefail
cd "$(dirname "$0")"
# The flags of make build, for everything but the race detector, which needs cgo: so
# packages are compiled twice, not once for each thing that is done with them.
export GOFLAGS="-trimpath ${GOFLAGS:-}" CGO_ENABLED=0

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
  need g++ g++
  need node nodejs
  need npm npm
  command -v valkey-server >/dev/null || need redis-server redis-server
}

# The linters of .golangci.yml. The program is built here: a binary of another Go
# version does not read this one's code.
lint() {
  say "linters"
  go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run
}

vet() {
  say "format and vet"
  test -z "$(gofmt -l $(git ls-files '*.go'))" || { gofmt -l $(git ls-files '*.go'); exit 1; }
  go vet ./...
}

# check is for every edit: what most mistakes show in, in the time that one waits for.
check() {
  vet
  lint
  say "tests of the packages"
  go test -short ./...
}

unit() {
  vet
  (cd e2e && go vet ./...)
  (cd bench && go vet ./... && go test ./...)
  [ -f ../shared/openapi.yaml ] || say "no ../shared/openapi.yaml: nothing is compared with the API's description"
  say "tests, with the race detector"
  CGO_ENABLED=1 go test -race -timeout 15m ./...
  say "streams cut at every byte and thousands of random cases, which take too long with it"
  go test ./translate/...
  say "the matrix of dialects, likewise"
  go test ./proxy -run '^TestDocsDialects$'
  say "memory of the store, which the race detector would miscount"
  go test ./proxy/store/memory -run 'TestSizeIsHonest|TestAllocations'
  say "size of the binary"
  make -s build
}

# The targets that read what strangers send get their time, the others a moment.
# Two run at once, each on one core.
long="translate/jsonx:FuzzParse translate/sse:FuzzDecoder translate:FuzzRequest translate:FuzzTurn"

fuzz() {
  local time=${1:-60s} pattern=${2:-.} logs fuzzers target package name t failed=0
  local -a targets=() running=()
  for target in $long; do
    grep -qs "^func ${target#*:}(" "${target%:*}"/*_test.go || { echo "there is no fuzz target $target"; exit 1; }
    targets+=("$target $time")
  done
  while IFS=: read -r name package; do
    [[ " $long " == *" $(dirname "$name"):$package "* ]] || targets+=("$(dirname "$name"):$package 2s")
  done < <(git ls-files '*_test.go' | grep -v '^e2e/' | xargs grep -oE '^func Fuzz[A-Za-z0-9]+' | sed 's/func //')
  mapfile -t targets < <(printf '%s\n' "${targets[@]}" | grep -E "$pattern")
  say "${#targets[@]} fuzz targets"
  logs=$(mktemp -d)
  fuzzers=$logs/bin
  trap 'rm -rf "$logs"' RETURN
  for package in $(printf '%s\n' "${targets[@]%%:*}" | sort -u); do
    go test -c -fuzz . -o "$fuzzers/${package//\//.}.test" "./$package"
  done
  for target in "${targets[@]}"; do
    read -r target t <<<"$target"
    if [ ${#running[@]} = 2 ]; then
      fuzzed "${running[0]}" || failed=1
      running=("${running[@]:1}")
    fi
    fuzz1 "${target%:*}" "${target#*:}" "$t" >"$logs/${target//\//.}" 2>&1 &
    running+=("$!:$logs/${target//\//.}")
  done
  for target in "${running[@]}"; do
    fuzzed "$target" || failed=1
  done
  [ $failed = 0 ]
}

# fuzz1 PACKAGE TARGET TIME runs one target. Go's fuzzer sometimes takes the end
# of the time for a failure; then there is no input that
# fails, and it gets a second chance.
fuzz1() {
  local log
  echo "fuzz $1 $2 ($3)"
  log=$(fuzzer "$@" 2>&1) && { tail -n 2 <<<"$log"; return; }
  if grep -q 'context deadline exceeded' <<<"$log" && ! grep -q 'Failing input' <<<"$log"; then
    fuzzer "$@"
    return
  fi
  echo "$log"
  return 1
}

# fuzzer PACKAGE TARGET TIME is what go test -fuzz does, with the binary that is
# there: go test would link it again for each target.
fuzzer() {
  local cache
  cache=$(go env GOCACHE)/fuzz/antiphon/$1
  (cd "$1" && "$fuzzers/${1//\//.}.test" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$3" -test.parallel 1 \
    -test.fuzzcachedir "$cache" -test.paniconexit0)
}

# fuzzed PID:LOG waits for a target, shows what it said, and is its result.
fuzzed() {
  local result=0
  wait "${1%%:*}" || result=1
  cat "${1#*:}"
  return $result
}

e2e() {
  say "real clients against the real binary"
  ./e2e/run.sh
}

ollama() {
  say "a real chat server behind the real binary"
  ./e2e/ollama/run.sh
}

# meanwhile does what needs no more than a processor while the fuzzers run: those
# take their time whatever else the machine does, while the linters and the build of
# ollama's server are minutes of work.
meanwhile() {
  local log other result=0
  log=$(mktemp)
  { lint && ./e2e/ollama/run.sh build; } >"$log" 2>&1 &
  other=$!
  # The fuzzers of the other packages take minutes to compile; their corpus has been
  # run with the tests, and make fuzz runs them.
  nice ./test.sh fuzz 20s '^(translate|proxy/seal|proxy/store/codec)[/:]' || result=1
  say "linters, and the build of a real chat server"
  wait "$other" || result=1
  cat "$log"
  rm -f "$log"
  return $result
}

case "${1:-all}" in
  all) tools; unit; meanwhile; e2e; ollama; say "all tests passed" ;;
  check) check ;;
  lint) lint ;;
  unit) tools; unit; lint ;;
  e2e | ollama) tools; "$1" ;;
  fuzz) fuzz "${2:-60s}" "${3:-.}" ;;
  *) echo "usage: test.sh [check | lint | unit | fuzz [TIME [PATTERN]] | e2e | ollama]" >&2; exit 2 ;;
esac
