"""How a distribution is built by the tests here: by the backend, with none of our variables set."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BACKEND = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
#: What a copy of the working tree leaves out.
BUILT = shutil.ignore_patterns(
    ".git", ".venv*", ".hypothesis", ".*_cache", ".benchmarks", ".codspeed", "build", "dist", "*.egg-info",
    "*.so", "*.html", "__pycache__",
)  # fmt: skip
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}


def run(*command, cwd, **environment):
    """What a command prints, which must succeed."""
    dropped = ("PYTHON", "TCPCORE_", "SOURCE_DATE_EPOCH", "PYTEST_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=clean | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def unpacked(sdist, place):
    """The tree of an sdist, in a new folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    return place / sdist.name.removesuffix(".tar.gz")
