"""`plan herd`: all clients come back at once. How many are connected, served, ghosts, and what would help?

Played whole, at any effort: the answer is the simulation's. The formula beside it is the fluid one for a
burst into one queue: of n that come within w seconds at a server that takes mu a second, n - mu w wait.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Final

import numpy as np

from loadgen.plan import say
from loadgen.plan.answers import AGREE, EXPLAINED, Answer, Table, Value
from loadgen.plan.ask import Case, Quantity, Refused
from loadgen.plan.play import lasting
from loadgen.plan.shared import NS, limits, settle
from loadgen.report.result import Result
from loadgen.scenario.model import Link, Load, Run, Scenario
from loadgen.scenario.numbers import LONGEST_NS
from loadgen.scenario.values import Distribution
from loadgen.theory.relaxation import accept_places

NAME: Final = "herd"
SUMMARY: Final = "all clients come back at once: who is served when, who is a ghost, what helps"
BASE: Final = Scenario(
    name="herd",
    load=[Load("clients", "paced", rate=1000.0)],
    link=Link(Distribution("const", 1e6)),
    run=Run(),
)
OPEN: Final = (Quantity("clients", ("client.hosts",)),)
EXTRAS: Final = ("within", "horizon")
NOT_MODELLED: Final = ("CPU time but for --accept-time", "what a load balancer does before the server")
_WITHIN: Final = 100_000_000
_HORIZON: Final = 30_000_000_000
_EARLY: Final = 6  # "served by" is told at this part of the horizon, too
_MOST: Final = 10_000_000


def solve(case: Case) -> Answer:
    """Play the herd now and with each alternative."""
    if case.open:
        raise Refused("plan herd: --clients is unknown: how many come back?")
    cases = [case, *map(case.varied, case.variants)]
    results = case.player.play([scenario_of(one) for one in cases], whole=True)
    answer = Answer(NAME, "", "success_ratio", Value(None, "ratio", "F"), "")
    answer.limits = [*limits(case, "accept_queue", shadowed=False)]
    rows, letters = [], []
    for one, label, result in zip(
        cases, ["now", *(variant.label for variant in case.variants)], results, strict=True
    ):
        if result is not None:
            rows.append((label, *_row(answer, label, one, result)))
            letters.append("S")
            answer.played.append((label, result))
    _verdict(answer, case, results[0])
    horizon = horizon_of(case) / NS
    if rows:
        head = ("", "connected", f"served by {say.sec(horizon / _EARLY)}", f"by {say.sec(horizon)}",
                "ghosts", "longest wait", "")  # fmt: skip
        answer.parts.append(Table(head, rows, letters))
    if results[0] is not None:
        _remark(answer, case, results[0])
    _fluid(answer, case)
    if case.scenario.server.accept.time.is_zero and not case.whole:
        answer.assumed.append("accept() at once (no --accept-time)")
    answer.assumed.append("clients come evenly within the time given, once, and keep their connection")
    return settle(answer, case)


def horizon_of(case: Case) -> int:
    """Virtual ns for which the herd is watched."""
    given = case.extra.get("horizon", case.player.duration_ns or _HORIZON)
    if not given:
        raise Refused("--horizon: expected more than 0")
    return int(given)


def scenario_of(case: Case) -> Scenario:
    """Each client connects once, evenly within the time; connections last to the end."""
    made = case.scenario
    n, within = made.client.hosts, int(case.extra.get("within", _WITHIN))
    if n > _MOST:
        raise Refused(f"--clients: expected at most {_MOST:,}, got {n:,}")
    if not made.load:
        raise Refused("plan herd: the file has no load")
    rate = math.inf if not within else n / (within / NS)
    if rate < math.inf and rate > 1e9:
        rate = 1e9
    load = _load(made.load[0], n, rate, case)
    made = dataclasses.replace(made, load=[load])
    return lasting(made, horizon_of(case), drain=False)


def _load(load: Load, n: int, rate: float, case: Case) -> Load:
    hold = load.hold
    if not case.has("load.hold"):
        hold = Distribution("const", float(LONGEST_NS))
    return Load(
        load.name, "paced", (), ((0, rate),), n, 0, 0, hold, None, 0.0, load.requests_per_connection,
        load.request, load.response, load.speaks, load.idle_timeout_ns, load.patience_ns, load.tries,
    )  # fmt: skip


def _row(answer: Answer, label: str, case: Case, result: Result) -> tuple[str, ...]:
    n = max(1, len(result.replicates))
    ended = {name: result.outcomes[name] / n for name in ("connected", "served", "ghost", "pending")}
    horizon = horizon_of(case) / NS
    early = _served_by(result, horizon / _EARLY)
    for name, value in (*ended.items(), ("served_early", early)):
        answer.note(f"{label}.{name}", value, "count", "S")
    longest = result["served_after.max"]
    lost = ended["ghost"] and case.scenario.load[0].speaks == "server"
    if lost:
        wait = "for ever"
    elif ended["ghost"] or ended["pending"] or longest is None:
        wait = f"> {say.sec(horizon)}"
    else:
        wait = say.sec(longest / NS)
    trying = f"{say.num(ended['pending'])} still trying" if ended["pending"] else ""
    shown = (ended["connected"], early, ended["served"], ended["ghost"])
    return (*map(say.num, shown), wait, trying)


def _served_by(result: Result, seconds: float) -> float:
    """Of the first replicate, from the series."""
    load = result.scenario.load[0].name
    key = f"load.{load}.served"
    if key not in result.series:
        return 0.0
    return float(np.interp(seconds * 1e3, result.series["time_ms"], result.series[key]))


def _verdict(answer: Answer, case: Case, now: Result | None) -> None:
    n, horizon = case.scenario.client.hosts, horizon_of(case) / NS
    places, waiting = accept_places(case.scenario, case.hosts.server), _waiting(case)
    fits = waiting <= places
    form = f"{say.num(max(0.0, waiting))} wait at once, {say.num(places)} fit"
    if now is None:
        answer.sentence = (
            f"{'all' if fits else 'not all'} of {say.num(n)} are served at the first try: {form}"
        )
        answer.value = Value(min(1.0, places / waiting) if waiting > 0 else 1.0, "ratio", "F")
        return
    figure = now.figure("success_ratio")
    ghosts = now.outcomes["ghost"] / len(now.replicates)
    answer.sentence = f"{say.pm(figure)} of {say.num(n)} clients are served within {say.sec(horizon)}"
    answer.sentence += f", {say.num(ghosts)} are ghosts ({say.runs(now)}); F: {form}"
    answer.value = Value(figure.value, "ratio", "F, S", figure.low, figure.high)
    answer.state = AGREE if fits == (now.outcomes["first_try"] == now.outcomes["attempted"]) else EXPLAINED
    if answer.state == EXPLAINED:
        why = "cookies and resends come later" if not fits else "half-open entries are short of places, too"
        answer.sentence += f", explained: {why}; the simulation answers"


def _waiting(case: Case) -> float:
    """Fluid: those that have come and are not accepted when the last one comes."""
    n, within = case.scenario.client.hosts, case.extra.get("within", _WITHIN) / NS
    accept = case.scenario.server.accept
    service = accept.time.mean / NS / accept.workers
    lists = case.scenario.server.listen.listeners * case.scenario.client.destinations
    return (n - (within / service if service else math.inf)) / lists


def _fluid(answer: Answer, case: Case) -> None:
    accept, n = case.scenario.server.accept, case.scenario.client.hosts
    service = accept.time.mean / NS / accept.workers
    if not service:
        return
    lists = case.scenario.server.listen.listeners * case.scenario.client.destinations
    places = accept_places(case.scenario, case.hosts.server) * lists
    if n > places:
        spread = (n - places) * service / lists
        backlog = max(0, math.ceil(_waiting(case)) - 1)
        text = f"spread over {say.sec(spread)}, or listen({say.num(backlog)}) with somaxconn >= that; "
        text += f"at +10 % clients {say.sec((1.1 * n - places) * service / lists)}"
        answer.say("need", f"{text}: nobody is lost", "F")
        answer.note("spread_needed", spread * NS, "ns", "F")
        answer.note("backlog_needed", backlog, "count", "F")


def _remark(answer: Answer, case: Case, now: Result) -> None:
    n, accept = len(now.replicates), case.scenario.server.accept
    horizon = horizon_of(case) / NS
    cookies = now.counters["server"].get("SyncookiesSent", 0) / n
    ghosts, p99 = now.outcomes["ghost"] / n, now["connect.p99"]
    if ghosts and p99 is not None:
        text = f"connect() p99 is {say.sec(p99 / NS)} in row 1 and says nothing"
        text += (
            f": {say.num(cookies)} cookies promised places that the accept queue did not have"
            if cookies
            else ""
        )
        answer.warn(text, "S")
    idle = horizon - now.outcomes["served"] / n * accept.time.mean / NS / accept.workers
    if ghosts and accept.time.mean and idle > horizon / 10:
        answer.warn(
            f"the server sits idle {idle:.0f} of {say.sec(horizon)}: ghosts come back in step with their "
            "doubling RTO. Jitter is worth more than any queue",
            "S",
        )
