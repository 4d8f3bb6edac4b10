# What developers run by hand. CI runs .ci/run, which holds all of it.

.PHONY: all test race lint cover soak bench fuzz ci

# How long each fuzz target runs, or how many times: 20000x.
FUZZTIME ?= 30s
# Which fuzz targets run. It must match at least one.
FUZZ ?= ^Fuzz
# A module of its own, so that users do not get the linter's dependencies.
GOLANGCI_LINT = go tool -modfile=tools/go.mod golangci-lint

all: test lint

test: ## the README's test command
	go test ./...

race: ## the same with the race detector, in random order
	go test -race -shuffle=on -count=1 ./...

lint:
	go vet ./...
	$(GOLANGCI_LINT) run

cover: ## coverage by function, and as a page
	go test -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out
	go tool cover -html=coverage.out -o coverage.html

SOAK ?= 10m

soak: ## several clients under load, faults and the race detector, for SOAK
	SOAK=$(SOAK) go test -race -count=1 -timeout 0 -run '^TestSoak$$' -v ./httpclient

bench: ## side by side with peers, in under five minutes: writes benchmarks/RESULTS.md
	cd benchmarks && go run ./cmd/bench

fuzz: ## each fuzz target for FUZZTIME
	@bash -c '. .ci/functions.sh && fuzz "$$1" "$$2"' fuzz '$(FUZZ)' '$(FUZZTIME)'

ci:
	.ci/run
