# Two commands matter: `make run` starts the studio, `make test` checks everything. Both set up what they need.
PYTHON ?= python3
PORT ?= 7860
VENV := .venv
BIN := $(VENV)/bin
# Tests need a Chromium and a monospace font, and the servers of a studio that has outgrown one machine. They start
# these themselves: no service has to run. A machine that has them all is left alone.
SYSTEM_PACKAGES := chromium fonts-dejavu-core redis-server postgresql

.PHONY: run test lint bench system-packages clean

run: $(VENV)/.run
	GIFT_PORT=$(PORT) $(BIN)/python app.py

test: $(VENV)/.dev system-packages lint
	$(BIN)/pytest -n 2 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p gift_core -p workers -p api -p ui
	$(BIN)/mypy app.py
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks/*.py

bench: $(VENV)/.dev
	for benchmark in benchmarks/[!_]*.py; do PYTHONPATH=. $(BIN)/python $$benchmark || exit 1; done

$(VENV)/.run: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements-harness.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-harness.txt
	touch $@

system-packages:
	@( command -v chromium && command -v redis-server && \
	  { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } ) >/dev/null 2>&1 || ( \
	  sudo=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends $(SYSTEM_PACKAGES) )

clean:
	rm -rf $(VENV) data
