# Everything one does with this repository. `make` alone prints this list; CI calls nothing else.
.DEFAULT_GOAL := help
.PHONY: help serve check style types unit test compiled soak packages release publish publish-pypi wheel release-image machine image bench docs docs-version docs-publish tools fmt cover lock clean

PYTHON ?= python3
VENV := .venv
TESTENV := .venv-test
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# pytest rewrites the assertions of all tests, which takes as long as a quarter of them: it finds them again compiled.
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What other machines call this one; without it, only this machine is served. A variable of the shell does not count: some
# shells set HOST, and a server must not be open to others by chance.
ifneq ($(origin HOST),command line)
HOST :=
endif

serve: $(VENV)/.runtime ## run the registry on https://localhost:5000, or for other machines: HOST="nas.lan 192.168.1.5"
	@exec $(BIN)/authproxy serve --embedded $(addprefix --host ,$(HOST))

check: $(VENV)/.dev ## format, lint, types, import contracts, unit tests and protocol tables: a minute or two
	@$(MAKE) --no-print-directory --keep-going --jobs=3 --output-sync=target style types unit

style: $(VENV)/.dev ## the first part of check: format, lint, import contracts
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports

types: $(VENV)/.dev ## the second part of check: mypy
	$(BIN)/mypy

# The files of the unit tests live in memory where there is room for them (a container may have but 64 MiB of it): making
# and removing their folders on a disk takes half as long again as the tests. `make test` runs them on the disk.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk '$$6 == "/dev/shm" && $$4 > 1000000 { print $$6 }')

unit: $(VENV)/.dev ## the third part of check: unit tests and protocol tables
	$(if $(MEMORY),TMPDIR=$(MEMORY)) $(BIN)/pytest -q -n auto --hypothesis-profile=quick \
	    -o tmp_path_retention_policy=failed tests/unit tests/protocol

# The unit tests and the protocol's tables are part of the run on the wheel, so they do not run on the tree as well. There
# are more processes than cores, since these tests also wait for servers; what shares a server stays together
# (tests/support/schedule.py).
test: ## everything, on the built wheel, with real clients and registries (as root)
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target packages style types compiled release-image machine
	$(TESTENV)/bin/pytest -q -n auto --dist loadgroup --over-https tests

# Once, and not by each of the processes at the same time. What cannot be collected is said by the run itself.
compiled: $(TESTENV)/.wheel
	@$(TESTENV)/bin/pytest -q --collect-only --over-https tests >/dev/null || true

# How long each of the long tests goes on, in seconds.
SOAK_S ?= 300

soak: packages $(TESTENV)/.wheel ## storms with 200 kills, and random calls beside docker-registry (25 minutes; SOAK_S=300 for each)
	AUTHPROXY_SOAK_S=$(SOAK_S) $(TESTENV)/bin/pytest -q -o log_cli=true --log-cli-level=INFO tests/soak

packages: ## install the Debian packages that the tests use, those of packages.txt (as root)
	@.ci/packages

release: $(VENV)/.release ## make what is released, into dist/ (TRIAL=1: from uncommitted files, without a changelog section)
	$(BIN)/python -m release

publish: $(VENV)/.release ## push the image and the chart of dist/ (IMAGE=… CHARTS=… PUBLISH_USER=…, PUBLISH_PASSWORD in the environment)
	@$(BIN)/python -m release.publish

publish-pypi: $(VENV)/.release ## upload the wheel and the source of dist/ to PyPI, with the identity of a CI job or a token
	@$(BIN)/python -m release.pypi

bench: $(VENV)/.dev ## us and docker-registry behind nginx by turns, and a 2 GiB blob: tables and a JSON file (20 minutes)
	$(BIN)/python -m benchmarks

tools: $(VENV)/.release ## install what release, publish, and docs use: CI does so in a step without a token

# Its build says where its authors want their users to go next, in colours.
docs docs-version: export NO_MKDOCS_2_WARNING = true
docs-version: export PATH := $(abspath $(BIN)):$(PATH)  # where mike looks for mkdocs

docs: $(VENV)/.release ## build the pages as a site into build/site; anything dead in them fails
	$(BIN)/mkdocs build --strict  # with --quiet it would drop its warnings uncounted

SITE_REMOTE ?= origin

docs-version: $(VENV)/.release docs ## put the site of this version beside those of SITE_REMOTE=origin, on the local branch gh-pages
	$(BIN)/python -m release.pages $(SITE_REMOTE)

docs-publish: ## push the branch gh-pages, which docs-version made, to SITE_REMOTE=origin
	git push $(SITE_REMOTE) gh-pages

lock: ## write the lock files anew (needs uv on the PATH)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --custom-compile-command 'make lock' --extra build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --custom-compile-command 'make lock' --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --custom-compile-command 'make lock' --extra release --extra docs -c requirements-dev.lock pyproject.toml \
	    -o requirements-release.lock

fmt: $(VENV)/.dev ## format the code and mend what the linter can mend
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --fix --quiet .

clean: ## remove what was built; data/ and certs/ stay
	rm -rf $(VENV) .venv-test build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find authproxy benchmarks release tests -name __pycache__ -prune -exec rm -rf {} +

# A stamp is newer than the lock where the environment holds what the lock says.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo "authproxy needs Python 3.11 or newer with its venv module (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.runtime

# What `make release` and `make docs` need beside it.
$(VENV)/.release: requirements-release.lock $(VENV)/.dev
	@echo "installing into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements-release.lock
	@touch $@

# What the tests test is what a release would be: the wheel, installed, and the image for all architectures.
RELEASE := $(BIN)/python -m release --trial --dist build/release

wheel: $(VENV)/.dev
	@rm -rf build/release
	@$(RELEASE) wheel

release-image: packages wheel
	@$(RELEASE) sbom image

machine: packages ## make build/machine.tar, a machine with systemd for the tests (as root)
	@.ci/machine

# What the image is called in docker.
IMAGE ?= authproxy

image: $(VENV)/.dev ## build the container image for this machine, and load it into docker if it runs (IMAGE=authproxy)
	@$(BIN)/python -m release.local $(IMAGE)

$(TESTENV)/.dev: requirements-dev.lock requirements-release.lock | $(VENV)/bin/python
	@echo "installing into $(TESTENV) …"
	@$(PYTHON) -m venv $(TESTENV)
	@$(TESTENV)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes \
	    -r requirements-dev.lock -r requirements-release.lock
	@touch $@

$(TESTENV)/.wheel: $(TESTENV)/.dev wheel
	@$(TESTENV)/bin/python -m pip --quiet --disable-pip-version-check install --no-index --no-deps --force-reinstall build/release/*.whl
	@touch $@
