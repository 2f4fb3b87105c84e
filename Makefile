# Every target installs what it needs first, and running it twice costs nothing.
# Needs only Python 3.11+ and make:  make demo | quick | test | check | conformance | soak | bench

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
CONFORMANCE := .venv-conformance

.PHONY: help demo quick test soak check format conformance bench peers clean

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# A stamp is up to date while neither the interpreter nor the requirements have changed.
$(VENV)/.stamp-venv: pyproject.toml
	@test -n "$(PYTHON)" || { echo "pictag needs Python 3.11 or newer: none was found. Install one, or run make PYTHON=/path/to/python3.11"; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.stamp: $(VENV)/.stamp-venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[imagenet,parquet,openvino,quantize,server,teach]' --group dev
	@touch $@

$(VENV)/.stamp-demo: $(VENV)/.stamp-venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(CONFORMANCE)/.stamp: pyproject.toml conformance/requirements.txt
	@$(CONFORMANCE)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || "$(PYTHON)" -m venv --clear $(CONFORMANCE)
	$(CONFORMANCE)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(CONFORMANCE)/bin/python -m pip install --quiet --disable-pip-version-check --requirement conformance/requirements.txt --editable .
	@touch $@

demo: $(VENV)/.stamp-demo ## classify real photographs with the built-in models, offline
	@$(BIN)/python examples/demo.py

# Layers 0 to 2 of docs/architecture.md.
QUICK := errors options records postprocess images preprocess models engines metadata sinks stream pipelines

quick: $(VENV)/.stamp ## the tests of layers 0 to 2, in half a minute
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'not soak and not slow' tests/test_layers.py tests/test_import.py \
	  $(foreach name,$(QUICK),$(wildcard tests/$(name) tests/test_$(name).py src/pictag/$(name) src/pictag/$(name).py))

# Tests of one file run in one process, because they share a server.
test: $(VENV)/.stamp ## all tests, without torch and transformers; JOBS=4 runs four at a time
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

soak: $(VENV)/.stamp ## the long tests: minutes of load, overload and hostile clients
	$(BIN)/python -m pytest -m soak

check: $(VENV)/.stamp ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.stamp ## format the code and fix what lint can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

conformance: $(CONFORMANCE)/.stamp ## compare with the reference implementation
	$(CONFORMANCE)/bin/python -m pytest conformance

bench: $(VENV)/.stamp ## run the benchmarks; peers that are missing are named
	$(BIN)/python -m benchmarks

peers: $(VENV)/.stamp $(CONFORMANCE)/.stamp ## install the peers that the benchmarks compare with (torch, npm packages)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@command -v npm >/dev/null || { echo "transformers.js needs Node 20 or newer: none was found, so it is left out"; exit 0; }; \
	cd benchmarks/peers && npm install --ignore-scripts --no-audit --no-fund --no-package-lock

clean: ## remove everything that these targets made
	rm -rf $(VENV) $(CONFORMANCE) benchmarks/work benchmarks/peers/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
