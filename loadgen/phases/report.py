"""A result as a table for people, as JSON or CSV for programs; `output` writes it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from loadgen.phases.metrics import Result, Threshold
from loadgen.units import format_bytes, format_count, format_duration, format_share


def as_json(result: Result) -> str:
    """One document. The same run gives the same bytes, `wall` aside."""
    return json.dumps(result.as_dict(), indent=2, allow_nan=False) + "\n"


def as_csv(result: Result) -> str:
    """figure,value: one line for every figure under its dotted name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["figure", "value"])
    writer.writerow(["seed", result.seed])
    writer.writerow(["partial", int(result.partial)])
    for name, value in result.figures().items():
        writer.writerow([name, "" if value is None else repr(value)])
    return text.getvalue()


def as_table(
    result: Result, thresholds: Iterable[Threshold], *, colour: bool, width: int | None = None
) -> str:
    """The result for a reader: what happened, to whom, how fast."""
    text = io.StringIO()
    console = Console(
        file=text,
        force_terminal=colour,
        no_color=not colour,
        width=width or 100,
        height=100,
        highlight=False,
        markup=False,
        emoji=False,
    )
    title = f"loadgen {result.command}, seed {result.seed}"
    console.print(title + (" -- INTERRUPTED, partial result" if result.partial else ""), style="bold")
    own = {name: value for name, value in result.results.items() if name not in ("compare", "check")}
    if checked := result.results.get("check"):
        _print_checked(console, checked)
    if compared := result.results.get("compare"):
        console.print(_compared_table(compared))
        console.print(own.pop("verdict") + "\n")
    if own:
        console.print(_figures_table("result (virtual time)", _figures(own)))
    both = [("client", "server")] if result.counters else []
    for title, sides in (("causes", result.causes), ("counters", result.counters)):
        for names in both:
            table = _sides_table(title, names, sides)
            if table.row_count:
                console.print(table)
    link = {name: value for name, value in result.counters.get("link", {}).items() if value}
    if link:
        console.print(_figures_table("link", {name: format_count(value) for name, value in link.items()}))
    if stages := result.series.get("stages"):
        console.print(_stages_table(stages))
    if result.series.get("floods") or result.series.get("alarms"):
        console.print(_floods_table(result.series))
    console.print(_figures_table("wall: this simulation, not a host", _figures(result.wall)))
    figures = result.figures()
    verdicts = [(threshold, threshold.met(figures)) for threshold in thresholds]
    if verdicts:
        table = Table("threshold", "value", "", title="thresholds", title_justify="left")
        for threshold, met in verdicts:
            value = figures.get(threshold.figure)
            table.add_row(
                threshold.text,
                "no samples" if value is None else f"{value:.9g}",
                "met" if met else "MISSED",
                style="green" if met else "bold red",
            )
        console.print(table)
    return text.getvalue()


def _figures_table(title: str, rows: Mapping[str, str]) -> Table:
    table = Table("figure", "value", title=title, title_justify="left")
    table.columns[1].justify = "right"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _sides_table(title: str, names: tuple[str, ...], sides: Mapping[str, Mapping[str, int]]) -> Table:
    """One row per counter that is not 0 on every side."""
    table = Table(title, *names, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for key in dict.fromkeys(key for name in names for key in sides.get(name, {})):
        values = [sides.get(name, {}).get(key, 0) for name in names]
        if any(values):
            table.add_row(key, *map(format_count, values))
    return table


def _stages_table(stages: list[dict[str, Any]]) -> Table:
    table = Table("stage", "at", "client", "server", title="state population", title_justify="left")
    for stage in stages:
        populations = [
            ", ".join(f"{format_count(n)} {state}" for state, n in stage[side].items()) or "empty"
            for side in ("client", "server")
        ]
        table.add_row(stage["stage"], format_duration(stage["at_ms"] * 1e6), *populations)
    return table


def _compared_table(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per run, best first."""
    names = ("policy", "cookies", "served", "1st try", "reset", "connect", "p99", "half-open", "backscatter")
    table = Table(*names, title="best first (virtual time)", title_justify="left", padding=0)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    for run in runs.values():
        waits = run["handshake_ms"]
        table.add_row(
            run["policy"],
            run["cookies"],
            *(_percent(run[key]) for key in ("success_ratio", "first_try_ratio")),
            format_count(run["reset"]),
            *("-" if waits[p] is None else format_duration(waits[p] * 1e6) for p in ("p50", "p99")),
            f"{run['half_open']['mean']:,.0f}",
            "-" if run["backscatter_per_spoofed"] is None else f"{run['backscatter_per_spoofed']:.3g}",
        )
    return table


def _print_checked(console: Console, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """One row per question; what each form says and assumes once, below."""
    names = ("figure", "form", "formula", "simulated", "99 % interval", "seeds", "verdict")
    table = Table(*names, title="closed form and simulation", title_justify="left", padding=0)
    for column in table.columns:
        column.no_wrap = True
    for name, row in rows.items():
        figures = [
            "-" if row[key] is None else f"{row[key]:.5g}"
            for key in ("expected", "simulated", "low", "high")
        ]
        table.add_row(
            name,
            row["form"],
            *figures[:2],
            "-" if row["low"] is None else " .. ".join(figures[2:]),
            str(row["seeds"]),
            row["verdict"],
            style="bold red" if row["verdict"] == "OUTSIDE" else "",
        )
    console.print(table)
    for name, row in {row["form"]: row for row in rows.values()}.items():
        console.print(f"{name}: {row['formula']}", style="bold")
        console.print(f"  assumes: {row['assumes']}")
        if row["bias"]:
            console.print(f"  known bias: {row['bias']}")
    console.print()


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _floods_table(series: Mapping[str, Any]) -> Table:
    """When there was a flood, and what the queue made of it."""
    table = Table("flood", "from", "to", "raised", "unanswered", "sources alone in their /16",
                  title="detection, from the queue alone", title_justify="left")  # fmt: skip
    for flood in series["floods"]:
        table.add_row("truth", *(format_duration(flood[key] * 1e6) for key in ("begin_ms", "end_ms")))
    for alarm in series["alarms"]:
        table.add_row(
            "alarm",
            *(format_duration(alarm[key] * 1e6) for key in ("begin_ms", "end_ms", "raised_ms")),
            _percent(alarm["unanswered"]),
            _percent(alarm["dispersion"]),
        )
    return table


#: Endings of a record's name that are the unit of all its figures.
_UNITS: Final = ("_ms", "_bytes", "_bytes_per_connection")


def _figures(tree: Mapping[str, Any]) -> dict[str, str]:
    """Inner records become one line each; units are read from the names."""
    rows: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value.get("count") == 0:
            rows[name.removesuffix("_ms")] = "no samples"
        elif isinstance(value, Mapping):
            rows[name.removesuffix("_ms")] = ", ".join(
                f"{key} {_value(name if name.endswith(_UNITS) and key != 'count' else key, inner)}"
                for key, inner in value.items()
            )
        else:
            rows[name.removesuffix("_ms")] = _value(name, value)
    return rows


def _value(name: str, value: Any) -> str:
    if value is None:
        return "no samples"
    if isinstance(value, str):
        return value
    if name.endswith("_ms"):
        return format_duration(value * 1e6)
    if name.endswith("_s") and not name.endswith("per_s"):
        return format_duration(value * 1e9)
    if name.endswith("_ratio"):
        return format_share(value)
    if name.endswith(("_bytes", "_bytes_per_connection")):
        return format_bytes(value)
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
    return format_count(value)
