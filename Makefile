# Two commands do all the set-up on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test check tools bench format clean
demo: $(VENV)/.run
	$(BIN)/station demo

test: $(VENV)/.check
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The real tools that stacks use, for the tests; nothing to do where they are there. On a new machine this takes a while.
tools:
	nice -n 19 tests/tools/build.sh

bench: $(VENV)/.check
	$(BIN)/python -m bench $(ARGS)

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)

# Modules are compiled as for any other installation: some environments forbid Python to do it on the way.
$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[ansible]'
	$(BIN)/python -m compileall -q reconciler spaces rbac
	touch $@

$(VENV)/.check: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[check]'
	$(BIN)/python -m compileall -q reconciler spaces rbac
	touch $@ $(VENV)/.run
