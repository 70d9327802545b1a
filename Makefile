# Two commands matter: `make serve` starts modelyard, `make test` proves it works. The rest is for its developers.
VENV   ?= .venv
BIN    := $(VENV)/bin
SERVE_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install dev serve test chaos accounting mock vendors clients check format bench docs clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	scripts/make-venv $(VENV)

$(VENV)/.serve: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[postgres,container,bedrock]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[postgres,container,bedrock]' --group dev
	@touch $@ $(VENV)/.serve

install: $(VENV)/.serve ## a virtual environment with modelyard in it

dev: $(VENV)/.dev ## the same with everything its developers need

serve: install ## set up everything and start the server on http://127.0.0.1:8080
	$(BIN)/modelyard serve $(SERVE_ARGS)

test: dev ## set up everything and pass all tests
	PYTHON=$(BIN)/python scripts/test $(TEST_ARGS)

chaos: dev ## faults under load, counted; part of the tests
	$(BIN)/python -m pytest tests/chaos

accounting: dev ## kill 200 times at random, and compare what was answered with what was counted (half an hour)
	MODELYARD_CHAOS_KILLS=200 $(BIN)/python -m pytest tests/chaos/test_accounting.py

$(VENV)/.clients: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --group clients
	@touch $@

clients: $(VENV)/.clients ## LangChain and LiteLLM against /v1 (installs both, half a gigabyte)
	$(BIN)/python -m pytest tests/integration/gateway/test_openai_frameworks.py

mock: ## a mock of vendors' servers that is not ours, for the tests of vendors' models (npm fetches it)
	command -v npm >/dev/null && npm install --silent --no-audit --no-fund --prefix .cache/peers @copilotkit/aimock@1.43.0 \
	  || echo "There is no npm: the tests that need the mock are skipped, and say so."

vendors: dev mock ## vendors' models, against that mock too
	$(BIN)/python -m pytest tests/integration/vendors

check: dev ## style, types, import laws, known vulnerabilities and secrets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	scripts/audit

format: dev ## mend what a machine can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: dev ## every benchmark that docs/performance.md quotes (installs the peers; takes a while)
	$(BIN)/python -m pip install --quiet --group bench
	benchmarks/run-all

docs: dev ## the documentation site, built strictly, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## remove what can be made again; data and weights stay
	rm -rf $(VENV) site dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
