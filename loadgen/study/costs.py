"""What a task will take: memory from `loadgen.memory`, and a rough wall time from the work it is.

The wall time is for the order in which tasks begin and for --dry-run; it decides no result. Work is counted
in connections and spoofed segments: 1.8 million segments a second and 8 of them a connection were measured on
the project's machine.
"""

from __future__ import annotations

from typing import Final

from loadgen import memory
from loadgen.scenario.model import Scenario
from loadgen.sim.build import expected, is_flat_out
from tcpcore import Config

#: Effort of a search -> seconds of one processor, by this estimate and never by a clock.
EFFORTS: Final = {"quick": 15.0, "normal": 150.0, "long": 1500.0}
_CONNECTION_S: Final = 4.5e-6
_SEGMENT_S: Final = 0.6e-6
_POINT_S: Final = 30e-6  # of the series
_TASK_S: Final = 0.02  # to build engines, to send the task and what came of it
_USER_PER_S: Final = 1e3  # connections of a user of a closed loop who waits for nothing


def task_bytes(scenario: Scenario, client: Config, server: Config) -> int:
    """Memory of a process that plays one replicate."""
    return memory.estimate_bytes(scenario, client, server, 1)


def task_seconds(scenario: Scenario) -> float:
    """Wall time of one replicate, about."""
    run = scenario.run
    end, seconds = run.duration_ns, run.duration_ns / 1e9
    work = _TASK_S
    for load in scenario.load:
        if load.concurrency:
            each = (load.hold.mean + 2 * scenario.link.rtt.mean) / 1e9
            begun = load.concurrency * min(seconds / each if each else seconds * _USER_PER_S, seconds * 1e6)
            begun = min(begun, load.count or begun)
        else:
            begun = float(load.count or 0) if is_flat_out(load) else expected(load, end)
        work += begun * (_CONNECTION_S + (load.requests_per_connection - 1) * _SEGMENT_S * 4)
    work += sum(flood.rate * seconds * _SEGMENT_S for flood in scenario.flood)
    return work + (end / run.series_ns * _POINT_S if run.series_ns else 0.0)


def memory_budget() -> int | None:
    """80 % of this machine's memory; None where the system does not tell."""
    import os

    try:
        return int(0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):
        return None
