"""`python -m benchmarks.instructions`: instructions per connection, counted by callgrind.

A count has almost no noise: only a change of the code changes it. Only the engine's own calls are counted,
Python's share of them included, in complete cycles after warm ones; N connections, in one batch per call, so
that a call from Python is paid once per 4096 segments. One table per workload: by phase, then the functions
that cost the most (inlined code counts for the function that it was inlined into).

With --against REVISION that revision is built in build/compare, as in `benchmarks.compare`, and the phases of
both are printed side by side. Exit status: 0 no phase costs more than 1 % more, 1 a phase does, 2 nothing was
counted.

Needs valgrind with its headers (Debian: valgrind).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import provenance
from benchmarks.lifecycle import BATCH, EnginePair, Lifecycle
from benchmarks.native import ROOT, native
from benchmarks.revisions import RevisionError, built_tree, run_in
from benchmarks.sides import ServerSide

RECORD = Path(__file__).with_name("instructions.jsonl")
HEADER = Path("/usr/include/valgrind/callgrind.h")
WARM, COUNTED = 2, 2
MOST_PERCENT = 1.0  # that a phase may cost more

Phases = dict[str, Counter[str]]  # phase -> function -> instructions, of all counted cycles together


class Counting:
    """Takes the place of a lifecycle's stopwatch: sections are counted instead of timed."""

    def __init__(self, workload: str) -> None:
        self.callgrind = native("callgrind")
        self.workload = workload
        self.on = False

    @contextmanager
    def timing(self, section: str) -> Iterator[None]:
        if not self.on:
            yield
            return
        toggle = self.callgrind.toggle
        toggle()
        yield
        toggle()
        self.callgrind.dump(f"{self.workload}|{section}".encode())

    def lap(self) -> dict[str, int]:
        return {}


def pair(watch: Any, n: int, **knobs: int) -> Lifecycle:
    return Lifecycle(EnginePair(n, **knobs), watch)


#: Workload -> constructor, and its segments per connection.
WORKLOADS: dict[str, tuple[Callable[[Any, int], Any], int]] = {
    "pair": (pair, 7),
    "pair, no timestamps": (lambda watch, n: pair(watch, n, tcp_timestamps=0), 7),
    "server": (lambda watch, n: ServerSide(n, watch), ServerSide.segments),
    "server, no timestamps": (lambda watch, n: ServerSide(n, watch, tcp_timestamps=0), ServerSide.segments),
}


def run_counted(n: int, names: list[str]) -> None:
    """Run the workloads inside valgrind, one dump per phase and cycle."""
    prepared = []
    for name in names:
        watch = Counting(name)
        life = WORKLOADS[name][0](watch, n)
        prepared.append((watch, life))
    for _, life in prepared:
        for _ in range(WARM):
            life.cycle()
    native("callgrind").start()
    for watch, life in prepared:
        watch.on = True
        for _ in range(COUNTED):
            life.cycle()
        watch.on = False


def self_costs(dump: Path) -> tuple[str, Counter[str]]:
    """The name a dump was given, and instructions by function, those of callees not included."""
    names: dict[str, str] = {}
    costs: Counter[str] = Counter()
    title, function, skip = "", "", False
    for line in dump.read_text().splitlines():
        if line.startswith("desc: Trigger:"):
            title = line.partition(": Client Request: ")[2]
        elif line.startswith(("fn=", "cfn=")):
            key, _, name = line.partition("=")[2].partition(" ")
            if name:
                names[key] = name
            if line[0] == "f":
                function = names[key]
        elif line.startswith("calls="):
            skip = True  # the next line is the callee's
        elif line[:1] in "+-*0123456789" and line:
            if not skip:
                costs[readable(function)] += int(line.split()[1])
            skip = False
    return title, costs


def readable(symbol: str) -> str:
    """A symbol of Cython's without its mangling: `loops.core.core_receive` for a function of tcpcore.

    In `__pyx_f_7tcpcore_5loops_4core_core_receive` each folder, module and class stands behind its length.
    """
    symbol = symbol.partition(".")[0].partition("'")[0]
    found = re.fullmatch(r"__pyx_(?:f|pw|pf|fuse_\d+|tp_\w+?|getprop)_7tcpcore_(.*)", symbol)
    if found is None:
        return symbol
    parts, rest = [], found[1]
    while (number := re.match(r"\d+", rest)) is not None:
        rest = rest[number.end() :]
        size = int(number[0])
        if rest[size : size + 1] != "_":
            break  # a number that Cython gave, not a length
        parts.append(rest[:size])
        rest = rest[size + 1 :]
    return ".".join([*parts, rest])


def counted(tree: Path, n: int, names: list[str]) -> dict[str, Phases]:
    """Phases of each workload, run in a tree: this one, or another revision's with this one's benchmarks."""
    run_in(tree, "benchmarks.native", "callgrind")  # compiled outside of valgrind
    found: dict[str, Phases] = {name: {} for name in names}
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--instr-atstart=no"]
        command += [f"--callgrind-out-file={directory}/out", "--quiet", sys.executable]
        command += ["-m", "benchmarks.instructions", "--inside", "-n", str(n), *names]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RevisionError(f"valgrind failed in {tree.name}:\n{done.stderr[-2000:]}")
        for path in sorted(Path(directory).glob("out.*"), key=lambda path: int(path.suffix[1:])):
            title, costs = self_costs(path)
            workload, bar, phase = title.partition("|")
            if bar:
                found[workload].setdefault(phase, Counter()).update(costs)
    return found


def summary(name: str, phases: Phases, n: int, top: int) -> dict[str, Any]:
    """The figures of one workload, per connection."""
    lives = n * COUNTED
    functions: Counter[str] = sum(phases.values(), Counter())
    total = functions.total() / lives
    return {
        "workload": name,
        "per_connection": round(total, 1),
        "per_segment": round(total / WORKLOADS[name][1], 1),
        "phases": {phase: round(costs.total() / lives, 1) for phase, costs in phases.items()},
        "functions": {function: round(cost / lives, 1) for function, cost in functions.most_common(top)},
    }


def table(figures: dict[str, Any]) -> Iterator[str]:
    """The printed lines of one workload."""
    total = figures["per_connection"]
    yield f"{figures['workload']:<48}{total:>10,.1f}   per segment {figures['per_segment']:,.1f}"
    for phase, cost in figures["phases"].items():
        yield f"  {phase:<46}{cost:>10,.1f}"
    yield "  by function"
    for function, cost in figures["functions"].items():
        yield f"    {function:<44}{cost:>10,.1f} {100 * cost / total:>6.1f} %"


def per_connection(phases: Phases, n: int) -> dict[str, float]:
    """Instructions per connection of each phase, and of all together."""
    costs = {phase: functions.total() / (n * COUNTED) for phase, functions in phases.items()}
    return costs | {"total": sum(costs.values())}


def compared(before: dict[str, float], after: dict[str, float]) -> Iterator[tuple[str, bool]]:
    """A printed line for each phase of a workload, and whether the phase has grown."""
    for phase, new in after.items():
        old = before.get(phase, 0.0)
        percent = 100 * (new - old) / old if old else 100.0
        grown = percent > MOST_PERCENT
        mark = "  MORE" if grown else ""
        yield f"  {phase:<38}{old:>12,.1f}{new:>12,.1f}{percent:>+8.2f} %{mark}", grown


def compare(base: str, n: int, names: list[str]) -> int:
    """Print the phases of a revision and of this tree side by side; return how many of them have grown."""
    before, after = counted(built_tree(base), n, names), counted(ROOT, n, names)
    print(f"{'instructions per connection':<40}{base[:11]:>12}{'this tree':>12}{'change':>10}")
    more = 0
    for name in names:
        print(name)
        for line, grown in compared(per_connection(before[name], n), per_connection(after[name], n)):
            print(line)
            more += grown
    return more


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, with the names of existing workloads."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; default all"
    )
    parser.add_argument("-n", type=int, default=BATCH, help=f"connections (default {BATCH}, one batch)")
    parser.add_argument("--top", type=int, default=25, help="functions shown (default 25)")
    parser.add_argument(
        "--record", action="store_true", help=f"append the figures to benchmarks/{RECORD.name}"
    )
    parser.add_argument("--against", metavar="REVISION", help="compare with the phases of a revision of git")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.workloads = options.workloads or list(WORKLOADS)
    for name in options.workloads:
        if name not in WORKLOADS:
            parser.error(f"no such workload: {name!r}")
    if options.record and options.against:
        parser.error("--record: expected without --against, which prints no functions")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    if options.inside:
        run_counted(options.n, options.workloads)
        return 0
    if shutil.which("valgrind") is None or not HEADER.exists():
        print("instructions: needs valgrind and its headers (Debian: valgrind)", file=sys.stderr)
        return 2
    try:
        if options.against:
            return 1 if compare(options.against, options.n, options.workloads) else 0
        found = counted(ROOT, options.n, options.workloads)
    except RevisionError as error:
        print(f"instructions: {error}", file=sys.stderr)
        return 2
    rows = [summary(name, phases, options.n, options.top) for name, phases in found.items()]
    lines = [line for row in rows for line in ("", *table(row))][1:]
    print("\n".join(lines))
    if options.record:
        entry = {"schema": 1, "connections": options.n, **provenance(), "workloads": rows, "table": lines}
        with RECORD.open("a") as record:
            record.write(json.dumps(entry) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
