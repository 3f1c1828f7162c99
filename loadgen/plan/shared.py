"""What the topics share: the limits in force, what the model of a host rests on, how S stands beside F."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadgen.plan import say
from loadgen.plan.answers import (
    EXPLAINED,
    NOT_PLAYED,
    UNDECIDED,
    UNEXPLAINED,
    Answer,
    Line,
    Value,
    reasons,
    reconciled,
)
from loadgen.plan.ask import Case, lost_share
from loadgen.report.estimate import Figure
from loadgen.report.result import Result
from loadgen.report.thresholds import MET

MORE: Final = 1.1  # the load beside which an answer is shown again
RARELY: Final = 1e-3  # chance that one stall loses anything
NS: Final = 1e9
NOTE_OF_NO_SIM: Final = " (--no-sim: formula only, nothing was simulated)"

_MODELS: Final = {
    "linux": "",
    "freebsd": "model of FreeBSD 14, verified by its sources only",
    "strict": "model of the RFCs to the letter, verified by their text only",
}


def model_of(case: Case) -> str:
    """What the server's and the clients' models rest on, where no recording verified them."""
    scenario = case.scenario
    found = {}
    for profile in (scenario.server.profile, scenario.client.profile):
        found[profile] = _MODELS.get(profile, f"profile {profile}, verified by nobody")
    return "; ".join(dict.fromkeys(filter(None, found.values())))


def limits(case: Case, *names: str, shadowed: bool = True) -> list[Line]:
    """The limits in force, who set each, and what does not act and why."""
    rows = [one for one in case.hosts.limits if one["name"] in names]
    said = [f"{one['name']} {say.num(one['value'])} by {_setter(case, str(one['set_by']))}" for one in rows]
    beside = list(dict.fromkeys(text for one in rows for text in one["shadowed"]))
    text = "; ".join(said)
    if beside and shadowed:
        text += ". Do not act: " + "; ".join(beside)
    verified = not model_of(case)
    return [Line("limits now", text, "R" if verified else "T")]


def _setter(case: Case, name: str) -> str:
    if name == "backlog":
        return "listen()"
    for side in ("server", "client"):
        origin = case.hosts.origins[side].get(name, "default")
        origin = case.origins.get(f"{side}.knobs.{name}", origin) if origin == "knobs" else origin
        if origin != "default":
            return f"{name} ({origin})"
    return name


def value_of(figure: Figure, unit: str | None = None) -> Value:
    """A simulated figure as one of an answer."""
    return Value(figure.value, unit or figure.unit, figure.source, figure.low, figure.high)


def state_text(state: str, why: Sequence[str] = (), needed: str = "") -> str:
    """How the formula stands beside the simulation, in words."""
    if state == NOT_PLAYED:
        return "formula only, nothing was simulated"
    if state == UNDECIDED:
        return f"undecided: too short{f', {needed}' if needed else ''}"
    if state == EXPLAINED and why:
        return f"explained: not so here: {', '.join(why)}"
    if state == UNEXPLAINED:
        return "unexplained, please report"
    return state


def settle(answer: Answer, case: Case) -> Answer:
    """What every answer ends with: the model's evidence in the verdict, what is not modelled."""
    if model := model_of(case):
        answer.sentence += f"; {model}"
    if not case.player.plays:
        answer.sentence += "" if "formula only" in answer.sentence else NOTE_OF_NO_SIM
        answer.state = NOT_PLAYED
    if case.player.interrupted:
        answer.sentence = f"cut short, the simulation is not finished: {answer.sentence}"
    if answer.state == UNEXPLAINED:
        answer.sentence = f"no answer: formula and simulation differ, please report. {answer.sentence}"
    _targets(answer, case)
    answer.not_modelled += [*case.topic.NOT_MODELLED, *case.hosts.not_modelled]
    for text in case.hosts.warnings:
        answer.warn(text)
    return answer


def _targets(answer: Answer, case: Case) -> None:
    """What was asked of metrics that no line above judges, and of what is now where nothing is solved."""
    judged = answer.played[0][1].thresholds if answer.played else []
    for target in case.targets:
        row = next((one for one in judged if one["text"] == target.text), None)
        if row is None:
            if lost_share(target) is None:
                answer.say("target", f"{target.text}: undecided, only a simulation can tell", "A")
            continue
        if target.metric not in answer.sentence:
            seen = say.of(answer.played[0][1], target.metric)
            answer.say("target", f"{row['text']}: {seen}, {row['state']}", "S")
        if row["state"] != MET and not case.topic.OPEN[0].option.startswith(("rate",)):
            answer.unmet = True


def of_theory(answer: Answer, result: Result | None, rows: Sequence[str]) -> str:
    """Put the rows of theory of that result into the answer; their state in words."""
    state, found = reconciled(result, rows)
    answer.theory += found
    answer.state = state
    return state_text(state, reasons(found))
