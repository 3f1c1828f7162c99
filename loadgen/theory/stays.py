"""How long a scenario's connections stay in what they take: ESTABLISHED, TIME_WAIT, a port.

Follows docs/simulation.md, S3.6 to S3.12, on a path without loss: connected after one round trip, first close
at max(hold, when all is read), the other side closes when it sees the FIN. Segments take half of the mean
round trip. Times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from loadgen.scenario.model import Load, Scenario
from loadgen.scenario.values import Distribution
from loadgen.theory.populations import Life, Shape, arrived

NS: Final = 1e9
TICK: Final = 0.001  # s, of an engine's timers: an entry may stay so much longer or shorter than it is told
CLIENT: Final = "client"
SERVER: Final = "server"
RESET: Final = "reset"


@dataclass(frozen=True)
class Part:
    """The connections of one load that are closed in one way."""

    load: Load
    share: float  # of the load's connections
    closer: str  # CLIENT, SERVER, RESET (by the client)
    hold: Life  # from connected to the first close


def parts(scenario: Scenario) -> Iterator[Part]:
    """Each load's connections by who closes; those with no share are left out."""
    closes = scenario.server.closes
    shares = {
        CLIENT: max(0.0, 1 - closes.server - closes.reset),
        SERVER: closes.server,
        RESET: closes.reset,
    }
    for load in scenario.load:
        for closer, share in shares.items():
            if share > 0:
                yield Part(load, share, closer, _hold(scenario, load, closer))


def _hold(scenario: Scenario, load: Load, closer: str) -> Life:
    """From connected to the first close: S3.10."""
    rtt = round_trip(scenario)
    family = load.hold
    if load.close_at_ns is not None:
        family = Distribution("const", max(0.0, load.close_at_ns - load.start_ns - scenario.link.rtt.mean))
    exchanges = 0.0
    if load.speaks == "client" and load.request and load.response:
        exchanges = float(load.requests_per_connection)
    elif load.speaks == "server" and load.response:
        exchanges = float(load.requests_per_connection)
    if closer == SERVER:  # it has the connection half a round trip later, the last request so much earlier
        exchanges = max(0.5, exchanges - 0.5 if load.speaks == "client" else exchanges)
    return Life(family, at_least=exchanges * rtt)


def round_trip(scenario: Scenario) -> float:
    """Mean round trip in seconds."""
    return max(0.0, scenario.link.rtt.mean) / NS


def established(scenario: Scenario, part: Part) -> Life:
    """Stay of the client's end in ESTABLISHED; it begins one round trip after the arrival."""
    if part.closer != SERVER:
        return part.hold
    return replace(part.hold, plus=part.hold.plus + round_trip(scenario) / 2)


def shape_of(load: Load) -> Shape:
    """The load's rate of arrivals over the run's time, in seconds: its shape counts from its start."""
    return [((load.start_ns + at) / NS, rate) for at, rate in load.shape]


def mean_rate(scenario: Scenario, load: Load) -> float:
    """Arrivals per second, averaged over the run."""
    seconds = scenario.run.duration_ns / NS
    if seconds <= 0:
        return 0.0
    if load.times_ns:
        return sum(load.start_ns + at < scenario.run.duration_ns for at in load.times_ns) / seconds
    begun = math.inf if load.count is None else float(load.count)
    if all(math.isfinite(rate) for _, rate in load.shape):
        begun = min(begun, arrived(shape_of(load), seconds))
    return begun / seconds


def constant_rate(load: Load) -> float | None:
    """Arrivals per second of an open load whose rate never changes, else None."""
    rates = {rate for _, rate in load.shape}
    begins = load.start_ns + (load.shape[0][0] if load.shape else 0)
    bounded = load.times_ns or load.concurrency or load.count is not None or load.close_at_ns is not None
    if len(rates) != 1 or bounded or begins:
        return None
    rate = rates.pop()
    return rate if math.isfinite(rate) else None
