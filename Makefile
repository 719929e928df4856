# Every target builds the environment by itself when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Real models and texts outside the project; tests that need them skip by name without.
ifneq ($(wildcard ../shared/data),)
export WORKBENCH_TEST_DATA ?= $(abspath ../shared)
endif

.PHONY: report lessons lab test test-all benchmark lint clean

report: $(READY)
	$(BIN)/workbench report

# The lessons with their outputs, as a reader of the repository sees them.
lessons: report
	cp reports/[01]*.ipynb notebooks/rendered
	$(BIN)/nbstripout --keep-output --extra-keys "metadata.papermill cell.metadata.papermill cell.metadata.execution" notebooks/rendered/*.ipynb

lab: $(READY)
	$(BIN)/workbench lab

# The tests of a few minutes. `make test-all` also runs those marked slow.
test: lint
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test-all: lint
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m ""

benchmark: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/workbench report notebooks/90_benchmarks.ipynb --no-baselines -p N_ROWS 100000 -p DIM 300 -p N_SUBVECTORS 100 -p N_SEARCH 100000 -p N_TRIALS 12
	$(BIN)/python benchmarks/pq.py
	$(BIN)/python benchmarks/opening.py
	$(BIN)/python benchmarks/compression.py
	$(BIN)/python benchmarks/bytes.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/rq.py
	$(BIN)/python benchmarks/official.py
	$(BIN)/python benchmarks/semantic.py
	$(BIN)/python benchmarks/maps.py
	$(BIN)/python benchmarks/panel.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/zero_shot.py
	$(BIN)/python benchmarks/vocabulary.py
	$(BIN)/python benchmarks/align.py
	$(BIN)/python benchmarks/matching.py
	$(BIN)/python benchmarks/phrases.py
	$(BIN)/python benchmarks/documents.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/quick.py
	$(BIN)/python benchmarks/encode.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf reports out notebooks/out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -exec rm -rf {} +
