# Everything happens in .venv; nothing is installed outside this folder.
#   make PYTHON=python3.12 run     uses another Python (3.11 or later)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Folders are listed too: their time changes when a file goes away.
SOURCES := pyproject.toml CMakeLists.txt $(shell find src native -name __pycache__ -prune -o -not -name '*.pyc' -print)

# Errors are still shown.
QUIETLY := --quiet --quiet --disable-pip-version-check

# A list of requirements from pyproject.toml, where each stands once, handed to pip.
define install_listed
$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))$(1), sep='\n')" \
	| $(BIN)/python -m pip install $(QUIETLY) --requirement /dev/stdin
endef

# PyTorch, which the tests of the exports need. PyPI's build for Linux comes with gigabytes of CUDA; PyTorch's own index has a
# CPU build of each version, whose version number (2.13.0+cpu) pip prefers over PyPI's. The version is pinned because a later
# one on PyPI would win over the CPU build of an earlier one. `make TORCH=torch==2.12.0 test` uses another version.
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# Without build isolation CMake finds the same nanobind at the same place each time, and the build folder stays valid:
# only what changed is compiled again.
INSTALL := $(BIN)/python -m pip install $(QUIETLY) --no-build-isolation

.DEFAULT_GOAL := help
.PHONY: help install run test coverage format bench sanitize clean
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

format: $(VENV)/.test-tools  ## put the Python code into the common format
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: $(VENV)/.installed  ## measure the speed, beside those peers that are installed in .venv
	@$(BIN)/python -m benchmarks

sanitize: $(VENV)/.installed $(VENV)/.test-tools  ## build the extension with sanitizers and run the native tests (GCC)
	$(call run_sanitized,memory,-fsanitize=address -fsanitize=undefined -fno-sanitize-recover=undefined,libasan.so)
	$(call run_sanitized,threads,-fsanitize=thread,libtsan.so)

# What is looked for, compiler flags, run-time library. The interpreter has no sanitizer of its own, so that the library is
# loaded before everything else. Objects that Python never frees are not what is looked for: leaks are not reported. The
# threads of NumPy's BLAS would be: their locks are unknown to the sanitizer. The first finding ends the run with a report.
define run_sanitized
@echo "· $(1): building with $(2)"
@PATH="$(CURDIR)/$(BIN):$$PATH" CXX=g++ CXXFLAGS="$(2) -fno-omit-frame-pointer" \
	$(INSTALL) --no-deps --upgrade --target build/sanitized/$(1)/package \
	--config-settings=build-dir=build/sanitized/$(1)/{wheel_tag} --config-settings=cmake.build-type=RelWithDebInfo .
@PYTHONPATH=build/sanitized/$(1)/package ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=1 \
	OPENBLAS_NUM_THREADS=1 LD_PRELOAD="$$(g++ -print-file-name=$(3)) $$(g++ -print-file-name=libstdc++.so)" \
	$(BIN)/pytest --quiet --capture=no tests/test_native*.py
endef

clean:  ## remove .venv, the build folder and all caches
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* coverage.xml
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
		echo "schuss needs Python 3.11 or later, but '$(PYTHON)' is $$($(PYTHON) --version 2> /dev/null || echo "not there")." >&2; \
		echo "If there is a later one, name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		echo "'$(PYTHON)' cannot create virtual environments: its module venv or ensurepip is missing." >&2; \
		echo "On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig as s; \
		sys.exit(not os.path.exists(os.path.join(s.get_path("include"), "Python.h")))' || { \
		echo "'$(PYTHON)' comes without its C header files (Python.h), which the extension is compiled against." >&2; \
		echo "On Debian and Ubuntu: sudo apt install python3-dev" >&2; exit 1; }
	@command -v $${CXX:-c++} > /dev/null || command -v g++ > /dev/null || command -v clang++ > /dev/null || { \
		echo "No C++ compiler found: schuss needs GCC 11 or Clang 14, or later." >&2; \
		echo "On Debian and Ubuntu: sudo apt install g++" >&2; exit 1; }
	@echo "· creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# CMake and ninja are added where the machine has none, as they would be in an isolated build.
$(VENV)/.build-tools: pyproject.toml | $(VENV)/.created
	@echo "· fetching the build tools"
	@$(call install_listed,['build-system']['requires'])
	@$(BIN)/python -c "from scikit_build_core.build import get_requires_for_build_wheel as g; print(*g(), sep='\n')" \
		| $(BIN)/python -m pip install $(QUIETLY) --requirement /dev/stdin
	@touch $@

$(VENV)/.installed: $(SOURCES) | $(VENV)/.build-tools
	@echo "· installing schuss$$(test -e $@ || echo ', its dependencies first: this takes some minutes')"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(INSTALL) --config-settings=build-dir=build/{wheel_tag} .
	@touch $@

$(VENV)/.test-tools: pyproject.toml | $(VENV)/.created
	@echo "· fetching the test tools"
	@$(BIN)/python -m pip install $(QUIETLY) --no-deps --retries 1 --extra-index-url $(TORCH_INDEX) $(TORCH) || \
		echo "· no CPU build of $(TORCH) for this machine: taking PyPI's build of PyTorch, if it has one"
	@$(call install_listed,['project']['optional-dependencies']['test'])
	@touch $@
