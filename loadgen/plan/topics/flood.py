"""`plan flood`: what honest clients see beside a SYN flood, with each defence, and what it costs.

Simulated, beside the closed form of the policy where there is one (`theory.syn_queue`), tested for its
preconditions, and beside what a Linux 6.18 kernel was recorded to do where the settings are those of a
recording. A try of the application is one SYN here, as in the recordings.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from loadgen.plan import recorded, say
from loadgen.plan.answers import EXPLAINED, NOT_PLAYED, UNEXPLAINED, Answer, Table, Value, reasons
from loadgen.plan.ask import Case, Quantity, Refused, Variant
from loadgen.plan.play import lasting
from loadgen.plan.shared import MORE, NS, limits, settle
from loadgen.report.estimate import Figure
from loadgen.report.result import Result
from loadgen.scenario.model import Client, Flood, Link, Load, Run, Scenario
from loadgen.scenario.values import Distribution
from loadgen.theory import evidence, ports, queues, syn_queue
from loadgen.theory.conditions import Condition
from loadgen.theory.evidence import Evidence
from loadgen.theory.intervals import Interval, of_counts, over_seeds
from loadgen.theory.rows import Question, answered

NAME: Final = "flood"
SUMMARY: Final = "what honest clients see beside a flood, and what each defence costs"
BASE: Final = Scenario(
    name="flood",
    load=[Load("clients", rate=50.0)],
    flood=[Flood("spoofed", rate=1000.0, arrivals="poisson")],
    client=Client(hosts=100),
    link=Link(Distribution("const", 20e6)),
    run=Run(),
)
OPEN: Final = (Quantity("flood_rate", ("flood.rate",)),)
EXTRAS: Final = ()
NOT_MODELLED: Final = ("CPU time of cookies", "packets per second of the NIC", "floods that fill the path")
_WARM_S: Final = 16.0  # of flood before the first client, as recorded
_LASTS_S: Final = 9.0  # of clients, as recorded: entries pruned by age come and go in waves
_PRUNED: Final = (7.0, 15.0)  # seconds that an entry lives which Linux prunes by age
_UNPRUNED: Final = 2
_MS: Final = 1_000_000


@dataclasses.dataclass(frozen=True)
class _Form:
    """A closed form for the first try: one value, or the two between which it could be."""

    name: str
    low: float
    high: float
    conditions: tuple[Condition, ...]


def solve(case: Case) -> Answer:
    """Now, and each alternative."""
    if case.open:
        raise Refused("plan flood: --flood-rate is unknown: give the rate of spoofed segments")
    cases = [
        (_label(case), case),
        *((_label(case, one.label), _evicting(case, one)) for one in case.variants),
    ]
    *results, at_more = case.player.play([*(_scenario(one) for _, one in cases), _scenario(_more(case))])
    answer = Answer(NAME, "", "first_try_ratio", Value(None, "ratio", "F"), NOT_PLAYED)
    answer.limits = [*limits(case, "half_open")]
    rows, letters, states = [], [], []
    for (label, one), result in zip(cases, results, strict=True):
        cells, row, found = _row(answer, label, one, result)
        rows.append(cells)
        letters.append(row)
        states.append(found)
    head = ("", "first try", _tries(case), "half-open", "formula", "kernel 6.18", "F and S")
    answer.parts.append(Table(head, rows, letters))
    _verdict(answer, case, results[0], states)
    if at_more is not None:
        answer.sentence += f"; at +10 % load {say.of(at_more, 'first_try_ratio')}"
    if why := reasons([one for one in states if one is not None]):
        answer.say("explained", f"the formula that FAILS assumes what is not so here: {', '.join(why)}", "F")
    if case.hosts.server.tcp_syncookies:
        text = "without timestamps window scale and SACK are lost; server speaks first: 1 % lost third "
        text += "ACKs = 1 % of cookie connections hang (a SYN-ACK resend saves what the queue keeps)"
        answer.say("cookies cost", text, "R, F")
    answer.assumed.append(_timeline(case))
    if case.scenario.load and case.scenario.load[0].tries.count:
        answer.assumed.append("a try is one SYN, as recorded")
    return settle(answer, case)


def _more(case: Case) -> Case:
    """A tenth more of flood and clients."""
    scenario = case.scenario
    if not scenario.flood or not scenario.load:
        return case
    rates = {"flood.rate": scenario.flood[0].rate, "load.rate": ports.total_rate(scenario) or 0.0}
    return case.other({path: MORE * rate for path, rate in rates.items() if rate})


def _timeline(case: Case) -> str:
    """When the clients come, of what flood."""
    lasts = (case.player.duration_ns or _LASTS_S * NS) / NS
    flood = case.scenario.flood[0]
    drawn = "a Poisson" if flood.arrivals == "poisson" else "an evenly spaced"
    peers = "peers that answer with RST" if flood.sources.startswith("reflect") else "silent peers"
    span = f"{_WARM_S:g} s to {_WARM_S + lasts:g} s{' (as recorded)' if lasts == _LASTS_S else ''}"
    return f"clients come from {span} of {drawn} flood of {peers}"


def _evicting(case: Case, variant: Variant) -> Case:
    """A queue that evicts has a place for everybody, so it is asked without cookies unless both are given."""
    there = case.varied(variant)
    policy, cookies = "server.knobs.synq_policy", "server.knobs.tcp_syncookies"
    if policy in variant.changes and cookies not in variant.changes:
        return there.other({cookies: 0})
    return there


def _tries(case: Case) -> str:
    n = case.scenario.load[0].tries.count if case.scenario.load else 0
    return f"in {n} tries" if n > 1 else "in the end"


def _label(case: Case, given: str = "") -> str:
    server = case.hosts.server
    if not given:
        said = {0: "cookies off", 1: "cookies on overflow", 2: "cookies always"}[int(server.tcp_syncookies)]
        return said if server.synq_policy == "linux" else f"{server.synq_policy}, {said}"
    return {"tcp_syncookies=0": "cookies off"}.get(given, given.removeprefix("synq_policy="))


def _scenario(case: Case) -> Scenario:
    """Clients from the moment on at which the queue is full; a try is one SYN."""
    made = case.scenario
    if not made.load or not made.flood:
        raise Refused("plan flood: needs a load and a flood: give --rate and --flood-rate")
    if any(flood.start_ns or flood.stop_ns or flood.on_ns or flood.count for flood in made.flood):
        raise Refused("plan flood: asks about a flood without pauses, beginning and end: play this one with "
                      "loadgen flood")  # fmt: skip
    load = made.load[0]
    if load.tries.count:
        wait = load.tries.backoff_ns * max(1.0, load.tries.factor) ** load.tries.count
        knobs = {**made.client.knobs, "rto_initial_ms": max(1, int(wait // _MS) + 1)}
        made = dataclasses.replace(made, client=dataclasses.replace(made.client, knobs=knobs))
    start = int(_WARM_S * NS)
    values = {name: getattr(load, name) for name in Load.__dataclass_fields__}
    began = Load(**{**values, "start_ns": start, "shape": load.shape})
    made = dataclasses.replace(made, load=[began, *made.load[1:]])
    lasts = case.player.duration_ns or int(_LASTS_S * NS)
    return lasting(made, start + lasts)


def _row(
    answer: Answer, label: str, case: Case, result: Result | None
) -> tuple[tuple[str, ...], str, dict[str, Any] | None]:
    form, seen = _form(case), _recorded(case)
    kernel = "-" if seen is None else say.pct(seen.first_try)
    if case.hosts.server.synq_policy.startswith("evict"):
        kernel = "none does it"
    letters = "R" if seen is not None else ""
    shown = "-" if form is None else _shown(form)
    if seen is not None:
        answer.note(f"{label}.kernel", seen.first_try, "ratio", "R")
    if form is not None:
        letters = "F" + letters
        answer.figures[f"{label}.formula"] = Value(form.high, "ratio", "F", form.low, form.high)
    if result is None:
        return (label, "-", "-", "-", shown, kernel, ""), ", ".join(letters), None
    answer.played.append((label, result))
    first, all_tries = result.figure("first_try_ratio"), result.figure("success_ratio")
    answer.figures[f"{label}.first_try"] = Value(first.value, "ratio", "S", first.low, first.high)
    answer.figures[f"{label}.tries"] = Value(all_tries.value, "ratio", "S", all_tries.low, all_tries.high)
    found = None if form is None else _judged(answer, label, form, first, seen)
    note = "" if found is None else str(found["state"])
    if found is not None and found["state"] == EXPLAINED:
        shown = f"{shown} (FAILS)"
    peak = result["half_open.peak"]
    places = next(one["value"] for one in case.hosts.limits if one["name"] == "half_open")
    half_open = f"{say.num(peak or 0)}/{say.num(places)}"
    cells = (label, _short(first), _short(all_tries), half_open, shown, kernel, note)
    return cells, ", ".join("S" + letters), found


def _short(figure: Figure) -> str:
    """`4.1 % (3.8..4.4)`."""
    if figure.value is None:
        return "-"
    said = say.pct(figure.value)
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return said
    return f"{said} ({100 * figure.low:.1f}..{100 * figure.high:.1f})"


def _shown(form: _Form) -> str:
    if form.low == form.high:
        return say.pct(form.low)
    return f"{100 * form.low:.1f}..{100 * form.high:.1f} %"


def _recorded(case: Case) -> recorded.Flooded | None:
    """The kernel's own figures, where a recording had these settings."""
    scenario, server = case.scenario, case.hosts.server
    load, flood = scenario.load[0], scenario.flood[0]
    same = (
        server.synq_policy == "linux" and scenario.server.profile in recorded.KERNELS
        and load.shape[0][1] == recorded.PER_SECOND and scenario.link.rtt.mean == recorded.RTT_S * NS
        and load.tries.count == recorded.TRIES and flood.kind == "syn"
        and scenario.server.listen.listeners == scenario.client.destinations == 1
    )  # fmt: skip
    if not same or scenario.server.listen.backlog is None:
        return None
    return recorded.flood(
        scenario.server.listen.backlog, server.tcp_max_syn_backlog, flood.rate, server.tcp_synack_retries,
        int(server.tcp_syncookies),
    )  # fmt: skip


def _form(case: Case) -> _Form | None:
    """The closed form of this policy; None where there is none (cookies: nobody is refused)."""
    scenario, server = case.scenario, case.hosts.server
    rate = sum(flood.rate for flood in scenario.flood) + scenario.load[0].shape[0][1]
    rtt = scenario.link.rtt.mean / NS
    places = next(one["value"] for one in case.hosts.limits if one["name"] == "half_open")
    one_list = ("one listener", scenario.server.listen.listeners * scenario.client.destinations == 1)
    silent = ("spoofed peers are silent", not scenario.flood[0].sources.startswith("reflect"))
    full = ("the flood fills the queue", rate * syn_queue.life(server.tcp_synack_retries) > 2 * places)
    lost = ("nothing is lost", not any(scenario.link.loss.values()))
    shared = (one_list, silent, full, lost)
    if server.synq_policy == "evict-oldest":
        return _single("Poisson tail", 1 - syn_queue.evict_oldest_loss(places, rate, rtt), shared)
    if server.synq_policy == "evict-random":
        return _single("random victim", 1 - syn_queue.evict_random_loss(places, rate, rtt), shared)
    if server.tcp_syncookies or server.synq_policy not in ("linux", "drop-new"):
        return None
    retries = server.tcp_synack_retries
    pruned = server.synq_policy == "linux" and retries > _UNPRUNED
    lives = _PRUNED if pruned else (syn_queue.life(retries, server.rto_initial_ms / 1000),) * 2
    ends = sorted(1 - queues.erlang_b(places, rate * life) for life in lives)
    drawn = ("SYNs are a Poisson process", all(one.arrivals == "poisson" for one in scenario.flood))
    return _Form("Erlang B", ends[0], ends[1], (("no entry is pruned by age", not pruned), drawn, *shared))


def _single(name: str, value: float, conditions: tuple[Condition, ...]) -> _Form:
    return _Form(name, value, value, conditions)


def _judged(
    answer: Answer, label: str, form: _Form, seen: Figure, kernel: recorded.Flooded | None
) -> dict[str, Any]:
    """The row of theory: agree where the simulation's interval and the form's meet.

    A form that assumes what is not so, and that the recorded kernel contradicts, explains nothing.
    """
    known = [value for value in seen.seeds if value is not None]
    hits, trials = seen.numerator or 0, seen.denominator or 0

    def interval(confidence: float) -> Interval:
        rare = min(hits, trials - hits) < evidence.RARE
        if len(known) >= evidence.SEEDS and not rare:
            return over_seeds([float(value) for value in known], confidence)
        return of_counts(hits, trials, confidence)

    found = Evidence(interval if trials else None, f"over {len(known)} seeds")
    middle, half = (form.low + form.high) / 2, (form.high - form.low) / 2
    name = f"{form.name}, first try, {label}"
    (row,) = answered([Question(name, {}, middle, found, form.conditions, half)])
    document = row.to_dict()
    outside = kernel is not None and not form.low <= kernel.first_try <= form.high
    if outside and not all(holds for _, holds in form.conditions):
        document["state"] = EXPLAINED
    answer.theory.append(document)
    return document


def _verdict(answer: Answer, case: Case, now: Result | None, states: list[dict[str, Any] | None]) -> None:
    found = [str(one["state"]) for one in states if one is not None]
    if now is None:
        form = _form(case)
        if form is None:
            answer.sentence = "cookies answer what the queue has no place for: no form, nobody is refused"
        else:
            answer.sentence = f"{_shown(form)} of honest clients at the first try ({form.name})"
            answer.value = Value(form.high, "ratio", "F", form.low, form.high)
        return
    first = now.figure("first_try_ratio")
    answer.value = Value(first.value, "ratio", "S", first.low, first.high)
    answer.sentence = f"{say.pm(first)} of honest clients at the first try ({say.runs(now)})"
    if sent := now.counters["server"].get("SyncookiesSent", 0):
        answer.sentence += f"; {say.num(sent / len(now.replicates))} cookies sent"
    if found:
        worst = next((one for one in (UNEXPLAINED, EXPLAINED) if one in found), "agree")
        answer.state = worst
        answer.sentence += f"; formulas: {', '.join(dict.fromkeys(found))}"
    else:
        answer.state = NOT_PLAYED if not case.player.plays else "no formula"
        answer.sentence += "; no formula for cookies"
