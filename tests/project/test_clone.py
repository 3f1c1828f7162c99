"""A clone whose modules are not compiled says what to do, in a sentence, whatever is started in it."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.project.distributions import ROOT

SENTENCE = (
    r'tcpcore in {} is not compiled for Python 3\.\d+: run "make build" there, or start from another '
    r"folder to use an installed one"
)
BUILT = shutil.ignore_patterns("*.so", "*.c", "__pycache__")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the sources."""
    folder = tmp_path_factory.mktemp("clone")
    for part in ("tcpcore", "loadgen", "tests/project"):
        shutil.copytree(ROOT / part, folder / part, ignore=BUILT)
    for name in ("setup.py", "pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder.resolve()


def started(clone, *arguments, **more):
    dropped = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTEST_", "TCPCORE_", "LOADGEN_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=clone, env=kept | more, capture_output=True, text=True
    )


def test_the_package_says_so(clone):
    done = started(clone, "-c", "import tcpcore")
    assert re.fullmatch(f"ImportError: {SENTENCE.format(clone)}", done.stderr.splitlines()[-1])
    assert "During handling" not in done.stderr and "direct cause" not in done.stderr


@pytest.mark.parametrize("words", [["handshake"], ["plan", "ports", "--no-sim"], ["--help"]], ids=str)
def test_the_command_says_so(clone, words):
    done = started(clone, "-m", "loadgen", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"loadgen: {SENTENCE.format(clone)}\n", done.stderr)


def test_the_tests_say_so(clone):
    done = started(clone, "-m", "pytest", "tests/project/test_docs.py", "-p", "no:cacheprovider")
    assert done.returncode == 1
    assert re.fullmatch(f"{SENTENCE.format(clone)}; TCPCORE_INSTALLED=1 tests that\n", done.stderr)


def test_the_installed_one_is_not_looked_for_in_the_clone(clone):
    done = started(clone, "-m", "pytest", "tests", "-p", "no:cacheprovider", TCPCORE_INSTALLED="1")
    assert done.returncode == 1 and "has no tcpcore but the one beside the tests" in done.stderr
