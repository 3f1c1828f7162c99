"""`loadgen` as processes of their own, started from any folder, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import loadgen
from tests.loadgen.interrupting import cpu_seconds

PATIENCE = 120  # s of wall, on a busy machine


def environment(**more):
    """That of the tests, without what steers the command, and with the loadgen that is tested first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOADGEN_")}
    where = str(Path(loadgen.__file__).parents[1])
    return {**kept, "PYTHONPATH": where, "PYTHONDONTWRITEBYTECODE": "1", **more}


@contextmanager
def started(*args, **more):
    """The process of `loadgen ARGS`, which is killed in the end if it still lives."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loadgen", *map(str, args)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a shell that runs the tests in the background has it ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **more,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE)


def status(pid, field):
    """A line of /proc/PID/status, None when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{field}:")), None)


def handles(pid, number):
    """Whether a process has a handler of its own for a signal."""
    caught = status(pid, "SigCgt")
    return caught is not None and bool(int(caught, 16) >> (number - 1) & 1)


def children(pid):
    """Processes whose parent is this one and that have not ended."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [p for p in pids if status(p, "PPid") == str(pid) and alive(p)]


def alive(pid):
    """Whether it runs: one that nobody has waited for does not."""
    state = status(pid, "State")
    return state is not None and state[0] not in "ZX"


def killed(pid):
    """Whether a SIGKILL has been sent to it, which it may not have been given the processor to obey."""
    sent = [status(pid, field) or "0" for field in ("SigPnd", "ShdPnd")]
    return not alive(pid) or any(int(mask, 16) >> (signal.SIGKILL - 1) & 1 for mask in sent)


def until(condition, patience=PATIENCE):
    """Wait for it; its value."""
    late = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < late, "waited too long"
        time.sleep(0.005)
    return value


def until_working(process, cpu=2.0):
    """Wait until it has worked for so many seconds of CPU."""
    until(lambda: cpu_seconds(process.pid) >= cpu or process.poll() is not None)
    assert process.poll() is None, "it ended by itself"
