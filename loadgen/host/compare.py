"""What a host counted beside what the simulation of it came to: the check of the model on that host.

A row has the rate or level that the host's files tell (R: recorded on a kernel) and the simulated one with
its interval. Nothing is concluded from a few events, nor of TIME_WAIT from a run that is short beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from loadgen.host.changes import CLOSED_FIRST
from loadgen.host.folder import HostFiles
from loadgen.report import estimate, observed
from loadgen.scenario.model import Scenario
from loadgen.sim.outcome import Outcome
from tcpcore import Config

AGREE, DIFFERS, NOT_JUDGED = "agree", "differs", "not judged"
#: What is compared -> the counters of the server whose sum it is.
_RATES: Final[Mapping[str, tuple[str, ...]]] = {
    "PassiveOpens": ("PassiveOpens",),
    "ListenOverflows": ("ListenOverflows",),
    "ListenDrops": ("ListenDrops",),
    "TCPReqQFullDoCookies": ("TCPReqQFullDoCookies",),
    "TCPReqQFullDrop": ("TCPReqQFullDrop",),
    "TW": CLOSED_FIRST,
    "TCPTimeWaitOverflow": ("TCPTimeWaitOverflow",),
}
#: `ss -s` -> the population.
_LEVELS: Final = {"timewait": "time_wait.server", "estab": "established.server"}
_FEW: Final = 20  # counts below it are not judged
_NEAR: Final = 0.1  # share by which a host's figure may differ from its model's
_LONG: Final = 1.5  # lengths of TIME_WAIT from which its entries are judged


def rows(
    host: HostFiles, scenario: Scenario, outcomes: Sequence[Outcome], server: Config
) -> list[dict[str, Any]]:
    """{name, unit, measured, source, simulated, low, high, n, state}, one a figure that both have."""
    seconds = scenario.run.duration_ns / 1e9
    lasts = server.time_wait_ms / 1e3
    found = []
    for name, counters in _RATES.items():
        measured = None if host.rates is None else host.rates.per_second(*counters)
        if host.rates is None or measured is None:
            continue
        samples = [_count(one, counters) / seconds for one in outcomes]
        most = measured if name == "PassiveOpens" else max(measured, *samples, 0)
        found.append(_row(name, "1/s", measured, samples, most * host.rates.seconds < _FEW))
    for name, population in _LEVELS.items():
        levels = [_level(one, population) for one in outcomes]
        samples = [level for level in levels if level is not None]
        if name in host.sums and samples:
            short = name == "timewait" and seconds < _LONG * lasts
            few = max(host.sums[name], *samples) < _FEW
            found.append(_row(name, "count", float(host.sums[name]), samples, few or short))
    if found and found[0]["name"] == "PassiveOpens" and found[0]["state"] != AGREE:
        for row in found[1:]:  # of another load
            row["state"] = NOT_JUDGED
    return found


def _count(outcome: Outcome, counters: Sequence[str]) -> int:
    return sum(int(outcome.counters["server"].get(name, 0)) for name in counters)


def _level(outcome: Outcome, population: str) -> float | None:
    """The mean of the last quarter of the series: a host has had its load for long."""
    values = observed.population(outcome, population)
    return None if values is None or not len(values) else float(values[3 * len(values) // 4 :].mean())


def _row(name: str, unit: str, measured: float, samples: Sequence[float], unsure: bool) -> dict[str, Any]:
    value, low, high, n = estimate.mean(list(samples))
    near = value is not None and abs(value - measured) <= _NEAR * measured
    inside = low is not None and high is not None and low <= measured <= high
    state = NOT_JUDGED if unsure or value is None else AGREE if near or inside else DIFFERS
    return {"name": name, "unit": unit, "measured": measured, "source": "R", "simulated": value,
            "low": low, "high": high, "n": n, "state": state}  # fmt: skip
