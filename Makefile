# The set-up is a plain venv, filled by uv (hard links from its cache, bytecode compiled) with the pins of constraints.txt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LAB    ?= build/demo
STAMP  := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest -q -n auto --dist loadfile

.PHONY: help install demo test check check-cluster check-tools bench docs clean stress

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

install: $(STAMP)  ## make .venv and install branchlab with its dependencies

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "branchlab needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install  ## build a lab with real data and branches, train all of them, show the overview
	$(BIN)/branchlab demo $(LAB)

test: install  ## pass the tests
	$(PYTEST) -m 'not slow and not gpu and not slurm and not ray and not tools'

check: install  ## ruff, mypy --strict, the floors, generated pages, all tests that run here
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(PYTEST) -m 'not gpu and not slurm and not ray and not tools'

check-cluster: install  ## tests on simulated clusters of three nodes; Slurm's need apt-get install slurm-wlm munge
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,slurm,ray]'
	$(BIN)/python -m pytest -q -m 'slurm or ray'

check-tools: install  ## tests beside the tools that people use: MLflow, TensorBoard, W&B, Lightning, pandas, notebooks, hadolint
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,tools]'
	$(BIN)/python -m pytest -q -m tools

stress: install  ## kill a running lab 200 times at random, and prove that nothing was lost or done twice
	$(BIN)/python tests/stress/kills.py

bench: install  ## compare with what one would use instead; figures go into benchmarks/RESULTS.md by hand
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/status.py
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/run_overhead.py
	$(BIN)/python benchmarks/branches.py
	$(BIN)/python benchmarks/device_use.py
	$(BIN)/python benchmarks/parity.py
	$(BIN)/python benchmarks/trainer.py
	$(BIN)/python benchmarks/probe.py
	$(BIN)/python benchmarks/honesty.py
	$(BIN)/python benchmarks/tui.py

docs: install  ## write the generated pages again
	$(BIN)/python docs/generate.py

clean:  ## remove what make made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
