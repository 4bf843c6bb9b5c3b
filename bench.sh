#!/bin/bash
# Measures antiphon beside a proxy that translates nothing: bench.sh BENCH_DIRECTORY BINARY [OPTIONS OF compare]
# The load generator, the fake model and the bare proxy are in the bench directory. See docs/PERFORMANCE.md.
set -euo pipefail
bench=$(realpath "$1") binary=$(realpath "$2")
shift 2
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cp -R "$bench/." "$work" && chmod -R u+w "$work"
cd "$work"
go build -o bin/ ./cmd/...
bin/fakellm -addr 127.0.0.1:9100 >/dev/null 2>&1 &
pids+=($!)
"$binary" serve --listen 127.0.0.1:18080 --upstream http://127.0.0.1:9100 >/dev/null 2>&1 &
pids+=($!)
sleep 1
./compare "$@" "antiphon=http://127.0.0.1:18080=${pids[1]}"
