"""The two foreign modules, built once, which tests of either route load."""

import importlib.util

import pytest

from tests.foreign.building import build


def load(folder, name):
    path = next(folder.glob(f"{name}.*.so"))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def through_cython(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cython")
    return load(folder, build(folder, "through_cython.pyx"))


@pytest.fixture(scope="session")
def through_cpp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cpp")
    return load(folder, build(folder, "through_cpp.cpp"))


@pytest.fixture(params=["through_cython", "through_cpp"])
def through(request):
    """A module with every function, by one route and by the other."""
    return request.getfixturevalue(request.param)
