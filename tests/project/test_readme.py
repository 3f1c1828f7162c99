"""The README is short, shows what the commands print, and names programs and targets that exist."""

import contextlib
import io
import re
import shlex

import pytest

from loadgen import entry
from loadgen.cli import COMMANDS
from tests.project.test_docs import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("golden conformance", "golden")
TOUR = re.findall(r"^\$ loadgen (.*)$", (ROOT / "docs" / "tour.md").read_text(encoding="utf-8"), re.MULTILINE)
BLOCKS = re.findall(r"```console\n\$ loadgen (.*)\n((?:.*\n)*?)```", TEXT)


def test_it_is_short():
    assert len(TEXT.splitlines()) < 120


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=lambda text: text.split()[0])
def test_a_command_prints_what_is_shown(command, shown, monkeypatch):
    """Lines `...` stand for lines left out."""
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert entry.run(shlex.split(command)) == 0
    said = out.getvalue()
    assert said.startswith(shown.partition("...\n")[0])
    for part in filter(None, shown.split("...\n")):
        assert part in said


@pytest.mark.parametrize("command", TOUR)
def test_a_command_of_the_tour_is_understood(command, monkeypatch):
    """Played elsewhere: `plan` by tests/plan, the others as examples. Here the options are read."""
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    end = ["--no-sim"] if words[0] == "plan" else ["--print-config"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert entry.run([*words, *end]) == 0


def test_all_that_it_names_exists():
    targets = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", TEXT + GUIDE)) <= set(" ".join(targets).split())
    assert len(BLOCKS) == 2 and set(re.findall(r"`loadgen (\w+)|\(loadgen (\w+)", TEXT))
    named = {one or other for one, other in re.findall(r"`loadgen (\w+)|\(loadgen (\w+)", TEXT)}
    assert named <= set(COMMANDS)
