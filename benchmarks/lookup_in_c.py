"""The cost of Cython: the flow table's lookup loop and the same loop written in C (`lookup.c`).

Both are called from Python once per batch, on the same rows, by turns. It says nothing about the rest of the
engine, which has no counterpart in C; `benchmarks.instructions` shows the cost of calls from Python.
"""

from __future__ import annotations

import ctypes

import numpy as np

from benchmarks.harness import Measured, batches, cpu_ns
from benchmarks.lifecycle import BATCH, words
from benchmarks.sides import syns
from benchmarks.skeleton import library, pointer
from tests.extensions.flow_table import Table


def cython_against_c(n: int, passes: int) -> tuple[Measured, Measured, Measured]:
    """ns per lookup in Cython and in C, and their ratio pass by pass."""
    c = library()
    rows = syns(n, False)
    order = np.random.Generator(np.random.PCG64(5)).permutation(n)
    shuffled = words(rows)[order].view(rows.dtype).ravel()
    table = Table(n, seed=7)
    table.insert(rows)
    c_table = ctypes.c_void_p(c.lookup_new(n, BATCH))
    c.lookup_insert(c_table, pointer(rows), n)
    refs = np.empty(BATCH, np.uint32)

    def in_cython(batch: np.ndarray) -> np.ndarray:
        return table.find(batch)

    def in_c(batch: np.ndarray) -> np.ndarray:
        c.lookup_find(c_table, pointer(batch), len(batch), pointer(refs))
        return refs[: len(batch)]

    both: list[list[float]] = [[], []]
    for turn in range(passes + 1):
        spent = [0, 0]
        for part in batches(n, BATCH):
            batch = shuffled[part]
            first = turn & 1 ^ part.start // BATCH & 1  # the second finds the rows in the cache
            for which in (first, 1 - first):
                began = cpu_ns()
                found = (in_cython, in_c)[which](batch)
                spent[which] += cpu_ns() - began
                if not found.all():
                    raise RuntimeError("a flow was not found")
        for times, ns in zip(both, spent, strict=True):
            times.append(ns / n)
    ours, theirs = both[0][1:], both[1][1:]
    c.lookup_free(c_table)
    return (
        Measured.of(ours),
        Measured.of(theirs),
        Measured.of(a / b for a, b in zip(ours, theirs, strict=True)),
    )
