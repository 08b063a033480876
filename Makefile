# Everything runs in .venv, which is made on first need. A machine needs Python 3.11+, make and a C library.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := adiuva agents plugins deploy docs/conf.py tests $(wildcard benchmarks) tools setup.py
# Half of a worker's time it waits for others: three for two cores. What `proof` measures is not to be crowded.
TESTERS ?= $(shell cores=`getconf _NPROCESSORS_ONLN` && expr $$cores + $$cores / 2 || echo auto)
DISTRIBUTIONS := . $(patsubst %/pyproject.toml,%,$(wildcard agents/*/pyproject.toml plugins/*/pyproject.toml))

.DELETE_ON_ERROR:
.PHONY: install serve demo test proof check bench docs format lock clean

install: .venv/installed        ## what the server needs, and the server
serve: .venv/installed          ## run the server; settings come from the environment and .env
	$(BIN)/adiuva serve
demo: .venv/installed           ## the main job, from start to end, with embedded everything
	$(BIN)/adiuva demo
test: .venv/developing          ## all tests but the slow ones
	$(BIN)/pytest -n $(TESTERS) --dist loadgroup -m "not proof" $(ARGS)
proof: .venv/developing         ## the slow ones: kills, faults, and the figures that are promised, from a client's side
	$(BIN)/pytest -n auto --dist loadgroup -m proof $(ARGS)
bench: .venv/developing         ## where the README's figures come from
	$(BIN)/python -m benchmarks
docs: .venv/developing           ## the pages of docs/, as build/docs/index.html
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --doctree-dir build/doctrees docs build/docs
check: .venv/developing         ## rules, types, import contracts, lock files
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_locks.py
format: .venv/developing        ## mend what can be mended by itself
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
lock: .venv/developing          ## write the lock files anew; ARGS=--upgrade for newer versions
	$(BIN)/uv pip compile $(LOCK) $(ARGS) --all-extras --output-file requirements-dev.lock setup.cfg
	$(BIN)/uv pip compile $(LOCK) $(ARGS) --extra build --constraint requirements-dev.lock --output-file requirements.lock setup.cfg
	$(BIN)/uv pip compile $(LOCK) $(ARGS) $(addprefix --extra ,build gunicorn redis mcp otel) --constraint requirements-dev.lock --output-file requirements-image.lock setup.cfg
clean:                          ## everything that was made here; data folders are elsewhere
	rm -rf .venv build dist *.egg-info agents/*/build agents/*/*.egg-info plugins/*/build plugins/*/*.egg-info .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"

.venv/made:
	@test -n "$(PYTHON)" || { echo "Adiuva needs Python 3.11 or newer, with its venv module (on Debian: python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
.venv/locked: .venv/made requirements.lock
	@echo "Installing what Adiuva needs into .venv; this takes a minute."
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@
.venv/installed: .venv/locked setup.cfg setup.py $(addsuffix /pyproject.toml,$(DISTRIBUTIONS))
	@$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat $(addprefix -e ,$(DISTRIBUTIONS))
	@touch $@
.venv/developing: .venv/installed requirements-dev.lock
	@echo "Installing what the tests and checks need into .venv."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
