"""One scenario as independent simulations, beside each other or one by one, and their results as one.

Listeners of SO_REUSEPORT share nothing in the simulator: each is an engine with its part of the host's
limits (S1.3). `split` gives each shard some of the listeners and as large a part of clients, ports, loads
and floods; `merge` adds what came of them: counts, distributions, and series on one time axis. A shard of a
replicate has random streams of its own. The result depends on the number of shards and on nothing else.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.replicates import Job
from loadgen.report import histograms
from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.hosts import resolve
from loadgen.scenario.model import Client, Load, Scenario
from loadgen.sim.build import UNLIMITED
from loadgen.sim.outcome import FloodOutcome, Full, LoadOutcome, Outcome
from tcpcore import Config

_CAPS: Final = "tcp_max_tw_buckets and tcp_challenge_ack_limit"
#: Peaks that are kept between the points of the series: no less than the largest of a shard.
_EXACT: Final = ("server.accept_queue", "server.half_open")
_SUMMED: Final = (
    "attempted", "served", "ghost", "gave_up", "reset", "pending", "not_started", "connected", "first_try",
    "tries", "requests", "in_warmup",
)  # fmt: skip

Series = Mapping[str, Mapping[str, npt.NDArray[np.int64]]]


@dataclass(frozen=True)
class Share:
    """Listeners `first` to `last` (left out) of so many."""

    first: int
    last: int
    of: int

    @property
    def value(self) -> float:
        return (self.last - self.first) / self.of

    def part(self, whole: int) -> int:
        """Its part of a whole number; those of all shares sum to it."""
        return whole * self.last // self.of - whole * self.first // self.of

    def has(self, number: int) -> bool:
        """Whether it has the arrival with that number, dealt out in turn."""
        return self.first <= number % self.of < self.last


def jobs_of(scenario: Scenario, n: int) -> list[Job]:
    """The jobs of every replicate, its shards one after the other. Raises ScenarioError."""
    shards = [(shard, resolve(shard)) for shard in split(scenario, n)]
    return [
        Job(shard, replicate * n + k, hosts.server, hosts.client)
        for replicate in range(scenario.run.seeds)
        for k, (shard, hosts) in enumerate(shards)
    ]


def split(scenario: Scenario, n: int) -> list[Scenario]:
    """The scenarios of `n` shards. Raises ScenarioError where they cannot be divided."""
    of = scenario.server.listen.listeners
    if not 1 <= n <= of:
        raise ScenarioError(f"shards: expected 1 to {of:,} (server.listen.listeners), got {n:,}")
    hosts = resolve(scenario)
    own_hosts = scenario.client.hosts * (of // n) >= of
    return [
        _shard(scenario, hosts.server, hosts.client, Share(of * k // n, of * (k + 1) // n, of), own_hosts)
        for k in range(n)
    ]


def not_modelled(scenario: Scenario, n: int) -> list[str]:
    """What the shards of a host do not see of each other."""
    said = [
        f"{n} shards: each listener has an equal part of the connections; a kernel's hash is not so even",
        f"{n} shards: {_CAPS} of the server are divided evenly and not shared",
    ]
    if scenario.client.hosts < n:
        said.append(f"{n} shards: ports and {_CAPS} of a client host are divided evenly and not shared")
    return said


def _shard(scenario: Scenario, server: Config, client: Config, share: Share, own_hosts: bool) -> Scenario:
    old = scenario.server
    listen = dataclasses.replace(old.listen, listeners=share.last - share.first)
    knobs = {**old.knobs, **_limits(server, share)}
    floods = [dataclasses.replace(flood, rate=flood.rate * share.value) for flood in scenario.flood]
    return dataclasses.replace(
        scenario,
        server=dataclasses.replace(old, listen=listen, knobs=knobs),
        client=_clients(scenario.client, client, share, own_hosts),
        load=[_load(load, share) for load in scenario.load],
        flood=floods,
    )


def _clients(client: Client, config: Config, share: Share, own_hosts: bool) -> Client:
    """Hosts of its own, or where there are too few ports of its own on each."""
    if own_hosts:
        first = int(IPv4Address(client.first_addr)) + client.hosts * share.first // share.of
        return dataclasses.replace(
            client, hosts=share.part(client.hosts), first_addr=str(IPv4Address(first))
        )
    ports = _free(config)
    first = len(ports) * share.first // share.of
    mine = ports[first : first + share.part(len(ports))]
    if not mine:
        raise ScenarioError(f"shards: {len(ports):,} ports of a client host are too few for so many")
    knobs = {"ip_local_port_range": (mine[0], mine[-1]), **_limits(config, share)}
    return dataclasses.replace(client, knobs={**client.knobs, **knobs})


def _free(config: Config) -> list[int]:
    """The ports of a client host's range that are not reserved, in order."""
    low, high = config.ip_local_port_range
    reserved = {port for first, last in config.reserved_ranges() for port in range(first, last + 1)}
    return [port for port in range(low, high + 1) if port not in reserved]


def _limits(config: Config, share: Share) -> dict[str, int]:
    """Its part of what a host has once; 0 challenge ACKs would be no limit (S1.3)."""
    acks = config.tcp_challenge_ack_limit
    return {
        "tcp_max_tw_buckets": share.part(config.tcp_max_tw_buckets),
        "tcp_challenge_ack_limit": max(1, share.part(acks)) if 0 < acks < UNLIMITED else acks,
    }


def _load(load: Load, share: Share) -> Load:
    changes: dict[str, Any] = {}
    for name, whole in (("count", load.count), ("concurrency", load.concurrency or None)):
        if whole is not None:
            changes[name] = share.part(whole)
            if not changes[name]:
                raise ScenarioError(f"shards: load.{load.name}.{name}: {whole:,} are too few for so many")
    if load.times_ns:
        changes["times_ns"] = tuple(time for k, time in enumerate(load.times_ns) if share.has(k))
        if not changes["times_ns"]:
            raise ScenarioError(f"shards: load.{load.name}: too few arrivals for so many")
    changes["shape"] = tuple((time, rate * share.value) for time, rate in load.shape)
    changes["close_rate"] = load.close_rate * share.value
    return dataclasses.replace(load, **changes)


# -- what came of them ---------------------------------------------------------------------------


def merged(outcomes: Sequence[Outcome | None], n: int) -> list[Outcome | None]:
    """The outcome of each replicate; None where no shard of it was played."""
    found: list[Outcome | None] = []
    for replicate in range(len(outcomes) // n):
        parts = [one for one in outcomes[replicate * n : (replicate + 1) * n] if one is not None]
        found.append(merge(parts, replicate, whole=len(parts) == n) if parts else None)
    return found


def merge(parts: Sequence[Outcome], replicate: int, whole: bool = True) -> Outcome:
    """The outcome that the shards of a replicate have together."""
    series = _on_one_axis([part.series for part in parts])
    return Outcome(
        seed=parts[0].seed,
        replicate=replicate,
        virtual_ns=max(part.virtual_ns for part in parts),
        partial=not whole or any(part.partial for part in parts),
        loads=[_merged_load(loads) for loads in zip(*(part.loads for part in parts), strict=True)],
        floods=[
            FloodOutcome(floods[0].name, sum(flood.sent for flood in floods))
            for floods in zip(*(part.floods for part in parts), strict=True)
        ],
        counters=_summed_sides([part.counters for part in parts]),
        causes=_summed_sides([part.causes for part in parts]),
        states={side: _total([part.states[side] for part in parts]) for side in parts[0].states},
        gauges={
            side: {name: sum(part.gauges[side][name] for part in parts) for name in gauges}
            for side, gauges in parts[0].gauges.items()
        },
        peaks=_peaks(parts, series),
        accept_wait=histograms.merge(part.accept_wait for part in parts),
        series=series,
        left=_summed([part.left for part in parts]),
        engine_bytes={
            side: max(part.engine_bytes[side] for part in parts) for side in parts[0].engine_bytes
        },
        wall_s=sum(part.wall_s for part in parts),
        segments=sum(part.segments for part in parts),
        warmup_ns=max(part.warmup_ns for part in parts),
        full=_full(parts),
        warmup_counters=_summed_sides([part.warmup_counters for part in parts]),
        areas=_areas(parts),
        ports_at=_ports_at(parts),
    )


def _areas(parts: Sequence[Outcome]) -> dict[str, npt.NDArray[np.uint64]]:
    """The sums, where all shards have the same points."""
    times = [part.series["time"]["time_ns"] for part in parts]
    if any(not np.array_equal(times[0], one) for one in times):
        return {}
    return {name: _total([part.areas[name] for part in parts]) for name in parts[0].areas}


def _ports_at(parts: Sequence[Outcome]) -> tuple[int, int, int] | None:
    """The sums, where all shards were asked at the same moment."""
    told = [part.ports_at for part in parts if part.ports_at is not None]
    if len(told) < len(parts) or any(one[0] != told[0][0] for one in told):
        return None
    return told[0][0], sum(one[1] for one in told), sum(one[2] for one in told)


def _full(parts: Sequence[Outcome]) -> dict[str, Full]:
    """The first to be full, and the one that was longest: as of several listeners."""
    found = {}
    for name in parts[0].full:
        first = [part.full[name].first_ns for part in parts]
        known = [one for one in first if one is not None]
        found[name] = Full(min(known, default=None), max(part.full[name].ns for part in parts))
    return found


def _summed(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0) for part in parts) for name in names}


def _summed_sides(parts: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    return {side: _summed([part[side] for part in parts]) for side in parts[0]}


def _total(parts: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    total: npt.NDArray[np.uint64] = np.sum(parts, axis=0, dtype=np.uint64)
    return total


def _merged_load(parts: Sequence[LoadOutcome]) -> LoadOutcome:
    refused: Counter[str] = Counter()
    for part in parts:
        refused.update(part.refused)
    first = [part.first_refusal_ns for part in parts if part.first_refusal_ns is not None]
    return LoadOutcome(
        name=parts[0].name,
        refused=dict(refused),
        first_refusal_ns=min(first, default=None),
        not_started_exact=all(part.not_started_exact for part in parts),
        connect=histograms.merge(part.connect for part in parts),
        served_after=histograms.merge(part.served_after for part in parts),
        **{name: sum(getattr(part, name) for part in parts) for name in _SUMMED},
    )


def _on_one_axis(parts: Sequence[Series]) -> dict[str, dict[str, npt.NDArray[np.int64]]]:
    """The sum of the series at every moment at which one of them has a point; between its points and after
    the last one a series stays what it was."""
    times = np.unique(np.concatenate([part["time"]["time_ns"] for part in parts]))
    places = [np.searchsorted(part["time"]["time_ns"], times, side="right") - 1 for part in parts]
    found: dict[str, dict[str, npt.NDArray[np.int64]]] = {"time": {"time_ns": times}}
    for group, inner in parts[0].items():
        if group != "time":
            found[group] = {name: _added(parts, places, group, name) for name in inner}
    return found


def _added(
    parts: Sequence[Series], places: Sequence[npt.NDArray[np.int64]], group: str, name: str
) -> npt.NDArray[np.int64]:
    total: npt.NDArray[np.int64] = np.sum(
        [
            np.where(place < 0, 0, part[group][name][np.maximum(place, 0)])
            for part, place in zip(parts, places, strict=True)
        ],
        axis=0,
        dtype=np.int64,
    )
    return total


def _peaks(parts: Sequence[Outcome], series: Series) -> dict[str, int]:
    """Of the series together; what is in no series is the sum of the shards' own, which is a bound."""
    found: dict[str, int] = {}
    for name in dict.fromkeys(name for part in parts for name in part.peaks):
        side, _, what = name.partition(".")
        values = series.get(side, {}).get(what)
        known = [part.peaks[name] for part in parts if name in part.peaks]
        found[name] = int(values.max()) if values is not None and len(values) else sum(known)
        if name in _EXACT:
            found[name] = max(found[name], *known)
    return found
