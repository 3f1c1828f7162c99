"""Every SYN-queue policy against the same flood: one run each, a ranking, and a verdict in words.

The runs differ in `synq_policy` and `tcp_syncookies` and in nothing else: same seed, same spoofed segments,
same clients at the same moments. Each run is a process's own; how many work at once changes nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from loadgen import signals
from loadgen.phases.flood import FloodSettings, simulate
from loadgen.phases.metrics import Result
from loadgen.units import format_count, format_duration
from loadgen.workers import spread

POLICIES: Final = ("linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer")

#: What else belongs to a policy, unless the user has set it.
_WITH: Final[dict[str, dict[str, Any]]] = {"freebsd": {"cookie_encoding": "freebsd", "dup_syn_restarts": 1}}

_REFUSING: Final = ("linux", "drop-new", "short-timer")  # a full queue keeps whom it has
_EQUAL: Final = 0.002  # success ratios that differ by less are called the same

Done = Callable[[str, int, int], None]  # name, how many are done, of how many


def with_policy(settings: FloodSettings, policy: str, cookies: int | None = None) -> FloodSettings:
    """The same flood against another policy; `cookies` as in tcp_syncookies, None: as it is."""
    knobs: dict[str, Any] = {
        name: value for name, value in _WITH.get(policy, {}).items() if name not in settings.knobs_set
    }
    if cookies is not None:
        knobs["tcp_syncookies"] = cookies
    return dataclasses.replace(settings, knobs=settings.knobs.replace(synq_policy=policy, **knobs))


def variants(settings: FloodSettings, policies: Iterable[str]) -> dict[str, FloodSettings]:
    """By name, each policy without and with cookies (on overflow, or always where the user says so)."""
    on = settings.knobs.tcp_syncookies or 1
    found: dict[str, FloodSettings] = {}
    for policy in policies:
        name = policy.replace("-", "_")
        found[name] = with_policy(settings, policy, 0)
        found[f"{name}_cookies"] = with_policy(settings, policy, on)
    return found


def compare(
    settings: FloodSettings,
    policies: Iterable[str] = POLICIES,
    workers: int = 1,
    done: Done = lambda name, n, of: None,
) -> Result:
    """Run every variant; an interrupted comparison ranks those that are finished and is marked partial."""
    began = time.perf_counter()
    runs = variants(dataclasses.replace(settings, check_bursts=0), policies)
    finished: dict[str, Result] = {}
    partial = False
    try:
        for name, result in _results(runs, workers):
            finished[name] = result
            partial = partial or result.partial
            done(name, len(finished), len(runs))
            if partial:
                break
    except KeyboardInterrupt:
        partial = True
        signals.honoured()
    with signals.later():
        finished = {name: r for name in runs if (r := finished.get(name)) is not None and not r.partial}
        return _compared(settings, finished, time.perf_counter() - began, partial)


def _results(runs: dict[str, FloodSettings], workers: int) -> Iterator[tuple[str, Result]]:
    if workers <= 1 or len(runs) <= 1:
        yield from map(_run, runs.items())
        return
    # The longest first, so that no worker is left alone with one at the end.
    order = sorted(runs, key=lambda name: (runs[name].knobs.tcp_syncookies, name in _REFUSING))
    yield from spread(_run, [(name, runs[name]) for name in order], workers)


def _run(item: tuple[str, FloodSettings]) -> tuple[str, Result]:
    return item[0], simulate(item[1])


# -- the result ---------------------------------------------------------------------


def _row(given: FloodSettings, result: Result) -> dict[str, Any]:
    """What the comparison says of one run."""
    figures = result.results
    return {
        "policy": given.knobs.synq_policy,
        "cookies": ("off", "overflow", "always")[given.knobs.tcp_syncookies],
        **{
            name: figures[name]
            for name in (
                "success_ratio", "first_try_ratio", "attempted", "connected", "served", "ghost", "reset",
                "gave_up",
            )
        },
        "handshake_ms": figures["handshake_ms"],
        "half_open": figures["half_open"],
        "residence_unanswered_ms": figures["residence_unanswered_ms"],
        "backscatter_per_spoofed": figures["backscatter"]["per_spoofed"],
        "options_lost": figures["cookies"]["options_lost"],
        "detection": figures["detection"],
    }  # fmt: skip


def _rank(name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    """Most clients served; then soonest, with the least lost by cookies, the least state, the least noise."""
    p99 = row["handshake_ms"]["p99"]
    return (
        -round((row["success_ratio"] or 0.0) / _EQUAL),
        float("inf") if p99 is None else p99,
        row["options_lost"],
        round(row["half_open"]["mean"]),
        row["backscatter_per_spoofed"] or 0.0,
        name,
    )


def _compared(
    settings: FloodSettings, finished: dict[str, Result], elapsed_s: float, partial: bool
) -> Result:
    given = variants(settings, [result.config["knobs"]["synq_policy"] for result in finished.values()])
    rows = {name: _row(given[name], result) for name, result in finished.items()}
    ranked = {name: rows[name] for name in sorted(rows, key=lambda name: _rank(name, rows[name]))}
    some = next(iter(finished.values()), None)
    config = dict(some.config) if some else {}
    config["knobs"] = {
        name: value
        for name, value in config.get("knobs", {}).items()
        if name not in ("synq_policy", "tcp_syncookies", "capacity", *_WITH["freebsd"])
    }
    config["compare"] = list(dict.fromkeys(row["policy"] for row in rows.values()))
    segments = sum(int(result.wall["segments"]) for result in finished.values())
    return Result(
        command="flood",
        config=config,
        seed=settings.seed,
        results={"verdict": verdict(settings, ranked), "compare": ranked},
        counters={name: finished[name].counters["server"] for name in ranked},
        causes={name: finished[name].causes["server"] for name in ranked},
        series={name: finished[name].series["queues"] for name in ranked},
        wall={
            "elapsed_s": elapsed_s,
            "segments": segments,
            "segments_per_s": segments / elapsed_s if elapsed_s else None,
            "runs_s": {name: finished[name].wall["elapsed_s"] for name in ranked},
        },
        partial=partial,
    )


def verdict(settings: FloodSettings, ranked: dict[str, dict[str, Any]]) -> str:
    """The ranking in words, with the reason: a few lines."""
    if not ranked:
        return "nothing was finished"
    rows = list(ranked.values())
    if rows[0]["success_ratio"] is None:
        return "there were no clients to serve"
    equal = [row for row in rows[1:] if rows[0]["success_ratio"] - row["success_ratio"] < _EQUAL]
    also = f"; {_listed(equal)} {'serves' if len(equal) == 1 else 'serve'} as many" if equal else ""
    lines = [f"Best: {_called(rows[0])}, {_served(rows[0])} of the clients served{also}.", "Without cookies:"]
    lines += [
        f"  {row['policy']} serves {_served(row)}: {_why(settings, row)}"
        for row in rows
        if row["cookies"] == "off"
    ]
    cookies = [row for row in rows if row["cookies"] != "off"]
    lost = max((int(row["options_lost"]) for row in cookies), default=0)
    noise = max((row["backscatter_per_spoofed"] or 0.0 for row in cookies), default=0.0)
    if cookies:
        lines.append(
            f"Cookies lost {format_count(lost)} options at most and answered each spoofed segment with up to "
            f"{noise:.3g} of backscatter."
        )
    return "\n".join(lines)


def _called(row: dict[str, Any]) -> str:
    return str(row["policy"]) + ("" if row["cookies"] == "off" else " with cookies")


def _served(row: dict[str, Any]) -> str:
    return f"{100 * row['success_ratio']:.2f} %"


def _listed(rows: list[dict[str, Any]]) -> str:
    called = [_called(row) for row in rows]
    return called[0] if len(called) == 1 else f"{', '.join(called[:-1])} and {called[-1]}"


def _why(settings: FloodSettings, row: dict[str, Any]) -> str:
    """What decides without cookies: how long a place lasts against the round trip, or when one is free."""
    room, stay = row["half_open"]["room"], row["residence_unanswered_ms"]["p50"]
    places = f"{format_count(room)} places"
    if not row["half_open"]["overflows"] and row["half_open"]["peak"] < room:
        return f"its {places} were never full"
    rate, rtt = settings.flood_rate, settings.path.rtt_ns
    turnover, answer = room * 10**12 / rate, format_duration(rtt)
    if row["policy"] in _REFUSING:
        kept = "to the end" if stay is None else f"for {format_duration(stay * 1e6)} each"
        return f"its {places} are full after {format_duration(turnover)} and kept {kept}"
    if row["policy"] == "evict-random":
        return (
            f"of its {places} one is lost every {format_duration(10**12 / rate)}; "
            f"exp(-{answer} / {format_duration(turnover)}) outlive the round trip"
        )
    return f"its {places} last {format_duration(turnover)} each, an answer takes {answer}"
