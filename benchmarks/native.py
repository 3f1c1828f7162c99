"""Compile the Cython modules and C files of the benchmarks into build/benchmarks when they are first needed.

They are not extensions in setup.py, which would install them with the package. The modules that
`benchmarks.compare` and `benchmarks.instructions` copy to another revision (floor, callgrind) cimport nothing
from tcpcore, so that they compile against any of its layouts.

    python -m benchmarks.native NAME...     compile these modules now, for example before valgrind runs them
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-O3", "-fno-strict-aliasing"] + (
    ["-march=native"] if os.environ.get("TCPCORE_NATIVE") == "1" else []
)
DIRECTIVES = {"language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True}


def native(name: str) -> ModuleType:
    """The module of `benchmarks/<name>.pyx`, compiled again when it or a header of tcpcore has changed."""
    source = ROOT / "benchmarks" / f"{name}.pyx"
    digest = hashlib.sha256(f"{sysconfig.get_platform()} {FLAGS}".encode())
    for path in (source, *sorted((ROOT / "tcpcore").rglob("*.pxd"))):
        digest.update(path.read_bytes())
    directory = ROOT / "build" / "benchmarks" / f"{name}-{digest.hexdigest()[:16]}"
    library = directory / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not library.exists():
        compile_into(directory, source)
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_into(directory: Path, source: Path) -> None:
    """Compile one Cython module with the flags and directives of setup.py."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    name = source.stem
    modules = cythonize(
        [Extension(name, [str(source)], extra_compile_args=FLAGS)],
        build_dir=str(directory),
        include_path=[str(ROOT)],
        quiet=True,
        compiler_directives=DIRECTIVES,
    )
    command = Distribution({"name": name, "ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib = str(directory)
    command.build_temp = str(directory)
    command.verbose = 0
    command.ensure_finalized()
    command.run()


def compiler() -> list[str]:
    """Command and first arguments of the C compiler: $CC, or the one that Python was built with."""
    return (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()


def built(name: str, *flags: str, suffix: str = "") -> Path:
    """Path of the program or library made of `benchmarks/<name>.c`, or .cc, with `flags`."""
    source = ROOT / "benchmarks" / f"{name}.c"
    if not source.exists():
        source = source.with_suffix(".cc")
    digest = hashlib.sha256(f"{sysconfig.get_platform()} {FLAGS} {flags}".encode() + source.read_bytes())
    target = ROOT / "build" / "benchmarks" / f"{name}-{digest.hexdigest()[:16]}{suffix}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        made_by = compiler() if source.suffix == ".c" else [os.environ.get("CXX", "c++")]
        command = [*made_by, *FLAGS, "-o", str(target), str(source), *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{source.name} does not compile:\n{done.stderr}")
    return target


def shared(name: str) -> ctypes.CDLL:
    """Load `benchmarks/<name>.c` as a shared library."""
    return ctypes.CDLL(str(built(name, "-shared", "-fPIC", suffix=".so")))


if __name__ == "__main__":
    for module_name in sys.argv[1:]:
        native(module_name)
