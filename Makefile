# Every target sets up what it needs: `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python

.PHONY: demo test lint bench clean

demo: .venv/installed ## the batch-size study: a table on stdout, figures under runs/batch_size
	$(RUN) -m experiments batch_size

test: .venv/installed ## the whole suite
	$(RUN) -m pytest

lint: .venv/linters ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/bench ## lane-steps per second against PyTorch's eager loop
	$(RUN) -m benchmarks lane_rate

# compileall: where Python is told not to write bytecode, every start would compile jax and matplotlib anew
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	-$(RUN) -m compileall -q -j 0 .venv/lib >/dev/null 2>&1
	touch $@

.venv/linters: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

.venv/bench: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

clean:
	rm -rf .venv runs
