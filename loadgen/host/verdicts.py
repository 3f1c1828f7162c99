"""A line of a sysctl file, what it is judged by, and the kinds of verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from loadgen.scenario.hosts import Resolved
from loadgen.scenario.model import Scenario
from tcpcore import SysctlLine

ACTS, CANNOT, ABSENT, REFUSED = "acts", "cannot act here", "does not exist", "refused"
NOT_MODELLED, UNDECIDED = "not modelled", "not decided"
KINDS: Final = (ACTS, CANNOT, ABSENT, REFUSED, NOT_MODELLED, UNDECIDED)


@dataclass
class Row:
    """A line of the file and what it does."""

    line: SysctlLine
    before: str  # value now, "-" where the host does not say
    kind: str = ""
    text: str = ""
    letters: str = ""
    figures: dict[str, tuple[float, float]] = field(default_factory=dict)  # before, after

    @property
    def name(self) -> str:
        """The setting without the folder that all of its kind are in."""
        return (
            self.line.key.removeprefix("net.ipv4.").removeprefix("net.netfilter.").removeprefix("net.inet.")
        )


@dataclass(frozen=True)
class View:
    """What a line is judged by: the file without it and with it."""

    without: Resolved
    with_it: Resolved
    scenario: Scenario
    line: SysctlLine
