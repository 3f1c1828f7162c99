"""Random conversations with the kernel and the engine at once: nothing must tell them apart.

CI plays the first examples of one seed. ``LIVE_SECONDS`` plays for another time (`make live`: an hour), with
waits up to a minute; ``LIVE_SEED`` draws others. All differences are collected, shrunk, classed by kind, kept
in tests/live/regressions and shown at once.
"""

import os

import pytest

from tests.live.campaign import Campaign
from tests.live.differences import keep, printed
from tests.live.lab import SECONDS
from tests.live.rules import PENDING, RULES

SEED = int(os.environ.get("LIVE_SEED", 0))
#: What CI plays, and the share of examples that wait up to a minute where there is time.
EXAMPLES, PATIENCE = 250, 0.02
#: Kinds that are shrunk, the most frequent first.
SHRUNK = 20
#: At most so much may be dropped by the rules for what is known to differ, and what is not built yet apart.
DROPPED = 0.03


@pytest.fixture(scope="module")
def report(lab, live_report):
    long = "LIVE_SECONDS" in os.environ
    campaign = Campaign(lab, SEED, PATIENCE if long else 0.0, os.environ.get("LIVE_JOURNAL"))
    report = campaign.run(seconds=SECONDS) if long else campaign.run(count=EXAMPLES)
    live_report.extend(report.lines())
    for kind, cases in sorted(report.kinds.items(), key=lambda item: -len(item[1]))[:SHRUNK]:
        case = campaign.shrink(cases) if long else cases[0]
        path = keep(case.scenario | {"name": f"found_{case.scenario['name']}_{case.number}"}, case.steps)
        live_report.append("\n".join([f"differs: {kind}", *map(str, case.found), str(case.example),
                                      printed(f"kept as {path}", case.scenario | {"steps": case.steps})]))
    return report


@pytest.mark.slow
def test_the_engine_answers_as_the_running_kernel(report):
    assert not report.kinds, f"{len(report.kinds)} kinds of difference: see the report below"


@pytest.mark.slow
def test_few_scenarios_are_dropped(report):
    total = report.compared + report.dropped
    dropped = sum(report.excused[name] for name in RULES)
    assert dropped <= DROPPED * total + 5, report.excused
    assert report.excused.keys() <= {*RULES, *PENDING}


@pytest.mark.slow
def test_most_of_what_is_drawn_can_be_told(report):
    assert report.compared > report.asked / 2
