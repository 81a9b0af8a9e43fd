# `make demo` and `make test` do all set-up by themselves; this file needs only Python and make.
PYTHON ?= python3
# So many files of tests at a time; each has TOMs and a broker of its own, some 3 GB.
WORKERS ?= 2
BIN := .venv/bin

.PHONY: help setup demo test test-everywhere test-fast faults bench bench-quick
.PHONY: lint format types schemas schemas-check dockerfile-lint check clean

help:
	@echo "make demo         two real TOMs, a broker, real objects: ingested, emitted, compared (KEEP=1 leaves it running)"
	@echo "make test         all tests, each with one kind of TOM; they say so where Kafka, PostgreSQL or Chromium can't be had"
	@echo "make test-everywhere  the same with every kind of TOM (version, database) that a test is for: twice as long"
	@echo "make test-fast    the unit tests"
	@echo "make faults       the fault suite in full, half an hour: everything killed, frozen, refused (SEED=N does one again)"
	@echo "make bench        what things cost, on real TOMs and brokers: a table, and build/bench.json (an hour)"
	@echo "make check        lint, types, schemas and all tests, as CI runs them"
	@echo "make schemas      write schemas/ anew from the models"
	@echo "make clean        remove the environment and caches of this folder"

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "setting up .venv (once; about a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --prefer-binary -e '.[dev]'
	@touch $@

setup: .venv/installed

demo: setup
	@$(BIN)/tom-bridge demo $(if $(KEEP),--keep)

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-everywhere: setup
	TOM_BRIDGE_PLACES=all $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-fast: setup
	$(BIN)/python -m pytest tests/unit

# A seed of its own for each run, said in the header; the random run's line of figures is in the output, too.
faults: setup
	TOM_BRIDGE_FAULTS=full $(BIN)/python -m pytest tests/faults -p no:randomly -s $(if $(SEED),--faults-seed $(SEED))

bench: setup
	@mkdir -p build
	$(BIN)/python -m bench --json build/bench.json --plots build

bench-quick: setup
	$(BIN)/python -m bench --quick $(if $(PARTS),--only $(PARTS))

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: setup
	$(BIN)/mypy

schemas: setup
	$(BIN)/tom-bridge schema write schemas

schemas-check: setup
	$(BIN)/tom-bridge schema write schemas --check

dockerfile-lint: setup
	$(BIN)/hadolint Dockerfile

check: lint types schemas-check dockerfile-lint test

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
