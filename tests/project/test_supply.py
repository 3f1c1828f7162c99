"""Requirements and distributions: lower bounds and lock, reproducible and complete sdist, small wheel; and
that the benchmarks run under both plugins of pytest and say what a figure is of."""

import ast
import hashlib
import importlib.metadata
import json
import os
import re
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.project.distributions import BACKEND, EPOCH, ROOT, run, unpacked

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
TESTED = [*PYPROJECT["build-system"]["requires"], *PYPROJECT["project"]["dependencies"], *EXTRAS["test"]]
TOOLS = [*(line for line in EXTRAS["dev"] if not line.startswith("tcpcore")), *EXTRAS["docs"]]

MOST_BYTES = 2_000_000


def bounds(lines):
    """Requirement by name; each has one specifier, its lower bound."""
    found = {}
    for requirement in map(Requirement, lines):
        [bound] = requirement.specifier
        assert bound.operator == ">=", str(requirement)
        found.setdefault(canonicalize_name(requirement.name), set()).add(Version(bound.version))
    return found


def pinned(name):
    """Version by name of a file in requirements/; whatever is neither that nor a comment is an error."""
    found = {}
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9-]+)==([0-9][0-9a-z.]*)", line)
            assert match, f"{name}: {line}"
            assert canonicalize_name(match[1]) not in found, f"{name}: {line}"
            found[canonicalize_name(match[1])] = Version(match[2])
    return found


def test_the_lower_bounds_are_what_is_tested():
    lowest = pinned("lowest.txt")
    assert bounds(TESTED) == {name: {lowest[name]} for name in bounds(TESTED)}


def test_the_lock_has_a_version_within_each_bound():
    lock = pinned("ci.txt")
    assert [name for name, [least] in bounds(TESTED + TOOLS).items() if lock[name] < least] == []


def test_the_lock_has_all_that_the_locked_packages_require():
    """As far as they are installed here, in the locked version."""
    lock, missing = pinned("ci.txt"), []
    for name, version in lock.items():
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, package.requires or []):
            needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            same = Version(package.version) == version
            if same and needed and canonicalize_name(requirement.name) not in lock:
                missing.append(f"{name} requires {requirement}")
    assert missing == []


def test_files_of_requirements_name_no_index_and_no_path():
    """Comments included: whoever runs `make lock` may have an index of his own configured."""
    for path in (ROOT / "requirements").glob("*.txt"):
        for line in path.read_text().splitlines():
            assert not re.search(r"://|file:|^\s*-|@|\s/", line), f"{path.name}: {line}"


def test_ci_installs_every_program_that_the_tests_run():
    script = (ROOT / ".ci" / "run").read_text()
    packages = " ".join(re.findall(r"apt-get install (.*)", script)).split()
    for program in ("gcc", "git", "make", "clang"):
        assert program in packages and f"command -v {program} " in script
    run("bash", "-n", ROOT / ".ci" / "run", cwd=ROOT)


class TestBenchmarks:
    FILES = sorted((ROOT / "benchmarks").glob("bench_*.py"))

    def measured(self, *arguments):
        return run(
            sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *arguments, *self.FILES,
            cwd=ROOT, TCPCORE_BENCH_SMALL="1", PYTHONPATH=".",
        )  # fmt: skip

    def test_marks_are_those_of_both_plugins(self):
        """pytest-codspeed refuses a mark with any other argument, such as pytest-benchmark's timer."""
        allowed = {"group", "min_time", "max_time", "max_rounds"}
        for path in self.FILES:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.benchmark":
                    assert {keyword.arg for keyword in node.keywords} <= allowed and not node.args, path.name

    @pytest.mark.slow
    def test_each_runs_once_without_measuring(self):
        assert " passed" in self.measured("--benchmark-disable", "-k", "not attack and not bucket")

    @pytest.mark.slow
    def test_figures_say_what_they_are_of(self, tmp_path):
        file = tmp_path / "figures.json"
        brief = ["--benchmark-only", "--benchmark-max-time=0.01", "--benchmark-min-rounds=1"]
        self.measured(*brief, f"--benchmark-json={file}")
        figures = json.loads(file.read_text())["benchmarks"]
        groups = {Path(figure["fullname"].partition("::")[0]).stem: figure["group"] for figure in figures}
        assert set(groups) == {path.stem for path in self.FILES} - {"bench_attack"}
        assert all(groups.values())
        for figure in figures:
            info = figure["extra_info"]
            assert info["n"] > 0 and info["segments"] > 0, figure["name"]
            per_round = info["ns_per_segment"] * info["segments"] / 1e9
            assert per_round == pytest.approx(figure["stats"]["median"]), figure["name"]
            timer = figure["options"]["timer"]
            assert "process_time" in timer or "Stopwatch" in timer, figure["name"]


def hand_written(names):
    """Names without the C files that Cython wrote."""
    return {name for name in names if not name.endswith(".c") or f"{name[:-2]}.pyx" not in names}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def content(path):
    """Digest of each file in a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


@pytest.mark.packaging
@pytest.mark.slow
class TestDistributions:
    def test_the_sdist_has_everything_but_what_is_generated(self, built):
        """Files of the working tree whose names begin with a dot are for git and editors; .ci is not."""
        tree, sdist = built
        with tarfile.open(sdist) as archive:
            names = {entry.name.partition("/")[2] for entry in archive if entry.isfile()}
        files = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
        files = {name for name in files if not re.match(r"\.(?!ci/)|build/|[^/]*\.egg-info/", name)}
        made = {name for name in names if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
        assert names - made == hand_written(files)
        assert "benchmarks/lookup.c" in names and hand_written(names) == names

    def test_the_sdist_has_the_same_bytes_wherever_it_is_made(self, built, tmp_path):
        """Also with other rights, without compiling anything, and from an sdist."""
        _, sdist = built
        tree = unpacked(sdist, tmp_path / "elsewhere")
        for path in tree.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
            os.utime(path, (1_000_000_000, 1_000_000_000))
        out = tmp_path / "out"
        run(sys.executable, "-c", BACKEND, "build_sdist", out, cwd=tree, TCPCORE_EXTENSIONS="0", **EPOCH)
        assert digest(next(out.glob("*.tar.gz"))) == digest(sdist)

    def test_the_wheel_has_the_same_bytes_wherever_it_is_made(self, wheels):
        (_, one), (_, other) = wheels
        assert content(one) == content(other)
        assert digest(one) == digest(other)

    def test_the_wheel_is_small_and_names_functions(self, wheels):
        """Without debug information; profilers and callgrind read the symbol table."""
        wheel = wheels[0][1]
        assert wheel.stat().st_size < MOST_BYTES
        with zipfile.ZipFile(wheel) as archive:
            modules = {name: archive.read(name) for name in archive.namelist() if name.endswith(".so")}
        assert modules
        assert [name for name, module in modules.items() if b".debug_info" in module] == []
        assert [name for name, module in modules.items() if b".symtab" not in module] == []

    def test_the_sdist_can_be_tested(self, wheels):
        """The modules are those of the wheel, so that only the extensions of the tests are compiled."""
        tree, wheel = wheels[0]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tree, [name for name in archive.namelist() if name.endswith(".so")])
        build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--parallel", "2"]
        run(*build, cwd=tree, TCPCORE_TESTS="1")
        where = run(sys.executable, "-c", "import tcpcore; print(tcpcore.__file__)", cwd=tree, PYTHONPATH=".")
        assert Path(where.strip()).parent == tree / "tcpcore"
        tests = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]
        run(*tests, "--collect-only", "tests", "benchmarks", cwd=tree)
        quick = ["-n", "2", "--dist", "loadfile", "-m", "not slow", "tests/components", "tests/dialogues"]
        assert " passed" in run(*tests, *quick, cwd=tree, HYPOTHESIS_PROFILE="ci")
