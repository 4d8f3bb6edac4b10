# What developers run by hand. CI runs .ci/run, which holds all of it.

.PHONY: all test race lint cover soak bench fuzz ci

# How long each fuzz target runs, or how many times: 20000x.
FUZZTIME ?= 30s
GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

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
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

ci:
	.ci/run
