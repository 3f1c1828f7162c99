# Everything from nothing: Python >= 3.11 with venv and headers, a C compiler, make.
# The first call creates .venv and installs into it; the stamps make the next one fast.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= $(shell nproc 2>/dev/null || echo 1)
PYTEST_ARGS ?=
BENCH_ARGS ?=
COMPARE_ARGS ?=
INSTRUCTIONS_ARGS ?=

PY  := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

# What the sanitizers need: their runtime first (numpy's C++ wants libstdc++ beside it), and
# Python's own allocator out of the way. Leaks are not looked for: the interpreter never frees all.
CC = gcc
SANITIZED = LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	PYTHONMALLOC=malloc

# Stamps: the environment with the build requirements, the compiled modules, what the tests and
# the command need, what developers need.
BASE    := $(VENV)/.base
BUILT   := $(VENV)/.built
RUNTIME := $(VENV)/.runtime
TOOLS   := $(VENV)/.tools
SOURCES := setup.py $(sort $(wildcard tcpcore/*.pyx tcpcore/*.pxd tcpcore/*/*.pyx tcpcore/*/*.pxd tests/extensions/*.pyx))

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: build debug test live theory golden lint types bench compare annotate demo sdist wheel check clean distclean help
.PHONY: organs instructions page conformance state-machine mutants

help:  ## this list
	@sed -n 's/^\([a-z -]*\):.*## /\1: /p' $(MAKEFILE_LIST)

$(BASE): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $$($(PY) -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	@touch $@

$(BUILT): $(BASE) $(SOURCES)
	TCPCORE_TESTS=1 $(PY) setup.py --quiet build_ext --inplace --parallel $(JOBS)
	@touch $@

# pip would compile everything a second time: it gets the Python part only.
$(RUNTIME): $(BASE)
	TCPCORE_EXTENSIONS=0 $(PIP) install --no-build-isolation --editable '.[test]'
	@touch $@

$(TOOLS): $(BASE)
	TCPCORE_EXTENSIONS=0 $(PIP) install --no-build-isolation --editable '.[dev]'
	@touch $@ $(RUNTIME)

build: $(BUILT) $(RUNTIME)  ## compile in place and install into .venv

test: build  ## all tests
	HYPOTHESIS_PROFILE=ci $(PY) -m pytest --quiet $(PYTEST_ARGS)

# A tree of its own, so that sanitized and plain objects never meet.
debug: $(RUNTIME)  ## the same tests under ASan and UBSan
	@mkdir -p build/debug
	@find build/debug \( -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete
	@tar --exclude='*.so' --exclude='tcpcore/*.c' --exclude='tcpcore/*/*.c' --exclude='tests/extensions/*.c' --exclude=__pycache__ -cf - setup.py pyproject.toml LICENSE \
		README.md CHANGELOG.md tcpcore loadgen tests examples benchmarks docs | tar -xf - -C build/debug
	@cd build/debug && for c in tcpcore/*.c tcpcore/*/*.c tests/extensions/*.c; do test -e "$${c%.c}.pyx" || rm -f "$$c" "$${c%.c}".*.so; done
	cd build/debug && TCPCORE_DEBUG=1 TCPCORE_TESTS=1 $(abspath $(PY)) setup.py --quiet build_ext --inplace --parallel $(JOBS)
	cd build/debug && $(SANITIZED) PYTHONPATH=. HYPOTHESIS_PROFILE=ci \
		$(abspath $(PY)) -m pytest --quiet -m 'not packaging' -p no:cacheprovider $(PYTEST_ARGS)

# An hour by itself; `make live SECONDS=600` ten minutes, SEED=5 another beginning than the clock's.
SECONDS ?= 3600
SEED ?= $(shell date +%s)
live: build  ## the engine against this host's own kernel (root), for SECONDS
	LIVE_SECONDS=$(SECONDS) LIVE_SEED=$(SEED) $(PY) -m pytest tests/live $(PYTEST_ARGS)

theory: build  ## simulation against closed forms: the whole grid, about two minutes
	$(PY) -m tests.theory

golden: build  ## print the golden tables again; review the diff
	$(PY) -m tests.golden
	@git --no-pager diff --stat -- tests/golden

conformance: build  ## print docs/conformance.md again from the requirement tests
	$(PY) -m tests.conformance
	@git --no-pager diff --stat -- docs/conformance.md

state-machine: build  ## learn the automaton and draw docs/state-machine.svg again
	$(PY) -m tests.learning

mutants: build  ## break the rules one by one; every one must be caught by a test that names it
	nice $(PY) -m tests.mutants

lint: $(TOOLS)  ## ruff and cython-lint
	$(PY) -m ruff check .
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cython-lint tcpcore tests/extensions

types: build $(TOOLS)  ## mypy --strict on loadgen, stubtest on tcpcore
	$(PY) -m mypy
	$(PY) -m mypy.stubtest tcpcore --mypy-config-file pyproject.toml --allowlist tests/stubtest.allow \
		--ignore-unused-allowlist --concise

# QUICK=1: at most 100k connections. HUGE=1: 50M, too. PEERS=1: the kernel and lwIP. RECORD=0: no entry in the history.
bench: build  ## one table: every figure, its target, the memory floor
	$(PY) -m benchmarks $(if $(QUICK),--quick) $(if $(HUGE),--huge) $(if $(PEERS),--peers) \
		$(if $(filter 0,$(RECORD)),,--record) $(BENCH_ARGS)

organs: build  ## pytest-benchmark: each organ and each end alone
	$(PY) -m pytest $(wildcard benchmarks/bench_*.py) --benchmark-columns=median,iqr,rounds $(PYTEST_ARGS)

compare: build  ## BASE=rev (default: the commit before) beside this tree, in the same minutes
	$(PY) -m benchmarks.compare $(BASE) $(COMPARE_ARGS)

instructions: build  ## instructions per connection, counted by callgrind
	$(PY) -m benchmarks.instructions $(INSTRUCTIONS_ARGS)

page: $(RUNTIME)  ## the last recorded figures into docs/performance.md
	$(PY) -m benchmarks.page

annotate: $(BASE)  ## Cython's reports in build/annotate/*.html; fails where the kernel talks to Python
	TCPCORE_ANNOTATE=1 $(PY) setup.py --quiet --version >/dev/null
	@find build/annotate/tcpcore -name '*.html' -exec mv -t build/annotate {} + && rm -r build/annotate/tcpcore
	$(PY) -m benchmarks.annotated build/annotate

demo: build  ## the workloads on the examples
	$(VENV)/bin/loadgen handshake --config examples/webfleet.toml
	$(VENV)/bin/loadgen close --config examples/close.toml
	$(VENV)/bin/loadgen flood --config examples/flood.toml

sdist wheel: $(TOOLS)  ## distributions in dist/
	$(PY) -m build --no-isolation --$@ --outdir dist

check: lint types test  ## what CI runs

clean:  ## all that was built
	rm -rf build dist *.egg-info tcpcore/*.so tcpcore/*.c tcpcore/*.html tcpcore/*/*.so tcpcore/*/*.c tcpcore/*/*.html $(BUILT)
	rm -rf tests/extensions/*.so tests/extensions/*.c
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## and the environment
	rm -rf $(VENV)
