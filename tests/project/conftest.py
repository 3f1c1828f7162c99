"""The distributions, built once for all tests here and all processes: compiling takes minutes."""

import fcntl
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.project.distributions import BACKEND, BUILT, EPOCH, ROOT, run, unpacked


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder that all processes of pytest-xdist share. What is written there needs a lock."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    place = shared / "distributions"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="session")
def built(place):
    """A copy of the tree, and the sdist made from it; Cython's files are in the copy, too."""
    first = place / "first"
    with open(place / "sdist.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(first.glob("*.tar.gz")):
            shutil.copytree(ROOT, first / "tree", ignore=BUILT)
            run(sys.executable, "-c", BACKEND, "build_sdist", first, cwd=first / "tree", **EPOCH)
    return first / "tree", next(first.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def wheels(built, place):
    """Two folders, of names of different lengths, and the wheels built there from the sdist alone.

    One is built with TCPCORE_TESTS=1, which must make no difference: test extensions are for --inplace only.
    The C files of this tree would not do: they have other options on top, and so other numbers of lines.
    """

    parallel = place / "parallel.cfg"

    def build(name, **environment):
        folder = place / name
        tree = folder / built[1].name.removesuffix(".tar.gz")
        if not any(folder.glob("*.whl")):
            unpacked(built[1], folder)
            environment |= EPOCH | {"DIST_EXTRA_CONFIG": str(parallel)}
            run(sys.executable, "-c", BACKEND, "build_wheel", folder, cwd=tree, **environment)
        return tree, next(folder.glob("*.whl"))

    with open(place / "wheels.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        parallel.write_text("[build_ext]\nparallel = 2\n")
        with ThreadPoolExecutor(2) as pool:
            begun = [pool.submit(build, "one", TCPCORE_TESTS="1"), pool.submit(build, "another-folder")]
            return [future.result() for future in begun]
