#!/bin/bash
# Runs the real binary in front of a real chat server, ollama, with tiny models: run.sh [ARGUMENTS OF go test]
# or only builds that server: run.sh build
#
# Needs Go, gcc and g++. The first time, ollama's server is built from its Go module: some minutes. What was built stays
# in e2e/.cache/ollama.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
cache=$here/../.cache/ollama
mkdir -p "$cache/include"
cache=$(cd "$cache" && pwd)

say() { printf '== %s\n' "$*"; }

# The flags of the C and C++ compilers: building takes most of the time, and the models are tiny. (ollama compiles the
# inner loops, which are C, with -O3 whatever is said here.)
flags="-O0 -g0"

# merge DIR makes two of the C++ files in a directory, so that their headers are read twice and not a hundred times.
merge() {
  local n=0 file
  mkdir "$1/parts"
  mv "$1"/*.cpp "$1/parts"
  for file in "$1"/parts/*.cpp; do
    echo "#include \"parts/${file##*/}\"" >>"$1/merged$((n++ % 2)).cpp"
  done
}

# server builds ollama, unless there is one of the same version from the same tools.
server() {
  local stamp headers source=$cache/source
  stamp=$(echo "$flags"; cat server/go.mod server/go.sum headers/go.sum server/include/*/* | cksum; go version; gcc -dumpfullversion; g++ -dumpfullversion)
  [ -x "$cache/ollama" ] && [ "$(cat "$cache/ollama.stamp" 2>/dev/null)" = "$stamp" ] && return
  say "building ollama's server"
  # A module's archive leaves out vendor directories, and ollama keeps three C++ headers in one. Two of them the models
  # have no use for: server/include has all that is needed. The third, nlohmann/json.hpp, is in an older ollama, from
  # before it was moved.
  (cd headers && go mod download github.com/ollama/ollama)
  headers=$(cd headers && go list -m -f '{{.Dir}}' github.com/ollama/ollama)
  rm -rf "$cache/include"
  cp -R server/include "$cache/include"
  cp "$headers/llama/llama.cpp/common/json.hpp" "$cache/include/nlohmann/json.hpp"
  chmod -R u+w "$cache/include"
  rm -f "$cache/ollama.stamp"
  rm -rf "$source"
  (cd server && go mod download github.com/ollama/ollama && cp -R "$(go list -m -f '{{.Dir}}' github.com/ollama/ollama)" "$source")
  chmod -R u+w "$source"
  merge "$source/llama/llama.cpp/src/models"
  merge "$source/llama/llama.cpp/tools/mtmd/models"
  cp server/go.sum "$cache/server.sum"
  cp server/go.mod "$cache/server.mod"
  go mod edit -replace "github.com/ollama/ollama=$source" "$cache/server.mod"
  (cd server &&
    CGO_ENABLED=1 CGO_CFLAGS=$flags CGO_CXXFLAGS="$flags -I$cache/include" \
      nice go build -modfile "$cache/server.mod" -ldflags='-s -w' -o "$cache/ollama" github.com/ollama/ollama)
  rm -rf "$source"
  echo "$stamp" >"$cache/ollama.stamp"
}

begin=$SECONDS
server
[ "${1:-}" = build ] && exit
say "building antiphon, with the race detector"
(cd ../.. && CGO_ENABLED=1 nice go build -race -o "$cache/antiphon" ./cmd/antiphon)
say "testing (built in $((SECONDS - begin)) s)"
OLLAMA_E2E_SERVER=$cache/ollama OLLAMA_E2E_ANTIPHON=$cache/antiphon nice go test -count=1 -timeout 5m "$@" ./...
say "done in $((SECONDS - begin)) s"
