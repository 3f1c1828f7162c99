"""How long a run's warm-up is where the scenario leaves it to us: `warmup = "auto"`.

Until at most 1 % of the empty beginning is left. The longest of these: the time after which 1 % of the
connections of a load would still be open; 4.6 relaxation times of the accept queue, and a whole period of
its stalls; and where Erlang B says that ports or TIME_WAIT buckets run out, a whole TIME_WAIT. It depends on
the scenario only, never on what a run shows, and is rounded up to a millisecond. Elsewhere TIME_WAIT does not
count: it fills, but nothing depends on how full it is.
"""

from __future__ import annotations

import math
from typing import Final

from loadgen.scenario.model import Load, Scenario
from loadgen.theory import ports, queues
from loadgen.theory.populations import forgotten
from loadgen.theory.relaxation import accept_places
from loadgen.theory.stays import NS, established, parts, round_trip
from tcpcore import Config

LEFT: Final = 0.01  # of the beginning
SELDOM: Final = 1e-6  # a share of refusals that no run of ours would show
MOST: Final = 0.5  # of the run


def warmup_of(scenario: Scenario, server: Config, client: Config) -> int:
    """The warm-up in ns: the scenario's, or for "auto" what the module says, at most half the run."""
    run = scenario.run
    if run.warmup_ns is not None:
        return run.warmup_ns
    return min(_rounded(auto(scenario, server, client)), int(run.duration_ns * MOST))


def shortened(scenario: Scenario, server: Config, client: Config) -> list[str]:
    """A warning where the rule asks for more than half of the run."""
    taken, asked = warmup_of(scenario, server, client), _rounded(auto(scenario, server, client))
    if scenario.run.warmup_ns is not None or asked <= taken:
        return []
    return [
        f"warm-up: {asked / NS:g} s would be right, half of the run is {taken / NS:g} s: "
        "a longer run would tell more"
    ]


def _rounded(seconds: float) -> int:
    """Whole milliseconds, in ns: libraries of other machines differ in the last digits of a double."""
    return math.ceil(seconds * 1000) * 1_000_000


def auto(scenario: Scenario, server: Config, client: Config) -> float:
    """Seconds that the rule asks for. 0 where a load has no steady state: a count, a trace, flat out."""
    if not is_lasting(scenario):
        return 0.0
    lives = max(forgotten(established(scenario, part)) for part in parts(scenario)) + round_trip(scenario)
    return max(lives, _accept_queue(scenario, server), _time_wait(scenario, server, client))


def is_lasting(scenario: Scenario) -> bool:
    """Whether the loads have a steady state: none is a count, a trace, flat out or closed at one moment."""
    return bool(scenario.load) and not any(_ends(load) for load in scenario.load)


def _ends(load: Load) -> bool:
    flat = any(not math.isfinite(rate) for _, rate in load.shape)
    return bool(load.times_ns) or load.count is not None or load.close_at_ns is not None or flat


def _accept_queue(scenario: Scenario, server: Config) -> float:
    accept, rate = scenario.server.accept, ports.total_rate(scenario)
    found = accept.stall_every_ns / NS if accept.stall_ns else 0.0
    if rate and not accept.time.is_zero:
        each = rate / (scenario.server.listen.listeners * scenario.client.destinations)
        places = accept_places(scenario, server) + accept.workers
        relaxed = queues.relaxation_time(places, accept.time.mean / NS / accept.workers, each)
        found = max(found, -math.log(LEFT) * relaxed)
    return found


def _time_wait(scenario: Scenario, server: Config, client: Config) -> float:
    """The time in which ports or buckets fill, if they run out at all."""
    stay, rate = ports.blocking_time(scenario, client, server), ports.total_rate(scenario)
    found = 0.0
    if stay and rate:
        offered = rate * stay / ports.tuples_of(scenario)
        if queues.erlang_b(client.ports(), offered) >= SELDOM:
            found = stay
    for side, share in ports.time_wait_overflow(scenario, client, server).items():
        if share >= SELDOM:
            found = max(found, (client if side == "client" else server).time_wait_ms / 1000)
    return found
