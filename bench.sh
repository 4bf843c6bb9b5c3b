#!/bin/bash
# Measures antiphon beside a proxy that translates nothing, in both directions:
#   bench.sh BENCH_DIRECTORY BINARY [both | responses | chat] [OPTIONS OF compare]
# responses is Responses clients in front of a chat backend, chat the other way
# round. The load generator, the fake model and the bare proxy are in the bench
# directory. See docs/PERFORMANCE.md.
set -euo pipefail
bench=$(realpath "$1") binary=$(realpath "$2")
shift 2
clients="responses chat"
case "${1:-}" in
  both) shift ;;
  responses | chat) clients=$1; shift ;;
esac
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cp -R "$bench/." "$work" && chmod -R u+w "$work"
cd "$work"
go build -o bin/ ./cmd/...
bin/fakellm -addr 127.0.0.1:9100 >/dev/null 2>&1 &
pids+=($!)

# serve PORT OPTIONS...: a server of its own for each direction, so that neither
# has the other's memory.
serve() {
  "$binary" serve --listen "127.0.0.1:$1" --upstream http://127.0.0.1:9100 "${@:2}" >/dev/null 2>&1 &
  pids+=($!)
  sleep 1
}

for client in $clients; do
  echo "== $client clients"
  case $client in
    responses)
      serve 18080
      ./compare -o responses.jsonl "$@" "antiphon=http://127.0.0.1:18080=${pids[-1]}"
      ;;
    chat) # chains, and what V looks at, are of the Responses API
      serve 18081 --upstream-api responses
      export ARGS_passthrough='-api chat' ARGS_direct='-api chat' ARGS_antiphon='-api chat'
      ./compare -s "S4b S2 S3 S1" -o chat.jsonl "$@" "antiphon=http://127.0.0.1:18081=${pids[-1]}"
      ;;
  esac
done
