# Everything is installed in .venv, nothing outside this folder.
#   make PYTHON=python3.12 run     uses another Python (3.11 or later)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Folders are listed as well: their modification time changes when a file is removed.
SOURCES := pyproject.toml CMakeLists.txt $(shell find src native -name __pycache__ -prune -o -not -name '*.pyc' -print)

# Hides progress and warnings; errors are still printed.
QUIETLY := --quiet --quiet --disable-pip-version-check

# Installs a list of requirements from pyproject.toml, the only place that lists them.
define install_listed
$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))$(1), sep='\n')" \
	| $(BIN)/python -m pip install $(QUIETLY) --requirement /dev/stdin
endef

# PyTorch, which the tests of the exports need. PyPI's build for Linux comes with gigabytes of CUDA; PyTorch's own index has a
# CPU build of each version, whose version number (2.13.0+cpu) pip prefers over PyPI's. The version is pinned because a later
# one on PyPI would win over the CPU build of an earlier one. `make TORCH=torch==2.12.0 test` uses another version.
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# Without build isolation, CMake finds nanobind in the same place each time. The build folder stays valid, and only what
# changed is compiled again.
INSTALL := $(BIN)/python -m pip install $(QUIETLY) --no-build-isolation

.DEFAULT_GOAL := help
.PHONY: help install run test coverage format bench sanitize fuzz clean
.DELETE_ON_ERROR:

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(VENV)/.installed  ## create .venv and install schuss in it (again, if a source changed)

run: $(VENV)/.installed  ## run `schuss compare digits --plot`
	@$(BIN)/schuss compare digits --plot

test: $(VENV)/.installed $(VENV)/.test-tools  ## check style, types and import order, and run all tests
	@echo "· ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@echo "· mypy"
	@$(BIN)/python -m mypy --no-error-summary
	@echo "· import order"
	@$(BIN)/lint-imports > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@echo "· pytest"
	@$(BIN)/pytest --quiet --numprocesses auto

coverage: $(VENV)/.installed $(VENV)/.test-tools  ## run all tests and list the lines of Python that they do not reach
	@$(BIN)/pytest --quiet --numprocesses auto --cov --cov-report=term-missing:skip-covered --cov-report=xml

format: $(VENV)/.test-tools  ## format the Python code
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: $(VENV)/.installed  ## measure the speed, compared with the other libraries installed in .venv
	@$(BIN)/python -m benchmarks

sanitize: $(VENV)/.installed $(VENV)/.test-tools  ## build the extension with sanitizers and run the native tests (GCC)
	$(call run_sanitized,memory,-fsanitize=address -fsanitize=undefined -fno-sanitize-recover=undefined,libasan.so)
	$(call run_sanitized,threads,-fsanitize=thread,libtsan.so)

# Arguments: name of the build, compiler flags, run-time library. The library is preloaded because the Python interpreter is
# built without sanitizers. Leaks are not reported, because Python itself never frees some objects. NumPy's BLAS runs on one
# thread, because the sanitizer does not know its locks and would report its threads. The first error ends the run.
define run_sanitized
@echo "· $(1): building with $(2)"
@PATH="$(CURDIR)/$(BIN):$$PATH" CXX=g++ CXXFLAGS="$(2) -fno-omit-frame-pointer" \
	$(INSTALL) --no-deps --upgrade --target build/sanitized/$(1)/package \
	--config-settings=build-dir=build/sanitized/$(1)/{wheel_tag} --config-settings=cmake.build-type=RelWithDebInfo .
@PYTHONPATH=build/sanitized/$(1)/package ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=1 \
	OPENBLAS_NUM_THREADS=1 LD_PRELOAD="$$(g++ -print-file-name=$(3)) $$(g++ -print-file-name=libstdc++.so)" \
	$(BIN)/pytest --quiet --capture=no tests/test_native*.py
endef

fuzz: $(VENV)/.installed $(VENV)/.test-tools  ## check 10,000 random definitions and trainings in both engines
	@$(BIN)/python -W ignore tests/fuzzing.py 10000

clean:  ## remove .venv, the build folder and all caches
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* coverage.xml
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
		echo "schuss needs Python 3.11 or later, but '$(PYTHON)' is $$($(PYTHON) --version 2> /dev/null || echo "not installed")." >&2; \
		echo "If a later one is installed, choose it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		echo "'$(PYTHON)' cannot create virtual environments: the module venv or ensurepip is missing." >&2; \
		echo "On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig as s; \
		sys.exit(not os.path.exists(os.path.join(s.get_path("include"), "Python.h")))' || { \
		echo "'$(PYTHON)' is installed without its C header files (Python.h), which are needed to compile the extension." >&2; \
		echo "On Debian and Ubuntu: sudo apt install python3-dev" >&2; exit 1; }
	@command -v $${CXX:-c++} > /dev/null || command -v g++ > /dev/null || command -v clang++ > /dev/null || { \
		echo "No C++ compiler found: schuss needs GCC 11 or Clang 14, or later." >&2; \
		echo "On Debian and Ubuntu: sudo apt install g++" >&2; exit 1; }
	@echo "· creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# CMake and ninja are installed if the machine has none, as in an isolated build.
$(VENV)/.build-tools: pyproject.toml | $(VENV)/.created
	@echo "· installing the build tools"
	@$(call install_listed,['build-system']['requires'])
	@$(BIN)/python -c "from scikit_build_core.build import get_requires_for_build_wheel as g; print(*g(), sep='\n')" \
		| $(BIN)/python -m pip install $(QUIETLY) --requirement /dev/stdin
	@touch $@

$(VENV)/.installed: $(SOURCES) | $(VENV)/.build-tools
	@echo "· installing schuss$$(test -e $@ || echo ' and its dependencies, which takes a few minutes')"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(INSTALL) --config-settings=build-dir=build/{wheel_tag} .
	@touch $@

$(VENV)/.test-tools: pyproject.toml | $(VENV)/.created
	@echo "· installing the test tools"
	@$(BIN)/python -m pip install $(QUIETLY) --no-deps --retries 1 --extra-index-url $(TORCH_INDEX) $(TORCH) || \
		echo "· no CPU build of $(TORCH) for this machine: taking PyPI's build of PyTorch, if it has one"
	@$(call install_listed,['project']['optional-dependencies']['test'])
	@touch $@
