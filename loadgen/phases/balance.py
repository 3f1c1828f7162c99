"""The books of a run must balance: what went in came out, under exactly one name.

Asked at the end of every run that was not interrupted. An imbalance is a bug of ours, never of the input.
"""

from __future__ import annotations

from loadgen.phases.link import SIDES
from loadgen.phases.runner import End, Runner

_HALF_OPEN_ENDS = ("Established", "Evicted", "Expired", "Reset", "Aborted", "ListenerClosed")


class Imbalance(RuntimeError):
    """An identity that does not hold, or an engine that is not sound; the message lists them."""


def imbalances(runner: Runner) -> list[str]:
    """Every identity of both engines and the link that does not hold, in words."""
    wrong: list[str] = []
    for side, (name, engine) in enumerate(zip(SIDES, runner.engines, strict=True)):
        found = engine_imbalances(engine)
        counters = engine.counters
        if counters["OutSegs"] != runner.link.sent[side]:
            found.append(f"OutSegs {counters['OutSegs']}, {runner.link.sent[side]} rows emitted")
        if counters["InSegs"] != runner.received[side]:
            found.append(f"InSegs {counters['InSegs']}, {runner.received[side]} rows received")
        wrong += [f"{name}: {text}" for text in found]
    return wrong


def engine_imbalances(engine: End) -> list[str]:
    """The identities that one engine's own figures must satisfy."""
    wrong: list[str] = []
    counters, gauges = engine.counters, engine.gauges()
    ended = {f"SynQueue{end}": counters[f"SynQueue{end}"] for end in _HALF_OPEN_ENDS}
    if counters["SynQueueAdded"] != sum(ended.values()) + gauges["half_open"]:
        wrong.append(
            f"SynQueueAdded {counters['SynQueueAdded']}, but {ended} and {gauges['half_open']} still there"
        )
    alive = int(engine.state_counts()[2:].sum())
    if alive + gauges["held_dead"] != gauges["blocks_used"]:
        wrong.append(f"{alive} alive and {gauges['held_dead']} dead, but {gauges['blocks_used']} blocks used")
    if counters["EventsLost"]:
        wrong.append(f"{counters['EventsLost']} events lost")
    return wrong


def require(wrong: list[str]) -> None:
    """Raise Imbalance when there is anything on the list."""
    if wrong:
        raise Imbalance("the books do not balance: " + "; ".join(wrong))
