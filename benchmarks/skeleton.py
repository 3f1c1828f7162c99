"""The look-up skeleton: what a segment costs in C before anything is done about it.

    hash of the batch, head, block, one word written

`lookup.c` does it with the engine's hash, sizes and prefetches. The rows are those of the engine's server
side and stream in from an array in random order, in batches of 4096 as there. It takes the first block of a
chain for the owner; the stage after it finds the owner in a bucket of tags, as the engine does.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from benchmarks.lifecycle import BATCH, words
from benchmarks.native import shared
from benchmarks.sides import syns

#: The numbers of lookup.c.
STAGES = ("the first block", "the owner, by its tag and tuple")
LEAST_STEPS = 1 << 20  # below this a pass is too short to time


class Skeleton:
    """A table of n connections and a random order of rows for them; `run` makes one pass."""

    def __init__(self, n: int, seed: int = 5) -> None:
        if n < 1:
            raise ValueError(f"n: expected at least 1, got {n}")
        self.c = library()
        rows = syns(n, False)
        self.table = ctypes.c_void_p(self.c.lookup_new(n, BATCH))
        self.c.lookup_insert(self.table, pointer(rows), n)
        order = np.random.Generator(np.random.PCG64(seed)).permutation(n)
        self.rows = words(rows)[order]
        self.passes = -(-LEAST_STEPS // n)
        self.steps = self.passes * n

    def run(self, stage: int = 0) -> None:
        """`steps` rows; RuntimeError if one finds no block."""
        for _ in range(self.passes):
            if self.c.lookup_touch(self.table, pointer(self.rows), len(self.rows), stage):
                raise RuntimeError("a flow was not found")

    def __del__(self) -> None:
        if hasattr(self, "table"):
            self.c.lookup_free(self.table)


def library() -> Any:
    """`lookup.c`, compiled."""
    c = shared("lookup")
    c.lookup_new.restype = ctypes.c_void_p
    return c


def pointer(rows: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(rows.ctypes.data)
