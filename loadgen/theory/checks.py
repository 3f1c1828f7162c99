"""`rows`: every closed form that a scenario can be checked against, beside what its replicates came to.

Which forms there are and what each assumes stands in docs/theory.md; how a row is judged, in `rows`.
"""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.scenario.model import Scenario
from loadgen.sim.outcome import Outcome
from loadgen.theory import limits_check, populations_check
from loadgen.theory.rows import Question, Row, answered
from tcpcore import Config

__all__ = ["Row", "questions", "rows"]


def questions(
    scenario: Scenario, outcomes: Sequence[Outcome], client: Config, server: Config
) -> list[Question]:
    """What can be asked of these replicates, unanswered."""
    return [
        *populations_check.questions(scenario, outcomes, client, server),
        *limits_check.of_ports(scenario, outcomes, client, server),
        *limits_check.of_time_wait_cap(scenario, outcomes, client, server),
        *limits_check.of_accept_queue(scenario, outcomes, client, server),
        *limits_check.of_handshakes(scenario, outcomes, client, server),
        *limits_check.of_syn_queue(scenario, outcomes, client, server),
    ]


def rows(scenario: Scenario, outcomes: Sequence[Outcome], client: Config, server: Config) -> list[Row]:
    """Forms and figures, each agree, explained or unexplained.

    Parameters
    ----------
    scenario : Scenario
        As it was played.
    outcomes : sequence of Outcome
        Its replicates. From four up intervals are over seeds.
    client, server : Config
        The hosts' settings, knobs included.

    Returns
    -------
    list of Row
        `Row.to_dict()` is an entry of `theory` in a result file. Empty without replicates.
    """
    return answered(questions(scenario, outcomes, client, server)) if outcomes else []
