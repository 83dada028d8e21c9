# Two targets are enough for most: `make demo` and `make test`. `make help` lists the others.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Everything that is downloaded or built lies outside the checkout, so that a fresh clone finds it again.
export BELFRY_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/belfry
# Everything that the local cluster writes.
export BELFRY_STATE ?= $(BELFRY_CACHE)/cluster
export CARGO_TARGET_DIR ?= $(BELFRY_CACHE)/target
export BELFRY_MODEL_DIR ?= $(BELFRY_CACHE)/models/all-MiniLM-L6-v2
export BELFRY_PROMTOOL ?= $(BELFRY_CACHE)/tools/bin/promtool
export PATH := $(BELFRY_CACHE)/tools/bin:$(PATH)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: ## From nothing to a page and back, on this machine
	@e2e/demo.sh

.PHONY: test
test: lint unit e2e ## Everything: lints, unit and golden tests, and e2e on a real cluster

.PHONY: lint
lint: target libtorch ## Formatting, clippy, links of doc comments, charts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked
	e2e/tools/clients.sh
	e2e/lint-charts.sh

.PHONY: unit
unit: target libtorch model ## Unit and golden tests
	e2e/tools/build.sh prometheus alertmanager collector
	cargo test --locked --package belfry-crds --package belfry-logs --package belfry-traces --package belfry-render --package belfry-operator --package belfry-cli
	# Optimized, as the images are: numerics on a real model take minutes otherwise.
	cargo test --locked --release --package belfry-worker
	worker/clients/run.sh --quick

.PHONY: e2e
e2e: target libtorch cluster install engine-images ## Tests on the local cluster, and a short form of `make chaos`
	e2e/tools/build.sh collector
	cargo build --locked --package belfry-operator --package belfry-cli
	KUBECONFIG=$(BELFRY_STATE)/kubeconfig cargo test --locked --package belfry-e2e --no-fail-fast -- --test-threads=3

.PHONY: parity
parity: FOLDERS ?= 600
parity: SEED ?= 1
parity: target libtorch ## Compare FOLDERS=600 models with random settings, drawn from SEED=1, with sentence-transformers
	@venv=$$(worker/parity/venv.sh) && out="$$CARGO_TARGET_DIR/parity" && rm -rf "$$out" && \
	  "$$venv/bin/python" worker/parity/settings.py && \
	  "$$venv/bin/python" worker/parity/make.py --seed $(SEED) --count $(FOLDERS) "$$out" && \
	  "$$venv/bin/python" worker/parity/odd.py "$$out" && \
	  BELFRY_PARITY="$$out" BELFRY_PARITY_REPORT="$$CARGO_TARGET_DIR/bench/parity.json" \
	  cargo test --locked --release --package belfry-worker --test parity -- --nocapture
	@venv=$$(worker/parity/venv.sh) && out="$$CARGO_TARGET_DIR/networks" && rm -rf "$$out" && \
	  "$$venv/bin/python" worker/parity/networks.py --seed $(SEED) --count 10 "$$out" && \
	  BELFRY_NETWORKS="$$out" cargo test --locked --release --package belfry-worker --test networks -- --nocapture

.PHONY: clients
clients: target libtorch model ## Ask a worker with real clients, as their users have them, and print what each got
	@worker/clients/run.sh

.PHONY: browser
browser: target libtorch model ## Open the worker's pages in a headless Chromium, and use them
	@worker/clients/browser.sh

.PHONY: fuzz
fuzz: SECONDS ?= 60
fuzz: SEED ?= 1
fuzz: target libtorch ## Send random requests and folders to a worker, each kind for SECONDS=60, drawn from SEED=1
	BELFRY_FUZZ_SECONDS=$(SECONDS) BELFRY_FUZZ_SEED=$(SEED) \
	  cargo test --locked --release --package belfry-worker --test fuzz -- --nocapture

.PHONY: chaos
chaos: TESTS ?=
chaos: target ## At least 2,000 faults between the operator and an API server; CHAOS_SEED=… repeats them, TESTS=… picks some
	@e2e/tools/clients.sh
	@e2e/tools/build.sh kubernetes prometheus collector
	cargo build --locked --package belfry-operator
	CHAOS=long cargo test --locked --package belfry-e2e --test chaos -- --test-threads=3 $(TESTS)

.PHONY: upgrade-test
upgrade-test: PREVIOUS ?=
upgrade-test: target ## An upgrade of the operator moves no pod; PREVIOUS=COMMIT is the version before
	@e2e/tools/clients.sh
	@e2e/tools/build.sh kubernetes prometheus
	@e2e/upgrade.sh $(PREVIOUS)

.PHONY: bench-operator bench-operator-large
bench-operator: MODELS ?= 100,1000
bench-operator: target ## Measure the operator beside a plain client, with MODELS=100,1000 models
	@e2e/tools/clients.sh
	@e2e/tools/build.sh kubernetes
	cargo build --locked --release --package belfry-operator
	cargo build --locked --release --package belfry-e2e --bin bench_operator
	ulimit -n "$$(ulimit -Hn)"; "$$CARGO_TARGET_DIR/release/bench_operator" --models $(MODELS)

bench-operator-large: ## The same with 10,000 models, for most of an hour
	@$(MAKE) bench-operator MODELS=10000

.PHONY: bench-alerts
bench-alerts: SEEDS ?= 1,2,3,4,5,6,7,8,9,10
bench-alerts: FACTOR ?= 10
bench-alerts: ONLY ?=
bench-alerts: target cluster install ## Play faults in real pods, and measure what is heard: SEEDS=1,2,… time compressed by FACTOR=10, ONLY=outage,…
	cargo build --locked --release --package belfry-e2e --bin bench_alerts
	KUBECONFIG=$(BELFRY_STATE)/kubeconfig "$$CARGO_TARGET_DIR/release/bench_alerts" --seeds $(SEEDS) --factor $(FACTOR) $(if $(ONLY),--only $(ONLY))

.PHONY: bench-telemetry
bench-telemetry: ROUNDS ?= 12
bench-telemetry: target libtorch model ## Measure what telemetry costs a worker, beside one without it, also where its listeners fail, in ROUNDS=12
	@ROUNDS=$(ROUNDS) worker/clients/telemetry.sh

# Words in the names of tests that write files; a test holds them against the sources. The hashes in invariants.rs are none of
# them: a released pod template never changes.
WRITERS := golden current same_crd reviewed the_chart_carries

.PHONY: golden
golden: export UPDATE_EXPECT := 1
golden: target ## Rewrite generated files and golden files; then read the diff
	@e2e/tools/build.sh prometheus
	cargo test --locked --package belfry-crds --test crd -- $(WRITERS)
	cargo test --locked --package belfry-render --test golden --test monitoring -- $(WRITERS)
	cargo test --locked --package belfry-cli --bin belfry -- $(WRITERS)
	# promtool reads the rules that the line above writes.
	cargo test --locked --package belfry-render --test monitoring -- every_alert_fires

.PHONY: cluster
cluster: ## Start the local cluster, or find it running
	@e2e/tools/clients.sh
	@e2e/tools/build.sh
	@e2e/cluster/up.sh
	@config/monitoring/install.sh

.PHONY: cluster-down
cluster-down: ## Stop the local cluster; its state stays
	@e2e/cluster/down.sh

.PHONY: kubeconfig
kubeconfig: ## Print the path of a kubeconfig for the local cluster
	@echo $(BELFRY_STATE)/kubeconfig

.PHONY: images
images: libtorch ## Build the images of operator and worker, and import them into the local cluster
	@e2e/images.sh

.PHONY: engine-images
engine-images: ## Build images of other engines and models for them, and import the images into the local cluster
	@e2e/engines/images.sh

.PHONY: install
install: model images ## Install the charts into the cluster of KUBECONFIG, by default the local one
	@e2e/install.sh

.PHONY: target
target:
	@e2e/tools/target.sh

.PHONY: libtorch
libtorch: ## Fetch libtorch into the cache
	@worker/libtorch.sh

.PHONY: model
model: ## Fetch the model of the demo into the cache
	@e2e/models/fetch.sh
