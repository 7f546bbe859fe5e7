# What a person or CI types. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/pytest -q

.DEFAULT_GOAL := help
.PHONY: help run test faults test-kubernetes nightly check bench format docs record before clean

help: ## what there is to type
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (once; about a minute)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[png,kubernetes]' --group dev
	@touch $@

run: $(READY) ## drive a real lease through its life, and show its picture and journal
	@PATH="$(CURDIR)/$(BIN):$$PATH" docs/demonstration

test: $(READY) ## the tests
	@$(PYTEST) -n 4 -m 'not long and not wheel'

faults: $(READY) ## the long profile of crashes, chaos, full disks and orphans
	@$(PYTEST) -n 3 -m 'long and not nightly'

test-kubernetes: $(READY) ## pods on a real cluster, built once (7 to 15 minutes, as root on Debian) into ~/.cache
	@tests/servers/kubernetes/test $(BIN)

nightly: $(READY) ## what takes hours: every pair of crashes, the large models, ten minutes of chaos
	@$(PYTEST) -n 4 -m nightly

check: $(READY) ## format, lint, types, import contracts, drift of generated pages, the built wheel
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy && $(BIN)/mypy tests/typing/api.py
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python docs/generate.py --check
	@$(PYTEST) tests/wheel

bench: $(READY) ## speed and size, as ratios measured in one run
	@$(BIN)/python tests/benchmarks/run.py
	@$(BIN)/python tests/benchmarks/peers/run.py
	@$(BIN)/python tests/benchmarks/places.py
	@$(BIN)/python tests/benchmarks/recovery.py

format: $(READY) ## put the code in its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY) ## make the generated pages anew
	@$(BIN)/python docs/generate.py

before: $(READY) ## at a release: keep its wheel, which the next version's tests run beside
	@rm -rf build/before tests/migrations/before && mkdir -p build/before
	@git archive HEAD | tar -x -C build/before
	@$(BIN)/python -m build -q --wheel --outdir tests/migrations/before build/before
	@rm -rf build/before && ls tests/migrations/before

record: $(READY) ## record the README's picture of a run that is killed and settled
	@$(BIN)/python docs/record.py docs/images/killed.svg

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
