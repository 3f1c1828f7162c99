"""Counters as `nstat -az` prints them, and settings with who set them: the lists at the end of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from loadgen.report import names, words
from loadgen.report.result import Result
from loadgen.report.sections import Row
from loadgen.scenario.values import Distribution, format_distribution
from loadgen.units import format_duration

#: The counters of the group Tcp of /proc/net/snmp; the other ones of Linux are in TcpExt.
_TCP: Final = frozenset(
    "ActiveOpens PassiveOpens AttemptFails EstabResets InSegs OutSegs RetransSegs OutRsts InErrs "
    "CurrEstab".split()
)
#: Counters that Linux does not have.
_OURS: Final = frozenset(
    "PortsExhausted BlocksExhausted AddressInUse StaleHandles SyncookiesLostOptions SynPayloadIgnored "
    "BytesReceived ConnectionsClosed EventsLost SynCachePauses".split()
)


def listing(result: Result, side: str) -> str:
    """`TcpExtListenDrops   58000   0.0` a line, in the table's order; counters that are 0 are left out."""
    counts = result.counters.get(side, {})
    n = max(len(result.replicates), 1)
    seconds = sum(one["virtual_ns"] for one in result.replicates) / 1e9
    lines = []
    known = [name for name in names.COUNTERS if name in counts]
    for name in [*known, *sorted(set(counts) - set(known))]:
        if counts[name]:
            rate = counts[name] / seconds if seconds else 0.0
            lines.append(f"{kernel_name(name):<32}{round(counts[name] / n):<12}{rate:.1f}")
    return "\n".join(lines)


def kernel_name(name: str) -> str:
    """As nstat has it; a counter of ours keeps its own."""
    if name in _TCP:
        return f"Tcp{name}"
    return name if name in _OURS or name.startswith("SynQueue") else f"TcpExt{name}"


def settings(result: Result) -> tuple[list[Row], list[Row]]:
    """(path, value, who set it): what was given, and what is default; the hosts' knobs below."""
    rows = list(_leaves(result.to_dict()["scenario"], ""))
    for side in names.SIDES:
        for name, entry in result.hosts.get(side, {}).items():
            rows.append((f"{side}: {name}", text_of(name, entry["value"]), str(entry["from"])))
    given = [row for row in rows if row[2] not in ("default", "")]
    return given, [row for row in rows if row[2] in ("default", "")]


def _leaves(document: Mapping[str, Any], prefix: str) -> list[Row]:
    rows: list[Row] = []
    for name, inner in document.items():
        if isinstance(inner, list):
            for number, item in enumerate(inner):
                key = (item.get("name") or {}).get("value") or number
                rows += _leaves(item, f"{prefix}{name}.{key}.")
        elif isinstance(inner, Mapping) and set(inner) == {"value", "from"}:
            label = prefix + name.removesuffix("_ns")
            rows.append((label, text_of(name, inner["value"]), str(inner["from"])))
        elif isinstance(inner, Mapping):
            rows += _leaves(inner, f"{prefix}{name}.")
    return rows


def _distribution(value: Mapping[str, Any]) -> str:
    try:
        said = format_distribution(Distribution(**{**value, "samples": ()}))
    except (TypeError, ValueError):
        return str(dict(value))
    return said if isinstance(said, str) else "recorded times"


def text_of(name: str, value: Any) -> str:
    if name.endswith("_ns") and isinstance(value, (int, float)) and not isinstance(value, bool):
        return format_duration(value)
    if isinstance(value, Mapping) and "family" in value:
        return _distribution(value)
    if name == "shape" and isinstance(value, list):
        return ", ".join(f"{words.rate(float(rate))} at {format_duration(at)}" for at, rate in value)
    if name == "rate" and isinstance(value, (int, float)):
        return words.rate(value)
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 200 else text[:197] + "..."
