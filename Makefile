# Everything a user or a maintainer runs. Each target sets up what it needs, in .venv, and only when that has changed.
#
#   make pretrain            make pretrain ARGS="--data.path CLIPS"
#   make serve               make serve PORT=8080
#   make test                make test ARGS="tests/core -x"
#   PYTHON=python3.12 make setup          another interpreter
#   VENV=/some/folder make test           another environment

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
ARGS ?=
PORT ?= 8000
FIRST_MODEL := slowfast_tiny --schedule.max-steps 300 --run.backend local --run.pictures False
CONSTRAINTS := infra/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check install -c $(CONSTRAINTS)

# The first local Ray cluster of a user writes ~/.ray/auth_token and asks for it from then on; the `ray` command sends it
# only in this mode, Python programs in any.
export RAY_AUTH_MODE ?= token
# Programs are started from .venv on every node; Ray must not build environments of its own.
export RAY_ENABLE_UV_RUN_RUNTIME_ENV ?= 0
# pip, pytest and Ray write for logs as well as for terminals
export PYTHONUNBUFFERED ?= 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup pretrain serve test test-slow lint style types imports validate bench ray-head submit ray-stop clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.stamp-dev ## .venv with the package, all its extras and the tools of development

# ---- what users run

pretrain: $(VENV)/.stamp-run ## pre-train a small video encoder (ARGS="--key value ..." is passed on)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python pipelines/pretrain_mae.py $(ARGS)

# a machine without any registered model trains a small one first
serve: $(VENV)/.stamp-run ## serve the registered models on 127.0.0.1:$(PORT) until SIGTERM
	@$(BIN)/vidmodels runs models > /dev/null || { echo "no registered model yet: training a small one"; \
	  OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python pipelines/train_classifier.py $(FIRST_MODEL); }
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} exec $(BIN)/vidmodels serve --port $(PORT) $(ARGS)

ray-head: $(VENV)/.stamp-run ## start a Ray head on this machine, for `make submit` (ARGS: options of `ray start`)
	@$(BIN)/ray get-auth-token --generate > /dev/null
	PATH="$(BIN):$$PATH" OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/ray start --head $(ARGS)

submit: $(VENV)/.stamp-run ## pretrain_mae.py as a job of the cluster (ARGS="--data.path /ABSOLUTE/PATH")
	$(BIN)/ray job submit --working-dir . -- python pipelines/pretrain_mae.py $(ARGS)

ray-stop: $(VENV)/.stamp-run ## stop every Ray process of this user on this machine
	$(BIN)/ray stop

# ---- what maintainers run

test: $(VENV)/.stamp-dev ## the tests (ARGS: paths and options of pytest)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -m "not slow" $(ARGS)

test-slow: $(VENV)/.stamp-dev ## the heavier tests: learning, faults
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -m slow --timeout 5400 $(ARGS)

lint: style types imports ## style, types, import contracts

style: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.stamp-dev
	$(BIN)/mypy

imports: $(VENV)/.stamp-dev
	$(BIN)/lint-imports

validate: $(VENV)/.stamp-dev ## check infra/ offline: manifests, images, dashboards
	$(BIN)/python infra/validate.py

# a benchmark sets its own numbers of threads
bench: $(VENV)/.stamp-bench ## the benchmarks (ARGS: names; none means all)
	$(BIN)/python -m tests.bench $(ARGS)

clean: ## remove .venv, caches and build folders; runs/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find vidmodels pipelines services infra tests -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- the environment: one stamp for each set of extras

$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null || { \
	  echo "vidmodels needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is" \
	    "$$($(PYTHON) --version 2> /dev/null || echo 'not there'): name one, as in PYTHON=python3.12 make setup" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-run: $(VENV)/.stamp-venv pyproject.toml $(CONSTRAINTS)
	$(PIP) -e ".[ray,mlflow,serve]"
	@touch $@

# holds all that .stamp-run asks for
$(VENV)/.stamp-dev: $(VENV)/.stamp-venv pyproject.toml $(CONSTRAINTS)
	$(PIP) -e ".[all,dev]"
	@touch $(VENV)/.stamp-run $@

$(VENV)/.stamp-bench: $(VENV)/.stamp-venv pyproject.toml $(CONSTRAINTS)
	$(PIP) -e ".[all,bench]"
	@touch $(VENV)/.stamp-run $@
