# On a fresh machine, make demo and make test set up everything they need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

MINUTES ?= 5

# Let Python keep what it compiles, whatever the environment says: each test process would compile all tests, for ten seconds.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo demo-clouds demo-kubernetes test explore check tools bench screenshots format clean
demo: $(VENV)/.run
	PATH="$(CURDIR)/.tools/bin:$$PATH" $(BIN)/python -m tests.tools.demo

# Four at once on two processors: a test waits for a process or for time about half of its life.
test: $(VENV)/.check
	tests/tools/in_memory.sh $(BIN)/python -m pytest -n 4 --dist loadgroup $(ARGS)

# Property tests with new random cases, for some minutes: docs/contributing.md says what to do with a finding.
explore: $(VENV)/.check
	$(BIN)/python -m tests.explore --minutes $(MINUTES) $(ARGS)

check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m tests.needs

# The stacks of examples/integrations against a token service on this machine, and who each of their phases was there.
demo-clouds: $(VENV)/.check
	$(BIN)/python -m tests.tools.demo_clouds

# The demo's stacks as Jobs of a Kubernetes API on this machine, which make tools builds.
demo-kubernetes: $(VENV)/.check
	PATH="$(CURDIR)/.tools/bin:$$PATH" $(BIN)/python -m tests.tools.demo_kubernetes

# The real tools that stacks use, for the tests; nothing to do where they are there. On a new machine this takes a while.
tools:
	nice -n 19 tests/tools/build.sh

bench: $(VENV)/.check
	$(BIN)/python -m bench $(ARGS)

# Pictures of the page, from the demo's data; with ARGS=--docs also those that the documentation shows.
screenshots: $(VENV)/.check
	$(BIN)/python docs/screenshots.py $(ARGS)

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)

# Compile the modules as an installation would: some environments do not let Python do it at run time.
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
