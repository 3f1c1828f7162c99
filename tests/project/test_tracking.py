"""The page on tracking performance: each of its commands runs. Nothing is judged but the exit status.

Commands run in a folder of their own, which has the benchmarks and the Makefile of this tree by links. What
`make` would do is asked of it (`make -n`) and done with this interpreter and on little, as nothing may be
installed or compiled here.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys

import pytest

from benchmarks import history
from tests.project.test_docs import ROOT

TEXT = (ROOT / "docs" / "tracking.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n((?:\$ .*\n)+)```", TEXT)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines()]
LITTLE = "--benchmark-max-time=0.001 --benchmark-min-rounds=1 --benchmark-disable-gc -p no:cacheprovider"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tracking")
    (place / "build").mkdir()
    for name in ("Makefile", "benchmarks", "loadgen", "pyproject.toml", "setup.py", "tcpcore", "tests"):
        (place / name).symlink_to(ROOT / name)
    (place / ".venv" / "bin").mkdir(parents=True)
    programs = {"python": "", "pytest-benchmark": "-m pytest_benchmark", "loadgen": "-m loadgen"}
    for name, module in programs.items():
        script = place / ".venv" / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
        script.chmod(0o755)
    return place


def run(command, folder):
    path = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    # within xdist pytest-benchmark measures nothing, within make another one says where it is
    outer = ("PYTEST_XDIST", "MAKE", "MFLAGS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    environment = inherited | {
        "PATH": path, "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": LITTLE, "TCPCORE_BENCH_SMALL": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def recipe(command, folder):
    """The last command of a target of the Makefile."""
    said = run(f"{command} --dry-run --always-make", folder)
    assert said.returncode == 0, said.stderr
    return said.stdout.replace("\\\n", "").rstrip().rpartition("\n")[2]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][2:50])
def test_the_commands_of_a_block_run(block, folder):
    for line in block.splitlines():
        command = line.removeprefix("$ ")
        if "--codspeed" in command and importlib.util.find_spec("pytest_codspeed") is None:
            continue
        if command.startswith("make "):
            command = recipe(command, folder)
            assert command.startswith(".venv/bin/python -m "), command
        done = run(command, folder)
        assert done.returncode == 0, command + done.stdout + done.stderr


def test_blocks_are_in_the_order_in_which_they_work():
    """What is compared was saved before; every target exists."""
    assert len(COMMANDS) == 13
    assert "autosave" in COMMANDS[0] and "--benchmark-compare" in COMMANDS[1]


class TestHistory:
    RUN = {"schema": 2, "connections": 10, "cpu": "a", "flags": "-O3", "python": "3.11", "at": "2026-01-02T"}

    def runs(self, *medians, **more):
        return [
            {**self.RUN, **more, "revision": f"{number:012x}", "rows": [
                {"name": "a life", "value": {"median": median, "spread": 0.1, "samples": 5}, "unit": "ns",
                 "judged": True, "rising": False},
            ]}
            for number, median in enumerate(medians)
        ]  # fmt: skip

    def test_a_row_has_a_column_per_run_and_the_last_change(self):
        lines = history.table(self.runs(50.0, 40.0, 60.0))
        assert lines[0].split() == ["000000000", "000000000", "000000000", "change"]
        assert lines[3].split() == ["a", "life", "50.0", "40.0", "60.0", "ns", "+50.0", "%", "WORSE"]

    def test_what_is_within_the_noise_is_not_judged(self):
        assert history.table(self.runs(50.0, 50.2))[3].split()[-2:] == ["+0.4", "%"]

    def test_other_machines_are_not_compared(self):
        lines = history.table([*self.runs(50.0), *self.runs(90.0, cpu="b")])
        assert lines[2].split() == ["a", "b"] and "%" not in lines[3]
        assert [line[:2] for line in lines[-2:]] == ["a:", "b:"]

    def test_a_row_that_a_run_lacks(self):
        runs = self.runs(50.0, 60.0)
        runs[0]["rows"] = []
        assert history.table(runs)[3].split() == ["a", "life", "-", "60.0", "ns"]

    def test_nothing_recorded(self, tmp_path, capsys):
        assert history.main(["--file", str(tmp_path / "none.jsonl")]) == 1
        assert history.main(["no such row"]) == 1
        assert "nothing is recorded" in capsys.readouterr().err
