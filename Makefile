# Everything that a person or a machine does with this repository. Each target says what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup run test check format wheel bench soak fuzz clean

help:            ## list the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16

setup:           ## build everything into .venv (first time: about ten minutes on two cores; then seconds)
	@scripts/setup

run: setup       ## the demo: real services behind the gateway on https://localhost:8443
	@exec $(BIN)/yett demo

test: setup      ## every check and every test, as in CI
	@scripts/test

check: setup     ## formatting, lints and types only
	@scripts/test check

format: setup    ## format Python and Rust in place
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix-only . && cargo fmt --all

wheel: setup     ## the wheel that is shipped, into dist (about 20 minutes: it learns from a load before it is built)
	@scripts/wheel dist

bench: setup     ## CPU a request beside nginx, HAProxy, Envoy and Caddy; writes bench/RESULTS.md
	@exec $(BIN)/python -m bench

soak: setup      ## half an hour of mixed load; memory and descriptors have to be flat (MINUTES=5 make soak)
	@exec $(BIN)/python -m bench.soak --minutes $${MINUTES:-30}

fuzz:            ## the fuzz targets, a minute each (FUZZ_SECONDS=3600 make fuzz); a second each is part of `make test`
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} cargo test --workspace --lib --locked --quiet -- --nocapture --test-threads 2 fuzz

clean:           ## remove what the targets made
	@rm -rf $(VENV) target dist .setup-stamp-* .mypy_cache .ruff_cache
