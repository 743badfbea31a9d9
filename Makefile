# The two commands of the README are `make demo` and `make test`; each sets up all it needs in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test quick lint docs check format clean

demo: .venv/installed
	$(BIN)/quantlab demo

# A file is one worker's, since its fixtures are; conftest.py has the order, in which no long one is last.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: .venv/developing
	$(PYTEST) --durations=25
	$(BIN)/python -m tests.run_node_tests

quick: .venv/developing
	$(PYTEST) --quick

lint: .venv/developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.run_node_tests --types
	$(BIN)/python docs/generate.py --check

check: lint test

docs: .venv/developing
	$(BIN)/python docs/generate.py

format: .venv/developing
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/bin/python:
	$(PYTHON) -m venv .venv

# The hook bundles the JavaScript again where its sources have changed, so they count as reasons too.
SOURCES := pyproject.toml hatch_build.py $(wildcard quantlab/runtimes/js/*.mjs) quantlab/runtimes/js/package-lock.json

.venv/installed: $(SOURCES) | .venv/bin/python
	@echo 'Installing quantlab and TensorFlow into .venv; this takes some minutes and prints little.'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/developing: $(SOURCES) | .venv/bin/python
	@echo 'Installing quantlab, TensorFlow and the tools of its tests into .venv; this takes some minutes.'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ .venv/installed

clean:
	rm -rf .venv build dist quantlab/runtimes/js/dist quantlab/runtimes/js/node_modules
