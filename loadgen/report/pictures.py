"""The charts of one result: clients, losses, queues, latency, states, TIME_WAIT and ports, formulas.

Each is a `Drawing`: where a result has nothing to show for it, sentences say so. Series are those of the
first replicate, figures in the legends those of all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from loadgen.report import figures as making
from loadgen.report import names, words
from loadgen.report.chart import compact
from loadgen.report.drawing import COLOURS, HATCHES, INK, Drawing, Key, curve, drawn, limit, ticks
from loadgen.report.result import Result
from loadgen.report.series import Numbers

FAR: Final = 3.0  # a limit so many times above the largest value is told and not drawn
_TRIED, _CONNECTED, _SERVED, _WAITING = 0, 1, 2, 3
_PERCENTILES: Final = (
    (2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1e3, "99.9 %"), (1e4, "99.99 %"), (1e5, "99.999 %"),
)  # fmt: skip
NO_SERIES: Final = "No series was kept (run.series = 0)."


def clients(result: Result) -> Drawing:
    """Clients per second that began, were connected and served; below, those connected and not served."""
    title = "Clients per second"
    times = seconds(result)
    totals = {name: _sum_of_loads(result, name) for name in ("attempted", "connected", "served")}
    if len(times) < 3 or any(one is None for one in totals.values()):
        return Drawing(title, notes=[NO_SERIES if result.loads else "No client connects in this scenario."])
    series = {name: one for name, one in totals.items() if one is not None}
    waiting = np.maximum(series["connected"] - series["served"], 0)
    last = _last_event(series, waiting)
    quiet = last < 0.8 * len(times)
    if quiet:
        times, waiting = times[:last], waiting[:last]
        series = {name: one[:last] for name, one in series.items()}
    rates = {name: np.diff(one) / np.maximum(np.diff(times), 1e-9) for name, one in series.items()}
    middle = (times[1:] + times[:-1]) / 2

    def draw(axes: Any) -> None:
        above, below = axes
        for style, name in enumerate(("attempted", "connected", "served")):
            curve(above, middle, rates[name], style)
        curve(below, times, waiting, _WAITING)
        below.fill_between(times, waiting, color=COLOURS[_WAITING], alpha=0.2, linewidth=0)
        above.set_ylabel("per second")
        below.set_ylabel("waiting")
        for one in axes:
            one.set_ylim(bottom=0)
            ticks(one, compact)
        time_axis(below, times)

    ended, n = result.outcomes, len(result.replicates)
    all_runs = f", in {n} runs" if n > 1 else ""
    keys = [
        Key(_TRIED, f"tried: {words.number(ended['attempted'])}{all_runs}"),
        Key(_CONNECTED, f"connected, connect() returned: {words.number(ended['connected'])}"),
        Key(_SERVED, f"served, the application answered: {words.number(ended['served'])}"),
        Key(_WAITING, f"below: connected and not served; ghosts in the end: {words.number(ended['ghost'])}"),
    ]
    said = drawn("clients", draw, title=title, height=270, rows=2, ratios=(2, 1))
    notes = first_run(result)
    if quiet:
        notes.append(f"Not drawn: after {words.time(1e9 * times[-1])} nobody came, was connected or served.")
    return Drawing(title, said, keys, notes)


def _last_event(series: Mapping[str, Any], waiting: Any) -> int:
    """How many points a picture needs until nothing happens any more, with two to show that."""
    moves = sum(np.diff(one, prepend=0) != 0 for one in series.values()) + (np.diff(waiting, prepend=0) != 0)
    found = np.flatnonzero(moves)
    return max(3, int(found[-1]) + 3 if len(found) else 3)


def losses(result: Result) -> Drawing:
    """What became of the clients that were not served, and what each place lost, stacked by cause."""
    bars = [(name, parts) for name, parts in _losses(result) if parts]
    title = "1 Losses by cause"
    if not bars:
        return Drawing(title, notes=["Nothing was lost: no client, no segment."])
    causes = list(dict.fromkeys(cause for _, parts in bars for cause in parts))
    style = {cause: number for number, cause in enumerate(causes)}

    def draw(axes: Any) -> None:
        for row, (_, parts) in enumerate(bars):
            left, total = 0.0, sum(parts.values())
            for cause, n in parts.items():
                number, share = style[cause], 100 * n / total
                axes.barh(row, share, left=left, height=0.62, color=COLOURS[number % 6], alpha=0.55,
                          edgecolor=INK, linewidth=0.8, hatch=HATCHES[number % 6])  # fmt: skip
                left += share
        axes.set_yticks(range(len(bars)), [f"{name}\n{words.number(sum(p.values()))}" for name, p in bars])
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.grid(False)
        ticks(axes, lambda value: f"{value:.0f} %", "x")

    keys = []
    for cause in causes:
        counts = ", ".join(f"{words.number(parts[cause])} {name}" for name, parts in bars if cause in parts)
        keys.append(Key(style[cause], f"{_cause(cause)}: {counts}", "area"))
    height = 60 + 56 * len(bars)
    return Drawing(title, drawn("losses", draw, title=title, height=height), keys)


def _losses(result: Result) -> list[tuple[str, dict[str, int]]]:
    ended = {name: n for name, n in making.ends(result.outcomes).items() if n and name != "served"}
    found = [("clients", ended)]
    for side in ("server", "client"):
        causes = {name: n for name, n in result.causes.get(side, {}).items() if n}
        found.append((f"at the {side}", dict(sorted(causes.items(), key=lambda item: -item[1]))))
    lost = result.counters.get("link", {}).get("lost", 0)
    return [*found, ("on the link", {"lost": lost} if lost else {})]


def _cause(name: str) -> str:
    """`refused.PortsExhausted` and `AcceptQueueFull` with what they mean."""
    ends = {
        "ghost": "connected, never served (ghost)", "gave_up": "gave up", "reset": "reset",
        "pending": "still trying at the end", "not_started": "not started", "lost": "segment lost",
    }  # fmt: skip
    cause = name.removeprefix("refused.")
    return ends.get(name) or f"{cause}, {names.CAUSES.get(cause, 'refused')}"


def queues(result: Result, name: str = "queues") -> Drawing:
    """Half-open entries and the accept queue, each against its limit; `name` as `drawn` has it."""
    number = "2 " if name == "queues" else ""
    title = f"{number}Half-open and accept queue against their limits"
    times = seconds(result)
    wanted = [("half_open", "half-open"), ("accept_queue", "accept queue")]
    known = [(key, said) for key, said in wanted if f"server.{key}" in result.series]
    if len(times) < 2 or not known:
        return Drawing(title, notes=[NO_SERIES, *_peaks(result, ("half_open.peak", "accept_queue.peak"))])
    series = {key: result.series[f"server.{key}"] for key, _ in known}
    limits = {key: _limit(result, key, _sockets(result)) for key, _ in known}
    top = max(max(int(one.max()) for one in series.values()), 1)
    inside = {one for one in limits.values() if one is not None and one <= FAR * top}

    def draw(axes: Any) -> None:
        for style, (key, _) in enumerate(known):
            curve(axes, times, series[key], style)
        for one in inside:
            limit(axes, one)
        axes.set_ylim(0, 1.08 * max([top, *inside]))
        axes.set_ylabel("entries")
        ticks(axes, compact)
        time_axis(axes, times)

    keys = []
    for style, (key, said) in enumerate(known):
        peak = result[f"{key}.peak"]
        keys.append(Key(style, f"{said}: peak {words.number(peak) if peak is not None else '-'}"))
    keys += limit_keys({said: limits[key] for key, said in known}, inside)
    missed = [said for key, said in known if result.series.hides(f"server.{key}", result[f"{key}.peak"] or 0)]
    between = [f"The peak of {' and '.join(missed)} fell between two points of the series."] if missed else []
    return Drawing(title, drawn(name, draw, title=title), keys, between + first_run(result))


def latency(result: Result) -> Drawing:
    """Time to connected and to served by percentile; the axis ends where the samples do."""
    title = "3 Latency to connected and to served"
    curves = []
    for name, said in (("connect", "connected"), ("served_after", "served")):
        histogram = result.histograms.get(name)
        if histogram is not None and int(histogram.counts.sum()) > 1:
            curves.append((said, name, *_percentiles(histogram)))
    if not curves:
        return Drawing(title, notes=["No samples: nobody was connected."])
    most = max(float(upto[-1]) for _, _, upto, _ in curves)
    low = min(float(ns[0]) for _, _, _, ns in curves)
    high = max(float(ns[-1]) for _, _, _, ns in curves)

    def draw(axes: Any) -> None:
        for style, (_, _, upto, ns) in enumerate(curves):
            curve(axes, upto, ns, style)
        axes.set_xscale("log")
        shown = [one for one in _PERCENTILES if one[0] <= most]
        axes.set_xticks([one for one, _ in shown], [text for _, text in shown])
        axes.minorticks_off()
        axes.set_xlim(1, most)
        if low > 0 and high > 20 * low:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.08 * high or 1)
        ticks(axes, lambda ns: words.time(ns) if ns > 0 else "0")
        axes.set_xlabel("share of the samples that were faster")

    keys = []
    for style, (said, name, upto, _) in enumerate(curves):
        told = [f"{part} {words.time(value)}" for part in ("p50", "p99", "max")
                if (value := result[f"{name}.{part}"]) is not None]  # fmt: skip
        keys.append(Key(style, f"{said}: {', '.join(told)}; {words.number(round(float(upto[-1])))} samples"))
    return Drawing(title, drawn("latency", draw, title=title), keys)


def _percentiles(histogram: Any) -> tuple[Numbers, Numbers]:
    """(1 / share that is slower, ns): from 1 to the number of samples."""
    order = np.argsort(histogram.highest, kind="stable")
    counts, upper = histogram.counts[order], histogram.highest[order].astype(np.float64)
    if histogram.max is not None:
        upper = np.minimum(upper, histogram.max)
    counts, upper = counts[counts > 0], upper[counts > 0]
    n = int(counts.sum())
    above = n - np.cumsum(counts)
    reached = n / np.maximum(above, 1.0)
    start = np.concatenate([[1.0], reached[:-1]])  # a step a bucket
    return np.repeat(np.stack([start, reached], axis=1).reshape(-1), 1), np.repeat(upper, 2)


def states(result: Result) -> Drawing:
    """All states of both ends, on a log axis."""
    title = "4 States of both ends (log scale)"
    times = seconds(result)
    shown = [
        name
        for name in names.STATES
        if any(has(result, f"{side}.{name}") for side in names.SIDES) and name not in ("CLOSED", "LISTEN")
    ]
    never = [name for name in names.STATES if name not in shown]
    if len(times) < 2 or not shown:
        return Drawing(title, notes=[NO_SERIES])

    def draw(axes: Any) -> None:
        for one, side in zip(axes, names.SIDES, strict=True):
            for style, name in enumerate(shown):
                if has(result, f"{side}.{name}"):
                    curve(one, times, result.series[f"{side}.{name}"], style, most=240)
            one.set_yscale("symlog", linthresh=1)
            one.set_ylim(bottom=0)
            one.set_title(side, fontsize=15)
            ticks(one, compact)
            time_axis(one, times)

    keys = []
    for style, name in enumerate(shown):
        peaks = [f"{side} {words.number(int(result.series[f'{side}.{name}'].max()))}"
                 for side in names.SIDES if has(result, f"{side}.{name}")]  # fmt: skip
        keys.append(Key(style, f"{name.replace('_', '-')}: peak {', '.join(peaks)}"))
    said = drawn("states", draw, title=title, height=260, columns=2)
    left_out = f"Not drawn: {', '.join(never).replace('_', '-')} (empty, or listeners)."
    return Drawing(title, said, keys, [left_out])


def has(result: Result, name: str) -> bool:
    return name in result.series and bool(result.series[name].max(initial=0) > 0)


# -- shared -------------------------------------------------------------------------------------------------


def seconds(result: Result) -> Numbers:
    return result.series.times_ms / 1e3


def _sum_of_loads(result: Result, what: str) -> Numbers | None:
    wanted = [name for name in result.series if name.startswith("load.") and name.endswith(f".{what}")]
    found = [result.series[name] for name in wanted]
    return sum(found[1:], start=found[0]) if found else None


def time_axis(axes: Any, times: Numbers) -> None:
    axes.set_xlim(float(times[0]), float(times[-1]))
    ticks(axes, lambda value: f"{value:g} s", "x")
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(4))


def first_run(result: Result) -> list[str]:
    n = len(result.replicates)
    return [f"Curves: the first of {n} runs."] if n > 1 else []


def limits_of(result: Result) -> dict[str, float]:
    """The limits that are numbers, by name."""
    return {
        str(one["name"]): float(one["value"])
        for one in result.limits
        if isinstance(one, Mapping) and "name" in one and isinstance(one.get("value"), (int, float))
    }


def _limit(result: Result, name: str, times: int = 1) -> float | None:
    value = limits_of(result).get(name)
    return None if value is None else value * times


def _sockets(result: Result) -> int:
    """Listening sockets, each with queues of its own."""
    return max(result.scenario.server.listen.listeners, 1) * max(result.scenario.client.destinations, 1)


def limit_keys(limits: Mapping[str, float | None], inside: set[float]) -> list[Key]:
    keys = []
    for said, value in limits.items():
        if value is None or not math.isfinite(value):
            continue
        text = f"limit of {said}: {words.number(value)}"
        far = value not in inside
        keys.append(Key(None if far else 0, text + (", far above" if far else ""), "limit"))
    return keys


def _peaks(result: Result, wanted: Sequence[str]) -> list[str]:
    return [f"{name}: {words.number(value)}" for name in wanted if (value := result[name]) is not None]


