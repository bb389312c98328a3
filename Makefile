# `make env` makes .venv; every other target makes it first. `make run` and `make test` need Python, git and make alone.
# `make bench BENCH=--quick` takes a few minutes; other options: `python -m benchmarks --help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: env run test test-faults test-interop lint format docs bench lock clean

env: $(VENV)/installed
	@# Links of the editable install are made anew, so that new files are found.
	@$(BIN)/pip install --quiet --quiet --no-deps --no-build-isolation --config-settings editable_mode=strict -e .
	@$(BIN)/python -m proventrail.embedded.fetch

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade -c constraints.txt pip setuptools wheel
	$(BIN)/pip install --quiet --quiet -c constraints.txt --no-build-isolation --config-settings editable_mode=strict -e '.[dev]'
	@touch $@

run: env
	$(BIN)/proventrail demo --data-dir .cache/demo

test: env
	$(PYTEST) -m "not faults and not interop"

test-faults: env
	$(PYTEST) -m faults --timeout 900

test-interop: env
	$(PYTEST) -m interop --timeout 900

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p proventrail
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: env
	$(BIN)/python -m proventrail.cli.reference docs/cli.md

bench: env
	$(BIN)/python -m benchmarks $(BENCH)

lock: env
	$(BIN)/pip freeze --exclude-editable | grep -v '^proventrail' > constraints.txt

clean:
	rm -rf $(VENV) .cache build *.egg-info
