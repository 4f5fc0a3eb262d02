# The commands of the project. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
# Tools that are built from Go modules lie outside the checkout; see `python -m cluster tools`.
TOOLS := $(or $(CRM_CLUSTER_CACHE),/var/cache/crm-cluster)/bin
export PATH := $(CURDIR)/.venv/bin:$(TOOLS):$(PATH)
PYTEST := $(PYTHON) -m pytest
SCAN := .venv/scan/bin

##@ Start

# `##@ GROUP` puts the targets below it into a group of the list, `## …` after a target is its line.
.PHONY: help
help: ## This list.
	@awk -F ':.*## ' 'sub(/^##@ /, "") { group = $$0; if (!(group in lines)) groups[++count] = group } \
	    /^[a-z0-9-]+:.*## / { lines[group] = lines[group] sprintf("  make %-15s %s\n", $$1, $$2) } \
	    END { for (i = 1; i <= count; i++) printf "%s%s\n%s", (i > 1 ? "\n" : ""), groups[i], lines[groups[i]] }' $(MAKEFILE_LIST)

.venv/complete: requirements/dev.txt
	@python3 -m venv .venv
	@echo "Installing Python packages (hash-pinned) …"
	@.venv/bin/pip install --quiet --no-deps --require-hashes --requirement requirements/dev.txt
	@printf '%s\n' "$(CURDIR)" > "$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
	@printf '#!/bin/sh\nexec "%s/.venv/bin/python" -m delivery "$$@"\n' "$(CURDIR)" > .venv/bin/delivery
	@chmod 0755 .venv/bin/delivery
	@touch $@

.venv/scan/complete: requirements/scan.txt .venv/complete
	@python3 -m venv .venv/scan
	@echo "Installing the scanners (hash-pinned) …"
	@$(SCAN)/pip install --quiet --no-deps --require-hashes --requirement requirements/scan.txt
	@touch $@

.PHONY: packages
packages: .venv/complete ## Python packages, hash-pinned, in .venv.

.PHONY: demo
demo: .venv/complete ## A cluster from nothing; a good release, two bad ones.
	@$(PYTHON) -m drills.scenarios.demo

.PHONY: up
up: .venv/complete ## The local cluster, Ready.
	@$(PYTHON) -m cluster up

.PHONY: down
down: .venv/complete ## The machine as it was before `make up`.
	@$(PYTHON) -m cluster down

##@ Develop

.PHONY: local-image
local-image: .venv/complete ## What is committed, for the local cluster: VERSION=1.6
	@$(call needs,VERSION)
	@$(PYTHON) -m drills.fixtures.images "$$VERSION"

##@ Verify

.PHONY: test
test: .venv/complete servers tools lint types unit ## Format, lint, types and all tests; no cluster.

.PHONY: e2e
e2e: .venv/complete ## The main drills and the tutorial, then `down`: 15 min.
	@$(PYTHON) -m tests.e2e.machine build/machine-before.json
	@$(PYTHON) -m cluster up
	@$(PYTEST) tests/e2e -m e2e

# What ended as it should at this commit is not played again: a long run may take more than one sitting.
RESUMED := $(if $(RESUME),--resume)

.PHONY: drills
drills: .venv/complete ## The proof matrix; SCENARIO=errors one, RATE=30, RESUME=1.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m drills.main $(SCENARIO) $(RESUMED)

.PHONY: drills-extended
drills-extended: .venv/complete ## The extended suite: routers, people, production's times.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m drills.main --extended $(RESUMED)

.PHONY: drills-alerts
drills-alerts: .venv/complete ## Each alert from its own fault to its end.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m drills.main --alerts

.PHONY: soak
soak: .venv/complete ## 20 good releases in a row under load.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m drills.main good --times 20

.PHONY: compare
compare: .venv/complete ## The same bad release shipped by other means.
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m drills.scenarios.comparison

##@ Develop

.PHONY: servers
servers: .venv/complete
	@$(PYTHON) -m cluster servers

.PHONY: tools
tools: .venv/complete
	@$(PYTHON) -m cluster tools actionlint helm helm-docs kubectl kubeconform promtool registry vegeta > /dev/null

.PHONY: lint
lint: ## Format and lint of Python, shell scripts, images.
	@ruff format --check .
	@ruff check .
	@shellcheck $$(git ls-files | xargs grep -d skip -lE '^#!/bin/(sh|bash)|^#!/usr/bin/env bash')
	@hadolint --no-color $$(git ls-files '*Containerfile')

.PHONY: types
types: ## Types, by mypy.
	@mypy app delivery drills cluster monitoring pipeline tests

# Half of a test's time is waiting: for a process to start, a time-out, a server that hangs.
WORKERS ?= $(shell echo $$(( $$(nproc) * 3 / 2 )))

.PHONY: unit
unit: .venv/scan/complete ## All tests but e2e, with coverage.
	@$(PYTEST) -n $(WORKERS) --dist worksteal --cov --cov-report=term

.PHONY: test-fast
test-fast: .venv/complete servers ## Most tests, in a minute and a half.
	@$(PYTEST) -n $(WORKERS) --dist worksteal -m "not e2e and not performance and not slow" app delivery drills cluster

.PHONY: format
format: .venv/complete ## Rewrite the code in the project's format.
	@ruff format .
	@ruff check --fix .

.PHONY: generated
generated: .venv/complete ## Write what is made from code: rules, pages, openapi.yaml.
	@$(PYTHON) -m monitoring
	@PYTHONPATH=app $(PYTHON) -m pipeline.openapi
	@$(PYTHON) -m cluster tools helm-docs > /dev/null
	@$(PYTHON) -m pipeline.chart_readme

.PHONY: dashboards
dashboards: .venv/complete ## Draw the dashboards' last 15 minutes, local cluster.
	@$(PYTHON) -m monitoring charts http://127.0.0.1:30090 15 build/report/dashboards

.PHONY: results
results: .venv/complete ## Page and picture of each whole run: docs/results/.
	@$(PYTHON) -m drills.report.whole_run

.PHONY: locks
locks: .venv/complete ## Resolve the requirements anew, with hashes.
	@for lock in app delivery dev scan; do \
	    uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --python-version 3.11 \
	        requirements/$$lock.in --output-file requirements/$$lock.txt; \
	done
	@for folder in cluster/tools cluster/tools/istio cluster/tools/trivy; do \
	    uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --python-version 3.11 \
	        $$folder/requirements.in --output-file $$folder/requirements.txt; \
	done

# The stages of the pipeline. .github/workflows calls these one by one; docs/pipeline.md tells what each is for. What a person
# gives on the command line comes as a variable of the environment there, and is never part of a command's text.
needs = for name in $(1); do test -n "$${!name:-}" || { echo "make $@: $$name is missing; give it as $$name=…" >&2; exit 2; }; done
# What a step tells the next one; on a person's machine the screen shows it.
tell = tee --append "$${GITHUB_OUTPUT:-/dev/null}"

##@ Verify

.PHONY: ci
ci: quality tests scan ## The pipeline's stages that need no cloud.

.PHONY: quality
quality: tools lint types bandit audit secrets generated-check ## Stage 1: format, lint, types, dependencies, secrets.

.PHONY: tests
tests: servers tools unit fuzz security performance migrations ## Stage 2: all tests, also the base commit's.

.PHONY: scan
scan: tools semgrep policies workflows ## Stage 3: code, chart, images and workflows against rules.

.PHONY: bandit
bandit: .venv/scan/complete
	@$(SCAN)/bandit --quiet --recursive --configfile pyproject.toml --severity-level medium \
	    app delivery drills cluster monitoring pipeline

.PHONY: audit
audit: .venv/scan/complete
	@$(PYTHON) -m pipeline.audit requirements/dev.txt requirements/scan.txt

# Known forms of secrets. Guesses by a variable's name (36 here, no secret among them) and by entropy (hashes) are left out.
.PHONY: secrets
secrets: .venv/complete
	@git ls-files -z | xargs --null detect-secrets-hook --no-verify --disable-plugin KeywordDetector \
	    --disable-plugin HexHighEntropyString --disable-plugin Base64HighEntropyString

.PHONY: generated-check
generated-check: .venv/complete
	@PYTHONPATH=app $(PYTHON) -m pipeline.generated

.PHONY: integration
integration: .venv/complete ## The CRM's tests; POSTGRESQL=14 to 17 chooses the server.
	@$(PYTEST) app

.PHONY: security
security: .venv/complete ## The CRM's tests of rights, settings and private logs.
	@$(PYTEST) app -m security

.PHONY: performance
performance: .venv/complete ## The p95 of the API's lists with a thousand records.
	@$(PYTEST) app -m performance

.PHONY: fuzz
fuzz: .venv/complete servers ## The API against docs/openapi.yaml and a corpus; SEED=…
	@PYTHONPATH=app $(PYTHON) -m pipeline.fuzz

.PHONY: bench-app
bench-app: .venv/complete servers ## The lists' p95 with 1,000,000 rows beside 10,000.
	@$(PYTHON) -m cluster tools vegeta > /dev/null
	@PYTHONPATH=app $(PYTHON) -m pipeline.bench_app

.PHONY: migrations
migrations: .venv/complete ## The base commit's tests (BASE=…) on this one's schema.
	@PYTHONPATH=app $(PYTHON) -m pipeline.migrations $${TESTS:-}

.PHONY: semgrep
semgrep: .venv/scan/complete
	@$(SCAN)/semgrep scan --quiet --error --metrics=off --disable-version-check --config=policies/semgrep.yaml app delivery drills cluster

CHART := charts/crm
.PHONY: policies
policies: .venv/scan/complete
	@rm -rf build/rendered
	@$(PYTHON) -m pipeline.rendered $(CHART) build/rendered
	@helm template delivery-guard charts/delivery-guard --namespace argocd --set repoURL=https://git.example.com/crm.git \
	    --set image.repository=registry.example.com/delivery,image.digest=sha256:$$(printf 'a%.0s' {1..64}) > build/rendered/guard.yaml
	@helm template environments charts/environments --namespace argocd --set repoURL=https://git.example.com/crm.git \
	    > build/rendered/environments.yaml
	@$(SCAN)/checkov --config-file=policies/checkov.yaml --directory=build/rendered

# actionlint 1.7.12 does not know the form $$/ yet (its issue 711), which zizmor asks for; ./ means the same file.
.PHONY: workflows
workflows: .venv/scan/complete
	@$(SCAN)/zizmor --quiet --offline --persona=pedantic --strict-collection .
	@rm -rf build/workflows && mkdir -p build/workflows/.git && cp -r .github build/workflows
	@sed -i 's|uses: \$$/|uses: ./|' build/workflows/.github/workflows/*.yml
	@cd build/workflows && actionlint

##@ Release

IMAGE_CONTENT := app requirements/app.txt
# A builder of its own: only such a one can push by digest and tell where an image comes from.
BUILDER := docker buildx inspect crm > /dev/null 2>&1 || docker buildx create --name crm > /dev/null
BUILD := docker buildx build --builder crm --file app/Containerfile --build-arg VERSION="$${VERSION:-0.0.0}" --build-arg REVISION="$$(git rev-parse HEAD)"
.PHONY: image-check
image-check: ## Can the image be built from what is committed? (Docker)
	@$(BUILDER)
	@git archive HEAD $(IMAGE_CONTENT) | $(BUILD) --output type=cacheonly -

.PHONY: image
image: ## Build and push (Docker): REPOSITORY=… VERSION=1.6
	@$(call needs,REPOSITORY VERSION)
	@mkdir -p build
	@$(BUILDER)
	@repository=$${REPOSITORY,,}; git archive HEAD $(IMAGE_CONTENT) | $(BUILD) --provenance=mode=max \
	    --output "type=image,name=$$repository,push-by-digest=true,name-canonical=true,push=true" \
	    --metadata-file build/image.json -; \
	digest=$$(jq --raw-output '."containerimage.digest"' build/image.json); \
	printf '%s\n' "repository=$$repository" "digest=$$digest" "image=$$repository@$$digest" | $(tell)

.PHONY: scanner
scanner: .venv/complete
	@$(PYTHON) -m cluster tools trivy cosign > /dev/null

# The key in COSIGN_PRIVATE_KEY signs, and no public log hears of it; without one the workflow's own identity does.
COSIGN = --yes $${COSIGN_PRIVATE_KEY:+--key=env://COSIGN_PRIVATE_KEY --use-signing-config=false --tlog-upload=false}

.PHONY: sign
sign: ## Sign an image: IMAGE=…@sha256:…
	@$(call needs,IMAGE)
	@cosign sign $(COSIGN) "$$IMAGE"

.PHONY: sbom
sbom: ## List an image's contents, signed: IMAGE=…@sha256:…
	@$(call needs,IMAGE)
	@mkdir -p build
	@trivy image --quiet --format spdx-json --output build/sbom.json "$$IMAGE"
	@cosign attest $(COSIGN) --type spdxjson --predicate build/sbom.json "$$IMAGE"

.PHONY: image-scan
image-scan: ## Scan an image, sign the result: IMAGE=…@sha256:…
	@$(call needs,IMAGE COSIGN_PRIVATE_KEY)
	@mkdir -p build
	@trivy image --quiet --format cosign-vuln --output build/scan.json "$$IMAGE"
	@cosign attest $(COSIGN) --new-bundle-format=false --type vuln --predicate build/scan.json --replace "$$IMAGE"

.PHONY: check-scan
check-scan: .venv/complete ## Refuse a vulnerable image: IMAGE=… SCAN_PUBLIC_KEY=…
	@$(call needs,IMAGE SCAN_PUBLIC_KEY)
	@delivery check-scan "$$IMAGE" --key <(printf '%s\n' "$$SCAN_PUBLIC_KEY")

.PHONY: critical
critical: .venv/complete
	@$(call needs,IMAGE SCAN_PUBLIC_KEY)
	@status=0; delivery check-scan --critical "$$IMAGE" --key <(printf '%s\n' "$$SCAN_PUBLIC_KEY") || status=$$?; \
	case $$status in 0) echo critical=false ;; 3) echo critical=true ;; *) exit $$status ;; esac | $(tell)

# In a job of the pipeline Git's password is a variable; on a person's machine Git asks for it as ever.
ifdef GIT_TOKEN
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := credential.helper
export GIT_CONFIG_VALUE_0 := !f() { printf 'username=x-access-token\npassword=%s\n' "$$GIT_TOKEN"; }; f
endif

.PHONY: release
release: .venv/complete ## To an environment: IMAGE=…@sha256:… ENVIRONMENT=dev
	@$(call needs,IMAGE ENVIRONMENT)
	@delivery release --image "$$IMAGE" --to "$$ENVIRONMENT"

.PHONY: promote
promote: .venv/complete ## To the next environment: SOURCE=dev ENVIRONMENT=staging
	@$(call needs,SOURCE ENVIRONMENT)
	@delivery promote "$$SOURCE" "$$ENVIRONMENT"

.PHONY: rollback
rollback: .venv/complete ## To the former release: ENVIRONMENT=… REASON='…' FROM=1.6
	@$(call needs,ENVIRONMENT REASON)
	@delivery rollback "$$ENVIRONMENT" --reason "$$REASON" $${FROM:+--from "$$FROM"}

.PHONY: current-image
current-image: .venv/complete ## The image that ENVIRONMENT=… has in Git.
	@$(call needs,ENVIRONMENT)
	@image=$$(delivery current-image "$$ENVIRONMENT"); echo "image=$$image" | $(tell)

.PHONY: verify
verify: .venv/complete ## Is a release well? ENVIRONMENT=dev URL=… PROMETHEUS=…
	@$(call needs,ENVIRONMENT URL PROMETHEUS)
	@delivery verify "$$ENVIRONMENT" --url "$$URL" --prometheus "$$PROMETHEUS"
