# make help lists what there is. Everything runs on a machine with Go, Node, a C
# compiler (for the race detector) and, where something is missing, apt.

SHELL   := /bin/bash
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZ    ?= 60s
BIN     := bin/antiphon

.PHONY: help build demo test check unit race random fuzz chaos prove e2e ollama bench compare golden docs lint vuln docker clean

help: ## this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

build: ## the static binary, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/antiphon
	@size=$$(stat -c %s $(BIN)); echo "$(BIN): $$((size / 1000)) kB"; \
	  test $$size -le 40000000 || { echo "over 40 MB"; exit 1; }

demo: build ## the proxy with a built-in backend on 127.0.0.1:8080: no key, no network
	$(BIN) demo

test: ## installs what the tests need and runs them all
	./test.sh

check: ## format, vet, linters and the tests of the packages, without the race detector: for every edit
	./test.sh check

unit: ## the tests of the packages, without the race detector
	$(GO) test ./...

race: ## the same with the race detector
	$(GO) test -race ./...

random: ## the random tests of the translation, round trips among them, 100,000 cases each (some minutes; tests run 500 to 1,500)
	$(GO) test ./translate -count=1 -timeout 60m -run 'Random|RoundTrip' -nightly -v

fuzz: ## each fuzz target for $(FUZZ)
	./test.sh fuzz $(FUZZ)

chaos: export ANTIPHON_CHAOS_CYCLES ?= 200
chaos: ## kill -9 of antiphon under load, and of those who write to durable stores, 200 times each, and 2000 broken files
	$(GO) test -count=1 -timeout 30m -run 'Kill|BrokenFile' -v ./proxy/store/bolt ./proxy/store/redis
	cd e2e && $(GO) test -count=1 -timeout 30m -v ./chaos

prove: export ANTIPHON_PROVE ?= 1
prove: ## the long forms of what is promised to strangers: thousands of streams, slow clients, huge bodies and replies, no descriptors (minutes; needs 20,000 descriptors)
	cd e2e && $(GO) test -count=1 -timeout 30m -v ./prove
	$(GO) test -count=1 -v ./proxy/upstream -run IdleBoundary -long
	$(GO) test -count=1 -timeout 10m -run OutOfDescriptors -v ./cmd/antiphon

e2e: ## real clients against the real binary
	./test.sh e2e

ollama: ## a real chat server behind the real binary
	./test.sh ollama

bench: ## micro benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

compare: build ## both directions side by side with a bare proxy: docs/PERFORMANCE.md (half an hour)
	./bench.sh $(BIN) both

golden: ## write what the code does to the golden cases; review the diff
	$(GO) test ./translate -run Golden -update

docs: ## write the generated pages of docs/
	$(GO) test ./translate ./proxy -run Docs -update

lint: ## the linters of .golangci.yml
	./test.sh lint

vuln: ## known vulnerabilities in what the program uses
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

docker: ## the image: static, without root, from scratch
	docker build --build-arg VERSION=$(VERSION) -t antiphon:$(VERSION) .

clean: ## remove what was built
	rm -rf bin e2e/.cache e2e/node/node_modules e2e/codex/node_modules e2e/opencode/node_modules
