"""How long a run must be before its figures are those of the long run: 100 relaxation times of its queue.

Known for the accept queue as M/M/m/K. A queue near load 1 forgets so slowly that a run of some seconds shows
how it filled and not how full it is (planner.md 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from loadgen.scenario.model import Scenario
from loadgen.theory import ports, queues
from tcpcore import Config

LONG_ENOUGH: Final = 100  # relaxation times that a run must last
NS: Final = 1e9


@dataclass(frozen=True)
class Relaxing:
    """A queue: places with those in service, seconds a worker needs, arrivals per second."""

    places: int
    service: float
    rate: float

    @property
    def load(self) -> float:
        """Of the workers together; 1: as much arrives as can be served."""
        return self.rate * self.service

    @property
    def needed_s(self) -> float:
        """Seconds that a run must last."""
        return LONG_ENOUGH * queues.relaxation_time(self.places, self.service, self.rate)

    @property
    def needed_at_worst_s(self) -> float:
        """The same at the rate at which the queue is slowest, just below load 1.

        There the derivative of the spectral gap by the rate is 0: lambda = mu cos(pi / (K + 1))**2.
        """
        slowest = math.cos(math.pi / (self.places + 1)) ** 2 / self.service
        return LONG_ENOUGH * queues.relaxation_time(self.places, self.service, slowest)


def accept_places(scenario: Scenario, server: Config) -> int:
    """Connections that wait for accept at most, on one listener: R3.3."""
    backlog = scenario.server.listen.backlog
    bound = server.somaxconn if backlog is None else min(backlog, server.somaxconn)
    return max(1, 3 * bound // 2) if server.accept_queue_rule == "half-more" else bound + 1


def accept_queue(scenario: Scenario, server: Config) -> Relaxing | None:
    """The accept queue of one listener; None where no rate is constant or connections are taken at once."""
    accept, listen = scenario.server.accept, scenario.server.listen
    total = ports.total_rate(scenario)
    if not total or accept.time.is_zero:
        return None
    rate = total / (listen.listeners * scenario.client.destinations)
    places = accept_places(scenario, server) + accept.workers
    return Relaxing(places, accept.time.mean / NS / accept.workers, rate)


def too_short(scenario: Scenario, server: Config) -> float | None:
    """Seconds that the run would have to last, None where it is long enough or nothing is known."""
    queue = accept_queue(scenario, server)
    if queue is None or scenario.run.duration_ns / NS >= queue.needed_s:
        return None
    return queue.needed_s
