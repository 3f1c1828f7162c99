"""The extensions of tcpcore and how they are compiled; all else about the package is in pyproject.toml.

Every .pyx below tcpcore and loadgen is an extension. Environment variables change what is built:

TCPCORE_NATIVE=1      compile for this machine's CPU
TCPCORE_DEBUG=1       address and undefined-behaviour sanitizers, and `expect` traps
TCPCORE_FUZZ=1        by clang, with the sanitizers, `expect` traps and the counters by which libFuzzer sees
                      what was reached; such a module loads only where tests/fuzz has put the runtimes first
TCPCORE_O1=1          with -O1, in half the time: to test something else than speed
TCPCORE_PREDICTION=0  without the fast path: every segment goes to the TCP state machine
TCPCORE_TESTS=1       with tests/extensions/*.pyx, which only the tests and benchmarks use; only with
                      `build_ext --inplace`, so that no wheel can contain them
TCPCORE_ANNOTATE=1    translate into build/annotate and write Cython's reports there
TCPCORE_EXTENSIONS=0  no extensions: for an editable install beside those that `build_ext --inplace` made
"""

import gzip
import os
import sys
import tarfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.sdist import sdist

DEBUG = os.environ.get("TCPCORE_DEBUG") == "1"
FUZZ = os.environ.get("TCPCORE_FUZZ") == "1"
NATIVE = os.environ.get("TCPCORE_NATIVE") == "1"
O1 = os.environ.get("TCPCORE_O1") == "1"
ANNOTATE = os.environ.get("TCPCORE_ANNOTATE") == "1"
PREDICTION = os.environ.get("TCPCORE_PREDICTION") != "0"
EXTENSIONS = os.environ.get("TCPCORE_EXTENSIONS") != "0"
INPLACE = "--inplace" in sys.argv
TESTS = os.environ.get("TCPCORE_TESTS") == "1" and INPLACE

# Cython's directives are here and in no file: one in a .pyx would not reach the .pxd files that it cimports.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "nonecheck": False,
    "autotestdict": False,
    "embedsignature": True,
    "embedsignature.format": "python",
    # Engine has its own; of the rest nothing is pickled.
    "auto_pickle": False,
}

# Modules without a loop over segments, which -O3 makes larger and not faster: what runs at import or once
# in a run is compiled for size, what runs once in a call with -O2.
OPTIMIZE = {
    "loadgen.sim.simulator": "-Os",
    "tcpcore.records.counters": "-Os",
    "tcpcore.records.info": "-Os",
    "tcpcore.records.knobs": "-Os",
    "tcpcore.records.layouts": "-Os",
    "tcpcore.records.op": "-Os",
    "tcpcore.records.tcb": "-Os",
    "tcpcore.border": "-O2",
    "tcpcore.components.events": "-O2",
    "tcpcore.engine": "-O2",
    "tcpcore.group": "-O2",
    "tcpcore.loops.host": "-O2",
    "tcpcore.loops.invariants": "-Os",
    "tcpcore.loops.snapshot": "-Os",
    "tcpcore.loops.snapshot_queues": "-Os",
    "tcpcore.records.segment": "-O2",
}

if DEBUG:
    CFLAGS = [
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
        "-DTCPCORE_DEBUG",
    ]
    LDFLAGS = ["-fsanitize=address,undefined"]
elif FUZZ:
    os.environ.setdefault("CC", "clang")
    SANITIZERS = ["-fsanitize=fuzzer-no-link,address,undefined", "-shared-libasan"]
    CFLAGS = [
        "-O1",
        "-gline-tables-only",
        "-fno-omit-frame-pointer",
        *SANITIZERS,
        "-fno-sanitize-recover=undefined",
        "-DTCPCORE_DEBUG",
        "-DTCPCORE_POISON",
    ]
    LDFLAGS = SANITIZERS
else:
    # -g0: Python's own flags say -g, which makes files six times as large and different in every folder.
    # The symbol table stays: profilers and callgrind name functions by it. Unwind tables, which debuggers and
    # call graphs want, are in place only: in a wheel they are 50 kB, and C needs none. Nor has a wheel, of 71
    # small modules, what would be in each of them: stubs that bind C functions at their first call (they are
    # bound on loading: 34 kB) and the compiler's start files, which run constructors of C++ (45 kB).
    CFLAGS = [
        "-O1" if O1 else "-O3",
        "-fno-strict-aliasing",
        "-ffp-contract=off",
        "-g0",
        *(["-march=native"] if NATIVE else []),
        *([] if INPLACE else ["-fno-asynchronous-unwind-tables", "-fno-plt"]),
    ]
    LDFLAGS = [] if INPLACE else ["-Wl,-z,now", "-nostartfiles"]

if not PREDICTION:
    CFLAGS.append("-DTCPCORE_NO_PREDICTION")

sources = (
    [*sorted(Path("tcpcore").rglob("*.pyx")), *sorted(Path("loadgen").rglob("*.pyx"))] if EXTENSIONS else []
)
if TESTS:
    sources += sorted(Path("tests/extensions").glob("*.pyx"))
names = {path: ".".join(path.with_suffix("").parts) for path in sources}
extensions = [
    Extension(
        name,
        [str(path)],
        extra_compile_args=[OPTIMIZE.get(name, flag) if flag == "-O3" else flag for flag in CFLAGS],
        extra_link_args=LDFLAGS,
    )
    for path, name in names.items()
]


class ReproducibleSdist(sdist):
    """An sdist whose bytes depend on the content of its files and on SOURCE_DATE_EPOCH only.

    Without SOURCE_DATE_EPOCH setuptools' own archive is made, which has the times and owners of the files.
    """

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or format != "gztar" or root_dir is not None:
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)

        def normalized(entry):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = int(epoch)
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            return entry

        name = f"{base_name}.tar.gz"
        with (
            open(name, "wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=int(epoch)) as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=normalized)  # in the order of names
        return name


setup(
    cmdclass={"sdist": ReproducibleSdist},
    ext_modules=cythonize(
        extensions,
        compiler_directives=DIRECTIVES,
        annotate=ANNOTATE,
        force=ANNOTATE,
        build_dir="build/annotate" if ANNOTATE else None,
    ),
)
