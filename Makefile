# The commands of the project. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
# Tools that are built from Go modules lie outside the checkout; see `python -m cluster tools`.
TOOLS := $(or $(CRM_CLUSTER_CACHE),/var/cache/crm-cluster)/bin
export PATH := $(CURDIR)/.venv/bin:$(TOOLS):$(PATH)
PYTEST := $(PYTHON) -m pytest

.PHONY: help
help: ## This list.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20

.venv/complete: requirements/dev.txt
	@python3 -m venv .venv
	@echo "Installing Python packages (hash-pinned) …"
	@.venv/bin/pip install --quiet --no-deps --require-hashes --requirement requirements/dev.txt
	@printf '%s\n' "$(CURDIR)" > "$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
	@printf '#!/bin/sh\nexec "%s/.venv/bin/python" -m delivery "$$@"\n' "$(CURDIR)" > .venv/bin/delivery
	@chmod 0755 .venv/bin/delivery
	@touch $@

.PHONY: demo
demo: .venv/complete ## A cluster from nothing, a good release promoted, two bad ones rolled back, a report.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m delivery.drills.demo

.PHONY: up
up: .venv/complete ## The local cluster, Ready.
	@$(PYTHON) -m cluster up

.PHONY: down
down: .venv/complete ## The machine as it was before `make up`.
	@$(PYTHON) -m cluster down

.PHONY: test
test: .venv/complete servers tools lint types unit ## Format, lint, types, unit tests on real servers, chart and analysis tests.

.PHONY: e2e
e2e: .venv/complete ## The drills on the real cluster, through a Git push and under load; ends with the cluster down.
	@$(PYTHON) -m tests.e2e.machine build/machine-before.json
	@$(PYTHON) -m cluster up
	@$(PYTEST) tests/e2e -m e2e

.PHONY: drills
drills: .venv/complete ## The proof matrix on the real cluster, or one of it: make drills SCENARIO=errors
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m delivery.drills.matrix $(SCENARIO)

.PHONY: drills-more
drills-more: .venv/complete ## What is promised beside the matrix: each router's shares, times of production, what people do.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m delivery.drills.matrix --more

.PHONY: drills-alerts
drills-alerts: .venv/complete ## Each alert from its own fault: who is told when, its page's commands; docs/monitoring.md, docs/runbooks/.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m delivery.drills.matrix --alerts

.PHONY: soak
soak: .venv/complete ## 20 good releases in a row under load: none aborted, no request failed.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m delivery.drills.matrix good --times 20

.PHONY: compare
compare: .venv/complete ## The same bad release, shipped by a Deployment, by Argo Rollouts' documented analysis, by us: docs/compare.md
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m delivery.drills.compare

.PHONY: servers
servers: .venv/complete
	@$(PYTHON) -m cluster servers

.PHONY: tools
tools: .venv/complete
	@$(PYTHON) -m cluster tools helm kubectl kubeconform promtool registry vegeta > /dev/null

.PHONY: lint
lint:
	@ruff format --check .
	@ruff check .
	@shellcheck $$(git ls-files | xargs grep -d skip -lE '^#!/bin/(sh|bash)|^#!/usr/bin/env bash')
	@hadolint --no-color $$(git ls-files '*Containerfile')
	@for environment in dev staging production; do for strategy in rollouts/*.yaml; do \
	    helm lint --strict --quiet charts/crm --values $$strategy \
	        --values environments/$$environment/values.yaml \
	        --set image.repository=registry.example.com/crm --set image.digest=sha256:$$(printf 'a%.0s' {1..64}); \
	done; done

.PHONY: types
types:
	@mypy app delivery cluster monitoring tests

.PHONY: unit
unit:
	@$(PYTEST) --cov --cov-report=term

.PHONY: format
format: .venv/complete ## Rewrite the code in the project's format.
	@ruff format .
	@ruff check --fix .

.PHONY: generated
generated: .venv/complete ## Write what is made from monitoring/objectives.py: rules, docs/monitoring.md.
	@$(PYTHON) -m monitoring

.PHONY: dashboards
dashboards: .venv/complete ## Draw the dashboards with what the local cluster's Prometheus knows of the last 15 minutes.
	@$(PYTHON) -m monitoring pictures http://127.0.0.1:30090 15 build/dashboards

.PHONY: locks
locks: .venv/complete ## Resolve the requirements anew, with hashes.
	@for lock in app delivery dev; do \
	    uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --python-version 3.11 \
	        requirements/$$lock.in --output-file requirements/$$lock.txt; \
	done
	@for folder in cluster/tools cluster/tools/istio; do \
	    uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --python-version 3.11 \
	        $$folder/requirements.in --output-file $$folder/requirements.txt; \
	done
