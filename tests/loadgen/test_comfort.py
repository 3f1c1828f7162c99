"""What makes the command line convenient: the version, completion, what is installed."""

import json
import os
import subprocess
import sys

import pytest

from loadgen.behaviour import BEHAVIOUR, SYSTEMS
from loadgen.cli.completion import SHELLS
from loadgen.cli.doctor import BROKEN, EXTRAS, OK
from loadgen.report import result
from tcpcore.linux_versions import NEWEST, worded
from tests.loadgen.hostile import invoke


def test_the_version_says_what_is_simulated():
    first, second = invoke(["--version"]).stdout.splitlines()
    assert first.startswith("loadgen, version ")
    assert f"behaviour {BEHAVIOUR}; profiles linux-6.18, freebsd-14, strict" in second
    assert result.BEHAVIOUR == BEHAVIOUR and SYSTEMS["linux"] == f"linux-{worded(NEWEST)}"


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_a_script_of_the_shell(shell):
    done = invoke(["completion", shell])
    assert done.code == 0 and f"_LOADGEN_COMPLETE={shell}_complete" in done.stdout
    assert "%(" not in done.stdout


def test_what_the_script_of_bash_asks_for_is_answered():
    env = {**os.environ, "_LOADGEN_COMPLETE": "bash_complete", "COMP_WORDS": "loadgen do", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "loadgen"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["plain,doctor"]


def test_doctor_names_what_there_is_and_what_it_is_for():
    done = invoke(["doctor"])
    assert done.code == 0 and BROKEN not in done.stdout
    for word in ("numpy", "10 of 10 connections served", "valgrind", "/dev/net/tun", *EXTRAS):
        assert word in done.stdout
    rows = json.loads(invoke(["doctor", "--format", "json"]).stdout)
    assert {row["group"] for row in rows} == {"installed", "extras", "checks"}
    assert {row["state"] for row in rows if row["group"] == "installed"} == {OK}


def test_doctor_says_what_is_broken(monkeypatch):
    monkeypatch.setattr("loadgen.cli.doctor.CORE", ("numpy", "no-such-package"))
    done = invoke(["doctor"])
    assert done.code == 1
    assert "no-such-package broken not installed" in " ".join(done.stdout.split())
