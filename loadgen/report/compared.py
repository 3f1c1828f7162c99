"""Floods against several SYN-queue policies, side by side: a ranking, a table, and a verdict in words.

Best first: most clients served; then soonest, with the least lost by cookies, the least state, the least
backscatter. What is said of a queue is computed from that queue's own counters in that run.
"""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from loadgen.report.metrics import UnknownMetric
from loadgen.report.result import Result
from loadgen.report.thresholds import compare_numbers
from loadgen.scenario.model import Scenario, Threshold
from loadgen.units import format_count, format_duration

_REFUSING: Final = ("linux", "drop-new", "short-timer")  # a full queue keeps whom it has
_EQUAL: Final = 0.002  # success ratios that differ by less are called the same
_ENDED: Final = (
    "success_ratio",
    "first_try_ratio",
    "attempted",
    "connected",
    "served",
    "ghost",
    "reset",
    "gave_up",
)
_SPREAD: Final = ("count", "min", "p50", "p90", "p95", "p99", "p99.9", "max", "mean")
_OF_QUEUE: Final = ("room", "overflows", "mean", "peak")


def document(
    command: str, scenario: Scenario, results: Mapping[str, Result], asked: Sequence[Threshold], partial: bool
) -> dict[str, Any]:
    """The JSON document; `results` are those of the variants that are finished."""
    rows = {name: _row(result) for name, result in results.items()}
    ranked = {name: rows[name] for name in sorted(rows, key=lambda name: _rank(name, rows[name]))}
    some = next(iter(results.values()), None)
    config: dict[str, Any] = dict(some.config or {}) if some else {}
    config["knobs"] = {
        name: value
        for name, value in config.get("knobs", {}).items()
        if name not in ("synq_policy", "tcp_syncookies", "capacity", "cookie_encoding", "dup_syn_restarts")
    }
    config["compare"] = list(dict.fromkeys(row["policy"] for row in rows.values()))
    segments = sum(int(result.wall["segments"]) for result in results.values())
    found: dict[str, Any] = {
        "schema": 1,
        "kind": "flood",
        "command": "flood",
        "reproduce": command,
        "config": config,
        "seed": scenario.seed,
        "results": {"verdict": verdict(scenario, ranked), "compare": ranked},
        "counters": {name: results[name].counters["server"] for name in ranked},
        "causes": {name: results[name].causes["server"] for name in ranked},
        "series": {name: results[name].detection.get("queues", {}) for name in ranked},
        "wall": {
            "segments": segments,
            "runs_s": {name: results[name].wall["seconds"] for name in ranked},
        },
        "partial": partial,
    }
    figures = dict(_flat(found["results"]))
    found["thresholds"] = [_judged(threshold, figures) for threshold in asked]
    return found


def _row(result: Result) -> dict[str, Any]:
    """What the comparison says of one run."""
    figures = result.to_dict()["results"]
    knobs = result.hosts["server"]
    return {
        "policy": knobs["synq_policy"]["value"],
        "cookies": ("off", "overflow", "always")[knobs["tcp_syncookies"]["value"]],
        **{name: figures[name] for name in _ENDED},
        "handshake_ms": figures["handshake_ms"],
        "half_open": figures["half_open"],
        "residence_unanswered_ms": figures.get("residence_unanswered_ms"),
        "backscatter_per_spoofed": figures["backscatter"]["per_spoofed"],
        "options_lost": figures["cookies"]["options_lost"],
        "detection": figures.get("detection"),
    }


def _rank(name: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    p99 = row["handshake_ms"]["p99"]
    return (
        -round((row["success_ratio"] or 0.0) / _EQUAL),
        float("inf") if p99 is None else p99,
        row["options_lost"],
        round(row["half_open"]["mean"] or 0),
        row["backscatter_per_spoofed"] or 0.0,
        name,
    )


# -- thresholds ---------------------------------------------------------------------


def thresholds(given: Iterable[Threshold], names: Iterable[str]) -> list[Threshold]:
    """Those of a comparison, whose figures are `compare.NAME.FIGURE`. Raises UnknownMetric."""
    known = set(figures_of(names))
    asked = []
    for threshold in given:
        if threshold.metric not in known:
            raise UnknownMetric(f"threshold {threshold.text!r}: no figure of a comparison is called that")
        asked.append(threshold)
    return asked


def figures_of(names: Iterable[str]) -> Iterator[str]:
    """Every figure of a comparison of these variants."""
    for name in names:
        yield from (
            f"compare.{name}.{figure}" for figure in (*_ENDED, "backscatter_per_spoofed", "options_lost")
        )
        yield from (f"compare.{name}.half_open.{part}" for part in _OF_QUEUE)
        for spread in ("handshake_ms", "residence_unanswered_ms"):
            yield from (f"compare.{name}.{spread}.{part}" for part in _SPREAD)
        yield from (f"compare.{name}.detection.{part}" for part in ("floods", "found", "false_alarms"))


def _judged(threshold: Threshold, figures: Mapping[str, float | None]) -> dict[str, Any]:
    seen = figures.get(threshold.metric)
    met = seen is not None and compare_numbers(threshold.test, seen, threshold.bound)
    return {
        "text": threshold.text,
        "metric": threshold.metric,
        "seen": seen,
        "state": "met" if met else "missed",
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | int | None]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is None or isinstance(value, (int, float)):
            yield prefix + key, value


# -- as text ------------------------------------------------------------------------


def as_json(found: Mapping[str, Any]) -> str:
    """Keys in the order in which a reader wants them; the variants, best first."""
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def as_csv(found: Mapping[str, Any]) -> str:
    """figure,value: a line for each figure under its dotted name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["figure", "value"])
    for name, value in _flat(found["results"]):
        writer.writerow([name, "" if value is None else repr(value)])
    return text.getvalue()


def as_table(found: Mapping[str, Any], width: int | None = None) -> str:
    """The verdict, then a row for each variant."""
    wide = max(width or 80, 40)
    rows = found["results"]["compare"]
    lines = ["INTERRUPTED, partial result"] if found["partial"] else []
    for line in found["results"]["verdict"].splitlines():
        lines += textwrap.wrap(line, wide, subsequent_indent="  " if line[:1] != " " else "    ") or [""]
    lines += ["", "best first (virtual time)"]
    lines.append(
        f"{'policy':<13}{'cookies':<9}{'served':>9}{'1st try':>9}{'p99':>9}{'half-open':>11}"
        f"{'backscatter':>13}"
    )
    for row in rows.values():
        p99 = row["handshake_ms"]["p99"]
        scatter = row["backscatter_per_spoofed"]
        lines.append(
            f"{row['policy']:<13}{row['cookies']:<9}{_percent(row['success_ratio']):>9}"
            f"{_percent(row['first_try_ratio']):>9}{'-' if p99 is None else format_duration(p99 * 1e6):>9}"
            f"{row['half_open']['mean'] or 0:>11,.0f}{'-' if scatter is None else f'{scatter:.3g}':>13}"
        )
    for row in found["thresholds"]:
        state = "met" if row["state"] == "met" else "MISSED"
        lines.append(
            f"{row['text']}: {'no samples' if row['seen'] is None else format(row['seen'], '.6g')} {state}"
        )
    lines += ["", f"seed {found['seed']} | wall {found['wall'].get('elapsed_s', 0.0):.3g} s"]
    lines += textwrap.wrap(f"reproduce: {found['reproduce']}", wide, subsequent_indent="    ")
    return "\n".join(lines) + "\n"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


# -- in words -----------------------------------------------------------------------


def verdict(scenario: Scenario, ranked: Mapping[str, Mapping[str, Any]]) -> str:
    """The ranking in words, with the reason: a few lines."""
    if not ranked:
        return "nothing was finished"
    rows = list(ranked.values())
    if rows[0]["success_ratio"] is None:
        return "there were no clients to serve"
    equal = [row for row in rows[1:] if rows[0]["success_ratio"] - row["success_ratio"] < _EQUAL]
    also = f"; {_listed(equal)} {'serves' if len(equal) == 1 else 'serve'} as many" if equal else ""
    lines = [f"Best: {_called(rows[0])}, {_percent(rows[0]['success_ratio'])} of the clients served{also}."]
    lines.append("Without cookies:")
    lines += [
        f"  {row['policy']} serves {_percent(row['success_ratio'])}: {why(scenario, row)}"
        for row in rows
        if row["cookies"] == "off"
    ]
    cookies = [row for row in rows if row["cookies"] != "off"]
    if cookies:
        lost = max(int(row["options_lost"]) for row in cookies)
        noise = max(row["backscatter_per_spoofed"] or 0.0 for row in cookies)
        lines.append(
            f"Cookies lost {format_count(lost)} options at most and answered each spoofed segment with up to "
            f"{noise:.3g} of backscatter."
        )
    return "\n".join(lines)


def _called(row: Mapping[str, Any]) -> str:
    return str(row["policy"]) + ("" if row["cookies"] == "off" else " with cookies")


def _listed(rows: Sequence[Mapping[str, Any]]) -> str:
    called = [_called(row) for row in rows]
    return called[0] if len(called) == 1 else f"{', '.join(called[:-1])} and {called[-1]}"


def why(scenario: Scenario, row: Mapping[str, Any]) -> str:
    """What decides without cookies: how long a place lasts against the round trip, or when one is free."""
    room, stays = row["half_open"]["room"], row["residence_unanswered_ms"] or {}
    places = f"{format_count(room)} places"
    if not row["half_open"]["overflows"] and (row["half_open"]["peak"] or 0) < room:
        return f"its {places} were never full"
    rate = sum(flood.rate for flood in scenario.flood)
    turnover, answer = room * 1e9 / rate, format_duration(scenario.link.rtt.mean)
    if row["policy"] in _REFUSING:
        stay = stays.get("p50")
        kept = "to the end" if stay is None else f"for {format_duration(stay * 1e6)} each"
        return f"its {places} are full after {format_duration(turnover)} and kept {kept}"
    if row["policy"] == "evict-random":
        return (
            f"of its {places} one is lost every {format_duration(1e9 / rate)}; "
            f"exp(-{answer} / {format_duration(turnover)}) outlive the round trip"
        )
    return f"its {places} last {format_duration(turnover)} each, an answer takes {answer}"
