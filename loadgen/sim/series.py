"""The points of a run's series: populations, gauges and counts of loads as they are at a moment.

The engines are asked at each point. What the loop itself counts at each event (ports in use, the server's
queues) is kept as its integral over time besides, so that the average between two points is exact.
"""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.sim.build import Plan
from loadgen.sim.simulator import Simulator
from tcpcore import Engine, State

GAUGES: Final = ("half_open", "accept_queue", "time_wait", "orphans", "held_dead", "blocks_used")


def states_of(engines: list[Engine]) -> npt.NDArray[np.uint64]:
    """uint64[11] of a side."""
    total = engines[0].state_counts()
    for engine in engines[1:]:
        total += engine.state_counts()
    return total


def gauges_of(engines: list[Engine]) -> dict[str, int]:
    """GAUGES of all engines of a side."""
    gauges = [engine.gauges(sizes=False) for engine in engines]
    return {name: int(sum([one[name] for one in gauges])) for name in GAUGES}


class Series:
    """What is sampled at the points of the series."""

    def __init__(self, plan: Plan, names: list[str]) -> None:
        self._plan = plan
        self._parts = [f"{name}.{what}" for name in names for what in ("attempted", "connected", "served")]
        self.times = array("q")
        self._rows = {"client": array("q"), "server": array("q"), "load": array("q")}  # one after the other
        self._areas: list[dict[str, int]] = []

    def sample(self, now: int, simulator: Simulator) -> None:
        """One point of it."""
        if self.times and self.times[-1] == now:
            return
        self.times.append(now)
        for side, engines in (("client", self._plan.clients), ("server", self._plan.servers)):
            self._rows[side].extend(states_of(engines).tolist())
            self._rows[side].extend(gauges_of(engines).values())
        self._areas.append(simulator.areas)
        for i in range(len(self._parts) // 3):
            self._rows["load"].extend(simulator.counts(i))

    def columns(self) -> dict[str, dict[str, npt.NDArray[np.int64]]]:
        """By side and name; `time_ns` under "time"."""
        by_side = {"time": {"time_ns": np.array(self.times, dtype=np.int64)}}
        states = [*(state.name for state in State), *GAUGES]
        for side, names in (("client", states), ("server", states), ("load", self._parts)):
            table = np.array(self._rows[side], dtype=np.int64).reshape(len(self.times), len(names))
            by_side[side] = {name: table[:, k] for k, name in enumerate(names)}
        return by_side

    @property
    def peaks(self) -> dict[str, int]:
        """The most of each gauge at a point after the warm-up, by side and name."""
        measured = np.array(self.times) >= self._plan.facts["warmup"]
        if not measured.any():
            return {}
        found = self.columns()
        return {
            f"{side}.{name}": int(found[side][name][measured].max())
            for side in ("client", "server")
            for name in GAUGES
        }

    def areas(self) -> dict[str, npt.NDArray[np.uint64]]:
        """Integrals over time up to each point, by name."""
        names = self._areas[0] if self._areas else ()
        return {name: np.array([row[name] for row in self._areas], dtype=np.uint64) for name in names}
