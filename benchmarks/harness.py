"""Common tools of the benchmarks: CPU time on one CPU, medians with spread, touched memory, provenance.

Time is CPU time of the process, not wall time: a neighbour on the same machine may slow the memory down, but
the time in which the process is suspended is not counted.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.native import FLAGS, ROOT, compiler

#: Numbers of connections of the bench_*.py; TCPCORE_BENCH_LARGE=1 adds ten million, TCPCORE_BENCH_SMALL=1
#: leaves ten thousand only.
SIZES = [10_000, 100_000, 1_000_000] + [10_000_000] * (os.environ.get("TCPCORE_BENCH_LARGE") == "1")
if os.environ.get("TCPCORE_BENCH_SMALL") == "1":
    del SIZES[1:]

ALLOWED = os.sched_getaffinity(0)
cpu_ns = time.process_time_ns


@dataclass(frozen=True, slots=True)
class Measured:
    """A median and half the interquartile range, both in the samples' unit."""

    median: float
    spread: float
    samples: int

    @classmethod
    def of(cls, samples: Iterable[float]) -> Measured:
        values = list(samples)
        if len(values) == 1:
            return cls(values[0], 0.0, 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, (high - low) / 2, len(values))


class Stopwatch:
    """CPU time of named sections; a call returns their total so far in seconds.

    It can therefore be pytest-benchmark's timer, and what happens between the sections, such as shuffling, is
    not measured.
    """

    def __init__(self) -> None:
        self.total_ns = 0
        self.sections: dict[str, int] = defaultdict(int)

    @contextmanager
    def timing(self, section: str) -> Iterator[None]:
        start = cpu_ns()
        yield
        spent = cpu_ns() - start
        self.total_ns += spent
        self.sections[section] += spent

    def lap(self) -> dict[str, int]:
        """Return ns by section since the last lap."""
        done, self.sections = dict(self.sections), defaultdict(int)
        return done

    def __call__(self) -> float:
        return self.total_ns / 1e9


@contextmanager
def pinned() -> Iterator[None]:
    """Stay on the last of the CPUs this process may use: the first ones serve interrupts."""
    os.sched_setaffinity(0, {max(ALLOWED)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ALLOWED)


@contextmanager
def unpinned() -> Iterator[None]:
    """Use all CPUs again, within `pinned`, for code with more than one thread."""
    pinned_to = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ALLOWED)
    try:
        yield
    finally:
        os.sched_setaffinity(0, pinned_to)


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch the cycle collector off: it finds nothing in the naive reference and would double its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def batches(n: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover 0 .. n - 1."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def touched(n: int, dtype: Any) -> np.ndarray:
    """An array whose pages have been touched: the first touch of a page costs more than a segment."""
    array = np.empty(n, dtype)
    array.view(np.uint8)[:] = 0
    return array


# <bits/mman-linux.h>, <malloc.h>
_POPULATE_WRITE = 23  # Linux 5.14
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_TRIM_USUALLY, _MMAP_USUALLY, _NEVER = 128 * 1024, 65536, 2**31 - 1


def touch_mappings() -> None:
    """Touch every writable anonymous page of this process, those of reserved arrays included.

    No byte is changed. OSError where the system cannot do that (before Linux 5.14), or must not: the shadow
    memory of a sanitizer is terabytes.
    """
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    spans = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, inode, *name = line.split()
        if rights == "rw-p" and inode == "0" and name != ["[stack]"]:
            begin, end = (int(edge, 16) for edge in span.split("-"))
            spans.append((begin, end - begin))
    if sum(size for _, size in spans) > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2:
        raise OSError("more than half of this machine's memory is mapped")
    for begin, size in spans:
        if madvise(begin, size, _POPULATE_WRITE) != 0:
            raise OSError(ctypes.get_errno(), "madvise(MADV_POPULATE_WRITE) refused")


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory in the allocator: numpy's next array gets pages that have been touched."""
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_MMAP_MAX, 0)
    try:
        yield
    finally:
        mallopt(_MMAP_MAX, _MMAP_USUALLY)
        mallopt(_TRIM_THRESHOLD, _TRIM_USUALLY)


def sampled(work: Callable[[], object], steps: int, passes: int) -> list[float]:
    """ns per step of each of `passes` calls, after a call to get warm."""
    work()
    times = []
    for _ in range(passes):
        start = cpu_ns()
        work()
        times.append((cpu_ns() - start) / steps)
    return times


def revision() -> str:
    """The commit of this tree, with a + if there are changes; "unknown" outside of git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def provenance() -> dict[str, str]:
    """Machine, versions, flags and time of a run: figures without them cannot be compared."""
    return {
        "revision": revision(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": _first_line("/proc/cpuinfo", "model name") or platform.processor(),
        "cpus": str(len(ALLOWED)),
        "load": load(),
        "huge_pages": _first_line("/sys/kernel/mm/transparent_hugepage/enabled", ""),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "compiler": _compiler(),
        "flags": " ".join(FLAGS),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cython": _version("Cython"),
    }


def load() -> str:
    """Load average of the last minute, this process included."""
    return f"{os.getloadavg()[0]:.2f}"


def _first_line(path: str, start: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() or line for line in lines if line.startswith(start)), "")


def _compiler() -> str:
    """First line of the compiler's --version."""
    try:
        said = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.partition("\n")[0]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
