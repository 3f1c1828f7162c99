"""Ctrl-C for a process of ours once it is well into its work, by its CPU time: a busy machine starts late."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WELL_IN = 3.0                          # s of CPU for each process; to start takes less than one
PATIENCE = 120                         # s of wall


def _stat(pid):
    """Parent and CPU seconds of a process, None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """Of a process and its children."""
    stats = {int(path.name): _stat(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    return sum(stat[1] for other, stat in stats.items() if stat and (other == pid or stat[0] == pid))


def interrupted(*args, processes=1):
    """Exit code and standard output of `loadgen args`, which works in so many processes, after a SIGINT."""
    command = [sys.executable, "-m", "loadgen", *args]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # a shell that runs the tests in the background has it ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        late = time.monotonic() + PATIENCE
        while cpu_seconds(process.pid) < processes * WELL_IN:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < late, "it does not work"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, stdout
