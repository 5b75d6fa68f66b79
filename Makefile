# Commands for users and developers; `make help` lists them. Needs make and Python 3.11 or newer.

PYTHON ?= python3
PORT ?= 8080
DATABASE_URL ?= sqlite:///data/conduit.db
# Tests that run at a time under `make test`, each worker with servers of its own. Most wait more than they
# compute, so that there may be more of them than cores.
WORKERS ?= 6
# Of `make cluster`: how many nodes, and a folder for its data, to start it again with them.
NODES ?= 3
KEEP ?=
# Whether it asks for keys.
AUTH ?=
# How often `make crash` kills the server; `make test` kills it a few times.
KILLS ?= 50
# How often `make faults` brings each fault about; the disk fills up once.
TIMES ?= 30
# How many requests and connections `make fuzz` makes up, of each; `make test` makes some hundreds.
COUNT ?= 20000
# How long `make model` looks; `make test` takes a few seconds of it. And `make chaos` at most, if it is given.
MINUTES ?= 30
# What `make chaos` brings about: all, none, or some of tests/chaos/faults.py.
FAULTS ?= all
# `make lock UPGRADE=--upgrade` moves every package to its newest version.
UPGRADE ?=
# `make bench Q="publish fanout"` asks these questions only.
Q ?=
# Of `make load`: sqlite, postgresql, cluster · sustained, fanout, node-failure; all, if it is not said. SHORT=1 takes
# seconds, and measures nothing.
TARGET ?=
SCRIPT ?=
SHORT ?=
# Of `make ci-local`: the workflow, and one job of it. HERE=1 runs it in this folder, and not in a fresh clone.
WORKFLOW ?= pr-checks
JOB ?=
HERE ?=
# `make deploy-check ALL=1` fails on what cannot be looked at, too.
ALL ?=
# Of a release: its tag, and what `make image` has made and `make image-push` pushes by that name.
TAG ?=
IMAGE_NAME ?= ghcr.io/411sst/conduit
export IMAGE_NAME
# The command line of Railway, by which `make railway` deploys.
RAILWAY_CLI := @railway/cli@5.63.1
# Where `make test-lowest` installs the lowest versions that pyproject.toml allows.
LOWEST ?= .venv-lowest
# The Autobahn suite was written for this one.
PYTHON2 ?= python2.7

# What Python compiles is kept: thousands of tests are compiled once, and not once for each worker and run.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PIP := -m pip --disable-pip-version-check install
# `$(call install,VENV,WHAT)`: uv takes seconds for what pip takes a minute. Where uv finds no index, as behind a mirror
# that only pip was told of, pip does it.
install = UV_HTTP_TIMEOUT=15 $(BIN)/uv pip install --system-certs --python $(1)/bin/python $(2) || \
	$(1)/bin/python $(PIP) $(2)
# Serving does not wait for it, and goes before it.
DASHBOARD := nice $(BIN)/python -m tools.dashboard
# Threads that begin at the same time are now and then refused by Python 3.11 while lines are counted: what has failed
# is tried once more.
COVERED = $(BIN)/coverage run -m pytest -m 'not process and not slow' --hypothesis-profile fast
# What is about to happen, and how long it takes.
SAY := @echo make:
COMPILE := $(BIN)/uv pip compile --no-config --quiet --universal --python-version 3.11 \
	--generate-hashes --annotation-style line --no-header --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

setup: $(BIN)/.dev ## everything for development in .venv, with the command at .venv/bin/conduit

run: $(BIN)/.runtime ## serve on PORT (8080) with the log in DATABASE_URL (SQLite under ./data)
	@$(BIN)/python -c 'import socket, sys; sys.exit(not socket.socket().connect_ex(("127.0.0.1", int("$(PORT)"))))' || \
		{ echo 'make: port $(PORT) is taken; for another one: make run PORT=9000' >&2; exit 1; }
	$(SAY) conduit serve, until Ctrl-C
	@mkdir -p -m 700 data
	@$(DASHBOARD) build & PORT='$(PORT)' DATABASE_URL='$(DATABASE_URL)' exec $(BIN)/conduit serve

cluster: $(BIN)/.runtime ## NODES (3) behind nginx on PORT, with PostgreSQL and Redis, on this machine; KEEP=DIR keeps its data, AUTH=true asks for keys
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null && \
		{ command -v redis-server || command -v valkey-server; } >/dev/null && \
		PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || \
		{ echo 'make: a cluster is nodes, PostgreSQL, Redis and nginx: apt-get installs them on this machine, once'; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes \
			--no-install-recommends postgresql redis-server nginx-light; } || \
		{ echo 'a cluster needs postgresql, redis-server and nginx-light: as root, make cluster' >&2; exit 1; }
	@$(DASHBOARD) build & exec $(BIN)/python -m tools.cluster --port '$(PORT)' --nodes '$(NODES)' $(if $(KEEP),--keep '$(KEEP)') $(if $(AUTH),--auth '$(AUTH)')

dashboard: $(BIN)/.runtime ## the pages that the server serves at /ui/, into the package; nothing if they are there
	@$(DASHBOARD) build

screenshots: setup dashboard services ## every page and dialog of the dashboard, light and dark, narrow and wide, into reports/screenshots
	$(BIN)/python -m tests.browser.screenshots

docs: setup ## the documentation as a site, into build/docs; a dead link or a warning fails
	@$(BIN)/python -m tools.site

reference: setup ## docs/reference and docs/metrics.md: error codes, frames, OpenAPI, AsyncAPI, metrics, from the program itself
	@$(BIN)/python -m tools.reference

dashboard-check: $(BIN)/.runtime ## style, types and tests of the dashboard
	@$(DASHBOARD) check

dashboard-types: setup ## the shapes of the API's answers, for the dashboard, from what the server says of itself
	$(BIN)/python -m tools.dashboard_types

test: setup services ## style, types and all tests, with WORKERS (6) at a time; CI runs this and test-lowest
	@$(MAKE) --no-print-directory --jobs 2 lint types pages compiled
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal || \
		{ [ $$? -eq 1 ] && $(BIN)/python -m tools.second_try; }

# After each other: both install what the dashboard is built with.
pages: dashboard
	@$(DASHBOARD) check

# What pytest makes of the tests is kept: else each worker does it, all at the same time. What is wrong with
# them is seen when they run.
compiled: setup
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 || true

test-fast: setup ## the quick tests that start no process, so no server and no database: under a minute
	$(BIN)/python -m pytest -m 'not process and not slow' --hypothesis-profile fast --numprocesses 3 --dist worksteal

test-lowest: $(LOWEST)/.test ## quick tests of what calls other packages, with the lowest version of each that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest -m 'not process and not slow' --hypothesis-profile fast --numprocesses 3 --dist worksteal \
		$(patsubst %,tests/%,cli client cluster protocol server storage tenancy)

coverage: setup ## the tests that start no server, with what of the package they run: a floor, and reports/coverage to look at
	@rm -f .coverage .coverage.*
	$(COVERED) --numprocesses 3 --dist worksteal || $(COVERED) --last-failed
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage html --quiet --fail-under 0
	$(BIN)/coverage report

ci-local: setup ## what the workflow pr-checks runs, on this machine, in a fresh clone; JOB=lint for one job, WORKFLOW=release, HERE=1
	@$(BIN)/python -m tools.ci_local '$(WORKFLOW)' $(if $(JOB),--job '$(JOB)') $(if $(HERE),--here)

deploy-tools: ## the programs that read what Conduit is deployed with: nginx, Caddy, systemd, OpenSSL
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null && command -v caddy >/dev/null && \
		command -v systemd-analyze >/dev/null && command -v openssl >/dev/null || \
		{ echo 'make: deployment files are read by nginx, Caddy and systemd: apt-get installs them on this machine, once'; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes \
			--no-install-recommends nginx-light caddy systemd openssl; } || \
		{ echo 'deployment files are read by nginx-light, caddy, systemd and openssl: as root, make deploy-tools' >&2; exit 1; }

deploy-check: setup ## schemas, linters, nginx, Caddy and systemd on what Conduit is deployed with, and on workflows
	@$(DASHBOARD) packages
	@$(BIN)/python -m tools.deploy $(if $(ALL),--all) || { echo 'make: what Conduit is deployed with is wrong: see above' >&2; exit 1; }

services: ## the programs that tests start: PostgreSQL, PgBouncer, Redis (and Valkey where Debian has it), nginx, Caddy, Chromium, Prometheus
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && command -v pgbouncer >/dev/null && \
		command -v redis-server >/dev/null && PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null && \
		command -v caddy >/dev/null && command -v prometheus >/dev/null && command -v promtool >/dev/null && \
		{ command -v chromium || command -v google-chrome; } >/dev/null && \
		PATH="$$PATH:/usr/sbin" command -v debootstrap >/dev/null || \
		{ echo 'make: the tests start PostgreSQL, PgBouncer, Redis, nginx, Caddy, Chromium and Prometheus, and make a bare Debian: apt-get installs them on this machine, once'; \
		browser=$$(command -v chromium || command -v google-chrome) && browser= || browser=chromium; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes \
			--no-install-recommends postgresql pgbouncer redis-server nginx-light caddy $$browser prometheus \
			debootstrap debian-archive-keyring && \
		{ ! apt-cache show valkey-server >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --yes --no-install-recommends valkey-server || true; }; } || \
		{ echo 'the tests need postgresql, pgbouncer, redis-server, nginx-light, caddy, chromium, prometheus and debootstrap: as root, make services' >&2; exit 1; }

lint: setup ## style, format, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

format: setup ## rewrite the code in the one format
	$(BIN)/ruff check --fix --select I
	$(BIN)/ruff format

types: setup ## mypy --strict on src, bench and tools
	$(BIN)/mypy

metrics-check: setup services ## metrics of real servers, alert rules, dashboard and docs/metrics.md: by promtool, and by tests
	promtool check config deploy/prometheus/prometheus.yml
	promtool test rules deploy/prometheus/alerts_test.yml
	$(BIN)/python -m pytest tests/prometheus tests/e2e/test_prometheus.py tests/server/test_metrics.py tests/tools/test_reference_metrics.py

image: ## the container image, by docker, as `conduit`
	@docker info >/dev/null 2>&1 || \
		{ echo 'make: no container engine answers here; as root, make image-check tries the Dockerfile without one' >&2; exit 1; }
	docker build --tag conduit .

image-check: setup services ## the Dockerfile by hadolint, and each step of it in a bare Debian, without an engine; then what it serves. As root
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m tools.image --cache build/bare

model: setup services ## the broker beside the model of what it promises, for MINUTES (30): in process, then a real server, then two nodes
	$(BIN)/python -m tests.model.run --minutes $(MINUTES)
	$(BIN)/python -m tests.model.served --minutes $(MINUTES)
	$(BIN)/python -m tests.model.linked --minutes $(MINUTES)

crash: setup ## kill the server KILLS (50) times under load and check that nothing acked is lost
	$(BIN)/python -m tests.crash.run --store sqlite --fault server --times $(KILLS)

faults: setup services ## the same on PostgreSQL, with TIMES (30) of each fault of server, database and network
	$(BIN)/python -m tests.crash.run --store postgres --times $(TIMES) \
		--fault server postmaster stop reset disk

backups: setup services ## back up under load and restore elsewhere by the commands of docs/backup.md, TIMES (30) on SQLite and PostgreSQL
	$(BIN)/python -m tests.backup --times $(TIMES)

chaos: setup services ## a cluster under load while FAULTS (all) strike: half an hour, or TIMES of each, or for MINUTES; FAULTS=none
	@PATH="$$PATH:/usr/sbin" command -v ip >/dev/null && ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || \
		{ echo 'make: networks are cut with iproute2, and clocks set wrong with faketime: apt-get installs them on this machine, once'; \
		apt-get install -qq --yes --no-install-recommends iproute2 faketime; } || \
		echo 'make: without iproute2 or faketime some faults are left out' >&2
	$(BIN)/python -m tests.chaos.run --fault $(FAULTS) \
		$(if $(filter-out file,$(origin TIMES)),--times $(TIMES)) $(if $(filter-out file,$(origin MINUTES)),--minutes $(MINUTES))

walk: setup services ## docs/walk.md, command by command, in a bare Debian that is made for it: as root, some minutes
	$(BIN)/python -m tests.walk --cache build/bare

load: setup services ## k6: steady publishing, fan-out to 1,000, a node that is killed; on one node and three behind nginx: twenty minutes
	$(BIN)/python -m tests.load --out reports/load \
		$(if $(TARGET),--target $(TARGET)) $(if $(SCRIPT),--script $(SCRIPT)) $(if $(SHORT),--short)

fuzz: setup ## COUNT (20000) requests that the API's description allows or not, and as many WebSockets that do what none should
	$(BIN)/python -m tests.fuzz.requests --requests $(COUNT)
	$(BIN)/python -m tests.fuzz.sockets --connections $(COUNT)

planted: setup services ## old faults put back one by one, and how long the model takes to find each; then those of a cluster
	$(BIN)/python -m tests.model.planted
	$(BIN)/python -m tests.chaos.planted

autobahn: setup ## the WebSocket conformance suite; needs a Python 2.7 (see tests/autobahn)
	$(BIN)/python tests/autobahn/run.py --python2 $(PYTHON2)

bench: $(BIN)/.bench ## all benchmarks, short, beside NATS and Redis; Q="publish fanout" for these
	$(BIN)/python -m bench $(Q) --short --rounds 1

figures: $(BIN)/.bench ## all benchmarks in full (hours), and docs/benchmarks.md from them
	$(BIN)/python -m bench --rounds 3 --out bench/results/$(shell date -u +%Y-%m-%d).jsonl
	$(BIN)/python -m bench.report

audit: setup ## known vulnerabilities of what is locked, and faults of workflows; asks public databases, and fails without an answer
	@$(BIN)/python -m tools.audit || { echo 'make: something is vulnerable, or was not audited: see above' >&2; exit 1; }

sbom: setup ## the bill of materials of what users install, in CycloneDX, into build/sbom.cdx.json
	@$(BIN)/python -m tools.sbom build/sbom.cdx.json

wheel: dashboard ## wheel and sdist, with the dashboard's pages, and their checksums, into dist
	@rm -f dist/*.whl dist/*.tar.gz dist/SHA256SUMS
	$(BIN)/python -m hatchling build --directory dist
	@$(BIN)/python -m tools.release sums dist

release-check: $(BIN)/.runtime ## whether TAG is that of the version in the code, with a heading in CHANGELOG.md
	@$(BIN)/python -m tools.release check "$${TAG}"

image-push: ## push what `make image` has made, as IMAGE_NAME (in lower case, as registries want it) with the version of TAG and as latest
	@test -n "$${TAG}" || { echo 'make: which release? make image-push TAG=v1.2.3' >&2; exit 1; }
	@name=$$(echo "$${IMAGE_NAME}" | tr A-Z a-z) && for tag in "$${TAG#v}" latest; do \
		docker tag conduit "$$name:$$tag" && docker push "$$name:$$tag" || exit 1; done

github-release: ## make the release of TAG on GitHub, with what is in build/release; needs gh and GH_TOKEN
	@test -n "$${TAG}" || { echo 'make: which release? make github-release TAG=v1.2.3' >&2; exit 1; }
	gh release create "$${TAG}" --verify-tag --generate-notes $$(find build/release -type f)

railway-tool: ## the command line of Railway, into build/railway
	npm install --no-audit --no-fund --no-save --prefix build/railway $(RAILWAY_CLI)

railway: ## deploy this folder to Railway, as RAILWAY_SERVICE; needs RAILWAY_TOKEN, and `make railway-tool` before
	@test -n "$${RAILWAY_TOKEN}" || { echo 'make: RAILWAY_TOKEN is not set: a project token, see docs/deploy.md' >&2; exit 1; }
	build/railway/node_modules/.bin/railway up --ci --service "$${RAILWAY_SERVICE:-conduit}"

lock: setup ## choose the packages again; UPGRADE=--upgrade for the newest
	$(COMPILE) $(UPGRADE) --group dev --extra otel pyproject.toml --output-file requirements/dev.txt
	$(COMPILE) $(UPGRADE) --constraint requirements/dev.txt pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) $(UPGRADE) --constraint requirements/dev.txt --extra otel pyproject.toml --output-file requirements/image.txt
	$(COMPILE) $(UPGRADE) --group bench --output-file requirements/bench.txt
	$(COMPILE) $(UPGRADE) --group dashboard --output-file requirements/dashboard.txt
	$(COMPILE) $(UPGRADE) --constraint requirements/dev.txt --group build --output-file requirements/build.txt
	$(COMPILE) $(UPGRADE) --resolution lowest-direct --group test --extra otel pyproject.toml --output-file requirements/lowest.txt

clean: ## remove what these commands made, except ./data
	rm -rf dashboard/node_modules src/conduit/server/dashboard/dist
	rm -rf .venv $(LOWEST) build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamps say which lock files .venv was made from, so that nothing happens when nothing changed.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Conduit needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo 'Python lacks its venv module: on Debian and Ubuntu, apt-get install python3-venv' >&2; exit 1; }
	$(SAY) making a virtual environment in .venv: some seconds
	@$(PYTHON) -m venv --clear .venv

$(BIN)/.runtime: $(BIN)/python requirements/runtime.txt requirements/build.txt pyproject.toml
	$(SAY) installing what Conduit needs into .venv: some seconds, once
	@$(BIN)/python $(PIP) --quiet --require-hashes -r requirements/build.txt
	@$(call install,.venv,--require-hashes -r requirements/runtime.txt)
	@$(call install,.venv,--no-deps --no-build-isolation --editable .)
	@touch $@

$(BIN)/.bench: $(BIN)/.dev requirements/bench.txt
	@command -v wrk redis-server redis-benchmark >/dev/null || \
		{ echo 'make: the benchmarks run wrk and Redis: apt-get installs them on this machine, once'; \
		apt-get install --yes --no-install-recommends wrk redis-server; } || \
		{ echo 'the benchmarks need wrk and redis-server: as root, apt-get update && make bench' >&2; exit 1; }
	$(SAY) installing the peers of the benchmarks into .venv
	@$(call install,.venv,--require-hashes -r requirements/bench.txt)
	@touch $@

$(BIN)/.dev: $(BIN)/.runtime requirements/dev.txt
	$(SAY) installing the tools of developers into .venv: some seconds, once
	@$(call install,.venv,--require-hashes -r requirements/dev.txt)
	@touch $@

$(LOWEST)/.test: $(BIN)/.runtime requirements/lowest.txt pyproject.toml
	$(SAY) installing the lowest versions of what Conduit needs into $(LOWEST): some seconds, once
	@$(BIN)/python -m venv --clear $(LOWEST)
	@$(call install,$(LOWEST),--require-hashes -r requirements/lowest.txt)
	@$(call install,$(LOWEST),--no-deps --no-build-isolation --editable .)
	@touch $@
