"""Hostile values for every option of every command, and random invocations: see `hostile`."""

import json
import os
import subprocess
import sys

import click
import pytest

from tests.loadgen import hostile
from tests.loadgen.interrupting import ROOT
from tests.loadgen.processes import environment


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A furnished working folder, the only one that may change."""
    here = tmp_path / "work"
    here.mkdir()
    hostile.furnish(here)
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("MPLCONFIGDIR", str(here / "matplotlib"))
    return here


@pytest.mark.parametrize(("command", "name"), hostile.cases(), ids=lambda case: case)
def test_hostile_values(folder, command, name):
    option = hostile.options(hostile.command_of(command))[name]
    offenders = []
    # A flag is typed without a value: all of them give the same words.
    for words in dict.fromkeys(tuple(hostile.words(option, v)) for v in hostile.hostile_values(name)):
        base = hostile.BASE[command] if isinstance(option, click.Option) else ()
        args = [command, *base, *words]
        outcome = hostile.invoke(args, hostile.PATIENCE_CPU_S)
        if outcome.wrong:
            offenders.append((hostile.shown(args), outcome.wrong, outcome.stderr[-300:]))
    assert not offenders
    assert [path.name for path in folder.parent.iterdir()] == ["work"]


def test_random_invocations(folder):
    failures, codes, ran, _ = hostile.fuzz(300, seed=10)
    assert [(hostile.shown(args), outcome.wrong) for args, outcome in failures] == []
    assert ran >= 60
    assert {0, 2, 3} <= set(codes)


def test_every_option_has_a_good_value():
    """Or the random invocations would never run with it."""
    missing = [
        (command, name)
        for command, name in hostile.cases()
        for option in [hostile.options(hostile.command_of(command))[name]]
        if not getattr(option, "is_flag", False)
        and not hasattr(option.type, "choices")
        and name not in hostile.GOOD
    ]
    assert not missing


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["handshake", "-n", "1" * 31], 3),
        (["handshake", "-o", "isn=\N{SUPERSCRIPT TWO}"], 3),
        (["handshake", "-o", "client.port_selection=" + "9" * 5000], 3),
        (["close", "--rtt", "9999999d"], 3),
        (["handshake", "--backlog", "9999999999999999999"], 3),
        (["handshake", "--backlog", "many"], 2),
        (["flood", "--config", "deep.toml"], 3),
        (["flood", "--config", "digits.toml"], 3),
        (["close", "--config", "nul.toml"], 3),
        (["close", "--sysctl", "latin1.toml"], 3),
        (["close", "--sysctl", "folder"], 3),
        (["handshake", "--sysctl", "large.toml"], 3),
        (["handshake", "--sysctl", "/dev/zero"], 3),
        (["handshake", "--peer", "x" * 100_000], 2),
        (["handshake", "-n", "5", "--output", "x.xls"], 2),
        (["handshake", "-n", "1G"], 1),
        (["[bold]"], 2),
        (["--\udcff"], 2),
    ],
    ids=lambda value: hostile.shown(value) if isinstance(value, list) else str(value),
)
def test_exit_codes_of_the_contract(folder, args, code):
    """As a process of its own: what it is, where, and nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", *args],
        env=environment(), capture_output=True, text=True, errors="surrogateescape", timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert list(hostile.complaints(hostile.Outcome(done.returncode, done.stdout, done.stderr))) == []
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("setting", "code", "word"),
    [
        ({"LOADGEN_HANDSHAKE_RTT": "rubbish"}, 2, "LOADGEN_HANDSHAKE_RTT"),
        ({"LOADGEN_HANDSHAKE_RTT": "1" * 5000}, 2, "LOADGEN_HANDSHAKE_RTT"),
        ({"LOADGEN_DEBUG": "[bold]"}, 2, "LOADGEN_DEBUG"),
        ({"LOADGEN_HANDSHAKE_CONFIG": "folder"}, 3, "folder"),
        ({"LOADGEN_HANDSHAKE_SEED": "7"}, 0, ""),
        ({"COLUMNS": "0", "LINES": "-1"}, 0, ""),
        ({"COLUMNS": "\N{SUPERSCRIPT TWO}", "LINES": "\N{SUPERSCRIPT TWO}"}, 0, ""),
        ({"COLUMNS": "9" * 5000}, 0, ""),
        ({"TERM": "[/x]", "NO_COLOR": "", "COLORTERM": "\udcff"}, 0, ""),
        ({"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, 0, ""),
        ({"PYTHONIOENCODING": "ascii:strict"}, 0, ""),
        ({"LANG": "xx_YY.rubbish", "LANGUAGE": "\udcff"}, 0, ""),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_rubbish_in_the_environment(folder, setting, code, word):
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", "handshake", "-n", "5"],
        env=environment(**setting), capture_output=True, timeout=120,
    )  # fmt: skip
    stdout, stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    assert done.returncode == code, stderr
    assert list(hostile.complaints(hostile.Outcome(code, stdout, stderr))) == []
    assert word in stderr
    assert ("connected" in stdout) == (code == 0)


def test_the_environment_is_between_the_command_line_and_the_file(folder, monkeypatch):
    monkeypatch.setenv("LOADGEN_HANDSHAKE_SEED", "7")
    args = ["handshake", "-n", "5", "--format", "json", "--config", "good.toml"]
    assert json.loads(hostile.invoke(args).stdout)["seed"] == 7
    assert json.loads(hostile.invoke([*args, "--seed", "9"]).stdout)["seed"] == 9
    monkeypatch.delenv("LOADGEN_HANDSHAKE_SEED")
    assert json.loads(hostile.invoke(args).stdout)["seed"] == 5


def test_markup_is_printed_as_it_is(folder, monkeypatch):
    text = ":warning:[bold]x[/x]"
    outcome = hostile.invoke(["flood", "--policy", text])
    assert text in outcome.stderr
    monkeypatch.setattr("loadgen.report.compared.verdict", lambda *args: text)
    outcome = hostile.invoke(["flood", *hostile.BASE["flood"], "--compare", "linux"])
    assert text in outcome.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(folder):
    (folder / "good.toml").chmod(0)
    outcome = hostile.invoke(["handshake", "--config", "good.toml"])
    assert outcome.code == 3 and "denied" in outcome.stderr


@pytest.mark.parametrize(
    "error", [ValueError("odd [bold]"), RecursionError("deep"), KeyError("x"), AssertionError()]
)
def test_an_unexpected_error_is_one_line(folder, monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr("loadgen.cli.handshake.play_and_present", fail)
    outcome = hostile.invoke(["handshake"])
    assert outcome.code == 1
    assert outcome.stderr.startswith(f"loadgen: unexpected error: {type(error).__name__}")
    assert "please report" in outcome.stderr
    assert outcome.stderr.count("\n") == 1 and "Traceback" not in outcome.stderr
    traced = hostile.invoke(["--debug", "handshake"])
    assert "Traceback" in traced.stderr and "please report" in traced.stderr
    monkeypatch.setenv("LOADGEN_DEBUG", "1")
    assert "Traceback" in hostile.invoke(["handshake"]).stderr


def test_too_little_memory_is_one_line(folder, monkeypatch):
    def fail(*args):
        raise MemoryError("Unable to allocate 9 PiB")

    monkeypatch.setattr("loadgen.cli.handshake.play_and_present", fail)
    outcome = hostile.invoke(["handshake"])
    assert (outcome.code, outcome.stderr) == (1, "loadgen: out of memory: Unable to allocate 9 PiB\n")
    assert not outcome.wrong


def test_too_little_memory_for_a_process(folder):
    """With the address space cut to what the imports need and a little more."""
    script = (
        "import loadgen.cli.handshake, resource, sys; from loadgen.entry import run;"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096;"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2);"
        "sys.exit(run(['handshake', '-n', '5M']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "memory" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_the_command_starts_from_anywhere(folder):
    assert ROOT not in folder.parents
    command = [sys.executable, "-m", "loadgen", "--version"]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=120)
    assert done.returncode == 0
