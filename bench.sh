#!/bin/bash
# Measures antiphon beside a proxy that translates nothing, in both directions:
#   bench.sh BINARY [both | responses | chat] [OPTIONS OF bench/compare]
# responses is Responses clients in front of a chat backend, chat the other way
# round. The reports go to responses.jsonl and chat.jsonl in the directory that
# BENCH_OUT names (default: a new one below /tmp). See docs/PERFORMANCE.md.
set -euo pipefail
usage() {
  echo "usage: bench.sh BINARY [both | responses | chat] [OPTIONS OF bench/compare]" >&2
  exit 2
}
[[ $# -ge 1 ]] || usage
binary=$1
shift
[[ -f $binary && -x $binary ]] || { echo "bench.sh: $binary is not a program; make build makes one" >&2; exit 2; }
binary=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/bench
[[ -f $bench/compare ]] || { echo "bench.sh: $bench has no bench" >&2; exit 2; }
clients="responses chat"
case "${1:-}" in
  both) shift ;;
  responses | chat) clients=$1; shift ;;
esac
out=${BENCH_OUT:-$(mktemp -d)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
(cd "$bench" && go build -o "$work/" ./cmd/fakellm)
"$work/fakellm" -addr 127.0.0.1:9100 >/dev/null 2>&1 &
pids+=($!)

# serve PORT OPTIONS...: a server of its own for each direction, so that neither
# has the other's memory.
serve() {
  "$binary" serve --listen "127.0.0.1:$1" --upstream http://127.0.0.1:9100 "${@:2}" >/dev/null 2>&1 &
  pids+=($!)
  sleep 1
  kill -0 "${pids[-1]}" || { echo "bench.sh: the server does not run on port $1" >&2; exit 1; }
}

for client in $clients; do
  echo "== $client clients"
  case $client in
    responses)
      serve 18080
      "$bench/compare" -o "$out/responses.jsonl" "$@" "antiphon=http://127.0.0.1:18080=${pids[-1]}"
      ;;
    chat) # chains, and what V looks at, are of the Responses API
      serve 18081 --upstream-api responses
      export ARGS_passthrough='-api chat' ARGS_direct='-api chat' ARGS_antiphon='-api chat'
      "$bench/compare" -s "S4b S2 S3 S1" -o "$out/chat.jsonl" "$@" "antiphon=http://127.0.0.1:18081=${pids[-1]}"
      ;;
  esac
done
echo "reports: $out"
