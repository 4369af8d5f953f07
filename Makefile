# make run     five Raft nodes as Ray actors serve a key-value workload and are checked
# make test    lint, types, and every test, those with the real engine last
# make quick   lint, types, unit tests and the simulator, on all cores
# make bench   what the engines cost, against their budgets
# make lint    ruff and mypy --strict
# make vendor  takes the third-party files of the reports from the npm registry again (needs npm)
# make lock    renews requirements.lock from pyproject.toml

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SPREAD := -n auto --dist worksteal
# Pages are tested in Chromium, where there is one.
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
PAGES := $(if $(CHROMIUM),, and not browser)

# Tests start many processes: compiled once, a module is imported by all.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test quick bench lint vendor lock clean
.DEFAULT_GOAL := run

run: $(READY)
	$(BIN)/python -m framework.run experiment=raft_5nodes

test: $(READY) lint
	@test -n "$(CHROMIUM)" || echo "No Chromium here: the pages of reports are not tested (Debian, Ubuntu: apt install chromium)."
	$(BIN)/python -m pytest -m "not ray$(PAGES)" $(SPREAD)
	$(BIN)/python -m pytest -m ray

quick: $(READY) lint
	$(BIN)/python -m pytest -m "not ray and not long and not browser" $(SPREAD)

bench: $(READY)
	$(BIN)/python -m experiments.engine_cost

lint: $(READY)
	$(BIN)/ruff check framework plugins experiments tests
	$(BIN)/ruff format --check framework plugins experiments tests
	$(BIN)/mypy

UPLOT := 1.6.32
VENDORED := framework/report/page/vendor

vendor:
	mkdir -p build/vendor
	cd build/vendor && npm pack --silent uplot@$(UPLOT) && tar xzf uplot-$(UPLOT).tgz
	cp build/vendor/package/dist/uPlot.iife.min.js build/vendor/package/dist/uPlot.min.css $(VENDORED)
	cp build/vendor/package/LICENSE $(VENDORED)/LICENSE.uPlot
	rm -rf build/vendor
	cd $(VENDORED) && sha256sum --check SHA256SUMS

lock: $(READY)
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install -q '.[dev,studies]'
	{ echo "# Exact versions of everything that make installs, for Python 3.11 on Linux. Renew with: make lock"; \
	  build/lock/bin/pip freeze --all --exclude pip --exclude synod; } > requirements.lock
	rm -rf build/lock

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# editable_mode=compat: type checkers find the package from other folders too.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Synod needs Python 3.11 or newer: install it (Debian, Ubuntu: apt install python3 python3-venv)."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Synod needs Python 3.11 or newer, and $(PYTHON) is older: install one and run make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) lacks the venv module: install it (Debian, Ubuntu: apt install python3-venv; Fedora: it comes with python3)."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --config-settings editable_mode=compat --editable .
	@touch $@
