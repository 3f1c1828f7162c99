"""The points of a run's series: populations, gauges and counts of loads as they are at a moment.

The engines are asked at each point. What the loop itself counts at each event (ports in use, the server's
queues) is kept as its integral over time besides, so that the average between two points is exact.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.sim.build import Plan
from loadgen.sim.simulator import Simulator
from tcpcore import Engine, State

GAUGES: Final = ("half_open", "accept_queue", "time_wait", "orphans", "held_dead", "blocks_used")


def states_of(engines: list[Engine]) -> npt.NDArray[np.uint64]:
    """uint64[11] of a side."""
    total: npt.NDArray[np.uint64] = np.sum(
        [engine.state_counts() for engine in engines], axis=0, dtype=np.uint64
    )
    return total


def gauges_of(engines: list[Engine]) -> dict[str, int]:
    """Gauges of all engines of a side."""
    gauges = [engine.gauges() for engine in engines]
    return {name: int(sum(one[name] for one in gauges)) for name in (*GAUGES, "bytes_total")}


class Series:
    """What is sampled at the points of the series."""

    def __init__(self, plan: Plan, names: list[str]) -> None:
        self._plan = plan
        self._names = names
        self.times: list[int] = []
        self._rows: dict[str, list[npt.NDArray[np.int64]]] = {"client": [], "server": [], "load": []}
        self.peaks: Counter[str] = Counter()
        self._areas: list[dict[str, int]] = []

    def sample(self, now: int, simulator: Simulator) -> None:
        """One point of it."""
        if self.times and self.times[-1] == now:
            return
        self.times.append(now)
        measured = now >= self._plan.facts["warmup"]
        for side, engines in (("client", self._plan.clients), ("server", self._plan.servers)):
            gauges = gauges_of(engines)
            row = np.concatenate([states_of(engines).astype(np.int64), [gauges[name] for name in GAUGES]])
            self._rows[side].append(row)
            for name in GAUGES if measured else ():
                self.peaks[f"{side}.{name}"] = max(self.peaks[f"{side}.{name}"], gauges[name])
        self._areas.append(simulator.areas)
        counts = [simulator.counts(i) for i in range(len(self._names))]
        self._rows["load"].append(np.array(counts, dtype=np.int64).ravel())

    def columns(self) -> dict[str, dict[str, npt.NDArray[np.int64]]]:
        """By side and name; `time_ns` under "time"."""
        by_side: dict[str, dict[str, npt.NDArray[np.int64]]] = {
            "time": {"time_ns": np.array(self.times, dtype=np.int64)}
        }
        names = [*(state.name for state in State), *GAUGES]
        for side in ("client", "server"):
            table = np.array(self._rows[side], dtype=np.int64).reshape(len(self.times), len(names))
            by_side[side] = {name: table[:, k] for k, name in enumerate(names)}
        parts = [f"{name}.{what}" for name in self._names for what in ("attempted", "connected", "served")]
        table = np.array(self._rows["load"], dtype=np.int64).reshape(len(self.times), len(parts))
        by_side["load"] = {name: table[:, k] for k, name in enumerate(parts)}
        return by_side

    def areas(self) -> dict[str, npt.NDArray[np.uint64]]:
        """Integrals over time up to each point, by name."""
        names = self._areas[0] if self._areas else ()
        return {name: np.array([row[name] for row in self._areas], dtype=np.uint64) for name in names}
