# Verbs for a clean clone: nothing is needed but Python 3.11 or later with pip. `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
# Optional: index to take torch from, for machines where the ordinary one serves CUDA builds.
TORCH_INDEX ?=
# Optional: more options, as in: make run ARGS="--seed 7 --out runs/seven", make test ARGS="-k draw".
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PINS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run test check fix wheel clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## set everything up and run the demo: tinyaug run --task sst2 --demo
	$(BIN)/tinyaug run --task sst2 --demo $(ARGS)

test: $(VENV)/.installed-test ## run all tests that need no GPU, in two processes
	$(BIN)/python -m pytest -m "not gpu" -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.installed-dev ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.installed-dev ## lint and format in place
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.installed ## build the wheel into dist/
	rm -rf build
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist .
	rm -rf build

clean: ## remove the environment and what was built
	rm -rf $(VENV) build dist *.egg-info

# Some systems ship Python without ensurepip; then the pip at hand fills the environment.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "expected Python 3.11 or later as $(PYTHON); name another one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

# torch comes first, so that the project's own installation finds it and fetches no other build. Its index may lack
# the other packages, so those are left to the next step.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX)) torch
	@touch $@

$(VENV)/.installed: $(PINS) $(VENV)/.torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	$(PIP) --editable '.[dev]'
	@touch $@
