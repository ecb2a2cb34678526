# Two commands do everything on a fresh machine: `make study` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/quick

.PHONY: study test lint format benchmarks clean

study: $(VENV)/ready  ## train the quick study on embedded data and write its report
	$(BIN)/losscope study quick --out $(OUT)

test: $(VENV)/ready-dev  ## lint and run all tests
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

lint: $(VENV)/ready-dev
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/mypy

format: $(VENV)/ready-dev
	$(BIN)/ruff format src tests benchmarks examples
	$(BIN)/ruff check --fix src tests benchmarks examples

benchmarks: $(VENV)/ready-dev  ## ratios of CPU seconds, memory, coverage and error rates; half an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.training
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.seven
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.head
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.memory
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.retrieval
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.moments
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.scale
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.monitor
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.scaling
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.verdicts

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/ready-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(VENV)/ready $@

clean:
	rm -rf $(VENV) out dist
