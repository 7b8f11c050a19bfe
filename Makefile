# `make demo` and `make test` need Python ≥ 3.11 and make, nothing else: they make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: env demo test lint gpu-check clean

env: $(READY)

# uv installs the whole stack in half a minute; constraints.txt holds the exact versions, without addresses.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sonosphere needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	touch $@

demo: env
	$(BIN)/sonosphere demo $(ARGS)

# Two files of tests at a time, in the order of the tree: those that take longest come first.
test: env
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build *.egg-info

# Never makes an environment: it runs on what an offline GPU host brings. PART=tests,kernels,loader,formats,training,memory names some
# of its parts, OUT the folder of the results, LIMIT the seconds of a call; the head of benchmarks/gpu_check.py says more.
gpu-check:
	PART="$(PART)" OUT="$(OUT)" LIMIT="$(LIMIT)" MATERIAL="$(MATERIAL)" $(PYTHON) -m benchmarks.gpu_check $(ARGS)
