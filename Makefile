# Needs Python >= 3.11 with venv and headers, a C compiler, make.
# The first call creates .venv and installs into it; later calls find its stamps and skip that.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= $(shell nproc 2>/dev/null || echo 1)
PYTEST_ARGS ?=
BENCH_ARGS ?=
COMPARE_ARGS ?=
VARIANTS_ARGS ?=
INSTRUCTIONS_ARGS ?=
HISTORY_ARGS ?=

PY  := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

# CI=true installs the exact versions of requirements/ci.txt; linters always have those.
LOCK := --constraint requirements/ci.txt
LOCK_IN_CI := $(if $(filter true 1,$(CI)),$(LOCK))

# The sanitizers need their runtime loaded first (numpy's C++ wants libstdc++ beside it) and Python's
# own allocator switched off. Leaks are not reported: the interpreter itself never frees everything.
CC = gcc
SANITIZED = LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	PYTHONMALLOC=malloc

# Stamp files: the environment with the build requirements, the compiled modules, the dependencies of
# the tests and the command, the tools of developers, those of the documentation. Names that no option of a target has.
ENV_STAMP     := $(VENV)/.base
BUILT_STAMP   := $(VENV)/.built
RUNTIME_STAMP := $(VENV)/.runtime
TOOLS_STAMP   := $(VENV)/.tools
DOCS_STAMP    := $(VENV)/.docs

# The extensions in tests/extensions are built in place only (TCPCORE_TESTS=1); no distribution has them.
EXTENSION_DIRS := tcpcore tcpcore/* loadgen/* tests/extensions
SOURCES := setup.py $(wildcard tcpcore/include/*.h) $(sort $(wildcard $(foreach ext,pyx pxd,$(EXTENSION_DIRS:=/*.$(ext)))))
GENERATED := $(foreach ext,so c html,$(EXTENSION_DIRS:=/*.$(ext)))

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: help build test debug fuzz fuzz-corpus live theory bounds golden conformance state-machine mutants lint types man
.PHONY: check simulations
.PHONY: bench components variants targets compare instructions history page annotate demo sdist wheel dist clean distclean
.PHONY: test-lowest lock docs

help:  ## print this list
	@sed -n 's/^\([a-z -]*\):.*## /\1: /p' $(MAKEFILE_LIST)

$(ENV_STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(LOCK_IN_CI) $$($(PY) -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	@touch $@

$(BUILT_STAMP): $(ENV_STAMP) $(SOURCES)
	TCPCORE_TESTS=1 $(PY) setup.py --quiet build_ext --inplace --parallel $(JOBS)
	@touch $@

# pip would compile the extensions a second time: it installs the Python part only.
$(RUNTIME_STAMP): $(ENV_STAMP)
	TCPCORE_EXTENSIONS=0 $(PIP) install $(LOCK_IN_CI) --no-build-isolation --editable '.[test]'
	@touch $@

$(TOOLS_STAMP): $(ENV_STAMP) requirements/ci.txt
	TCPCORE_EXTENSIONS=0 $(PIP) install $(LOCK) --no-build-isolation --editable '.[dev]'
	@touch $@ $(RUNTIME_STAMP)

$(DOCS_STAMP): $(ENV_STAMP) requirements/ci.txt
	TCPCORE_EXTENSIONS=0 $(PIP) install $(LOCK) --no-build-isolation --editable '.[docs]'
	@touch $@

build: $(BUILT_STAMP) $(RUNTIME_STAMP)  ## compile in place and install into .venv

# A file's tests run in one process, in their order. PYTEST_ARGS=-n0: all of them in this one, as a debugger needs.
test: build  ## run all tests
	HYPOTHESIS_PROFILE=ci $(PY) -m pytest --quiet -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

# $(call copied,DIRECTORY): copy all sources there and remove what was built from sources that are gone.
# $(call copied,DIRECTORY,translated): with Cython's files, if this tree is built: they are the same there, and
# older than no source. Not for another version of Cython.
TRANSLATED := $(foreach place,tcpcore loadgen tests/extensions,--exclude='$(place)/*.c')
define copied
@mkdir -p $(1)
@find $(1) \( -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete
@tar --exclude='*.so' $(if $(and $(2),$(wildcard $(BUILT_STAMP))),,$(TRANSLATED)) --exclude=__pycache__ -cf - \
	.ci setup.py pyproject.toml MANIFEST.in Makefile LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md mkdocs.yml requirements \
	tcpcore loadgen tests examples benchmarks docs | tar -xf - -C $(1)
@cd $(1) && for c in $(EXTENSION_DIRS:=/*.c); do test -e "$${c%.c}.pyx" || rm -f "$$c" "$${c%.c}".*.so; done
endef

# In a tree of its own, so that sanitized and plain objects never mix.
debug: $(RUNTIME_STAMP)  ## run the tests under ASan and UBSan
	$(call copied,build/debug,translated)
	cd build/debug && TCPCORE_DEBUG=1 TCPCORE_TESTS=1 $(abspath $(PY)) setup.py --quiet build_ext --inplace --parallel $(JOBS)
	cd build/debug && $(SANITIZED) PYTHONPATH=. HYPOTHESIS_PROFILE=ci \
		$(abspath $(PY)) -m pytest --quiet -m 'not packaging' -p no:cacheprovider $(PYTEST_ARGS)

# Needs clang and its runtimes (Debian: clang, libclang-rt-14-dev). SECONDS=120: two minutes instead of an hour.
# What reaches something new is kept in build/fuzz-new and taken up again by the next run; what fails, in
# build/fuzz-found. The runtimes are loaded before Python; libFuzzer first, as ASan's has weak stubs of its hooks.
FUZZ_CC ?= clang
FUZZ_ARGS ?= -max_total_time=$(SECONDS) -seed=$(SEED) -print_final_stats=1
FUZZ_RUNTIME = $(shell $(FUZZ_CC) -print-file-name=libclang_rt.$(1)-$(shell uname -m).$(2))
FUZZ_CORPUS := $(abspath build/fuzz-new) $(abspath tests/fuzz/corpus)
FUZZED = LD_PRELOAD="./libfuzzer.so $(call FUZZ_RUNTIME,asan,so)" \
	ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:allocator_may_return_null=1:verify_asan_link_order=0:handle_abort=0:malloc_context_size=2:quarantine_size_mb=32 \
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 PYTHONPATH=. $(abspath $(PY)) -m tests.fuzz.run \
	-max_len=300 -len_control=0 -timeout=120 -rss_limit_mb=4096 -artifact_prefix=$(abspath build/fuzz-found)/
FUZZ_FAILED = { echo "fuzz: a finding is kept in build/fuzz-found; the calls: $(PY) -m tests.fuzz FILE" >&2; exit 1; }

build/fuzz/libfuzzer.so: Makefile
	@command -v $(FUZZ_CC) >/dev/null || { echo "fuzz: needs clang (Debian: clang, libclang-rt-14-dev)" >&2; exit 1; }
	@test -f "$(call FUZZ_RUNTIME,asan,so)" -a -f "$(call FUZZ_RUNTIME,fuzzer_no_main,a)" || \
		{ echo "fuzz: needs clang's runtimes (Debian: libclang-rt-14-dev)" >&2; exit 1; }
	@mkdir -p build/fuzz build/fuzz-new build/fuzz-found
	$(FUZZ_CC) -shared -o $@ -Wl,--whole-archive $(call FUZZ_RUNTIME,fuzzer_no_main,a) -Wl,--no-whole-archive \
		-lstdc++ -lm -lpthread

build/fuzz/.built: build/fuzz/libfuzzer.so $(RUNTIME_STAMP) $(SOURCES) $(wildcard tests/fuzz/*.py tcpcore/*.py)
	$(call copied,build/fuzz,translated)
	cd build/fuzz && TCPCORE_FUZZ=1 CC=$(FUZZ_CC) $(abspath $(PY)) setup.py --quiet build_ext --inplace --parallel $(JOBS)
	@touch $@

fuzz: build/fuzz/.built  ## call the whole API with random scripts under ASan and UBSan for SECONDS (clang)
	@mkdir -p build/fuzz-new build/fuzz-found
	cd build/fuzz && $(FUZZED) $(FUZZ_ARGS) $(FUZZ_CORPUS) || $(FUZZ_FAILED)

fuzz-corpus: build/fuzz/.built  ## choose tests/fuzz/corpus anew, out of it and of what make fuzz has found
	$(PY) -m tests.fuzz.choose build/fuzz-new -- env -C build/fuzz $(FUZZED)

# The oldest versions exist for Python 3.11 and 3.12 only. Nothing but requirements/lowest.txt is installed.
# QUICK=1 compiles with -O1 and runs the tests of the API, the components, the dialogues and the command only, but
# for those of signals, which wait for long and ask no library anything.
LOWEST_PYTHON ?= $(PYTHON)
LOWEST_TESTS ?= $(if $(QUICK),$(wildcard tests/api tests/test_api*.py tests/components tests/dialogues tests/loadgen),tests)
LOWEST := $(abspath .venv-lowest)/bin/python
test-lowest:  ## build and test with the oldest versions that pyproject.toml allows
	@$(LOWEST_PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and \
		"needs Python 3.11 or 3.12: make test-lowest LOWEST_PYTHON=...")'
	$(LOWEST_PYTHON) -m venv --clear .venv-lowest
	$(LOWEST) -m pip --disable-pip-version-check --quiet install --no-deps --requirement requirements/lowest.txt
	$(call copied,build/lowest)
	cd build/lowest && TCPCORE_EXTENSIONS=0 $(LOWEST) -m pip --disable-pip-version-check --quiet install \
		--no-deps --no-build-isolation --editable .
	$(LOWEST) -m pip --disable-pip-version-check check
	cd build/lowest && TCPCORE_TESTS=1 $(if $(QUICK),TCPCORE_O1=1) $(LOWEST) setup.py --quiet build_ext --inplace --parallel $(JOBS)
	cd build/lowest && HYPOTHESIS_PROFILE=ci $(LOWEST) -m pytest --quiet -p no:cacheprovider \
		-m 'not packaging$(if $(QUICK), and not slow)' $(if $(QUICK),--ignore tests/loadgen/test_signals.py) \
		$(LOWEST_TESTS) $(PYTEST_ARGS)

lock: $(ENV_STAMP)  ## write the newest versions of all requirements to requirements/ci.txt
	$(PY) requirements/lock.py
	@git --no-pager diff --stat -- requirements

# SECONDS=600: ten minutes instead of an hour. SEED=5: a fixed seed instead of the clock.
SECONDS ?= 3600
SEED ?= $(shell date +%s)
live: build  ## compare the engine with this host's kernel for SECONDS (root)
	LIVE_SECONDS=$(SECONDS) LIVE_SEED=$(SEED) $(PY) -m pytest tests/live $(PYTEST_ARGS)

theory: build  ## compare the simulation with closed forms: all points, and busy queues for long: about five minutes
	$(PY) -m tests.theory
	$(PY) -m tests.plan long

# EXAMPLES=500: a tenth of it.
EXAMPLES ?= 5000
simulations: build  ## the simulator against its reference over EXAMPLES random scenarios: an hour
	$(PY) -m tests.sim $(EXAMPLES)

bounds: build  ## all profile pairs, states and forged segments; all pairs of knobs at their ends: a quarter of an hour
	$(PY) -m tests.properties.exchange
	$(PY) -m tests.properties.limits

golden: build  ## regenerate the golden tables; review the diff
	$(PY) -m tests.golden
	@git --no-pager diff --stat -- tests/golden

conformance: build  ## regenerate docs/conformance.md from the requirement tests
	$(PY) -m tests.requirements
	@git --no-pager diff --stat -- docs/conformance.md

state-machine: build  ## learn the automaton and regenerate docs/state-machine.svg
	$(PY) -m tests.learning

mutants: build  ## break each rule once; a test that names the rule must catch it
	nice $(PY) -m tests.mutants

man: build  ## write the manual pages of loadgen to build/man, from its help
	$(PY) -m tests.project.manpages build/man

docs: build $(DOCS_STAMP)  ## build the documentation site in build/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "the site: build/docs/index.html"

lint: $(TOOLS_STAMP)  ## ruff and cython-lint
	$(PY) -m ruff check .
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cython-lint tcpcore loadgen $(wildcard tests/extensions tests/foreign tests/fuzz) benchmarks

types: build $(TOOLS_STAMP)  ## mypy --strict on loadgen, stubtest on tcpcore
	$(PY) -m mypy
	$(PY) -m mypy.stubtest tcpcore --mypy-config-file pyproject.toml --allowlist tests/stubtest.allow \
		--ignore-unused-allowlist --concise

# QUICK=1: at most 100k connections. HUGE=1: also 50M. PEERS=1: also the kernel and lwIP.
# RECORD=1: append an entry to benchmarks/history.jsonl.
bench: build  ## print the table of all figures, with targets and the memory floor
	$(PY) -m benchmarks $(if $(QUICK),--quick) $(if $(HUGE),--huge) $(if $(PEERS),--peers) \
		$(if $(filter 1,$(RECORD)),--record) $(BENCH_ARGS)

components: build  ## measure each component and each end alone, with pytest-benchmark
	$(PY) -m pytest $(wildcard benchmarks/bench_*.py) --benchmark-columns=median,iqr,rounds $(PYTEST_ARGS)

# A and B are revisions of git, or this tree: `.`
A ?= HEAD~1
B ?= .
variants: build  ## measure revisions A and B by turns in one process; 1 to 2 % show
	$(PY) -m benchmarks.variants $(A) $(B) $(VARIANTS_ARGS)

# BASE is built out of tree once, which takes some minutes.
targets: build  ## revision BASE and this tree beside the targets, by turns, into docs/performance.md
	$(PY) -m benchmarks.targets $(or $(BASE),3ced088) --write $(TARGETS_ARGS)

# BASE is a revision of git; without it HEAD if there are changes, else the commit before.
compare: build  ## measure revision BASE and this tree by turns; fails if this tree is slower
	$(PY) -m benchmarks.compare $(BASE) $(COMPARE_ARGS)

instructions: build  ## count instructions with callgrind; with BASE=rev fails if a phase costs 1 % more
	$(PY) -m benchmarks.instructions $(if $(BASE),--against $(BASE)) $(INSTRUCTIONS_ARGS)

# HISTORY_ARGS="'server*' --last 9": those rows of the last nine runs; --instructions: counts of instructions.
history: $(RUNTIME_STAMP)  ## print recorded runs as a table, a row per figure and a column per revision
	$(PY) -m benchmarks.history $(HISTORY_ARGS)

page: $(RUNTIME_STAMP)  ## print the last recorded figures into docs/performance.md
	$(PY) -m benchmarks.page

# The report of tcpcore/tcp/output.pyx is build/annotate/tcp.output.html.
annotate: $(ENV_STAMP)  ## write Cython's reports to build/annotate; fails if nogil code uses Python
	@rm -rf build/annotate
	TCPCORE_ANNOTATE=1 $(PY) setup.py --quiet --version >/dev/null
	@cd build/annotate/tcpcore && find . -name '*.html' | while read -r report; do \
		mv "$$report" "../$$(echo "$${report#./}" | tr / .)"; done && cd .. && rm -r tcpcore
	$(PY) -m benchmarks.annotated build/annotate

demo: build  ## run the workloads on examples/*.toml, and a plan of one
	$(VENV)/bin/loadgen handshake --config examples/webfleet.toml
	$(VENV)/bin/loadgen close --config examples/close.toml
	$(VENV)/bin/loadgen flood --config examples/flood.toml
	$(VENV)/bin/loadgen churn --rate 500 --clients 1 --hold 30ms --rtt 1ms --duration 2m --check
	$(VENV)/bin/loadgen run examples/edge-web.toml
	@mkdir -p build
	$(VENV)/bin/loadgen run examples/edge-web.toml --seeds 4 --jobs $(JOBS) --output build/edge-web.json
	$(VENV)/bin/loadgen report build/edge-web.json -O build/edge-web.html
	@echo "a page of the example fleet: build/edge-web.html"
	$(VENV)/bin/loadgen plan all examples/edge-web.toml --effort quick --jobs $(JOBS)

# Built from scratch and with one time for all files, so that the same sources give the same bytes. In an
# unpacked sdist that time is the one of its files.
EPOCH = $${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || stat -c %Y setup.py)}
sdist wheel: $(TOOLS_STAMP)  ## build a distribution in dist/, the same bytes for the same commit
	@rm -rf build/lib* build/temp* build/bdist*
	SOURCE_DATE_EPOCH=$(EPOCH) $(PY) -m build --no-isolation --$@ --outdir dist

# The wheel is built from the sdist. QUICK=1: few tests.
dist: $(TOOLS_STAMP)  ## build an sdist and a wheel, install each in an empty environment, test what is installed
	@rm -rf build/lib* build/temp* build/bdist* dist
	@mkdir -p build && printf '[build_ext]\nparallel = %s\n' $(JOBS) >build/parallel.cfg
	export DIST_EXTRA_CONFIG=$(abspath build/parallel.cfg) SOURCE_DATE_EPOCH=$(EPOCH) && \
		TCPCORE_EXTENSIONS=0 $(PY) -m build --no-isolation --sdist --outdir dist && \
		$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz
	$(PY) -m tests.project.trial dist $(if $(QUICK),--quick)

check: lint types test  ## run what CI runs

clean:  ## remove everything that was built
	rm -rf build dist *.egg-info $(GENERATED) $(BUILT_STAMP)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## remove the environment, too
	rm -rf $(VENV) .venv-lowest
