"""`plan accept`: how slow accept() may be, how long one stall, for each backlog.

M/M/m/K for the steady load and a Poisson tail for one stall (`theory.queues`). Near load 1 the queue forgets
its beginning in K**2 s / pi**2: shorter runs than 100 of these are not played, the answer says so.
"""

from __future__ import annotations

from typing import Final

from loadgen.plan import say
from loadgen.plan.answers import UNDECIDED, Answer, Value
from loadgen.plan.ask import Case, Quantity, Refused
from loadgen.plan.shared import MORE, NS, RARELY, limits, of_theory, settle, state_text
from loadgen.plan.topics.backlog import Demand, demand
from loadgen.report.result import Result
from loadgen.scenario.model import Client, Load, Run, Scenario, Tries
from loadgen.theory import ports, queues
from loadgen.theory.relaxation import accept_places

NAME: Final = "accept"
SUMMARY: Final = "how slow accept() may be, and how long one stall"
BASE: Final = Scenario(
    name="accept", load=[Load("clients", rate=1000.0, tries=Tries(1))], client=Client(hosts=100), run=Run()
)
OPEN: Final = (
    Quantity("rate", ("load.rate", "load.shape")),
    Quantity("accept_time", ("server.accept.time",)),
    Quantity("backlog", ("server.listen.backlog",)),
)
COLUMNS: Final = ("backlog",)
EXTRAS: Final = ()
NOT_MODELLED: Final = ("CPU time of the kernel", "what the application does but for accepting")
_LOSS: Final = 1e-4
_LISTENERS: Final = 8  # of the SO_REUSEPORT example
_RELAXED: Final = 100  # relaxation times that a run must last
_NEAR: Final = 0.9  # of load 1: the queue relaxes as slowly as it can


def solve(case: Case) -> Answer:
    """Solve for the accept time, the rate or the backlog; with all given, judge them."""
    left = case.open
    if case.whole and case.scenario.server.accept.time.is_zero:
        left = "accept_time"  # a file that accepts at once asks how slow it may be
    case, solved = _solved(case, left)
    asked, places = demand(case, _LOSS), accept_places(case.scenario, case.hosts.server)
    answer = Answer(NAME, "", "accept_time", Value(asked.service * NS, "ns", "F"), "")
    answer.limits = [*limits(case, "accept_queue")]
    result, needed = _played(case, asked, places)
    _verdict(answer, case, asked, places, solved, result, needed)
    _steady(answer, asked, places)
    _stalls(answer, case, asked)
    _reuseport(answer, case, asked, places)
    _others(answer, case)
    if not case.has("link.rtt") and not case.whole:
        answer.assumed.append("rtt 0 s (not given)")
    if case.scenario.load[0].tries.count == 1:
        answer.assumed.append("who is refused does not come again")
    answer.assumed.append(f"a stall may lose something once in {1 / RARELY:,.0f}")
    return settle(answer, case)


def _solved(case: Case, left: str | None) -> tuple[Case, str]:
    """The case with what was left open in place, and what that is in words."""
    loss = case.loss(_LOSS)
    places = accept_places(case.scenario, case.hosts.server)
    accept, listen = case.scenario.server.accept, case.scenario.server.listen
    lists = listen.listeners * case.scenario.client.destinations
    if left == "accept_time":
        rate = demand(case, _LOSS).rate
        service = _service_for(accept.workers, places, rate, loss)
        return case.other({"server.accept.time": f"exp:{service * NS:.3f}ns"}), left
    if left == "rate":
        service = accept.time.mean / NS
        if not service:
            raise Refused("plan accept: accept() at once holds any rate: give --accept-time")
        each = queues.most(
            lambda rate: queues.mmmk(accept.workers, places + accept.workers, rate, service).refused <= loss,
            accept.workers / service,
        )
        return case.other({"load.rate": each * lists}), left
    if left == "backlog":
        need = max(1, demand(case, _LOSS).needs() - 1)
        somaxconn = max(need, case.hosts.server.somaxconn)
        return case.other({"server.listen.backlog": need, "server.knobs.somaxconn": somaxconn}), left
    return case, ""


def _service_for(workers: int, places: int, rate: float, loss: float) -> float:
    return queues.most(
        lambda service: queues.mmmk(workers, places + workers, rate, service).refused <= loss, workers / rate
    )


def _played(case: Case, asked: Demand, places: int) -> tuple[Result | None, float]:
    """The load as it is solved, where the effort is enough; and the virtual time that it needs."""
    relaxed = queues.relaxation_time(places + asked.workers, asked.service / asked.workers, asked.rate)
    if asked.busy > _NEAR:
        relaxed = max(relaxed, queues.relaxation_time(places, asked.service))
    needed = _RELAXED * relaxed
    scenario, short = case.player.timed(case.scenario, needed)
    return (None if short else case.player.play([scenario])[0]), needed


def _verdict(
    answer: Answer, case: Case, asked: Demand, places: int, solved: str, result: Result | None, needed: float
) -> None:
    form = queues.mmmk(asked.workers, places + asked.workers, asked.rate, asked.service)
    said = of_theory(answer, result, ("M/M/", "M/D/"))
    share = f"at most {say.pct(asked.loss)} refused"
    rate = ports.total_rate(case.scenario) or 0.0
    backlog = say.num(places - 1)
    answer.sentence = {
        "accept_time": f"accept() may take {say.sec(asked.service)} on average, backlog {backlog}, {share}",
        "rate": f"up to {say.rate(rate)} with backlog {backlog}, {share}",
        "backlog": f"a backlog of {backlog}, {share}",
    }.get(solved, f"{say.pct(form.refused)} refused with backlog {backlog}")
    if solved == "rate":
        answer.metric, answer.value = "rate", Value(rate, "1/s", "F")
    elif solved == "backlog":
        answer.metric, answer.value = "backlog", Value(places - 1, "count", "F")
    elif not solved:
        answer.metric, answer.value = "refused_ratio", Value(form.refused, "ratio", "F")
    if result is not None and answer.theory:
        row = next(one for one in answer.theory if "refused" in str(one["row"]))
        low, high = max(0.0, row["low"] or 0.0), row["high"] or 0.0
        answer.sentence += f"; F {say.pct(row['value'])}, S {100 * low:.3g} .. {100 * high:.3g} %: {said}"
        source = answer.value.source + ", S"
        bounds = (low, high) if answer.metric == "refused_ratio" else (None, None)
        answer.value = Value(answer.value.value, answer.value.unit, source, *bounds)
        answer.played.append(("now", result))
    elif case.player.plays:
        answer.state = UNDECIDED
        answer.sentence += "; S " + state_text(UNDECIDED, needed=f"needs {say.sec(needed)} of virtual time")
    answer.note("refused", form.refused, "ratio", "F")
    answer.note("accept_time", asked.service * NS, "ns", "F")


def _steady(answer: Answer, asked: Demand, places: int) -> None:
    workers = asked.workers
    form = queues.mmmk(workers, places + workers, asked.rate, asked.service)
    name = f"M/M/{workers}/{places + workers}"
    people = "one worker" if workers == 1 else f"{workers} workers"
    more = _service_for(workers, places, MORE * asked.rate, asked.loss)
    text = (
        f"mean {say.sec(asked.service)}, {people}, exponential ({name}): busy {say.pct(form.busy)}; at +10 % "
    )
    answer.say("steady", f"{text}load {say.sec(more)}. Other laws: --accept-time, --accept-workers", "F")
    relaxed = queues.relaxation_time(places, asked.service)
    if asked.busy > _NEAR:
        text = f"near this point the queue relaxes in K^2 s/pi^2 = {say.sec(relaxed)}: any run under "
        answer.say("", text + f"{say.sec(_RELAXED * relaxed)} of virtual time is too short to show it", "F")
    answer.note("busy", form.busy, "ratio", "F")
    answer.note("accept_time_at_110_percent", more * NS, "ns", "F")


def _stalls(answer: Answer, case: Case, asked: Demand) -> None:
    every = [case.varied(one) for one in case.columns] or [case]
    said, backlogs, services = [], [], []
    for one in every:
        places = accept_places(one.scenario, one.hosts.server)
        longest = queues.stall_for(places, asked.rate, RARELY)
        said.append(say.least(longest))
        backlogs.append(say.num(places - 1))
        services.append(say.sec(_service_for(asked.workers, places, asked.rate, asked.loss)))
        answer.note(f"stall_absorbed.backlog={places - 1}", longest * NS, "ns", "F")
    text = f"{' | '.join(said)} for backlog {' | '.join(backlogs)}, P(drop) < {RARELY:g} per stall"
    answer.say("one stall", text, "F")
    if len(every) > 1:
        answer.say(
            "mean accept()", f"{' | '.join(services)} for these backlogs, {say.pct(asked.loss)} refused", "F"
        )
    _given_stall(answer, asked, accept_places(case.scenario, case.hosts.server))
    queues_of = [limit for one in every for limit in one.hosts.limits if limit["name"] == "accept_queue"]
    capped = [text for limit in queues_of for text in limit["shadowed"] if "caps it" in text]
    for text in dict.fromkeys(capped):
        answer.warn(text, "R")


def _given_stall(answer: Answer, asked: Demand, places: int) -> None:
    """A stall of the scenario that the backlog does not hold."""
    holds = queues.stall_for(places, asked.rate, RARELY)
    if asked.stall > holds:
        text = f"the stall given, {say.sec(asked.stall)} every {say.sec(asked.every)}, is longer than "
        text += f"{say.least(holds)}: it loses clients whatever the mean is; see plan backlog"
        answer.warn(text, "F")


def _reuseport(answer: Answer, case: Case, asked: Demand, places: int) -> None:
    n = case.scenario.server.listen.listeners
    listeners = n if n > 1 else _LISTENERS
    lasts = places / (asked.rate * n / listeners)
    text = f"own queue each: one stuck worker loses its {100 / listeners:.3g} % of clients after "
    answer.say(f"reuseport x {listeners}", f"{text}{say.short(lasts)}; one shared queue loses none", "F")
    answer.note("reuseport_stuck_lasts", lasts * NS, "ns", "F")


def _others(answer: Answer, case: Case) -> None:
    for variant in case.variants:
        there = case.varied(variant)
        wants = demand(there, _LOSS)
        places = accept_places(there.scenario, there.hosts.server)
        service = _service_for(wants.workers, places, wants.rate, wants.loss)
        longest = say.least(queues.stall_for(places, wants.rate, RARELY))
        answer.say("instead", f"{variant.label}: mean {say.sec(service)}, one stall {longest}", "F")
