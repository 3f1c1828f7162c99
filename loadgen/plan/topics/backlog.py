"""`plan backlog`: which backlog a load needs that an application takes in its own time, with stalls.

Formulas: Little's law for the half-open entries, a Poisson tail for what arrives in a stall, M/M/1/K or
M/D/1/K where there is none (`theory.queues`). The smallest backlog whose simulated interval meets the target
is looked for from what the formula says, upward or downward, until the next smaller one that was tried misses
it by no more than a twentieth.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final

from loadgen.plan import say
from loadgen.plan.answers import AGREE, EXPLAINED, UNDECIDED, Answer, Value
from loadgen.plan.ask import Case, Quantity, Refused
from loadgen.plan.shared import MORE, NS, RARELY, limits, settle, value_of
from loadgen.report.result import Result
from loadgen.report.thresholds import MET
from loadgen.scenario.model import Client, Load, Run, Scenario, Threshold
from loadgen.theory import ports, queues
from loadgen.theory.relaxation import accept_places
from loadgen.theory.special import poisson_tail

NAME: Final = "backlog"
SUMMARY: Final = "which backlog a load needs, and whether the one in force is enough"
BASE: Final = Scenario(
    name="backlog", load=[Load("clients", rate=1000.0)], client=Client(hosts=100), run=Run()
)
OPEN: Final = (
    Quantity("rate", ("load.rate", "load.shape")),
    Quantity("accept_stall", ("server.accept.stall", "server.accept.time")),
)
EXTRAS: Final = ()
NOT_MODELLED: Final = ("CPU time of the kernel and the application but for --accept-time and --accept-stall",)
NO_NUMBER: Final = 2**31 - 1  # of places would be enough
_TARGET: Final = Threshold("first_try_ratio", ">=", 0.999, "first_try_ratio>=0.999")
_PERIODS: Final = 20  # stalls that a run has
_FEWEST: Final = 5
_LOOKS: Final = 8  # backlogs that are tried from the formula's up or down ...
_STEP: Final = 0.05  # ... each further by twice as much as the one before, from this part of the first on;
# the first two down by this part of the one before: a miss ends the look
_REFUSING: Final = ("linux", "drop-new", "short-timer")  # policies whose full half-open queue ends nobody
_LIVES: Final = (63.0, 7.0)  # seconds that a half-open entry nobody answers lives: unpruned, pruned by age


@dataclasses.dataclass(frozen=True)
class Demand:
    """What arrives at the accept queue of one listener."""

    rate: float
    rtt: float
    stall: float
    every: float
    service: float  # mean
    workers: int
    constant: bool
    loss: float
    refuses: bool  # a full half-open queue does: no cookies, nobody evicted

    @property
    def busy(self) -> float:
        """Share of the time, stalls left out, for which the workers work."""
        working = 1 - self.stall / self.every if self.every else 1.0
        return self.rate * self.service / self.workers / working

    def refused(self, places: int) -> float:
        """Share refused without stalls."""
        if not self.service:
            return 0.0
        whole = places + self.workers
        if self.constant and self.workers == 1:
            return queues.md1k(whole, self.rate, self.service).refused
        return queues.mmmk(self.workers, whole, self.rate, self.service).refused

    def needs(self, more: float = 1.0) -> int:
        """Fewest places for which a stall loses nothing but RARELY, and the queue at most `loss`; NO_NUMBER
        where more come than are accepted."""
        there = dataclasses.replace(self, rate=self.rate * more)
        if there.busy >= 1:
            return NO_NUMBER
        stalled = queues.places_for_stall(there.rate, there.stall, RARELY) if there.stall else 0
        least = there.loss or RARELY
        served = queues.fewest(lambda n: there.refused(n) <= least, 1.0) if there.service else 0
        return max(stalled, served, there.half_open(least), 1)

    def half_open(self, least: float) -> int:
        """Fewest places of the half-open queue for which a SYN is refused so seldom; 0 where none is."""
        mean = self.rate * self.rtt
        if not self.refuses or not mean:
            return 0
        return queues.fewest(lambda n: poisson_tail(mean, n) <= least, mean)


def demand(case: Case, otherwise: float = RARELY) -> Demand:
    """Of the case's scenario; refuses one without a steady state."""
    scenario, server = case.scenario, case.hosts.server
    rate, accept = ports.total_rate(scenario), scenario.server.accept
    if rate is None:
        raise Refused(
            f"plan {case.topic.NAME}: needs a constant rate: give --rate, or play the file with loadgen run"
        )
    lists = scenario.server.listen.listeners * scenario.client.destinations
    found = Demand(
        rate / lists, scenario.link.rtt.mean / NS, accept.stall_ns / NS, accept.stall_every_ns / NS,
        accept.time.mean / NS, accept.workers, accept.time.family == "const", case.loss(otherwise),
        not server.tcp_syncookies and server.synq_policy in _REFUSING,
    )  # fmt: skip
    if found.busy >= 1 and case.player.duration_ns is None:
        raise Refused(
            f"plan {case.topic.NAME}: {say.rate(found.rate)} x {say.sec(found.service)} keep "
            f"{found.busy:.2f} times the workers busy: overload has no steady state; give --duration, or use "
            "plan herd with its --horizon"
        )
    return found


def solve(case: Case) -> Answer:
    """Judge the backlog in force, and look for the smallest that meets the target."""
    left = case.open
    if left == "accept_stall":
        left = None  # accept() is at once: that is a legal question
    if not any(one.metric for one in case.targets):
        case = dataclasses.replace(case, targets=(_TARGET,))
    if left == "rate":
        case = case.other({"load.rate": _rate_for(case)})
    asked, places = demand(case), accept_places(case.scenario, case.hosts.server)
    answer = Answer(NAME, "", case.targets[0].metric, Value(None, "ratio", "F"), "")
    answer.limits = [*limits(case, "accept_queue", "half_open")]
    first = max(1, asked.needs() - 1)
    now, short = _timed(case, asked)
    found = case.player.play([now.scenario])[0] if not short else None
    looked = _look(case, asked, first, short)
    if not looked.need and found is not None and _target(found, case)["state"] == MET:
        looked = dataclasses.replace(looked, need=places - 1, result=found)
    _verdict(answer, case, asked, found, places, left, short)
    _without_stall(answer, asked, case)
    _with_stall(answer, asked, found, places)
    _need(answer, asked, looked, case.targets[0].metric)
    _beside(answer, asked, case, places)
    if not case.has("link.rtt") and not case.whole:
        answer.assumed.append("rtt 0 s (not given)")
    if asked.stall and not asked.service:
        answer.assumed.append("accept() at once between stalls (no --accept-time)")
    answer.assumed.append("a stall begins with an empty queue; clients arrive as a Poisson process")
    return settle(answer, case)


def _rate_for(case: Case) -> float:
    """The largest rate for which the backlog is enough."""
    places = accept_places(case.scenario, case.hosts.server)
    asked = demand(case.other({"load.rate": 1e-3}))
    if not asked.stall and not asked.service:
        raise Refused(
            "plan backlog: nothing fills the queue: give --accept-time or --accept-stall, or --rate"
        )

    def holds(rate: float) -> bool:
        there = dataclasses.replace(asked, rate=rate)
        return there.busy < 1 and there.needs() <= places

    lists = case.scenario.server.listen.listeners * case.scenario.client.destinations
    found = queues.most(holds, 1.0)
    scale = 10.0 ** (math.floor(math.log10(found)) - 2)
    return math.floor(found / scale) * scale * lists


def _timed(case: Case, asked: Demand) -> tuple[Case, bool]:
    """The case with a duration that shows so many stalls, or lets the queue forget its beginning."""
    service = asked.service / asked.workers
    relaxed = queues.relaxation_time(8, service, asked.rate) if service else 0.0
    if asked.busy > 0.5 and service:
        places = accept_places(case.scenario, case.hosts.server)
        relaxed = queues.relaxation_time(places, service, asked.rate)
    needed = max(100 * relaxed, _FEWEST * asked.every, 5 * asked.rtt)
    scenario, short = case.player.timed(case.scenario, needed, max(_PERIODS * asked.every, 10.0), asked.every)
    return dataclasses.replace(case, base=scenario, changes={}, targets=()), short


@dataclasses.dataclass
class _Found:
    """What a look for the smallest backlog came to."""

    need: int  # 0: none that was tried meets the target
    result: Result | None = None
    misses: int | None = None  # the largest below it that does not
    tried: int = 0


def _look(case: Case, asked: Demand, first: int, short: bool) -> _Found:
    """The smallest backlog whose interval meets the target, to a twentieth, from the formula's on."""
    found = _Found(first)
    met: tuple[int, Result] | None = None
    backlog, largest = first, 0
    for look in range(_LOOKS if not short else 0):
        result = _play(case, asked, backlog)
        if result is None:
            break
        found.tried, largest = look + 1, max(largest, backlog)
        if _target(result, case)["state"] == MET:
            met = (backlog, result)
        else:
            found.misses = max(backlog, found.misses or 0)
        following = _following(first, look, met[0] if met else None, found.misses)
        if following is None:
            break
        backlog = following
    if met is not None:
        return dataclasses.replace(found, need=met[0], result=met[1])
    return found if found.misses is None else dataclasses.replace(found, need=0, misses=largest)


def _following(first: int, look: int, met: int | None, misses: int | None) -> int | None:
    """What is tried next; None where the bracket is as narrow as a twentieth."""
    if met is None:
        return math.ceil(first * (1 + _STEP * 2.0**look))
    if misses is None:
        lower = met - max(1, int(_STEP * met)) if look < 2 else int(first * (1 - _STEP * 2.0**look))
        return lower if 0 < lower < met else met // 2 or None
    return (met + misses) // 2 if met - misses > max(1, _STEP * met) else None


def _play(case: Case, asked: Demand, backlog: int) -> Result | None:
    there = case.other({
        "server.listen.backlog": backlog,
        "server.knobs.somaxconn": max(backlog, case.hosts.server.somaxconn),
    })  # fmt: skip
    return case.player.play([_timed(there, asked)[0].scenario])[0]


def _target(result: Result, case: Case) -> dict[str, Any]:
    """What the result says of the target."""
    return next(row for row in result.thresholds if row["text"] == case.targets[0].text)


def _verdict(
    answer: Answer, case: Case, asked: Demand, now: Result | None, places: int, left: str | None, short: bool
) -> None:
    metric = case.targets[0]
    enough = asked.needs() <= places
    met = enough if now is None else _target(now, case)["state"] == MET
    if left == "rate":
        rate = ports.total_rate(case.scenario) or 0.0
        answer.sentence = f"{say.num(places - 1)} holds up to {say.rate(rate)}"
        answer.metric, answer.value = "rate", Value(rate, "1/s", "F")
    else:
        answer.sentence = f"a backlog of {say.num(places - 1)} is {'enough' if met else 'not enough'}"
    if now is None:
        answer.state = UNDECIDED if short else ""
        if short and case.player.plays:
            answer.sentence += ", S undecided: too short within this effort"
        answer.value = answer.value if left else Value(None, "ratio", "F")
        return
    figure, row = now.figure(metric.metric), _target(now, case)
    answer.sentence += f": {metric.metric} {say.pm(figure)}, {row['text']} {row['state']} ({say.runs(now)})"
    answer.value = dataclasses.replace(value_of(figure), source="F, S")
    answer.state = AGREE if met == enough else EXPLAINED
    answer.sentence += f"; formula: {'enough' if enough else 'not enough'}, {answer.state}"
    if answer.state == EXPLAINED:
        answer.sentence += (
            f" (a form for each queue alone, for {RARELY:g} a stall; the simulation answers)"
        )
    answer.theory += [row for row in now.theory if "clients refused" in str(row["row"])]
    answer.played.append(("now", now))


def _without_stall(answer: Answer, asked: Demand, case: Case) -> None:
    mean = asked.rate * asked.rtt
    half_open = next(one["value"] for one in case.hosts.limits if one["name"] == "half_open")
    full = poisson_tail(mean, half_open)
    text = f"half-open mean {say.num(mean)}, P(full) {'< 1e-50' if full < 1e-50 else f'{full:.1e}'}"
    text += f"; accept queue refuses {say.pct(asked.refused(half_open))}" if asked.service else ""
    answer.say("without stall", text, "F")
    answer.note("half_open_mean", mean, "count", "F")


def _with_stall(answer: Answer, asked: Demand, now: Result | None, places: int) -> None:
    if not asked.stall:
        return
    arrive = asked.rate * asked.stall
    text = f"{say.num(arrive)} arrive per stall, {say.num(places)} fit"
    answer.note("arrive_per_stall", arrive, "count", "F")
    if now is not None:
        counters = now.counters["server"]
        n, seconds = len(now.replicates), now.scenario.run.duration_ns / NS
        cookies, drops = (counters.get(name, 0) / n for name in ("TCPReqQFullDoCookies", "ListenDrops"))
        text += f". {say.num(drops)} SYNs and third ACKs dropped in {say.sec(seconds)}"
        text += f", half-open peak {say.num(now['half_open.peak'] or 0)}"
        text += f", {say.num(cookies)} cookies: the log line" if cookies else ", no cookie, no log line"
        p99 = now["connect.p99"]
        text += f"; connect p99 {say.sec(p99 / NS)}" if p99 is not None else ""
    answer.say("with stall", text, "F, S" if now is not None else "F")


def _need(answer: Answer, asked: Demand, found: _Found, metric: str) -> None:
    need, result = found.need, found.result
    if not need:
        answer.unmet = True
        answer.say("need", f"none up to {say.num(found.misses or 0)} meets the target", "S")
        return
    listen = 2 ** math.ceil(math.log2(need + 1)) - 1
    places, more = asked.needs(), asked.needs(MORE)
    lead = f"{say.num(places)} places"
    if need + 1 != places and result is not None:
        lead = f"formula {say.num(places)} places, simulation {say.num(need + 1)}"
    rounded = "" if listen == need else f", rounded up {say.num(listen)} (2^n - 1),"
    text = f"{lead}: listen({say.num(need)}){rounded} and somaxconn >= that; at +10 % load "
    text += say.num(more) if more < NO_NUMBER else "none is enough: more come than are accepted"
    if result is not None:
        text += f". With {say.num(need)}: {metric} {say.of(result, metric)}"
        text += f", accept queue peak {say.num(result['accept_queue.peak'] or 0)}"
        text += f"; {say.num(found.misses)} is too few" if found.misses else ""
        answer.played.append((f"backlog={need}", result))
    answer.say("need", text, "F, S" if result is not None else "F")
    answer.note("places_needed", places, "count", "F")
    if more < NO_NUMBER:
        answer.note("places_needed_at_110_percent", more, "count", "F")
    answer.note("backlog_needed", need, "count", "F" if result is None else "S")


def _beside(answer: Answer, asked: Demand, case: Case, places: int) -> None:
    if asked.stall:
        longest = queues.stall_for(places, asked.rate, RARELY)
        text = f"shorten the stall: {say.num(places - 1)} absorbs {say.least(longest)}"
        answer.say("or", text, "F")
        answer.note("stall_absorbed", longest * NS, "ns", "F")
    half_open = next(one["value"] for one in case.hosts.limits if one["name"] == "half_open")
    left = half_open - asked.rate * asked.rtt
    if left > 0:
        least, most = (left / life for life in _LIVES)
        text = (
            f"{least:.0f} to {most:.0f} never-answered SYN/s (scanners) fill the rest of the half-open queue "
        )
        answer.say("also possible", text + "(63 s .. 7 s holding time, age pruning)", "F")
    for variant in case.variants:
        other = case.varied(variant)
        wants = demand(other)
        there, short = _timed(other, wants)
        has, needs = accept_places(other.scenario, other.hosts.server), wants.needs()
        enough = "enough" if needs <= has else "not enough"
        text = f"{variant.label}: {enough}, {say.num(needs)} places needed, {say.num(has)} there"
        result = case.player.play([there.scenario])[0] if not short else None
        if result is not None:
            row = _target(result, case)
            text += f"; {row['metric']} {say.of(result, row['metric'])}, {row['state']}"
            answer.played.append((variant.label, result))
        answer.say("instead", text, "F" if result is None else "F, S")
