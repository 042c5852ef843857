# The front door: `make help` lists the targets. Each of them prepares .venv first when it has to.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Newer than the lock file means: .venv holds what the lock file says.
READY := .venv/.ready

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

.PHONY: install
install: $(READY) ## make .venv from uv.lock (set PYTHON to choose the interpreter)

$(READY): pyproject.toml uv.lock .ci/bootstrap
	@.ci/bootstrap
	@touch $@

.PHONY: demo
demo: $(READY) ## a task from proposal to summary, in a temporary folder
	@.ci/as-user $(BIN)/cowork demo

.PHONY: test
test: $(READY) ## every test, except those of `make race` and `make fuzz`
	@.ci/as-root $(BIN)/pytest -q -m as_root
	@.ci/as-user $(BIN)/pytest -q -n auto

.PHONY: check
check: $(READY) ## linter, formatter, both type checkers, import rules, rules of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	.ci/as-user $(BIN)/pytest -q tests/house

.PHONY: bench
bench: $(READY) ## measure speed
	@.ci/bootstrap --group bench
	@.ci/as-user --group bench $(BIN)/python tests/bench/run.py

.PHONY: seccomp
seccomp: $(READY) ## make the system call filters of the sandbox again
	@$(BIN)/python -m cowork.adapters.sandbox.seccomp.build

.PHONY: race
race: $(READY) ## several processes compete for one store, for many rounds
	@.ci/as-user $(BIN)/pytest -q tests -m race_long --timeout 3600

.PHONY: fuzz
fuzz: $(READY) ## generated input, for minutes
	@.ci/as-user $(BIN)/pytest -q tests -m fuzz_long --timeout 3600
