"""`python -m benchmarks.instructions`: instructions per connection, counted by callgrind.

A figure without noise: what changes it is the code. Only the engine's own calls are counted, Python's share
of them included, in whole cycles after warm ones; N connections, in one batch per call, so that the border
is paid once per 4096 segments. One table per workload: by phase, then the functions that cost the most
(what the compiler inlined counts for the function it went into).

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
from benchmarks.sides import ServerSide

RECORD = Path(__file__).with_name("instructions.jsonl")
WARM, COUNTED = 2, 2


class Counting:
    """Stands where a lifecycle's stopwatch stands: sections are counted instead of timed."""

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


#: Workload -> what runs it, and its segments per connection.
WORKLOADS: dict[str, tuple[Callable[[Any, int], Any], int]] = {
    "pair": (pair, 7),
    "pair, no timestamps": (lambda watch, n: pair(watch, n, tcp_timestamps=0), 7),
    "server": (lambda watch, n: ServerSide(n, watch), ServerSide.segments),
    "server, no timestamps": (lambda watch, n: ServerSide(n, watch, tcp_timestamps=0), ServerSide.segments),
}


def run_counted(n: int, names: list[str]) -> None:
    """Inside valgrind."""
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
    """What a dump is of, and instructions by function, those of callees not included."""
    names: dict[str, str] = {}
    costs: Counter[str] = Counter()
    what, here, skip = "", "", False
    for line in dump.read_text().splitlines():
        if line.startswith("desc: Trigger:"):
            what = line.partition(": Client Request: ")[2]
        elif line.startswith(("fn=", "cfn=")):
            key, _, name = line.partition("=")[2].partition(" ")
            if name:
                names[key] = name
            if line[0] == "f":
                here = names[key]
        elif line.startswith("calls="):
            skip = True  # the next line is the callee's
        elif line[:1] in "+-*0123456789" and line:
            if not skip:
                costs[readable(here)] += int(line.split()[1])
            skip = False
    return what, costs


def readable(symbol: str) -> str:
    """`core.core_receive` for Cython's `__pyx_f_7tcpcore_4core_core_receive`."""
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


def counted(n: int, names: list[str]) -> dict[str, dict[str, Counter[str]]]:
    """Workload -> phase -> function -> instructions, of all counted cycles together."""
    native("callgrind"), native("floor")  # compiled outside of valgrind
    found: dict[str, dict[str, Counter[str]]] = {name: {} for name in names}
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--instr-atstart=no"]
        command += [f"--callgrind-out-file={directory}/out", "--quiet", sys.executable, "-m", __spec__.name]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [*command, "--inside", "-n", str(n), *names],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"valgrind failed:\n{done.stderr}")
        for path in sorted(Path(directory).glob("out.*"), key=lambda path: int(path.suffix[1:])):
            what, costs = self_costs(path)
            workload, bar, phase = what.partition("|")
            if bar:
                found[workload].setdefault(phase, Counter()).update(costs)
    return found


def told(name: str, phases: dict[str, Counter[str]], n: int, top: int) -> dict[str, Any]:
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
    """Lines for people."""
    total = figures["per_connection"]
    yield f"{figures['workload']:<40}{total:>10,.1f}   per segment {figures['per_segment']:,.1f}"
    for phase, cost in figures["phases"].items():
        yield f"  {phase:<38}{cost:>10,.1f}"
    yield "  by function"
    for function, cost in figures["functions"].items():
        yield f"    {function:<36}{cost:>10,.1f} {100 * cost / total:>6.1f} %"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; default all"
    )
    parser.add_argument("-n", type=int, default=BATCH, help=f"connections (default {BATCH}, one batch)")
    parser.add_argument("--top", type=int, default=25, help="functions shown (default 25)")
    parser.add_argument(
        "--record", action="store_true", help=f"append the figures to benchmarks/{RECORD.name}"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.workloads or list(WORKLOADS)
    for name in names:
        if name not in WORKLOADS:
            parser.error(f"no such workload: {name!r}")
    if options.inside:
        run_counted(options.n, names)
        return 0
    if shutil.which("valgrind") is None or not Path("/usr/include/valgrind/callgrind.h").exists():
        print("instructions: needs valgrind and its headers (Debian: valgrind)", file=sys.stderr)
        return 2
    found = counted(options.n, names)
    rows = [told(name, phases, options.n, options.top) for name, phases in found.items()]
    lines = [line for row in rows for line in ("", *table(row))][1:]
    print("\n".join(lines))
    if options.record:
        entry = {"schema": 1, "connections": options.n, **provenance(), "workloads": rows, "table": lines}
        with RECORD.open("a") as record:
            record.write(json.dumps(entry) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
