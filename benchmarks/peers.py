"""The lifecycle of a pair in other TCPs, the Linux kernel and lwIP, in processes of their own.

No network is used: the kernel's segments stay on the loopback interface of a new network namespace, lwIP's in
one process. Where root or headers are missing, the table has the reason instead of a figure.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Measured
from benchmarks.native import built

LWIP_HEADERS = Path("/usr/include/lwip")


class Missing(Exception):
    """There is no figure; the message says why."""


def sampled_by(program: Path, *arguments: object) -> Measured:
    """The samples that the program prints, ns per lifecycle."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Missing(done.stderr.strip() or f"exit status {done.returncode}")
    return Measured.of(map(float, done.stdout.split()))


def linux(samples: int) -> Measured:
    """ns per lifecycle over the kernel's loopback interface."""
    if sys.platform != "linux":
        raise Missing("this is not Linux")
    return sampled_by(built("peer_linux"), samples)


def lwip(samples: int, established: int) -> Measured:
    """ns per lifecycle in lwIP, with other connections established meanwhile."""
    if not (LWIP_HEADERS / "lwip" / "tcp.h").exists():
        raise Missing("no headers (Debian: liblwip-dev)")
    try:
        program = built("peer_lwip", f"-I{LWIP_HEADERS}", "-llwip")
    except RuntimeError as error:
        raise Missing(str(error)) from None
    return sampled_by(program, samples, established)
