# The entrance of the project: `make help` lists the targets. Only python3 (3.10 or newer, with venv) and make are needed.

PYTHON    ?= python3
VENV      ?= .venv
EDGE_VENV ?= .venv-edge
PROTO_VENV ?= .venv-proto
# What pip installs for torch (such as TORCH='torch==2.13.0'), and further options for pip. The plain package
# carries CUDA (a few GB on Linux); a machine without a GPU can take the small build:
#   make demo PIP_EXTRA='--extra-index-url https://download.pytorch.org/whl/cpu'
TORCH     ?= torch
PIP_EXTRA ?=
# The tests run in two processes, each with its share of the cores, where there are two cores: it is faster, since much of what
# they do is waiting. A few of them wait against a clock, and on a machine that is busy with other things one may then fail
# that passes alone: TESTERS=0 runs them one after the other.
TESTERS ?= $(shell test "`nproc 2>/dev/null || echo 1`" -ge 2 && echo 2 || echo 0)
# More options for pytest or the demo:  make test PYTEST_ARGS='-x -k entropy'    make demo DEMO_ARGS='--size 256x832'
PYTEST_ARGS ?=
DEMO_ARGS   ?=
# Options for the benchmarks:  make bench BENCH_ARGS='--fresh'    make bench BENCH_ARGS='--only rd-full,geometry'
BENCH_ARGS  ?=
# Time for each fuzz target, and more options:  make fuzz SECONDS=600 FUZZ_ARGS='--only bitstream'
SECONDS     ?= 60
FUZZ_ARGS   ?=

PY       := $(VENV)/bin/python
EDGE_PY  := $(EDGE_VENV)/bin/python
PROTO_PY := $(PROTO_VENV)/bin/python
DEV_OK   := $(VENV)/.installed-dev
DEMO_OK  := $(VENV)/.installed-demo
EDGE_OK  := $(EDGE_VENV)/.installed-edge
PROTO_OK := $(PROTO_VENV)/.installed-proto
# The development install holds everything the demo needs, so the demo uses it where it is there.
RUN_OK   := $(if $(wildcard $(DEV_OK)),$(DEV_OK),$(DEMO_OK))
THREADS  := $(if $(filter-out 0,$(TESTERS)),OMP_NUM_THREADS=$(shell n=$$((`nproc 2>/dev/null || echo 2` / $(TESTERS))); echo $$((n > 0 ? n : 1))))
SPREAD   := $(if $(filter-out 0,$(TESTERS)),-n $(TESTERS) --dist loadfile)
# pip shows its progress on a terminal and is quiet elsewhere.
PIP_OPTS := --disable-pip-version-check $(shell test -t 2 || echo --quiet) $(PIP_EXTRA)

.DEFAULT_GOAL := help
.PHONY: help demo bench faults test check check-style check-types check-imports check-generated test-unit test-edge fuzz format proto clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUN_OK) ## stream a synthetic street between two processes; table, picture and video in out/demo
	$(PY) -m benchmarks demo $(DEMO_ARGS)

bench: $(DEV_OK) ## every number of the documents again, finished parts kept; an hour or more on two cores
	$(PY) -m benchmarks all $(BENCH_ARGS)

faults: $(DEV_OK) ## break processes, links and disks for some ten minutes; the account in benchmarks/results/faults.json
	MDIC_FAULTS=full MDIC_FAULTS_JSON=benchmarks/results/faults.json $(PY) -m pytest tests/faults --durations 10 $(PYTEST_ARGS)

test: check test-unit test-edge ## everything: check, all tests, then the edge alone without torch

check: check-style check-types check-imports check-generated ## format, lint, types, import rules, generated files

check-style: $(DEV_OK)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

check-types: $(DEV_OK)
	$(PY) -m mypy

check-imports: $(DEV_OK)
	$(VENV)/bin/lint-imports

check-generated: $(DEV_OK)
	@if $(MAKE) -s --no-print-directory $(PROTO_OK); then $(PROTO_PY) proto/generate.py --check; else \
	  echo "the pinned protobuf generator is not to be had for this Python: checking common/pb by its stamp"; \
	  $(PY) proto/generate.py --check; fi
	$(PY) tests/vectors/generate.py --verify

test-unit: $(DEV_OK) ## all tests in the development environment
	$(THREADS) $(PY) -m pytest $(SPREAD) $(PYTEST_ARGS)

test-edge: $(EDGE_OK) ## the edge alone: tests/common and tests/edge in an environment that has no torch
	$(EDGE_PY) -c "import importlib.util as u, sys; sys.exit('torch is installed in the edge-only environment' if u.find_spec('torch') else 0)"
	$(THREADS) $(EDGE_PY) -m pytest $(SPREAD) tests/common tests/edge $(PYTEST_ARGS)

# Guided by coverage where atheris can be installed; elsewhere one line says so and the changes are random.
fuzz: $(DEV_OK) ## each fuzz target for SECONDS=60; new inputs and crashes in out/fuzz
	@$(PY) -c "import atheris" 2>/dev/null || $(PY) -m pip install $(PIP_OPTS) --only-binary :all: 'atheris>=2.3' >/dev/null 2>&1 || true
	$(PY) -m benchmarks fuzz --seconds $(SECONDS) $(FUZZ_ARGS)

format: $(DEV_OK) ## rewrite the sources in the house format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

proto: $(PROTO_OK) ## regenerate common/pb from proto/*.proto
	$(PROTO_PY) proto/generate.py

clean: ## remove the environments, the outputs and the caches
	rm -rf $(VENV) $(EDGE_VENV) $(PROTO_VENV) out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Each stamp says: this environment holds what pyproject.toml asks for. Recreated only when pyproject.toml changes.
$(PY) $(EDGE_PY) $(PROTO_PY):
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed, this is ' + sys.version.split()[0])"
	@$(PYTHON) -m venv $(patsubst %/bin/python,%,$@) || { echo "error: '$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(patsubst %/bin/python,%,$@); exit 1; }

$(DEV_OK): pyproject.toml | $(PY)
	@echo "installing the development environment into $(VENV) (a few minutes the first time)"
	$(PY) -m pip install $(PIP_OPTS) '$(TORCH)' -e '.[dev]'
	@touch $@

$(DEMO_OK): pyproject.toml | $(PY)
	@echo "installing what the demo needs into $(VENV) (a few minutes the first time)"
	$(PY) -m pip install $(PIP_OPTS) '$(TORCH)' -e '.[demo]'
	@$(PY) -m pip install $(PIP_OPTS) --only-binary :all: pillow-jxl-plugin || echo "no JPEG XL on this machine: the demo leaves it out"
	@touch $@

$(EDGE_OK): pyproject.toml | $(EDGE_PY)
	@echo "installing the edge alone into $(EDGE_VENV)"
	$(EDGE_PY) -m pip install $(PIP_OPTS) -e '.[edge]' pytest pytest-xdist hypothesis
	@touch $@

# The generator is old on purpose and wants an old protobuf: proto/generate.py says why and names the versions.
$(PROTO_OK): proto/generate.py | $(PROTO_PY)
	@echo "installing the pinned protobuf generator into $(PROTO_VENV)"
	@$(PROTO_PY) -m pip install --disable-pip-version-check --quiet --only-binary :all: 'protobuf<6' 'setuptools<81' \
	  $$($(PROTO_PY) -c "import runpy; print(*('=='.join(t) for t in runpy.run_path('proto/generate.py')['TOOLS'].items()))")
	@touch $@
