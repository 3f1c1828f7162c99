"""An sdist builds a wheel, and the wheel installs into an empty environment.

What it ships is enough for the command, for type checkers and for a foreign extension that cimports tcpcore.
"""

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy
import pytest

from tests.foreign.building import blocks
from tests.project.distributions import ROOT, run, unpacked
from tests.project.played import Player

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: What a foreign package needs to cimport, include and type-check; the .pyx files are the sdist's.
SHIPPED = {str(path.relative_to(ROOT)) for pattern in ("*.h", "*.pxd", "*.pyi", "*.py", "py.typed")
           for path in (ROOT / "tcpcore").rglob(pattern)}  # fmt: skip
SOURCES = {str(path.relative_to(ROOT)) for part in ("tcpcore", "loadgen") for pattern in ("*.pyx", "*.pxd", "*.py")  # noqa: E501
           for path in (ROOT / part).rglob(pattern)}  # fmt: skip

FOREIGN = """\
from tcpcore.records.segment cimport Segment, seg_len
from tcpcore.base.seq cimport seq_lt

def probe():
    cdef Segment seg
    seg.flags = 3
    seg.payload_len = 5
    return seq_lt(0xFFFFFF00, 0x10), seg_len(&seg), sizeof(Segment)
"""
FOREIGN_SETUP = """\
from Cython.Build import cythonize
from setuptools import Extension, setup
setup(name="foreign", ext_modules=cythonize([Extension("foreign", ["foreign.pyx"])], language_level=3))
"""
CPP_SETUP = """\
from setuptools import Extension, setup
import tcpcore
setup(name="foreign", ext_modules=[
    Extension("through_cpp", ["through_cpp.cpp"], include_dirs=[tcpcore.get_include()])])
"""
packaging = [pytest.mark.packaging, pytest.mark.slow]


@pytest.fixture
def sdist(built):
    return built[1]


@pytest.fixture(scope="module")
def wheel(wheels):
    return wheels[0][1]


@pytest.fixture(scope="module")
def empty(wheel, tmp_path_factory):
    """An environment with the wheel and, by a path line, the dependencies of this one."""
    place = tmp_path_factory.mktemp("empty")
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet",
        "--no-deps", "--no-index", wheel, cwd=place)  # fmt: skip
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip()
    Path(purelib, "dependencies.pth").write_text(f"{Path(numpy.__file__).parent.parent}\n")
    return place


class TestDistributions:
    pytestmark = packaging

    def test_the_sdist_holds_sources_and_nothing_built(self, sdist):
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        assert SHIPPED | SOURCES <= names
        assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "setup.py", "tests/conftest.py"} <= names
        assert "tests/extensions/flow_table.pyx" in names
        assert not [name for name in names if name.endswith((".so", ".html", ".pyc"))]
        assert {name for name in names if name.endswith(".c")} == {
            f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.c")
        }

    def test_the_wheel_ships_headers_stubs_and_markers(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        assert SHIPPED <= names
        assert "loadgen/py.typed" in names
        assert not [n for n in names if n.endswith(".c") or n.startswith(("tests/", "benchmarks/"))]
        modules = {name.partition(".")[0] for name in names if name.endswith(".so")}
        sources = [path for part in ("tcpcore", "loadgen") for path in (ROOT / part).rglob("*.pyx")]
        # and no extension of the tests
        assert modules == {str(path.relative_to(ROOT).with_suffix("")) for path in sources}

    def test_the_installed_package_is_the_wheels(self, empty):
        program = "import tcpcore; assert not tcpcore.Engine(capacity=4).check(); print(tcpcore.__file__)"
        where = Path(run(empty / "bin" / "python", "-c", program, cwd=empty).strip())
        assert empty.resolve() in where.resolve().parents

    def test_the_command_is_installed(self, empty):
        answer = run(empty / "bin" / "loadgen", "--help", cwd=empty)
        assert "handshake" in answer and "close" in answer

    def test_the_first_tutorial_works_with_what_is_installed(self, empty, tmp_path, monkeypatch):
        """But for its lines that install, which this environment stands for."""
        monkeypatch.setenv("COLUMNS", "80")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

        def call(words, folder):
            words = [empty / "bin" / words[0], *words[1:]]
            done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
            return done.returncode, done.stdout

        player = Player(ROOT / "docs" / "tutorials" / "first-plan.md", tmp_path, call)
        player.play()
        assert player.wrong == [], "\n\n".join(player.wrong)

    def test_the_command_is_the_installed_one_in_a_clone_that_is_not_compiled(self, empty, sdist, tmp_path):
        """Its worker processes, too."""
        clone = unpacked(sdist, tmp_path)
        play = ["handshake", "-n", "1000", "--seeds", "2", "--jobs", "2"]
        assert "served" in run(empty / "bin" / "loadgen", *play, cwd=clone)

    def test_a_foreign_extension_cimports_us(self, empty, tmp_path):
        (tmp_path / "foreign.pyx").write_text(FOREIGN)
        (tmp_path / "setup.py").write_text(FOREIGN_SETUP)
        python = empty / "bin" / "python"
        run(python, "setup.py", "--quiet", "build_ext", "--inplace", cwd=tmp_path)
        assert run(python, "-c", "import foreign; print(foreign.probe())", cwd=tmp_path) == "(True, 7, 40)\n"

    def test_a_foreign_extension_drives_an_engine(self, empty, tmp_path):
        """The example of docs/embedding-c.md, against what is installed and nothing else."""
        for name, text in blocks().items():
            (tmp_path / name).write_text(text)
        python = empty / "bin" / "python"
        run(python, "setup.py", "--quiet", "build_ext", "--inplace", cwd=tmp_path)
        assert run(python, "run.py", cwd=tmp_path) == "100000 100000 100000\n"

    def test_a_cpp_extension_finds_the_header(self, empty, tmp_path):
        python = empty / "bin" / "python"
        program = "import tcpcore; print(tcpcore.get_include())"
        include = Path(run(python, "-c", program, cwd=tmp_path).strip())
        assert empty.resolve() in include.resolve().parents and (include / "tcpcore.h").is_file()
        (tmp_path / "through_cpp.cpp").write_text((ROOT / "tests/foreign/through_cpp.cpp").read_text())
        (tmp_path / "setup.py").write_text(CPP_SETUP)
        run(python, "setup.py", "--quiet", "build_ext", "--inplace", cwd=tmp_path)
        program = "import tcpcore, through_cpp as t; print(t.next_timer(tcpcore.Engine(capacity=4)))"
        assert run(python, "-c", program, cwd=tmp_path) == "-1\n"


def test_every_compiled_module_has_a_stub():
    sources = sorted((ROOT / "tcpcore").rglob("*.pyx"))
    assert [str(path) for path in sources if not path.with_suffix(".pyi").exists()] == []


def test_packages_are_marked_typed_and_the_command_is_named():
    assert (ROOT / "tcpcore" / "py.typed").exists() and (ROOT / "loadgen" / "py.typed").exists()
    assert PROJECT["scripts"] == {"loadgen": "loadgen.entry:main"}


def test_nothing_is_needed_at_build_time_but_setuptools_and_cython():
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert sorted(name.partition(">")[0] for name in requires) == ["Cython", "setuptools"]
    for path in (ROOT / "tcpcore").rglob("*.p[yx][xd]"):
        assert "cimport numpy" not in path.read_text(), path.name
