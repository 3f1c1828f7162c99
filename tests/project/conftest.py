"""The distributions, built once for all tests here: compiling takes minutes."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.project.distributions import BACKEND, BUILT, EPOCH, ROOT, run, unpacked


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A copy of the tree, and the sdist made from it; Cython's files are in the copy, too."""
    place = tmp_path_factory.mktemp("first")
    shutil.copytree(ROOT, place / "tree", ignore=BUILT)
    run(sys.executable, "-c", BACKEND, "build_sdist", place, cwd=place / "tree", **EPOCH)
    return place / "tree", next(place.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def wheels(built, tmp_path_factory):
    """Two folders, of names of different lengths, and the wheels built there from the sdist alone.

    One is built with TCPCORE_TESTS=1, which must make no difference: test extensions are for --inplace only.
    """

    def build(name, **environment):
        tree = unpacked(built[1], tmp_path_factory.mktemp(name))
        run(sys.executable, "-c", BACKEND, "build_wheel", tree.parent, cwd=tree, **EPOCH, **environment)
        return tree, next(tree.parent.glob("*.whl"))

    with ThreadPoolExecutor(2) as pool:
        begun = [pool.submit(build, "one", TCPCORE_TESTS="1"), pool.submit(build, "another-folder")]
        return [future.result() for future in begun]
