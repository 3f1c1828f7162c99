"""What each line of a sysctl file would do on a host: acts, cannot act here, does not exist, is not modelled.

A line is judged by the file with it and without it: two lines that need each other both act. What it changes
is told by a closed form (F) where there is one, else by the simulation of both (S) with the same arrivals; a
knob that changes no figure of the simulation cannot act here. Nothing is called good or bad, and no value is
recommended.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadgen.host import effects
from loadgen.host.verdicts import ABSENT, ACTS, CANNOT, KINDS, NOT_MODELLED, REFUSED, UNDECIDED, Row, View
from loadgen.report.result import Result
from loadgen.scenario import hosts, knobs
from loadgen.scenario.errors import Mistake, ScenarioError
from loadgen.scenario.hosts import Resolved
from loadgen.scenario.model import Scenario
from loadgen.scenario.traces import read_text
from tcpcore import Config, SysctlLine, sysctl_lines

#: How many lines of a kind, in the last sentence: one, several.
_SAID: Final = {
    ACTS: ("acts", "act"), CANNOT: ("cannot act here", "cannot act here"),
    ABSENT: ("does not exist", "do not exist"),
    REFUSED: ("has a value that is refused", "have values that are refused"),
    NOT_MODELLED: ("not modelled", "not modelled"), UNDECIDED: ("not decided", "not decided"),
}  # fmt: skip

Play = Callable[[Sequence[Scenario]], Sequence[Result | None]]


@dataclass
class Applied:
    """The lines, both scenarios with the results of their simulations, and the sentence about all."""

    rows: list[Row]
    now: Scenario
    then: Scenario
    sentence: str = ""
    results: tuple[Result | None, Result | None] = (None, None)


def lines_of(path: str, release: str = "") -> tuple[SysctlLine, ...]:
    """The settings of a sysctl file. Raises Mistake."""
    found = sysctl_lines(read_text(path), release)
    if not found:
        raise Mistake(f"{path}: expected settings in lines like 'net.ipv4.tcp_syncookies = 1'")
    return found


def listing(path: str | None) -> dict[str, str]:
    """Setting -> value of a host's `sysctl -a`, empty without one. Raises Mistake."""
    return {} if path is None else {one.key: one.value for one in sysctl_lines(read_text(path))}


def apply(scenario: Scenario, name: str, play: Play) -> Applied:
    """What the sysctl file `name` would do to the server of a scenario. Raises Mistake, ScenarioError."""
    now = listing(scenario.server.sysctl)
    found = [_row(line, now, scenario) for line in lines_of(name, now.get("kernel.osrelease", ""))]
    changes = {knob: value for row in found if not row.kind for knob, value in row.line.knobs.items()}
    then = _with(scenario, changes)
    applied = Applied(found, scenario, then)
    views = {id(row): _view(scenario, changes, row) for row in found if not row.kind}
    for row in found:
        if id(row) in views:
            effects.judge(row, views[id(row)])
    _simulated(applied, changes, play)
    applied.sentence = summary(applied)
    return applied


def _row(line: SysctlLine, now: Mapping[str, str], scenario: Scenario) -> Row:
    """The row of a line, with what can be said of it without its knob."""
    before = " ".join(now[line.key].split()) if line.key in now else _value_now(line, scenario)
    row = Row(line, before)
    if line.absent:
        row.kind = ABSENT
        row.text = f"{line.absent}: `sysctl -p` reports an error on this line"
    elif _unknown_there(line.key, now):
        row.kind = ABSENT
        row.text = "not among the settings of this host: `sysctl -p` reports an error on this line"
    elif line.wrong:
        why = re.sub(r"^[\w.]+: ", "", line.wrong).partition(", got ")[0]
        row.kind, row.text = REFUSED, f"{why}: `sysctl -p` reports an error on this line"
    elif not line.knobs:
        row.kind = NOT_MODELLED
        row.text = "not modelled" if line.matters else "not modelled: no part of a TCP connection's states"
    return row


def _value_now(line: SysctlLine, scenario: Scenario) -> str:
    """The value of the model, where the host's listing has none."""
    if len(line.knobs) != 1 or line.key.startswith("net.inet."):
        return "-"
    value = getattr(hosts.config(scenario.server, knobs.SERVER), next(iter(line.knobs)))
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _unknown_there(key: str, now: Mapping[str, str]) -> bool:
    """A listing that has all of a folder's settings, and not this one."""
    folder = key.rpartition(".")[0]
    whole = sum(known.startswith("net.ipv4.tcp_") for known in now) >= 20
    of_tcp = key.startswith("net.ipv4.tcp_") or not any(known.startswith("net.ipv4.tcp_") for known in now)
    there = of_tcp if folder == "net.ipv4" else sum(known.rpartition(".")[0] == folder for known in now) > 3
    return bool(now) and whole and there and key not in now


def _with(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """The scenario with these knobs of the server's host, those that act where it listens or on both ends."""
    kept = {name: value for name, value in changes.items() if knobs.side_of(name) != knobs.CLIENT}
    server = dataclasses.replace(scenario.server, knobs={**scenario.server.knobs, **kept})
    return dataclasses.replace(scenario, server=server)


def outgoing(resolved: Resolved, changes: Mapping[str, Any]) -> Config:
    """The host as one that connects: its own settings, of which a scenario knows those that listen."""
    return resolved.server.replace(**changes)


def _view(scenario: Scenario, changes: Mapping[str, Any], row: Row) -> View:
    rest = {name: value for name, value in changes.items() if name not in row.line.knobs}
    without, with_it = hosts.resolve(_with(scenario, rest)), hosts.resolve(_with(scenario, changes))
    only = {name: value for name, value in changes.items() if knobs.side_of(name) == knobs.CLIENT}
    rest_only = {name: value for name, value in only.items() if name in rest}
    try:
        without = dataclasses.replace(without, server=outgoing(without, rest_only))
        with_it = dataclasses.replace(with_it, server=outgoing(with_it, only))
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"line {row.line.line}: {error}") from None
    return View(without, with_it, scenario, row.line)


# -- simulation ----------------------------------------------------------------------------------


def _simulated(applied: Applied, changes: Mapping[str, Any], play: Play) -> None:
    """Both scenarios, and one without each line that only a simulation can judge."""
    singles = [row for row in applied.rows if not row.kind or (row.kind == ACTS and "places" in row.figures)]
    listens = any(row.kind == ACTS and knobs.side_of(name) != knobs.CLIENT
                  for row in applied.rows for name in row.line.knobs)  # fmt: skip
    if not singles and not listens:  # what is played would be the same twice
        (now,) = play([applied.now])
        applied.results = (now, now)
        _tell_now(applied, now)
        return
    variants = []
    for row in singles:
        rest = {name: value for name, value in changes.items() if name not in row.line.knobs}
        variants.append(_with(applied.now, rest))
    played = list(play([applied.now, applied.then, *variants]))
    now, then = played[:2]
    applied.results = (now, then)
    for row, without in zip(singles, played[2:], strict=True):
        if without is None or then is None:
            row.kind = row.kind or UNDECIDED
            row.text = row.text or "no closed form says what it does, and nothing was simulated"
            continue
        _compare(row, without, then)
    _tell_now(applied, now)


def _tell_now(applied: Applied, now: Result | None) -> None:
    """The share that succeeds at the first try, at the lines about queues that change nothing."""
    for row in applied.rows if now is not None else ():
        if now is not None and row.kind == CANNOT and row.figures.get("places"):
            share = float(now["first_try_ratio"] or 0.0)
            row.figures["first_try_ratio"] = (share, share)
            row.text += f"; first try {100 * share:.4g} % -> {100 * share:.4g} %"
            row.letters = "S"


#: In what order a difference is told.
_TOLD: Final = (
    ("first_try_ratio", "first try", 100.0, " %"), ("success_ratio", "served", 100.0, " %"),
    ("counters.server.TCPReqQFullDoCookies", "cookies for a full queue", 1.0, ""),
    ("counters.server.TCPReqQFullDrop", "SYNs dropped", 1.0, ""),
    ("connect.p99", "connect p99", 1e-6, " ms"), ("served_after.p99", "served p99", 1e-6, " ms"),
    ("half_open.peak", "half-open peak", 1.0, ""), ("time_wait.server.peak", "TIME_WAIT peak", 1.0, ""),
)  # fmt: skip


def _compare(row: Row, without: Result, then: Result) -> None:
    """Tell what differs between the two; nothing does: it cannot act here."""
    said = []
    for metric, words, scale, unit in _TOLD:
        before, after = without[metric], then[metric]
        if before is None or after is None:
            continue
        shown = f"{scale * before:.4g}", f"{scale * after:.4g}"
        if shown[0] != shown[1]:
            row.figures[metric] = (float(before), float(after))
            said.append(f"{words} {shown[0]} -> {shown[1]}{unit}")
    other = [name for name in then.keys() if name.startswith("counters.") and without[name] != then[name]]
    if not said and other:
        name = other[0]
        row.figures[name] = (float(without[name] or 0), float(then[name] or 0))
        said.append(f"{name} {without[name]:,.4g} -> {then[name]:,.4g}")
    row.letters = "S"
    if said:
        row.kind = ACTS
        row.text = "; ".join(filter(None, [row.text, *said[:2]]))
    elif row.kind != ACTS:
        row.kind = CANNOT
        row.text = "nothing here: no figure of the simulation differs"
    else:
        row.text += "; no figure of the simulation differs"


# -- the sentence --------------------------------------------------------------------------------


def summary(applied: Applied) -> str:
    """`6 lines: 2 act, 2 cannot act here, ...`, and what no sysctl of the server can do."""
    counts = {kind: sum(row.kind == kind for row in applied.rows) for kind in KINDS}
    parts = [f"{n} {_SAID[kind][n > 1]}" for kind, n in counts.items() if n]
    n = len(applied.rows)
    said = f"{n} line{'s' if n > 1 else ''}: {', '.join(parts)}."
    then = applied.results[1]
    if then is None:
        return said
    from loadgen.report import sentence

    if sentence.lacks_ports(then):
        return f"{said} The limit is on the clients' side: {sentence.sentence(then)}."
    if not then["counters.server.ListenOverflows"]:
        return said
    return f"{said} {effects.missing(applied.then)}".rstrip()
