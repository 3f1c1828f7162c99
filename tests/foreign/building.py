"""Building and running what somebody else would build: in a folder of its own, against the tested tcpcore.

Under the sanitizers (`make debug`) it is built with them, too.
"""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy

import tcpcore

ROOT = Path(tcpcore.__file__).resolve().parents[1]
HERE = Path(__file__).parent

SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
FLAGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"] if SANITIZED else []
CONNECTIONS = 5_000 if SANITIZED else 100_000

SETUP = """\
from Cython.Build import cythonize
from setuptools import Extension, setup

import tcpcore

extension = Extension({name!r}, [{source!r}], include_dirs=[{include!r} or tcpcore.get_include()],
                      extra_compile_args={flags!r}, undef_macros=["NDEBUG"])
setup(name={name!r}, ext_modules=cythonize([extension], language_level=3, include_path={path!r}))
"""


def blocks():
    """The files that docs/embedding-c.md shows, by the name in their first line."""
    text = (ROOT / "docs" / "embedding-c.md").read_text()
    found = {}
    for block in re.findall(r"^```\w+\n(.*?)^```$", text, re.M | re.S):
        found[re.match(r"(?:#|//) (\S+)\n", block)[1]] = block
    return found


def environment(folder):
    """Where a program finds the tested tcpcore, its dependencies and what is in the folder."""
    paths = [str(folder), str(ROOT), str(Path(numpy.__file__).parents[1])]
    flags = " ".join(FLAGS)
    libraries = os.pathsep.join(
        filter(None, [sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH")])
    )
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "CFLAGS": flags,
        "LDFLAGS": flags,
        "LD_LIBRARY_PATH": libraries,
        "PATH": os.pathsep.join([str(folder / "bin"), os.environ["PATH"]]),
    }


def attempt(folder, *command):
    return subprocess.run([str(word) for word in command], cwd=folder, env=environment(folder),
                          capture_output=True, text=True)  # fmt: skip


def run(folder, *command):
    """What a command prints; it must succeed."""
    done = attempt(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder, source, text=None, path=(), include=""):
    """Compile one extension module into the folder. Returns its name."""
    name = Path(source).stem
    (folder / source).write_text(text or (HERE / source).read_text())
    flags = ["-Wall", "-Wextra", "-Werror"] if source.endswith(".cpp") else []
    (folder / "setup.py").write_text(
        SETUP.format(
            name=name, source=source, include=str(include), path=[str(place) for place in path], flags=flags
        )
    )
    run(folder, sys.executable, "setup.py", "--quiet", "build_ext", "--inplace")
    return name


def tools(folder):
    """Commands of the names that the page uses, for the interpreter that runs the tests."""
    variable = sysconfig.get_config_var
    version = variable("LDVERSION") or variable("VERSION")
    link = [f"-L{variable('LIBDIR')}", f"-L{variable('LIBPL')}", f"-lpython{version}",
            *shlex.split(f"{variable('LIBS')} {variable('SYSLIBS')}")]  # fmt: skip
    scripts = {
        "python": f'exec {shlex.quote(sys.executable)} "$@"',
        "python3": f'exec {shlex.quote(sys.executable)} "$@"',
        "python3-config": f'if [ "$1" = --includes ]; then echo -I{sysconfig.get_paths()["include"]}; '
                          f"else echo {shlex.join(link)}; fi",
        "c++": f'exec g++ {shlex.join(FLAGS)} "$@"',
    }  # fmt: skip
    (folder / "bin").mkdir()
    for name, script in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)


def commands(word):
    """The command of the page, with its continuation lines, that begins with this word."""
    text = (ROOT / "docs" / "embedding-c.md").read_text()
    return re.search(rf"^    ({re.escape(word)} (?:.*\\\n)*.*)$", text, re.M)[1]
