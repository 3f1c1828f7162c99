"""Other TCPs on the same life of a pair, in processes of their own: the Linux kernel and lwIP.

Nothing is sent over a wire: the kernel's segments stay on the loopback interface of a namespace made for
this, lwIP's in one process. Whatever is missing (root, headers) is said instead of a figure.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Measured
from benchmarks.native import built

LWIP_HEADERS = Path("/usr/include/lwip")


class Missing(Exception):
    """Why there is no figure."""


def sampled_by(program: Path, *arguments: object) -> Measured:
    """What the program prints, ns per life."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Missing(done.stderr.strip() or f"exit status {done.returncode}")
    return Measured.of(map(float, done.stdout.split()))


def linux(samples: int) -> Measured:
    if sys.platform != "linux":
        raise Missing("this is not Linux")
    return sampled_by(built("peer_linux"), samples)


def lwip(samples: int, established: int) -> Measured:
    if not (LWIP_HEADERS / "lwip" / "tcp.h").exists():
        raise Missing("no headers (Debian: liblwip-dev)")
    try:
        program = built("peer_lwip", f"-I{LWIP_HEADERS}", "-llwip")
    except RuntimeError as error:
        raise Missing(str(error)) from None
    return sampled_by(program, samples, established)
