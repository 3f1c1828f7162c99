"""Other revisions of this repository, built in build/compare, outside of this tree.

Each gets this tree's benchmarks, so that the same code measures both. Therefore the benchmarks that run there
(`sections.ends`, `sections.pairs`, `sections.flood` and what they import, `floor.pyx`, `callgrind.pyx`) use
nothing but tcpcore's public Python names: its modules may have other names in that revision. A build is kept;
the name of its directory is the commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

from benchmarks.native import ROOT

BUILD = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--parallel", "2"]


class RevisionError(Exception):
    """There is no such revision, it does not build, or the benchmarks do not run in it."""


def git(*arguments: str) -> bytes:
    """Standard output of a git command in this tree."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True)
    if done.returncode:
        raise RevisionError(done.stderr.decode().strip())
    return done.stdout


def default_base() -> str:
    """The revision to compare this tree with: HEAD if there are changes, else the commit before."""
    return "HEAD" if git("status", "--porcelain", "--untracked-files=no").strip() else "HEAD~1"


def built_tree(revision: str) -> Path:
    """Directory of the revision, compiled in place and with this tree's benchmarks."""
    try:
        commit = git("rev-parse", "--verify", f"{revision}^{{commit}}").decode().strip()
    except RevisionError:
        raise RevisionError(f"no such revision: {revision!r}") from None
    tree = ROOT / "build" / "compare" / commit[:12]
    built = tree / ".built"
    if not built.exists():
        shutil.rmtree(tree, ignore_errors=True)
        with tarfile.open(fileobj=BytesIO(git("archive", commit))) as archive:
            archive.extractall(tree, filter="data")
        print(f"building {revision} ({commit[:12]})", file=sys.stderr)
        environment = {**os.environ, "TCPCORE_TESTS": "1"}  # the section "references" needs a test-only class
        done = subprocess.run(BUILD, cwd=tree, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RevisionError(f"{revision} does not build:\n{done.stderr[-2000:]}")
        built.touch()
    shutil.rmtree(tree / "benchmarks", ignore_errors=True)
    shutil.copytree(ROOT / "benchmarks", tree / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def run_in(tree: Path, module: str, *arguments: str) -> None:
    """`python -m MODULE` with `tree` as the working directory, which comes first on the import path."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    if done.returncode:
        raise RevisionError(f"{module} does not run in {tree.name}:\n{done.stderr[-2000:]}")
