# Every target sets up what it needs: `make demo` and `make test` work on a fresh clone.
# `make test PYTHON=python3.13` tests another Python, in an environment of its own, .venv-3.13.
PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
DEFAULT := $(shell python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifeq ($(VERSION),)
$(error PYTHON=$(PYTHON) does not run here: give a Python of version 3.11 or newer)
endif
VENV := $(if $(filter $(DEFAULT),$(VERSION)),.venv,.venv-$(VERSION))
BIN := $(VENV)/bin
RUN := $(BIN)/python
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# What breaks first under other versions; about two minutes on 2 cores.
FAST := $(addprefix tests/test_,architecture cli data from_flax gradients layers plan stats train)

.PHONY: demo test test-all test-fast lint format bench docs notebooks clean

demo: $(VENV)/installed ## the batch-size study: a table on stdout, figures under runs/batch_size
	$(RUN) -m experiments batch_size

# Two runs, because XLA's flags hold for a process: all that need not be compiled as users
# compile is compiled quickly (tests/conftest.py).
test: $(VENV)/installed ## the whole suite, as far as it needs nothing but this machine
	$(RUN) -m pytest -m "not full and not outside"
	$(RUN) -m pytest -m "full and not outside"

test-all: $(VENV)/outside ## also what needs a browser, a cluster, a kernel or a tracker
	$(RUN) -m pytest -m "not full"
	$(RUN) -m pytest -m "full"

test-fast: $(VENV)/installed ## what another version of Python, jax or flax would break first
	$(RUN) -m pytest $(addsuffix .py,$(FAST))

lint: $(VENV)/linters ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/linters ## puts style right where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/bench ## every benchmark made small, and one line on each
	$(RUN) -m benchmarks all --quick

docs: $(VENV)/docs ## the site, in site/; a link that leads nowhere is an error
	$(BIN)/mkdocs build --strict

notebooks: $(VENV)/installed ## runs every notebook of the site anew, and stores what it shows
	$(RUN) docs/run_notebooks.py

# compileall: where Python is told not to write bytecode, every start would compile jax and matplotlib anew
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[test]'
	-$(RUN) -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1
	touch $@

$(VENV)/linters: $(VENV)/installed
	$(PIP) -e '.[dev]'
	touch $@

# Where it cannot be installed the tests that need it are skipped, and say so.
$(VENV)/outside: $(VENV)/installed
	-$(PIP) -e '.[outside]' && touch $@

$(VENV)/bench: $(VENV)/installed
	$(PIP) -e '.[bench]'
	touch $@

$(VENV)/docs: $(VENV)/installed
	$(PIP) -e '.[docs]'
	touch $@

clean:
	rm -rf .venv .venv-* runs site
