"""Calls of one from Python, each beside a plain Python step that is measured by turns with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.calls import CALLS, ROUNDS, Caller, rounds, run_all
from benchmarks.harness import Measured, cpu_ns
from benchmarks.sections.run import Lines, Run, ratios
from benchmarks.table import Note, Row, Target

PASSES = 15


def us_per_call(call: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """The caller's loop is a part of it."""
    start = cpu_ns()
    run_all(call, arguments)
    return (cpu_ns() - start) / len(arguments) / 1000


def calls(run: Run) -> Lines:
    """Each call's time; in the column of floors, how many plain Python steps that is."""
    yield Note("one at a time from Python; `floors` are plain Python steps: dict update, heap push and pop")
    caller = Caller()
    steps: list[float] = []
    for name, (limit, prepared, call) in caller.cases().items():
        run_all(call, prepared())
        times, plain = [], []
        for _ in range(PASSES):
            plain.append(us_per_call(caller.step, range(CALLS)))
            times.append(us_per_call(call, prepared()))
        steps += plain
        target = None if limit is None else Target(limit)
        yield Row(f"call of one, {name}", Measured.of(times), "us", ratios(times, plain), target, judged=True)
    yield Row("plain Python step", Measured.of(steps), "us")
    connection = rounds()
    connection.run(ROUNDS // 10)
    times = []
    for _ in range(PASSES):
        start = cpu_ns()
        connection.run(ROUNDS)
        times.append((cpu_ns() - start) / ROUNDS)
    yield Row("compiled: send, receive, receive", Measured.of(times), "ns", target=Target(500), judged=True)
