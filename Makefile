# What a developer does with Wellspring, one word each.

PYTHON ?= python3.11
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
EDITABLE := $(PIP) --quiet --no-build-isolation --no-deps --editable .

PAGE := api/playground
PAGE_SOURCES := $(PAGE)/build $(PAGE)/with_node $(addprefix $(PAGE)/page/,.npmrc package.json package-lock.json \
	vite.config.js index.html) $(wildcard $(PAGE)/page/src/* $(PAGE)/examples/* $(PAGE)/examples/*/*)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run playground test format lint schema lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp ## install what is missing, then serve with the demo on http://127.0.0.1:8000
	@$(MAKE) --no-print-directory playground || { \
		echo "The playground could not be built, which needs the network once. Everything else"; \
		echo "works; the next 'make run' tries again."; } >&2
	@exec $(BIN)/wellspring run $(ARGS)

playground: $(PAGE)/dist/index.html ## build the page at /playground, which 'make run' does too
	@:

test: $(VENV)/dev.stamp ## run the tests; ARGS="-k tiers -n 0" passes words on to pytest
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

format: $(VENV)/dev.stamp ## format the code and sort its imports
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

lint: $(VENV)/dev.stamp ## check format, lint, types and which room imports which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

schema: $(VENV)/dev.stamp ## print schema.graphql from the code
	@$(BIN)/wellspring schema > schema.graphql.new
	@mv schema.graphql.new schema.graphql

lock: $(VENV)/dev.stamp ## pin the dependencies of pyproject.toml; ARGS=--upgrade takes newer ones
	@echo "Pinning the dependencies (a minute or two)"
	@$(BIN)/pip-compile --quiet --build-deps-for editable $(ARGS) \
		--output-file requirements.txt pyproject.toml
	@$(BIN)/pip-compile --quiet --build-deps-for editable $(ARGS) \
		--extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt pyproject.toml
	@$(BIN)/pip-compile --quiet $(ARGS) --output-file $(PAGE)/requirements.txt $(PAGE)/requirements.in

clean: ## remove the virtual environment, what was built and the caches, keep var/
	rm -rf $(VENV) $(PAGE)/dist $(PAGE)/page/node_modules tests/*/node_modules *.egg-info build .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { \
		echo "Wellspring needs Python 3.11, and there is no '$(PYTHON)' here."; \
		echo "Install it (on Debian: apt-get install python3.11 python3.11-venv) or say"; \
		echo "where it is: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3.11"; \
		exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "Wellspring needs Python 3.11, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
		exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		echo "'$(PYTHON)' cannot make a virtual environment: its venv module is missing."; \
		echo "On Debian: apt-get install python3.11-venv"; \
		exit 1; } >&2
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/run.stamp: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned dependencies (about half a minute the first time)"
	@$(PIP) --require-hashes --requirement requirements.txt
	@$(EDITABLE)
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	@echo "Installing the development tools"
	@$(PIP) --require-hashes --requirement requirements-dev.txt
	@touch $@

$(PAGE)/dist/index.html: $(PAGE_SOURCES) | $(VENV)/run.stamp
	@echo "Building the playground (about half a minute the first time)"
	@VENV=$(abspath $(VENV)) $(PAGE)/build
