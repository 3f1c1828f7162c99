"""The progress bar: which commands have one, what it says is left, and that only terminals see it."""

import errno
import os
import pty
import subprocess
import sys

import pytest

from loadgen.progress import ending, left_text
from tests.loadgen.processes import PATIENCE, environment

FEW = ["--rate", "200", "--duration", "2s"]
SCENARIO = """\
schema = 1
[server.listen]
listeners = 2
[client]
hosts = 4
[[load]]
rate = "200/s"
[run]
duration = "2s"
"""
LONG = {
    "replicates": (["churn", *FEW, "--seeds", "2"], "playing", "2 replicates"),
    "check": (["churn", *FEW, "--seeds", "4", "--check"], "playing", "4 replicates"),
    "sweep": (
        ["sweep", "a.toml", "--grid", "backlog=8,16", "--seeds", "2", "--jobs", "1", "-O", "study"],
        "playing", "4 runs",
    ),
    "shards": (["run", "a.toml", "--shards", "2"], "playing", "2 shards"),
    "compare": (
        ["flood", "--rate", "50", "--flood-rate", "500", "--duration", "1s", "--compare", "linux,freebsd"],
        "playing", "4 policies",
    ),
    "plan": (
        ["plan", "flood", *FEW, "--flood-rate", "200", "--seeds", "2", "--effort", "quick"],
        "plan flood", "4 replicates",
    ),
}  # fmt: skip


def on_a_terminal(words, cwd):
    """Exit code, standard output, and what a terminal as standard error was told."""
    ours, theirs = pty.openpty()
    environ = environment(TERM="xterm", COLUMNS="120", LINES="40", NO_COLOR="1")
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen", *words], cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        told = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError as error:  # how Linux says that the other end is closed
                assert error.errno == errno.EIO
                part = b""
            if not part:
                break
            told += part
        stdout, _ = process.communicate(timeout=PATIENCE)
    os.close(ours)
    return process.returncode, stdout.decode(), told.decode()


@pytest.mark.parametrize("name", LONG)
def test_a_long_command_has_a_bar_with_the_time_left(name, tmp_path):
    words, what, jobs = LONG[name]
    (tmp_path / "a.toml").write_text(SCENARIO)
    code, stdout, told = on_a_terminal(words, tmp_path)
    assert code == 0, told
    assert what in told and f"of {jobs}" in told and " left" in told
    assert " left" not in stdout


def test_a_file_is_told_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", *LONG["replicates"][0]],
        cwd=tmp_path, env=environment(), capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("elapsed", "share", "now", "said"),
    [
        (10.0, 0.0, 10.0, "-:--:-- left"),
        (10.0, 0.25, 10.0, "0:00:30 left"),
        (10.0, 0.25, 25.0, "0:00:15 left"),  # nothing was told since
        (10.0, 0.25, 50.0, "0:00:00 left"),
        (3600.0, 0.1, 3600.0, "9:00:00 left"),
        (10.0, 1.0, 10.0, "0:00:00 left"),
    ],
)
def test_the_time_left_is_that_of_the_rest_at_the_speed_so_far(elapsed, share, now, said):
    assert left_text(now, ending(elapsed, share)) == said
