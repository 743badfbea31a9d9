# The two commands of the README are `make demo` and `make test`; each sets up all it needs in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
# Some images set it; then each of the hundreds of processes that the tests start would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test quick mutations lint docs tutorial site check format lock lowest newest clean

help: ## List the targets and what each does
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' Makefile | expand -t 11

demo: .venv/installed ## Set up .venv and analyze the embedded example
	$(BIN)/quantlab demo

# A file is one worker's, since its fixtures are; conftest.py has the order, in which no long one is last.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: .venv/developing ## Set up .venv and run the tests, in Python and in JavaScript
	$(BIN)/python -m tests.run_node_tests --beside $(PYTEST) --durations=25

quick: .venv/developing ## Run the tests that start no worker, Node.js or browser
	$(PYTEST) --quick

# The tests of one file, and yet on both cores.
mutations: .venv/developing ## Try every reader of foreign files with 5,000 malformed ones
	MUTATIONS=5000 $(BIN)/python -m pytest -n 2 --dist worksteal tests/test_mutations.py -rP

lint: .venv/developing ## Check format, style, types, layers and the generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.run_node_tests --types
	$(BIN)/python docs/generate.py --check

check: lint test ## Run lint, then test

docs: .venv/developing ## Write the generated pages of docs/
	$(BIN)/python docs/generate.py

tutorial: .venv/developing ## Run the tutorial and the notebook, and write what they print into their pages
	$(BIN)/python docs/shown_output.py

# MkDocs has an environment of its own: it needs none of quantlab, and quantlab none of it.
site: .venv-site/installed ## Build the documentation as a site in site/, and check its links
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --strict --quiet

.venv-site/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv --clear .venv-site
	.venv-site/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'], sep='\n')" >.venv-site/asked
	.venv-site/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --requirement .venv-site/asked
	touch $@

format: .venv/developing ## Format the code and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Constraints for builds alone are known to pip from 25.3 on, so the pip of the lock is installed first.
.venv/pip: requirements.lock
	@$(PYTHON) supported_platforms.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --upgrade pip
	touch $@

# The hook bundles the JavaScript again where its sources have changed, so they count as reasons too.
SOURCES := pyproject.toml requirements.lock requirements-build.lock hatch_build.py $(wildcard quantlab/runtimes/js/*.mjs quantlab/runtimes/js/tab/*) quantlab/runtimes/js/package-lock.json

LOCKED := --constraint requirements.lock --build-constraint requirements-build.lock

.venv/installed: $(SOURCES) | .venv/pip
	@echo 'Installing quantlab and TensorFlow into .venv; this takes some minutes and prints little.'
	$(BIN)/python -m pip install --quiet $(LOCKED) --editable .
	touch $@

.venv/developing: $(SOURCES) | .venv/pip
	@echo 'Installing quantlab, TensorFlow and the tools of its tests into .venv; this takes some minutes.'
	$(BIN)/python -m pip install --quiet $(LOCKED) --editable '.[dev]'
	touch $@ .venv/installed

lock: ## Write requirements.lock anew, with the newest versions in the ranges of pyproject.toml
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	.venv-lock/bin/python -m tests.locked_versions

# The ends of the ranges in pyproject.toml, each installed into an environment of its own and tested there.
lowest: .venv-lowest/developing ## Run the tests with the low end of every range
	.venv-lowest/bin/python -m pytest -n 2 --dist loadfile

newest: .venv-newest/developing ## Run the tests with the newest versions in the ranges
	.venv-newest/bin/python -m pytest -n 2 --dist loadfile

.venv-lowest/developing: $(SOURCES) tests/version_ends.py
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --upgrade pip
	.venv-lowest/bin/python -m tests.version_ends >.venv-lowest/low-ends
	.venv-lowest/bin/python -m pip install --quiet --constraint .venv-lowest/low-ends --build-constraint .venv-lowest/low-ends \
		--editable '.[dev]'
	.venv-lowest/bin/python -m pip check
	touch $@

.venv-newest/developing: $(SOURCES)
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --upgrade pip
	.venv-newest/bin/python -m pip install --quiet --upgrade --editable '.[dev]'
	.venv-newest/bin/python -m pip check
	touch $@

clean: ## Remove environments and what was built
	rm -rf .venv .venv-lock .venv-lowest .venv-newest .venv-site build dist site quantlab/runtimes/js/dist quantlab/runtimes/js/node_modules
