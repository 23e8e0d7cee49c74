# Two commands matter: `make run` and `make test`. Each sets up what is missing first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An environment with another Python than the requested one is created again.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) --version 2>&1),$(shell $(BIN)/python --version 2>&1))
.PHONY: $(VENV)/.ready
endif
endif
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# mkdocs-material's advertisement of its successor.
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help setup run live picture paper bench bench-micro soak test test-fast coverage secrets renew compose-test audit sbom images security-table check-alerts test-recorded test-luno-frames simulate mutation chaos fuzz halt resume check docs new-exchange format lock clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(VENV)/.ready  ## create .venv with the pinned packages

$(VENV)/.ready: requirements.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || \
		{ echo "This Python has no ensurepip, so it can't make virtual environments. On Debian: apt install python3-venv"; exit 1; }
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --only-binary :all: --require-hashes -r requirements-dev.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

run: setup  ## run everything on this machine, on simulated markets; RUN_SECONDS=20 stops after 20 s
	@exec $(BIN)/python -m services._local

live: setup  ## the same with the real public market data of both exchanges: no keys, no orders
	@exec $(BIN)/python -m services._local live

picture: setup  ## docs/make-run.svg: what make run shows after four minutes
	$(BIN)/python -m tests.picture

# Compose v2 where it is installed, else the older docker-compose.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
PAPER := -p exchange-paper -f docker-compose.yml -f docker-compose.paper.yml

paper:  ## run Redis, connectors and bot in containers, on simulated markets; Ctrl-C stops them
	$(COMPOSE) $(PAPER) build
	$(COMPOSE) $(PAPER) up

secrets:  ## passwords, an access list and certificates for docker-compose.secure.yml, in secrets/
	@$(PYTHON) -m services._local.secure secrets

renew:  ## new certificates in secrets/, of the same passwords and keys; SECRETS=folder
	@$(PYTHON) -m services._local.secure renew $(or $(SECRETS),secrets)

# Built on the host's network: the engine's own may have no way out.
compose-test: setup  ## test the containers on a real Docker engine: start, trading, kill, stop, restore; default and secure mode
	docker build --network host -t exchange-connector-suite .
	$(BIN)/python -m pytest -p no:randomly --verbose tests/compose
# Its own rows of SECURITY.md: make security-table ONLY=tests/compose JOBS=1, after this.

# pip-audit and cyclonedx-py have their own environment: their dependencies are not the project's.
audit: setup $(VENV)/audit/.ready  ## known vulnerabilities in requirements.lock; fails if a package wasn't checked
	$(BIN)/python -m tests.audit requirements.lock

sbom: setup $(VENV)/audit/.ready  ## list the packages of the image, as CycloneDX JSON: SBOM=sbom.json
	$(BIN)/python -m pytest --quiet tests/audit/sbom_trial.py
	$(BIN)/python -m tests.audit.sbom requirements.lock $(or $(SBOM),sbom.json)

images: setup  ## write the digests of the base images to .env: REDIS_IMAGE and PYTHON_IMAGE; needs a Docker engine and a registry
	$(BIN)/python -m services._local.images .env

$(VENV)/audit/.ready: tests/audit/requirements.lock | setup
	$(BIN)/python -m venv --clear $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet --only-binary :all: --require-hashes -r $<
	@touch $@

PROMTOOL ?= promtool

check-alerts:  ## test the alert rules: each fires on its fault, none in a healthy hour
	@command -v $(firstword $(PROMTOOL)) >/dev/null || { echo "$(PROMTOOL) isn't there. On Debian: apt install prometheus. Or with Docker: make check-alerts \\" ; \
		echo "  PROMTOOL='docker run --rm -v $(CURDIR)/monitoring:$(CURDIR)/monitoring -w $(CURDIR) --entrypoint promtool prom/prometheus'"; exit 1; }
	$(PROMTOOL) check config monitoring/prometheus.yml
	$(PROMTOOL) test rules monitoring/alerts_test.yml

test: coverage  ## run all tests, on a real (embedded) server; first the unit tests' coverage
	$(BIN)/python -m pytest -n 4 --maxschedchunk 2 --ignore tests/recorded --ignore tests/compose tests

test-fast: setup  ## run unit and contract tests in under two minutes: without those marked slow, with fewer random examples
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow" --hypothesis-profile fast tests/unit tests/contract

coverage: setup  ## report which lines the unit tests run; not a gate
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow" --hypothesis-profile fast tests/unit --cov

security-table: setup  ## write the table of SECURITY.md from the attempts in the tests; ONLY="tests/integration/_local"
	$(BIN)/python -m tests.security --jobs $(or $(JOBS),4) $(ONLY)

test-recorded: setup  ## replay a recorded Binance session: RECORDED=PREFIX of PREFIX.http.* and PREFIX.ws.*
	$(BIN)/python -m pytest tests/recorded/test_recorded_session.py --recorded $(RECORDED)

test-luno-frames: setup  ## decode recorded frames of Luno: LUNO_FRAMES=FILE of lines {"note", "frame"}
	$(BIN)/python -m pytest tests/recorded/test_luno_frames.py --luno-frames $(LUNO_FRAMES)

simulate: setup  ## the order core in simulated worlds: WORLDS=200000 SEED=0, or KILLS=1 for every kill and pair of kills
	$(BIN)/python -m tests.simulation $(if $(KILLS),--kills,--worlds $(or $(WORLDS),10000) --seed $(or $(SEED),0))

mutation: setup  ## plant bugs in the order path, and report which test detects each: JOBS=2; ONLY=parse.py
	$(BIN)/python -m tests.mutation --jobs $(or $(JOBS),2) --only "$(ONLY)"

chaos: setup  ## kill connectors and bot repeatedly: RUNS=700 BOT_RUNS=200 SEED=0 JOBS=4; ONLY="17 23"
	$(BIN)/python -m tests.chaos $(if $(ONLY),--only $(ONLY),--runs $(or $(RUNS),40) --seed $(or $(SEED),0)) --jobs $(or $(JOBS),4)
	$(if $(ONLY),,$(BIN)/python -m tests.chaos_bot --runs $(or $(BOT_RUNS),200) --seed $(or $(SEED),0) --jobs $(or $(JOBS),4))

fuzz: setup  ## send bad commands, messages and HTTP requests: EXAMPLES=100000 SEED=0
	$(BIN)/python -m tests.fuzz --examples $(or $(EXAMPLES),20000) --seed $(or $(SEED),0)

halt: setup  ## stop all new orders, and cancel the open ones: REASON="prices look wrong" REDIS_URL=redis://host
	@$(BIN)/python -m services.tradectl halt "$$REASON"

resume: setup  ## allow new orders again
	@$(BIN)/python -m services.tradectl resume

bench: setup  ## measure performance, as ratios in one run, market data against cryptofeed: PAIRS=5
	$(BIN)/python -m benchmarks.order_round_trip
	$(BIN)/python -m benchmarks.bot_decisions
	$(BIN)/python -m benchmarks.market_data --pairs $(or $(PAIRS),5)

bench-micro: setup  ## measure the parts of the hot path separately
	$(BIN)/python -m pytest benchmarks/micro --benchmark-columns=min,median,ops --benchmark-sort=name -p no:randomly

soak: setup  ## run the real processes at a high rate, and report their memory over time: MINUTES=10
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),10)

docs: setup  ## build the documentation site, site/index.html; a broken link or anchor fails the build
	$(BIN)/mkdocs build --strict

check: setup  ## format, lint, types, import contracts, spelling, English, documentation; pre-commit runs the same
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tests.english
	$(BIN)/mkdocs build --strict

new-exchange: setup  ## a connector to fill in, and the exchange in every other file: NAME=kraken TITLE=Kraken
	$(BIN)/python -m tests.scaffold $(NAME) $(TITLE)
	@$(BIN)/ruff format --quiet services/$(NAME)_connector

format: setup  ## format the code, and fix what lint can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup  ## renew the lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-header --no-emit-index-url pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	printf 'pip-audit>=2.10\ncyclonedx-bom>=7.5\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-header --no-emit-index-url - -o tests/audit/requirements.lock

clean:  ## remove all generated files
	rm -rf $(VENV) site .data .benchmarks .mypy_cache .ruff_cache .pytest_cache .hypothesis
