"""`plan host`: what each line of a sysctl file would do on this host, and what it would not.

The rules are `loadgen.host.apply`'s: a line acts, cannot act here, does not exist, is refused or
not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.host.apply import Applied, Play, apply
from loadgen.host.verdicts import ACTS
from loadgen.plan import say
from loadgen.plan.answers import NOT_PLAYED, Answer, Table, Value
from loadgen.plan.ask import Case, Quantity, Refused
from loadgen.plan.shared import MORE, NS, limits, settle
from loadgen.report.result import Result
from loadgen.scenario.errors import Mistake
from loadgen.scenario.model import Client, Link, Load, Run, Scenario
from loadgen.scenario.values import Distribution
from loadgen.theory import ports

NAME: Final = "host"
SUMMARY: Final = "what changes on this host if a sysctl file is applied"
BASE: Final = Scenario(
    name="host",
    load=[Load("clients", rate=1000.0)],
    client=Client(hosts=1000),
    link=Link(Distribution("const", 1e6)),
    run=Run(),
)
OPEN: Final[tuple[Quantity, ...]] = ()
EXTRAS: Final = ("apply",)
NOT_MODELLED: Final = ("memory for data", "network devices", "what other programs on the host need")
_PERIODS: Final = 20  # of stalls that a run should have
_LEAST_S: Final = 20.0


def solve(case: Case) -> Answer:
    """Judge the file line by line."""
    name = case.extra.get("apply")
    if name is None:
        raise Refused(
            "plan host: which file would be applied? give --apply FILE, a sysctl.conf or sysctl.d file"
        )
    needed = max(_LEAST_S, _PERIODS * case.scenario.server.accept.stall_every_ns / NS)
    scenario, _ = case.player.timed(case.scenario, needed, _LEAST_S)

    def play(scenarios: Sequence[Scenario]) -> Sequence[Result | None]:
        return case.player.play(list(scenarios))

    try:
        applied = apply(scenario, name, play)
    except Mistake as error:
        raise Refused(f"--apply: {error}") from None
    acts = sum(row.kind == ACTS for row in applied.rows)
    answer = Answer(NAME, applied.sentence, "lines that act", Value(acts, "count", "F"), NOT_PLAYED)
    answer.limits = [*limits(case, "accept_queue", "half_open")]
    answer.parts.append(_table(applied))
    _more(answer, applied, play)
    _figures(answer, applied)
    answer.assumed += _assumed(case)
    if (now := applied.results[0]) is not None:
        answer.played.append(("now", now))
        answer.state = "agree"
        answer.value = Value(acts, "count", "F, S")
    answer = settle(answer, case)
    others = len(case.hosts.not_modelled)
    answer.not_modelled = [
        *NOT_MODELLED,
        *([f"{others} other settings of the host that matter"] if others else []),
    ]
    return answer


def _more(answer: Answer, applied: Applied, play: Play) -> None:
    """What clients see now, with the file, and with the file and a tenth more of them."""
    rate = ports.total_rate(applied.then)
    if applied.results[0] is None or not rate:
        return
    (more,) = play([applied.then.replace({"load.rate": MORE * rate})])
    now, then, at_more = map(_first_try, (*applied.results, more))
    answer.sentence += f" First try {now} -> {then}; at +10 % load {at_more}."


def _first_try(result: Result | None) -> str:
    value = None if result is None else result["first_try_ratio"]
    return "-" if value is None else say.pct(value)


def _table(applied: Applied) -> Table:
    rows = [(row.name, row.before, "->", _short(row.line.value), row.text) for row in applied.rows]
    return Table(
        ("setting", "now", "", "then", "what it does here"), rows, [row.letters or "-" for row in applied.rows]  # noqa: E501
    )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 20 else f"{text[:17]}..."


def _figures(answer: Answer, applied: Applied) -> None:
    for row in applied.rows:
        for name, (before, after) in row.figures.items():
            letter = "S" if "." in name or name.endswith("ratio") else "F"
            answer.note(f"{row.line.key}.{name}.before", before, "count", letter)
            answer.note(f"{row.line.key}.{name}.after", after, "count", letter)


def _assumed(case: Case) -> Iterator[str]:
    yield "the load stays as it is; what the host opens itself, it closes first"
    if case.scenario.server.sysctl is None:
        profile = case.scenario.server.profile
        yield f"what it has now is the profile {profile}'s (no --sysctl with this host's own)"
    if case.whole:
        return
    load, link = case.scenario.load[0], case.scenario.link
    if not case.has("load.rate", "load.shape", "load.concurrency"):
        yield f"{say.rate(load.shape[0][1])} (no --rate given)"
    if not case.has("link.rtt"):
        yield f"rtt {say.sec(link.rtt.mean / NS)} (not given)"
    if not case.has("server.listen.backlog"):
        yield "listen() asks for somaxconn (no --backlog given)"
    if case.scenario.server.accept.time.is_zero and not case.scenario.server.accept.stall_ns:
        yield "the application accepts at once (no --accept-time, no --accept-stall)"
