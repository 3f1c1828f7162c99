"""An answer as JSON: the document of a result, kind "plan", with what the planner adds under `plan`.

The result is that of the scenario as it is now; where nothing was played it has no replicate. Two answers to
one question differ in `wall` and nowhere else. The schema is that of results (`report/schema.json`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from loadgen.plan.answers import Answer, Part, Table
from loadgen.plan.ask import Case
from loadgen.report import thresholds
from loadgen.report.estimate import Figure
from loadgen.report.result import COMPLETE, PARTIAL, Result, build, read_document


def document(answer: Answer, case: Case) -> dict[str, Any]:
    """The JSON document."""
    result = answer.played[0][1] if answer.played else _unplayed(case)
    value = answer.value
    found = result.to_dict()
    found |= {
        "kind": "plan",
        "question": f"plan {answer.topic}: {case.topic.SUMMARY}",
        "command": case.command,
        "status": PARTIAL if case.player.interrupted else COMPLETE,
        "partial": case.player.interrupted,
        "theory": answer.theory,
        "assumptions": answer.assumed,
        "not_modelled": answer.not_modelled,
        "warnings": [one.text for one in answer.warnings],
        "verdict": {
            "metric": answer.metric,
            "answer": value.value,
            "unit": value.unit,
            "low": value.low,
            "high": value.high,
            "source": value.source[:1],
            "sentence": answer.sentence,
        },
        "plan": {
            "topic": answer.topic,
            "unknown": case.open,
            "effort": case.player.effort.name,
            "simulated": case.player.plays,
            "state": answer.state,
            "lines": [_part(part) for part in [*answer.limits, *answer.parts]],
            "figures": {name: one.to_dict() for name, one in answer.figures.items()},
        },
    }
    found["wall"] = {**found["wall"], "seconds": case.player.wall_s}
    return found


def as_json(answer: Answer, case: Case) -> str:
    """The document as text: keys sorted."""
    found = document(answer, case)
    return json.dumps(found, indent=1, sort_keys=True, allow_nan=False, default=_plain) + "\n"


def as_result(answer: Answer, case: Case) -> Result:
    """The document as a result, of which a page is made."""
    return read_document(json.loads(as_json(answer, case)))


def _plain(value: Any) -> Any:
    """numpy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Table):
        return {
            "head": list(part.head),
            "rows": [list(row) for row in part.rows],
            "letters": list(part.letters),
        }
    return {"label": part.label, "text": part.text, "letters": part.letters}


def _unplayed(case: Case) -> Result:
    """A result without a replicate; targets are undecided."""
    result = build(case.scenario, [], case.hosts, limits=case.hosts.limits, kind="plan", command=case.command)
    none = Figure(None, "count", "none")
    result.thresholds = [
        thresholds.judge(one, none) | {"state": thresholds.UNDECIDED} for one in case.scenario.threshold
    ]
    return result
