"""The scenario that a host's own files stand for: limits as they are set, and the load that it had.

Each place is told with the file it is from, and what had to be assumed is said. What the files cannot tell
(the round-trip time, how long accept() takes) is not invented. Which of several listeners is meant is asked
for, since their backlogs decide the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadgen.host.counters import Rates
from loadgen.host.folder import HostFiles
from loadgen.host.sockets import Listener
from loadgen.scenario.errors import Mistake

#: Who closed first: entries into TIME_WAIT (Linux counts them when they begin), and closes that kept none.
CLOSED_FIRST: Final = ("TW", "TWKilled", "TCPTimeWaitOverflow")
#: Share of outgoing connections up to which a host's counts are taken for those of its listeners.
_FEW: Final = 0.05
_LEAST: Final = 30  # connections of which a share or a mean is told


@dataclass
class Changes:
    """Dotted path -> value, and -> file it is from; what to tell of them."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def set(self, path: str, value: object, file: str) -> None:
        self.values[path] = value
        self.origins[path] = f"host {file}"


def changes(host: HostFiles, given: Collection[str] = (), port: int | None = None) -> Changes:
    """What the files set; `given` are the paths that somebody else sets, who wins. Raises Mistake."""
    found = Changes()
    found.set("server.measured", host.folder, host.folder)
    if host.system != "linux":
        found.set("server.profile", host.system, host.sysctl or host.folder)
    if host.sysctl is not None:
        found.set("server.sysctl", host.sysctl, host.sysctl)
    if host.caches is not None:
        found.set("server.bytes", host.caches, host.caches)
    _listener(found, host, given, port)
    _load(found, host)
    _notes(found, host)
    return found


def of_clients(host: HostFiles) -> Changes:
    """What the files of a host that connects set: its limits, and what it opens.

    The load is that of this one host, so there is one client host where it is taken.
    """
    found = Changes()
    if host.system != "linux":
        found.set("client.profile", host.system, host.sysctl or host.folder)
    if host.sysctl is not None:
        found.set("client.sysctl", host.sysctl, host.sysctl)
    rates = host.rates
    opened = rates.counts.get("ActiveOpens", 0) if rates is not None else 0
    if rates is None or not opened:
        found.notes.append(f"{host.folder}: no ActiveOpens of two moments: no load")
        return found
    file = rates.names[1]
    found.set("load.rate", opened / rates.seconds, file)
    found.set("client.hosts", 1, file)
    if rates.counts.get("PassiveOpens", 0) > _FEW * opened:
        found.notes.append(
            f"{file}: PassiveOpens {_rate(rates, 'PassiveOpens')}: TIME_WAIT and CurrEstab are of incoming "
            "connections, too: holding time and who closes first are not taken"
        )
    elif opened >= _LEAST:
        _of_all(found, rates, opened, file, own="client", other="server")
    return found


def assumptions(host: HostFiles) -> list[str]:
    """What had to be taken for granted to make a load of the counts."""
    rates = host.rates
    if rates is None or not rates.counts.get("PassiveOpens"):
        return []
    said = [
        f"the host's load is its PassiveOpens over {rates.seconds:g} s, without connections that were refused"
    ]
    if _incoming(rates):
        said.append("the host's holding time is CurrEstab / PassiveOpens (Little), exponential")
        said.append("the share that the host closes first is its entries into TIME_WAIT / PassiveOpens")
    return said


def _listener(found: Changes, host: HostFiles, given: Collection[str], port: int | None) -> None:
    reachable = [one for one in host.listeners if not one.loopback] or list(host.listeners)
    file = next((name for name, form in host.files.items() if form == "listeners"), "")
    file = str(Path(host.folder) / file)
    if port is not None:
        reachable = [one for one in reachable if one.port == port]
        if not reachable and host.listeners and "server.listen.backlog" not in given:
            there = ", ".join(sorted({str(one.port) for one in host.listeners}, key=int))
            raise Mistake(f"{file}: expected a listener on port {port}, got ports {there}")
    ports = sorted({one.port for one in reachable})
    if not ports or "server.listen.backlog" in given and len(ports) > 1:
        return
    if len(ports) > 1:
        there = ", ".join(f"{one} (backlog {_backlog(reachable, one)})" for one in ports[:6])
        raise Mistake(
            f"{file}: expected to be told which listener is meant (-o port={ports[0]}), got ports {there}"
        )
    chosen = [one for one in reachable if one.port == ports[0]]
    sharing = max(sum(one.address == other.address for other in chosen) for one in chosen)
    found.set("server.listen.port", ports[0], file)
    found.set("server.listen.backlog", _backlog(chosen, ports[0]), file)
    if sharing > 1:
        found.set("server.listen.listeners", sharing, file)
    full = [one for one in chosen if one.queued > one.backlog]
    if full:
        found.notes.append(
            f"{file}: the accept queue of port {ports[0]} was full: {full[0].queued} waited for accept()"
        )


def _backlog(listeners: Sequence[Listener], port: int) -> int:
    """The smallest, where a port has several."""
    return min(one.backlog for one in listeners if one.port == port)


def _load(found: Changes, host: HostFiles) -> None:
    rates = host.rates
    if rates is None:
        if host.moments:
            found.notes.append(
                f"{host.folder}: no rates: expected counters of two moments, each after a line with the "
                f"time (/proc/uptime, date +%s), got {sum(bool(one.kind) for one in host.moments)}"
            )
        return
    opened = rates.counts.get("PassiveOpens", 0)
    if not opened:
        found.notes.append(
            f"{rates.names[1]}: nobody connected in {rates.seconds:g} s (PassiveOpens): no load"
        )
        return
    file = rates.names[1]
    found.set("load.rate", opened / rates.seconds, file)
    if not _incoming(rates):
        found.notes.append(
            f"{file}: ActiveOpens {_rate(rates, 'ActiveOpens')}: TIME_WAIT and CurrEstab are of outgoing "
            "connections, too: holding time and who closes first are not taken"
        )
        return
    if opened < _LEAST:
        return
    _of_all(found, rates, opened, file, own="server", other="client")


def _of_all(found: Changes, rates: Rates, opened: float, file: str, own: str, other: str) -> None:
    """What is counted of all connections of a host: how long they last, and who closes first."""
    if "CurrEstab" in rates.gauges:
        mean_ns = round(rates.gauges["CurrEstab"] / opened * rates.seconds * 1e9)
        found.set("load.hold", f"exp:{mean_ns}ns" if mean_ns else "0s", file)
    if "TW" in rates.counts:
        share = min(1.0, (rates.per_second(*CLOSED_FIRST) or 0.0) * rates.seconds / opened)
        mixed = share if own == "server" else 1 - share
        closes = own if share > 1 - _FEW else other if share < _FEW else f"mix:{mixed:.3f}"
        found.set("server.closes", closes, file)


def _incoming(rates: Rates) -> bool:
    """Whether what is counted of all connections is of those that came in."""
    return rates.counts.get("ActiveOpens", 0) <= _FEW * rates.counts.get("PassiveOpens", 0)


def _rate(rates: Rates, name: str) -> str:
    return f"{rates.per_second(name) or 0.0:,.1f}/s"


def _notes(found: Changes, host: HostFiles) -> None:
    if host.unknown:
        found.notes.append(f"{host.folder}: of no known form, left out: {', '.join(host.unknown)}")
    rates = host.rates
    for name in ("ListenOverflows", "TCPReqQFullDrop", "TCPReqQFullDoCookies", "TCPTimeWaitOverflow"):
        if rates is not None and rates.counts.get(name):
            found.notes.append(f"{rates.names[1]}: {name} {_rate(rates, name)}")
