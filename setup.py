"""Extensions only; everything else is in pyproject.toml.

TCPCORE_NATIVE=1 compiles for this machine's CPU, TCPCORE_DEBUG=1 builds with the
address and undefined-behaviour sanitizers and with the traps of `expect`,
TCPCORE_PREDICTION=0 leaves the fast path out, so that every segment goes to the state machine,
TCPCORE_ANNOTATE=1 translates into build/annotate and writes Cython's reports there,
TCPCORE_EXTENSIONS=0 leaves the extensions out: an editable install beside those that
`build_ext --inplace` made.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("TCPCORE_DEBUG") == "1"
NATIVE = os.environ.get("TCPCORE_NATIVE") == "1"
ANNOTATE = os.environ.get("TCPCORE_ANNOTATE") == "1"
PREDICTION = os.environ.get("TCPCORE_PREDICTION") != "0"
EXTENSIONS = os.environ.get("TCPCORE_EXTENSIONS") != "0"

# A directive in a .pyx does not reach the .pxd files it cimports: they live here, once.
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
}

if DEBUG:
    CFLAGS = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
              "-fno-sanitize-recover=undefined", "-DTCPCORE_DEBUG"]
    LDFLAGS = ["-fsanitize=address,undefined"]
else:
    CFLAGS = ["-O3", "-fno-strict-aliasing"] + (["-march=native"] if NATIVE else [])
    LDFLAGS = []

if not PREDICTION:
    CFLAGS.append("-DTCPCORE_NO_PREDICTION")

extensions = [
    Extension(".".join(path.with_suffix("").parts), [str(path)], extra_compile_args=CFLAGS,
              extra_link_args=LDFLAGS)
    for path in sorted(Path("tcpcore").rglob("*.pyx"))
    if EXTENSIONS
]

setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives=DIRECTIVES,
        annotate=ANNOTATE,
        force=ANNOTATE,
        build_dir="build/annotate" if ANNOTATE else None,
    )
)
