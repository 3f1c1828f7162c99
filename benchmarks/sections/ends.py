"""One end alone, with the peer's segments computed outside of the time: server, client, all ages mixed."""

from __future__ import annotations

from typing import Any

from benchmarks.harness import Measured
from benchmarks.lifecycle import BATCH
from benchmarks.sections.run import PLAIN, Lines, Run, suffix
from benchmarks.sides import ClientSide, Mixed, ServerSide
from benchmarks.table import Note, Row, Target, count
from benchmarks.timed import Timed

SERVER_TARGETS = {
    10_000: Target(24),
    1_000_000: Target(1.9, "skeletons"),
    10_000_000: Target(2.2, "skeletons"),
}


def side(
    run: Run, make: Any, n: int, title: str, target: Target | None = None, batch: int = BATCH, **knobs: Any
) -> Lines:
    """Cycles of the side that `make` gives: ns per segment or step, and per connection by phase."""
    life = make(n, batch=batch, **knobs)
    beside, laps = run.by_turns(n, life.cycle)
    values = [sum(lap.values()) / life.segments for lap in laps]
    size = "" if batch == BATCH else f", batch {batch}"
    name = f"{title}, {count(n)}{size}{suffix(knobs)}"
    yield Row(name, Measured.of(values), "ns", **beside.ratios(values), target=target, judged=True)
    if run.phases:
        for phase in laps[0]:
            yield Row(f"  {phase}", Measured.of([lap[phase] for lap in laps]), "ns", judged=True)


def servers(run: Run) -> Lines:
    """The server side by number of connections, without and with timestamps."""
    yield Note("one end, ns per inbound segment (the peer is computed outside of the time)")
    for n in run.sizes:
        for knobs in (PLAIN, {}):
            yield from side(run, ServerSide, n, "server side", SERVER_TARGETS.get(n), **knobs)
    if run.huge:
        yield from side(run, ServerSide, run.huge, "server side", **PLAIN)


def timed(run: Run, **knobs: Any) -> Lines:
    """A row of `play` as a multiple of a row of `receive`, the same segments in the same minutes."""
    _, laps = run.by_turns(run.n, Timed(run.n, **knobs).cycle)
    for name, way, base, target in (
        ("one time for all", "play", "receive", Target(1.2)),
        ("a time each", "own times", "receive", Target(3)),
        ("a time each, a timer between", "timers", "receive, last", Target(3)),
    ):
        ratio = Measured.of([lap[way] / lap[base] for lap in laps])
        yield Row(f"play : receive, {name}, {count(run.n)}{suffix(knobs)}", ratio, "x", target=target)


def ends(run: Run) -> Lines:
    """The server by batch size, with all ages mixed, in timed batches; the client; the end of TIME_WAIT."""
    for batch in (256, 1024, 16384):
        yield from side(run, ServerSide, run.n, "server side", batch=batch, **PLAIN)
    for knobs in (PLAIN, {}):
        yield from side(run, Mixed, run.n, "server, all ages mixed", **knobs)
    for knobs in (PLAIN, {}):
        yield from timed(run, **knobs)
    for knobs in (PLAIN, {}):
        yield from side(run, ClientSide, run.n, "client side, per step of 5", **knobs)
    life = ClientSide(run.n, **PLAIN)
    beside, laps = run.by_turns(run.n, life.cycle)
    ends = [lap["2 MSL"] for lap in laps]
    name = f"TIME_WAIT's end, {count(run.n)}"
    yield Row(name, Measured.of(ends), "ns", **beside.ratios(ends), judged=True)
