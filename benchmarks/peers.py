"""The lifecycle of a pair elsewhere: Linux, lwIP, ns-3 (in processes of their own) and SimPy.

No network is used: the kernel's segments stay on the loopback interface of a new network namespace, those of
the others in one process. Where root, headers or a package are missing, the table has the reason instead of a
figure.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Measured
from benchmarks.native import built

LWIP_HEADERS = Path("/usr/include/lwip")
NS3_HEADERS = Path("/usr/include/ns3")


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


def ns3(samples: int) -> Measured:
    """ns per lifecycle in ns-3."""
    if not (NS3_HEADERS / "internet-module.h").exists():
        raise Missing("not installed (Debian: libns3-dev)")
    try:
        program = built("peer_ns3", "-std=c++17", "-lns3-internet", "-lns3-network", "-lns3-core")
    except (OSError, RuntimeError) as error:
        raise Missing(str(error)) from None
    return sampled_by(program, samples)


def simpy(samples: int) -> Measured:
    """ns per lifecycle in a model of SimPy."""
    if importlib.util.find_spec("simpy") is None:
        raise Missing("not installed (pip install simpy)")
    from benchmarks.peer_simpy import measured

    return measured(samples)
