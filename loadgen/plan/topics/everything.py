"""`plan all`: every question that a scenario lets be asked, a line each, and one simulation of it.

The lines are formulas at the peak rate; the simulation is of the scenario as it is, with all closed forms
beside it. What a topic lacks is said in its line.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from loadgen.plan import say
from loadgen.plan.answers import Answer, Value, reasons, reconciled
from loadgen.plan.ask import Case, Quantity, Refused
from loadgen.plan.play import Player
from loadgen.plan.shared import NOTE_OF_NO_SIM, limits, settle, state_text
from loadgen.plan.topics import NAMES, topic
from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.model import Client, Load, Scenario

NAME: Final = "all"
SUMMARY: Final = "every question about one scenario"
BASE: Final = Scenario(name="all", load=[Load("clients", rate=1000.0)], client=Client(hosts=100))
OPEN: Final = (Quantity("rate", ("load.rate", "load.shape")),)
EXTRAS: Final = ("within", "horizon", "established", "bytes", "apply")
NOT_MODELLED: Final = ("CPU time, bytes per second, what is in front of the server",)
_LEAST_S: Final = 60.0


def solve(case: Case) -> Answer:
    """A line per topic; the verdict is the simulation's."""
    if case.open:
        raise Refused("plan all: --rate is unknown: give it, or a scenario file")
    answer = Answer(NAME, "", "success_ratio", Value(None, "ratio", "F"), "")
    answer.limits = [*limits(case, "accept_queue", "half_open", "ports", shadowed=False)]
    for name in NAMES:
        if name != NAME and (name != "host" or "apply" in case.extra):
            _line(answer, case, name)
    _played(answer, case)
    if any(len({rate for _, rate in load.shape}) > 1 for load in case.scenario.load):
        answer.assumed.append("the lines are at the peak rate of each load")
    if not answer.assumed:
        answer.assumed.append("as each topic says: loadgen plan TOPIC")
    return settle(answer, case)


def _line(answer: Answer, case: Case, name: str) -> None:
    asked = topic(name)
    if name == "flood" and not case.scenario.flood:
        answer.say(name, "no flood in the scenario")
        return
    sub = dataclasses.replace(
        case,
        topic=asked,
        base=_steady(case.scenario),
        changes={},
        player=Player(case.player.effort, duration_ns=case.scenario.run.duration_ns),
        extra={key: value for key, value in case.extra.items() if key in asked.EXTRAS},
        variants=(),
        columns=(),
        targets=(),
        whole=True,
    )
    try:
        found = asked.solve(sub)
    except (Refused, ScenarioError) as error:
        answer.say(name, f"not answered: {str(error).removeprefix(f'plan {name}: ')}")
        return
    answer.say(name, found.sentence.removesuffix(NOTE_OF_NO_SIM), found.value.source)
    answer.figures |= {f"{name}.{key}": value for key, value in found.figures.items()}


def _steady(scenario: Scenario) -> Scenario:
    """Each load at its peak rate and each flood at its own, from the beginning to the end."""
    loads = []
    for load in scenario.load:
        values = {name: getattr(load, name) for name in Load.__dataclass_fields__}
        peak = max((rate for _, rate in load.shape), default=0.0)
        loads.append(Load(**{**values, "shape": ((0, peak),), "start_ns": 0}))
    flood = [
        dataclasses.replace(one, start_ns=0, stop_ns=None, count=None, on_ns=0, off_ns=0)
        for one in scenario.flood
    ]
    return dataclasses.replace(scenario, load=loads, flood=flood, threshold=())


def _played(answer: Answer, case: Case) -> None:
    scenario, _ = case.player.timed(case.scenario, 0.0, _LEAST_S)
    scenario = dataclasses.replace(scenario, threshold=case.scenario.threshold)
    (result,) = case.player.play([scenario])
    if result is None:
        answer.sentence = "formulas only, a line per topic"
        answer.state = state_text("formula only")
        return
    state, rows = reconciled(result)
    figure = result.figure("success_ratio")
    answer.state, answer.theory = state, rows
    answer.value = Value(figure.value, "ratio", "S", figure.low, figure.high)
    answer.sentence = result.verdict["sentence"] + f" ({say.runs(result)})"
    answer.sentence += f"; formulas: {state_text(state, reasons(rows)[:2])}"
    answer.played.append(("now", result))
    answer.note("duration", scenario.run.duration_ns, "ns", "A")
