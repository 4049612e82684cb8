# The workshop. `make` explains itself; every other target does its own set-up in .venv.

SHELL := /bin/sh
.DEFAULT_GOAL := help

ifndef PYTHON
PYTHON := $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
		>/dev/null 2>&1 && echo "$$candidate" && break; done)
endif
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-input
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

# Trials bring their own Postgres, the same on every machine; INGRESS_TESTBED_POSTGRES=installed
# takes this machine's instead.
POSTGRES := INGRESS_TESTBED_POSTGRES=$${INGRESS_TESTBED_POSTGRES:-embedded}
# Likewise for Kafka: the embedded broker, but Apache Kafka for test-kafka. BROKER=redpanda is
# Redpanda in a container.
KAFKA := INGRESS_TESTBED_KAFKA=$(or $(BROKER),$${INGRESS_TESTBED_KAFKA:-embedded})
APACHE_KAFKA := INGRESS_TESTBED_KAFKA=$(or $(BROKER),$${INGRESS_TESTBED_KAFKA:-installed})
PYTEST := $(POSTGRES) $(KAFKA) $(BIN)/pytest -n 2 --dist worksteal

.PHONY: help install demo test kafka test-kafka trials test-ops test-all soak nightly check audit bench \
	docs lock clean

help: ## Show this list
	@echo "telematics-ingress. First: make demo, then make test. Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo "ARGS go to the tool behind: make demo ARGS='--vehicles 20', make test ARGS='-k journal'"
	@echo "PYTHON chooses the interpreter of a new .venv (3.11 to 3.14): $(or $(PYTHON),none found)"

install: $(VENV)/.ready-dev ## Set up .venv with everything that developers need

demo: $(VENV)/.ready-demo ## The whole system on this machine, with a live view
	@$(POSTGRES) $(KAFKA) $(BIN)/ingress demo $(ARGS)

test: $(VENV)/.ready-dev ## Unit, contract, integration and seeded acceptance tests, on Postgres 18
	$(PYTEST) -m "not recordings and not trials and not kafka and not ops" \
		--ignore tests/integration/packaging $(ARGS)

kafka: .kafka/.ready ## Fetch Apache Kafka into .kafka, once; needs Java 17 or newer and Maven

# One after the other: a cluster of three wants both cores for itself.
test-kafka: $(VENV)/.ready-dev $(if $(BROKER),,kafka) ## Whatever uses a broker, on Apache Kafka; BROKER=redpanda needs Docker
	$(POSTGRES) $(APACHE_KAFKA) $(BIN)/pytest \
		-m $(if $(filter-out installed,$(BROKER)),"broker and not kafka","kafka or broker and not trials") $(ARGS)

trials: $(VENV)/.ready-dev ## Processes killed at any step, ways and databases that fail, the compose file's services
	$(PYTEST) -m "trials and not kafka" tests/acceptance tests/integration/compose $(ARGS)

test-ops: $(VENV)/.ready-dev ## Dashboards, alerts and runbooks against metrics: promtool, and a demo that Prometheus scrapes
	@for tool in prometheus promtool; do command -v $$tool >/dev/null || { \
		echo "No $$tool on PATH. Debian, Ubuntu: sudo apt-get install prometheus"; exit 1; } >&2; done
	promtool check config ops/prometheus/prometheus.yml
	promtool test rules ops/prometheus/tests/*.yml
	$(BIN)/python -m ingress_testbed.observability lint
	$(POSTGRES) $(KAFKA) $(BIN)/pytest tests/ops $(ARGS)

test-all: $(VENV)/.ready-dev ## All of these and, where they are found, the real recordings
	$(PYTEST) -m "not kafka and not ops" --ignore tests/integration/packaging $(ARGS)

soak: $(VENV)/.ready-dev ## Twenty rounds of kills and ten minutes of overload; about half an hour
	$(POSTGRES) SOAK_ROUNDS=$${SOAK_ROUNDS:-20} $(BIN)/pytest -m trials -rP \
		tests/acceptance/test_kill_points.py tests/acceptance/test_overload.py $(ARGS)

nightly: $(VENV)/.ready-dev ## A million hostile messages of each kind, and thousands of requests; hours
	HYPOTHESIS_PROFILE=nightly $(PYTEST) tests/unit/contracts/test_hostile_bindings.py \
		tests/unit/ingest/test_hostile_messages.py tests/integration/api/test_description.py $(ARGS)

check: $(VENV)/.ready-dev ## Style, types, walls between rooms, generated documents, wheel and extras
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ingress_testbed.documents --check
	$(PYTEST) tests/integration/packaging
	$(MAKE) audit

audit: $(VENV)/.ready-dev ## Pinned packages against published advisories, where those can be reached
	$(BIN)/python -m ingress_testbed.audit requirements/demo.txt requirements/dev.txt

bench: $(VENV)/.ready-dev ## Rates, WAL and wire bytes, each beside a baseline; the Kafka part after make kafka
	@$(POSTGRES) $(APACHE_KAFKA) $(BIN)/python -m ingress_testbed.bench $(ARGS)

docs: $(VENV)/.ready-dev ## Write the documents that are generated from the code
	$(BIN)/python -m ingress_testbed.documents

lock: $(BIN)/pip ## Pin the requirements anew, with hashes, for all platforms
	command -v uv >/dev/null || $(PIP) uv
	PATH="$$PATH:$(BIN)" $(LOCK) --all-extras --group build --group test --group check \
		pyproject.toml --output-file requirements/dev.txt
	PATH="$$PATH:$(BIN)" $(LOCK) --extra testbed --group build --constraints requirements/dev.txt \
		pyproject.toml --output-file requirements/demo.txt
	PATH="$$PATH:$(BIN)" $(LOCK) --extra api --extra consumer --constraints requirements/dev.txt \
		pyproject.toml --output-file requirements/core.txt
	PATH="$$PATH:$(BIN)" $(LOCK) --extra publisher --extra kafka --constraints requirements/dev.txt \
		pyproject.toml --output-file requirements/publisher.txt
	PATH="$$PATH:$(BIN)" $(LOCK) --group build --constraints requirements/dev.txt \
		--output-file requirements/build.txt

clean: ## Remove .venv and what tools left behind
	rm -rf $(VENV) .kafka build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# Jars of the pinned versions and nothing else, then archives of their classes, for a quick start.

.kafka/.ready: ops/kafka/pom.xml | $(VENV)/.ready-dev
	@for tool in java mvn; do command -v $$tool >/dev/null || { \
		echo "No $$tool on PATH: Apache Kafka needs Java 17 or newer, and Maven to fetch it."; \
		echo "  Debian, Ubuntu:  sudo apt-get install default-jre-headless maven"; \
		echo "  Fedora:          sudo dnf install java-latest-openjdk-headless maven"; \
		echo "  macOS:           brew install openjdk maven"; \
		echo "Or set KAFKA_HOME to an Apache Kafka, or INGRESS_KAFKA_BOOTSTRAP to a broker"; \
		echo "(and type: make test-kafka BROKER=installed, or BROKER=address)."; exit 1; } >&2; done
	@echo "Fetching Apache Kafka into .kafka, once ..."
	@rm -rf .kafka
	@mvn --batch-mode --quiet --strict-checksums --file ops/kafka/pom.xml \
		dependency:copy-dependencies
	@$(BIN)/python -m ingress_testbed.servers.kafka_archive
	@touch $@

# Two sets of pinned packages: the demo's is small, so that the first data comes soon.

$(VENV)/.ready-demo: requirements/demo.txt pyproject.toml | $(BIN)/pip
	@echo "Installing what the demo needs into $(VENV), once ..."
	@$(PIP) --require-hashes --requirement requirements/demo.txt
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.ready-dev: requirements/dev.txt pyproject.toml | $(BIN)/pip
	@echo "Installing what developers need into $(VENV), once ..."
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $(VENV)/.ready-demo $@

$(BIN)/pip:
	@test -n "$(PYTHON)" || { \
		echo "No Python 3.11, 3.12, 3.13 or 3.14 found. Install one, or name it:"; \
		echo "  make PYTHON=/path/to/python3.13"; exit 1; } >&2
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		version=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "$(PYTHON) (Python $$version) lacks the venv module. Install it, then try again:"; \
		echo "  Debian, Ubuntu:  sudo apt-get install python$$version-venv"; \
		echo "  Fedora:          sudo dnf install python$$version python3-pip"; exit 1; } >&2
	@"$(PYTHON)" -m venv $(VENV)
