# The two commands of the README: `make demo` and `make test`. Each sets up all it needs in .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check format clean

demo: $(VENV)/installed
	$(BIN)/quantlab demo

test: $(VENV)/developing
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(BIN)/python -m tests.run_node_tests

check: $(VENV)/developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.run_node_tests --types
	$(MAKE) test

format: $(VENV)/developing
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml hatch_build.py | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/developing: pyproject.toml hatch_build.py | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist quantlab/runtimes/js/dist quantlab/runtimes/js/node_modules
