"""`python -m tests.project.trial FOLDER [--quick]`: try the distributions of FOLDER as a user would.

The sdist and the wheel are installed, each in an empty environment; the command is started in an empty
folder; then tests of the sdist run against what is installed, in the unpacked sdist, where nothing of tcpcore
is compiled. Environments and trees are in build/trial. --quick: few tests, and with the sdist alone.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.project.distributions import ROOT, unpacked
from tests.project.release import version_of

PLACE = ROOT / "build" / "trial"
#: What the tests of each distribution are: the sdist's environment has all that tests need.
TESTS = {
    "sdist": ("api", "components", "config", "dialogues", "loadgen", "scenario"),
    "wheel": ("dialogues", "config", "loadgen"),
}
QUICK = {"sdist": ("components", "dialogues"), "wheel": ()}


def commands() -> list[list[str]]:
    """Those that the README shows, in its order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^\$ loadgen (.*)$", text, re.MULTILINE)]


class Trial:
    """An environment with one distribution, and a folder without any."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file
        self.environment, self.empty = PLACE / name / "env", PLACE / name / "empty"
        self.bin = self.environment / "bin"
        shutil.rmtree(PLACE / name, ignore_errors=True)
        self.empty.mkdir(parents=True)
        venv.create(self.environment, with_pip=True, symlinks=True)

    def run(
        self, *command: object, cwd: Path | None = None, expected: int = 0, quiet: bool = True, **more: str
    ) -> str:
        """What a command says, which must end as expected; started where no clone is, or in `cwd`."""
        dropped = ("PYTHONPATH", "TCPCORE_", "LOADGEN_", "PYTEST_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        words = [str(word) for word in command]
        print(f"{self.name}: {shlex.join(words).replace(str(PLACE), 'build/trial')[:150]}", flush=True)
        done = subprocess.run(
            words, cwd=cwd or self.empty, env=clean | more, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT if quiet else None,
        )  # fmt: skip
        if done.returncode != expected:
            print(done.stdout or "", file=sys.stderr)
            sys.exit(f"{self.name}: exit status {done.returncode}, expected {expected}: {shlex.join(words)}")
        return done.stdout or ""

    def install(self) -> None:
        """As anybody would; the sdist is compiled on all processors."""
        config = self.empty.parent / "build.cfg"
        config.write_text(f"[build_ext]\nparallel = {os.cpu_count() or 1}\n")
        self.pip(self.file, DIST_EXTRA_CONFIG=str(config))

    def pip(self, *what: object, **more: str) -> None:
        words = ("--disable-pip-version-check", "install", "--quiet", "--no-warn-script-location")
        self.run(self.bin / "python", "-m", "pip", *words, *what, **more)

    def use(self) -> None:
        """The commands of the README, and what is typed wrongly."""
        loadgen = self.bin / "loadgen"
        assert version_of(ROOT) in self.run(loadgen, "--version")
        self.run(loadgen, "doctor")
        for words in commands():
            self.run(loadgen, *words)
        assert "did you mean" in self.run(loadgen, "chrun", expected=2)
        self.run(self.bin / "python", ROOT / "examples" / "embed.py")

    def test(self, sdist: Path, folders: Sequence[str]) -> None:
        """Tests of the sdist, on what is installed: the extensions of the tests are all that is compiled."""
        if not folders:
            return
        tree = unpacked(sdist, PLACE / self.name)
        self.pip(f"{self.file}[test]")
        python = self.bin / "python"
        jobs = os.cpu_count() or 1
        build = ("setup.py", "--quiet", "build_ext", "--inplace", "--parallel", jobs)
        self.run(python, *build, cwd=tree, TCPCORE_TESTS="1", TCPCORE_EXTENSIONS="0")
        assert not list((tree / "tcpcore").rglob("*.so"))
        words = ("-q", "-p", "no:cacheprovider", "-m", "not packaging and not slow", "-n", jobs)
        self.run(
            python, "-m", "pytest", *words, *(f"tests/{folder}" for folder in folders), cwd=tree, quiet=False,
            TCPCORE_INSTALLED="1", PYTHONSAFEPATH="1", HYPOTHESIS_PROFILE="ci",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.project.trial", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the distributions are")
    parser.add_argument("--quick", action="store_true", help="few tests")
    options = parser.parse_args()
    version = version_of(ROOT)
    files: dict[str, Path] = {}
    for name, pattern in (("sdist", f"tcpcore-{version}.tar.gz"), ("wheel", f"tcpcore-{version}-*.whl")):
        found = sorted(options.folder.resolve().glob(pattern))
        if len(found) != 1:
            sys.exit(f"{options.folder}: expected one {pattern}, got {len(found)}")
        files[name] = found[0]
    tests = QUICK if options.quick else TESTS
    for name in ("wheel", "sdist"):
        trial = Trial(name, files[name])
        trial.install()
        trial.use()
        trial.test(files["sdist"], tests[name])


if __name__ == "__main__":
    main()
