"""A study on a Dask cluster of three workers on this machine, one of which is killed in the middle."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from loadgen import entry
from loadgen.report.reading import point_files
from tests.loadgen.processes import environment, until
from tests.study.made import TOML, contents, written

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="needs dask: pip install 'tcpcore[dask]'"
)

GRID = ("--grid", "backlog=1..40/10", "--seeds", "3")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own with a scenario in it, whose runs take some tenths of a second."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, TOML.replace('"30ms"', '"4s"').replace("300/s", "10k/s"))
    return tmp_path


@contextmanager
def module(name, *args, folder):
    """`python -m NAME ARGS`, with this checkout and the libraries of this interpreter."""
    path = os.pathsep.join([environment()["PYTHONPATH"], *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-m", name, *args],
        cwd=folder, env={**environment(), "PYTHONPATH": path},
        stdout=subprocess.PIPE if name == "loadgen" else subprocess.DEVNULL, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def swept(process):
    """Wait for its end, which must be a good one."""
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same_study(here):
    with ExitStack() as cluster:
        file = here / "scheduler.json"
        scheduler = ("scheduler", "--no-dashboard", "--host", "127.0.0.1", "--port", "0")
        cluster.enter_context(module("dask", *scheduler, "--scheduler-file", str(file), folder=here))
        until(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
        address = json.loads(file.read_text())["address"]
        worker = ("worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory")
        workers = [
            cluster.enter_context(module("dask", *worker, f"worker{n}", folder=here)) for n in range(3)
        ]
        args = ("sweep", "small.toml", *GRID, "--executor", f"dask:{address}", "-O", "cluster")
        ask = f"import distributed; distributed.Client({address!r}).wait_for_workers(3, 100)"
        subprocess.run([sys.executable, "-c", ask], check=True, timeout=120)
        with module("loadgen", *args, folder=here) as process:
            until(lambda: len(point_files(Path("cluster"))) >= 2 or process.poll() is not None)
            workers[0].send_signal(signal.SIGKILL)
            swept(process)
    assert entry.run(["sweep", "small.toml", *GRID, "-O", "here"]) == 0
    assert contents("cluster") == contents("here")


def test_a_scheduler_that_is_not_there_is_said_with_what_to_start(here, capsys):
    assert entry.run(["sweep", "small.toml", *GRID, "--executor", "dask:tcp://127.0.0.1:9", "-O", "s"]) == 1
    error = capsys.readouterr().err
    assert "no Dask scheduler answers at tcp://127.0.0.1:9: start `dask scheduler` there" in error
    assert error.count("\n") == 1 and not (here / "s").exists()


def test_a_cluster_of_this_machine(here):
    args = ("sweep", "small.toml", "--grid", "backlog=1,9", "--seeds", "2", "--jobs", "2")
    with module("loadgen", *args, "--executor", "dask:local", "-O", "local", folder=here) as process:
        swept(process)
    assert entry.run([*args, "-O", "here"]) == 0
    assert contents("local") == contents("here")
