# `make demo` runs the whole loop on real input; `make test` is what CI runs.
# Both set everything up first. For CPU wheels of PyTorch, name an index that has them:
#   make TORCH_INDEX=<URL of the index> demo

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
DEMO ?= demo
WORKERS ?= auto
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup setup-core demo test test-core test-slow lint types bench clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.all: pyproject.toml constraints.txt $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "reindex needs Python >= 3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet '$(TORCH)' $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) install --quiet -c constraints.txt -e '.[demo,dev,parquet]' $(PLUGINS:%=-e ./%)
	touch $@

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet -c constraints.txt -e '.[parquet,serve,mcp,push]' hypothesis onnx openai pytest pytest-asyncio pytest-timeout pytest-xdist scikit-learn
	touch $@

setup: $(VENV)/.all  ## a virtual environment with everything

setup-core: $(VENV)/.core  ## a virtual environment with the light core and its tests

demo: setup  ## the whole loop on the documentation of your Python packages
	$(BIN)/reindex demo $(DEMO)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# one thread of torch per process: the processes share the cores already
test: lint types  ## lint, strict types, all tests but the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-core: setup-core  ## the tests of the light core, without torch
	$(BIN)/python -m pytest tests -m 'not slow and not train' -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: setup  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

bench: setup  ## every benchmark, with ratios
	$(BIN)/python benchmarks/bulk_encoding.py
	$(BIN)/python benchmarks/build_rate.py
	$(BIN)/python benchmarks/build_memory.py
	$(BIN)/python benchmarks/search_latency.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/training_speed.py

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
