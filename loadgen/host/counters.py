"""Counters of a kernel's TCP at a moment: nstat(8), /proc/net/snmp and netstat, or node_exporter's text.

Names are those of Linux's MIB without `Tcp` and `TcpExt` before them, as the simulator counts. A moment has a
time only if its file says one: the content of /proc/uptime or the seconds of date(1) on a line before the
counters, or `node_time_seconds`. Only the difference of two times is used, so both must be of one kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from loadgen.host.lines import Text
from loadgen.scenario.errors import Mistake

#: Not counters: they go up and down.
GAUGES: Final = frozenset({"CurrEstab", "MaxConn", "RtoMin", "RtoMax", "RtoAlgorithm"})
_UPTIME: Final = re.compile(r"\s*(\d+\.\d+) \d+\.\d+\s*")
_DATE: Final = re.compile(r"\s*#?\s*(\d{9,10}(?:\.\d+)?)\s*")
_NSTAT: Final = re.compile(r"(Ip|Icmp|Tcp|Udp|Ip6|MPTcp)[A-Za-z0-9]+\s+\d+\s+\d+\.\d+")
_SAMPLE: Final = re.compile(r"([A-Za-z_:][\w:]*)(\{[^}]*\})?\s+(\S+)(?:\s+-?\d+)?")
_TABLES: Final = ("TcpExt", "Tcp")
#: Gauges of node_exporter -> ours.
_SOCKSTAT: Final = {
    "node_sockstat_TCP_tw": "timewait", "node_sockstat_TCP_orphan": "orphaned",
    "node_netstat_Tcp_CurrEstab": "CurrEstab",
}  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """What was counted until a moment."""

    name: str  # of the file
    kind: str  # of the time: uptime, date, or "" where there is none
    time: float  # seconds
    counts: Mapping[str, int]
    gauges: Mapping[str, int] = field(default_factory=dict)


def is_counters(text: Text) -> bool:
    """Whether the file is of one of the forms."""
    lines = [line for _, line in text.numbered()]
    if lines and _time(lines[0]):
        lines = lines[1:]
    if not lines:
        return False
    first = lines[0]
    if first.startswith(("# HELP ", "# TYPE ", "node_")):
        return any(line.startswith("node_") for line in lines)
    return bool(first.startswith("#kernel") or _NSTAT.fullmatch(first.strip())
                or re.match(r"(Ip|Tcp|TcpExt): [A-Z]", first))  # fmt: skip


def read(text: Text) -> Moment:
    """The counters of a file. Raises Mistake with file and line."""
    numbered = list(text.numbered())
    kind, time = _time(numbered[0][1]) or ("", 0.0)
    if kind:
        numbered = numbered[1:]
    if any(line.startswith("node_") for _, line in numbered):
        return _of_node_exporter(text, numbered)
    counts: dict[str, int] = {}
    tables = re.compile(r"[A-Za-z0-9]+:(\s|$)")
    rows = iter(numbered)
    for number, line in rows:
        if line.startswith("#"):
            continue
        if tables.match(line):
            counts |= _table(text, number, line, next(rows, None))
        else:
            counts |= _nstat(text, number, line)
    gauges = {name: counts.pop(name) for name in list(counts) if name in GAUGES}
    return Moment(text.name, kind, time, counts, gauges)


def _time(line: str) -> tuple[str, float] | None:
    for kind, form in (("uptime", _UPTIME), ("date", _DATE)):
        if found := form.fullmatch(line):
            return kind, float(found[1])
    return None


def _table(text: Text, number: int, line: str, below: tuple[int, str] | None) -> dict[str, int]:
    """A heading and the line with its numbers, as /proc/net has them."""
    names = line.split()
    if below is None:
        raise text.wrong(len(text.lines) + 1, f"the numbers of {names[0][:-1]}")
    values = below[1].split()
    if values[0] != names[0] or len(values) != len(names):
        raise text.wrong(below[0], f"{len(names) - 1} numbers of {names[0][:-1]}")
    table = names[0][:-1]
    pairs = zip(names[1:], values[1:], strict=True)
    read = {name: text.integer(below[0], value, f"whole numbers of {table}") for name, value in pairs}
    return read if table in _TABLES else {}


def _nstat(text: Text, number: int, line: str) -> dict[str, int]:
    words = line.split()
    if len(words) != 3:
        raise text.wrong(number, "a name, a count and a rate")
    value = text.integer(number, words[1], "a name, a count and a rate")
    for table in _TABLES:
        name = words[0].removeprefix(table)
        if name != words[0] and name[:1].isupper():
            return {name: value}
    return {}


def _of_node_exporter(text: Text, numbered: list[tuple[int, str]]) -> Moment:
    counts: dict[str, int] = {}
    gauges: dict[str, int] = {}
    kind, time = "", 0.0
    for number, line in numbered:
        if line.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(line.strip())
        value = _number(found[3]) if found else None
        if found is None or value is None:
            raise text.wrong(number, "a name and a number")
        name = found[1]
        tcp = re.fullmatch(r"node_netstat_(?:TcpExt|Tcp)_(\w+)", name)
        if name == "node_time_seconds":
            kind, time = "date", value
        elif name in _SOCKSTAT:
            gauges[_SOCKSTAT[name]] = int(value)
        elif tcp and tcp[1] not in GAUGES:
            counts[tcp[1]] = int(value)
    return Moment(text.name, kind, time, counts, gauges)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


@dataclass(frozen=True)
class Rates:
    """What happened between the first and the last moment."""

    seconds: float
    counts: Mapping[str, int]  # how much each rose
    gauges: Mapping[str, float]  # mean of the two ends
    names: tuple[str, str]

    def per_second(self, *counters: str) -> float | None:
        """Of the sum of these; None where none of them is known."""
        known = [self.counts[name] for name in counters if name in self.counts]
        return sum(known) / self.seconds if known else None


def between(moments: list[Moment]) -> Rates | None:
    """Rates, or None for fewer than two moments with a time. Raises Mistake where a count fell."""
    timed = sorted((one for one in moments if one.kind), key=lambda one: one.time)
    if len({one.kind for one in timed}) > 1:
        raise Mistake(
            f"{timed[0].name} and {timed[-1].name}: expected times of one kind, got uptime and date"
        )
    if len(timed) < 2:
        return None
    first, last = timed[0], timed[-1]
    seconds = last.time - first.time
    if seconds <= 0:
        raise Mistake(f"{first.name} and {last.name}: expected two moments, got the same one twice")
    counts = {}
    for name, value in last.counts.items():
        before = first.counts.get(name)
        if before is not None and value < before:
            raise Mistake(
                f"{last.name}: {name} fell from {before:,} to {value:,}: the host was restarted between"
            )
        if before is not None:
            counts[name] = value - before
    both = [name for name in last.gauges if name in first.gauges]
    gauges = {name: (first.gauges[name] + last.gauges[name]) / 2 for name in both}
    return Rates(seconds, counts, gauges, (first.name, last.name))
