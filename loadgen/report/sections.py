"""What a result says, section by section, as rows of text: the terminal and the page print the same.

A figure stands under the name that `--threshold` and `result[...]` take. Zeros that say nothing are left out.
Of several seeds a count is their mean, as the metric is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from loadgen.report import figures as making
from loadgen.report import histograms, memory, names, words
from loadgen.report.estimate import FEWEST_SEEDS
from loadgen.units import format_bytes

if TYPE_CHECKING:
    from loadgen.report.result import Result

Row = tuple[str, str, str]  # name, value, note; in a section with sides: name, client, server

_QUEUES: Final = ("half_open", "accept_queue", "established", "time_wait", "orphans")


@dataclass
class Section:
    """A heading, rows and sentences below them."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sides: str = ""  # where rows have a value for each end: what their names begin with


def runs(result: Result) -> str:
    """How many runs the figures are of, and whether there are intervals."""
    n = len(result.replicates)
    if n == 1:
        return "one run" + _batches(result)
    if n >= FEWEST_SEEDS:
        return f"means of {n} seeds; 95 % intervals"
    return f"means of {n} seeds, too few for intervals over seeds{_batches(result)}"


def _batches(result: Result) -> str:
    """Of how many batches intervals are, where they are of batches."""
    most = max((figure.batches for figure in result.figures.values()), default=0)
    return f"; 95 % intervals over {most} batches" if most else ""


def thresholds(result: Result) -> Section:
    """What was asked, seen, and whether that is enough; what is not met is in capitals."""
    rows = []
    for row in result.thresholds:
        state = row["state"] if row["state"] == "met" else row["state"].upper()
        rows.append((row["text"], words.figure(result.figure(row["metric"])), state))
    return Section("thresholds", rows)


def outcomes(result: Result) -> Section:
    """What became of the connections, all together and by load."""
    return Section(f"outcomes, {runs(result)}", list(_outcomes(result)), _left_out(result))


def _left_out(result: Result) -> list[str]:
    """What of the run's beginning is in no figure."""
    if not result.warmup_ns:
        return []
    begun = words.plural(_per_run(result, result.outcomes.get("in_warmup", 0)), "connection")
    return [f"warm-up left out: the first {words.time(result.warmup_ns)}, in which {begun} began"]


def details(result: Result) -> list[Section]:
    """What stands below the chart; sections that would be empty are left out."""
    found = [
        Section("limits", *_limits(result)),
        Section("latency (virtual time)", list(_latencies(result))),
        Section("ports", list(_ports(result))),
        Section("populations", list(_populations(result))),
        Section("closing", list(_closing(result))),
        Section("detection of floods, from the queue alone", list(_detection(result))),
        Section("floods", [_mean_row(result, f"flood.{name}.sent", one["sent"])
                           for name, one in sorted(result.floods.items())]),
        Section("states at the end", list(_states(result))),
        Section("counters, as nstat has them", list(_sides(result, result.counters, names.COUNTERS)),
                sides="counters.SIDE."),
        Section("causes of what was refused or lost", list(_sides(result, result.causes, names.CAUSES)),
                sides="causes.SIDE."),
        Section("link", [_mean_row(result, f"counters.link.{name}", n)
                         for name, n in _in_order(result.counters.get("link", {}), names.LINK)
                         if n and name in names.LINK]),
        Section("kernel memory at the peak (T: from a table)", *_memory(result)),
        Section("measured on the host (R) and simulated", list(_measured(result))),
        Section("theory", *_theory(result)),
        Section("assumed", notes=list(result.assumptions)),
        Section("not modelled", notes=list(result.not_modelled)),
    ]  # fmt: skip
    return [section for section in found if section.rows or section.notes]


def _ordered(given: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """The keys in the order of `known`, others by name after them: that of a file that was read is lost."""
    order = {name: number for number, name in enumerate(known)}
    return sorted(given, key=lambda name: (order.get(name, len(order)), name))


def _in_order(given: Mapping[str, int], known: Iterable[str]) -> list[tuple[str, int]]:
    return [(name, given[name]) for name in _ordered(given, known)]


def _figure(result: Result, name: str) -> Row:
    figure = result.figure(name)
    source = "" if figure.source == "S" else figure.source  # S, simulated, goes without saying
    return name, words.figure(figure), " ".join(filter(None, [source, words.interval(figure)]))


def _mean(result: Result, total: int) -> str:
    """Of a count that is a sum over the replicates."""
    return words.number(_per_run(result, total))


def _per_run(result: Result, total: int) -> float:
    return total / max(len(result.replicates), 1)


def _mean_row(result: Result, name: str, total: int, of: int = 0) -> Row:
    return name, _mean(result, total), words.percent(total / of) if of else ""


def _outcomes(result: Result) -> Iterator[Row]:
    ended = result.outcomes
    attempted = ended["attempted"]
    yield _mean_row(result, "attempted", attempted)
    for name, n in _in_order(making.ends(ended), making.END_NAMES):
        if n or name in ("served", "ghost"):
            yield _mean_row(result, f"  {name}", n, attempted)
    for name in ("connected", "first_try"):
        yield _mean_row(result, name, ended[name], attempted)
    if ended["tries"] not in (attempted, 0):
        yield _mean_row(result, "tries", ended["tries"])
    if ended["requests"] not in (0, ended["served"]):
        yield _mean_row(result, "requests", ended["requests"])
    if not attempted:
        return
    for name in ("success_ratio", "first_try_ratio", "refused_ratio"):
        if name != "refused_ratio" or ended["refused"]:
            yield _figure(result, name)
    loads = _ordered(result.loads, [load.name for load in result.scenario.load])
    for load in loads if len(loads) > 1 else ():
        yield _mean_row(result, f"load.{load}.attempted", result.loads[load]["attempted"])
        for name in ("success_ratio", "first_try_ratio", "connect.p99", "served_after.p99"):
            yield _figure(result, f"load.{load}.{name}")


def _limits(result: Result) -> tuple[list[Row], list[str]]:
    """Each limit and who set it; below, what would act otherwise."""
    rows: list[Row] = []
    notes = []
    for limit in result.limits:
        if isinstance(limit, str):
            notes.append(limit)
            continue
        value, name = limit.get("value"), str(limit.get("name", ""))
        shown = words.number(value) if isinstance(value, (int, float)) else str(value)
        origin = f", {limit['from']}" if limit.get("from") not in (None, "", "default", "listen()") else ""
        rows.append((name, shown, f"by {limit['set_by']}{origin}" if limit.get("set_by") else ""))
        notes += [f"{name}: {text}" for text in limit.get("shadowed") or ()]
    return rows, notes


def _closing(result: Result) -> Iterator[Row]:
    """What is left of a close without its last ACK or its TIME_WAIT, and half-closed connections."""
    names = ["stuck_last_ack", "old_segments_accepted"]
    names += [f"half_close.{part}" for part in ("connections", "queued_bytes", "acknowledged_bytes")]
    for name in names:
        if name in result.figures and result[name]:
            yield _figure(result, name)


def _detection(result: Result) -> Iterator[Row]:
    """What the half-open queue tells of the floods, and how long its entries stay."""
    if result["detection.floods"] is None:
        return
    parts = [
        "floods",
        "found",
        "false_alarms",
        "raised_after",
        "begin_error",
        "end_error",
        "alarms_on_bursts",
    ]
    for name in (
        *(f"detection.{part}" for part in parts),
        "residence.answered.p50",
        "residence.unanswered.p50",
    ):
        if result[name] is not None:
            yield _figure(result, name)


def _latencies(result: Result) -> Iterator[Row]:
    for name in ("connect", "served_after", "accept_wait"):
        low, high = result[f"{name}.min"], result[f"{name}.max"]
        if low is None or high is None:
            if result.outcomes["attempted"]:
                yield f"{name}.count", "no samples", ""
        elif low == high:
            yield f"{name}.max", words.time(high), "all alike"
        else:
            for part in histograms.FIGURES[1:]:
                if result[f"{name}.{part}"] is not None:
                    yield _figure(result, f"{name}.{part}")


def _ports(result: Result) -> Iterator[Row]:
    if not result.outcomes["attempted"]:
        return
    for name in ("ports.in_use_peak", "ports.first_refusal", "ports.sustainable_rate"):
        figure = result.figure(name)
        if name == "ports.first_refusal" and figure.value is None:
            yield name, "none", ""
        elif figure.value is not None:
            yield _figure(result, name)


def _populations(result: Result) -> Iterator[Row]:
    for queue in _QUEUES:
        whole = queue in ("half_open", "accept_queue")
        for name in (queue,) if whole else tuple(f"{queue}.{side}" for side in names.SIDES):
            peak, mean = result[f"{name}.peak"], result[f"{name}.mean"]
            if peak:
                yield f"{name}.peak", words.number(peak), ""
                if mean is not None:
                    yield _figure(result, f"{name}.mean")
    for queue in ("half_open", "accept_queue"):
        if result[f"{queue}.full_from"] is not None:
            yield _figure(result, f"{queue}.full_from")
            yield _figure(result, f"{queue}.full_for")
    for side in names.SIDES:
        if result[f"counters.link.{side}.fin.unanswered"]:
            yield _figure(result, f"counters.link.{side}.fin.unanswered")
        if result[f"left.{side}"]:
            yield _figure(result, f"left.{side}")


def _states(result: Result) -> Iterator[Row]:
    for side, states in result.states.items():
        for state in _ordered(states, names.STATES):
            if (n := states[state]) and state not in ("CLOSED", "LISTEN"):
                yield _mean_row(result, f"states.{side}.{state}", n)


def _sides(result: Result, counts: Mapping[str, Mapping[str, int]], known: Iterable[str]) -> Iterator[Row]:
    """A counter a line, the two ends side by side; those that are 0 at both are left out."""
    client, server = (counts.get(side, {}) for side in names.SIDES)
    for name in _ordered({**client, **server}, known):
        if client.get(name) or server.get(name):
            yield name, _mean(result, client.get(name, 0)), _mean(result, server.get(name, 0))


def _memory(result: Result) -> tuple[list[Row], list[str]]:
    known = {side: found for side, found in result.memory.items() if found["known"]}
    notes = list(dict.fromkeys(found["note"] for found in result.memory.values() if not found["known"]))
    rows = []
    for side, found in known.items():
        for kind in (*memory.KINDS, "total"):
            entry = found.get(kind, {})
            if not entry.get("high"):
                continue
            value = format_bytes(entry["high"])
            if entry["low"] != entry["high"]:
                value = f"{format_bytes(entry['low'])} .. {value}"
            each = entry.get("bytes_each")
            note = f"{entry['count']:,} x {_span(*each)} B" if each else ""
            rows.append((f"memory.kernel.{side}.{kind}", value, note))
    if rows:
        origins = [f"{side}: {one['origin']}" for side, one in known.items() if one.get("origin")]
        notes += [f"bytes of an entry: {'; '.join(origins)}"] if origins else []
        notes.append(f"excludes {memory.EXCLUDES}")
    return rows, notes


def _span(low: int, high: int) -> str:
    """`256..427`, or one number where they are the same."""
    return f"{low:,}" if low == high else f"{low:,}..{high:,}"


def _measured(result: Result) -> Iterator[Row]:
    for row in result.measured:
        low, high = row["low"], row["high"]
        inside = "" if low is None else f" ({_plain(low)} .. {_plain(high)})"
        simulated = "-" if row["simulated"] is None else _plain(row["simulated"])
        per = "/s" if row["unit"] == "1/s" else ""
        yield row["name"], f"R {_plain(row['measured'])}{per}", f"S {simulated}{per}{inside}, {row['state']}"


def _theory(result: Result) -> tuple[list[Row], list[str]]:
    rows, notes = [], []
    for row in result.theory:
        name, value, state = str(row.get("row", "")), row.get("value"), str(row.get("state", ""))
        low, high = row.get("low"), row.get("high")
        simulated = f"S {_plain(low)} .. {_plain(high)} {state}" if low is not None else state
        rows.append((name, "-" if value is None else _plain(value), simulated))
        if false := [str(one.get("what")) for one in row.get("preconditions", ()) if not one.get("holds")]:
            notes.append(f"{name}: not so here: {', '.join(false)}")
    return rows, notes


def _plain(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, (int, float)) else str(value)
