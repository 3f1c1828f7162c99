"""What is asked: a topic, a scenario and what of it was given, alternatives, a target, and how much to play.

One quantity may be left open; the topic solves for it. Nothing here plays or prints.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

from loadgen.scenario.hosts import Resolved, resolve
from loadgen.scenario.model import Scenario, Threshold

if TYPE_CHECKING:
    from loadgen.plan.answers import Answer
    from loadgen.plan.play import Player

#: Metrics for which a bound on a share lost follows: of what is lost, and of what is not.
LOST: Final = ("refused_ratio", "first_try_loss", "listen_drop_ratio", "gave_up_ratio", "ghost_ratio")
KEPT: Final = ("success_ratio", "first_try_ratio", "connected_ratio")


class Refused(ValueError):
    """A question that cannot be answered, and what to do instead: one line. Exit code 3."""


class Short(Refused):
    """More than one quantity is unknown."""


@dataclass(frozen=True)
class Quantity:
    """Something that may be left open: the option that sets it, and the places of the scenario."""

    option: str
    paths: tuple[str, ...]

    @property
    def flag(self) -> str:
        return f"--{self.option.replace('_', '-')}"


class Topic(Protocol):
    """What a module of `topics` has."""

    NAME: str
    SUMMARY: str  # the question, one line
    BASE: Scenario  # before any option
    OPEN: tuple[Quantity, ...]  # of these one may be left out
    EXTRAS: tuple[str, ...]  # options of `plan` alone that it reads
    NOT_MODELLED: tuple[str, ...]

    def solve(self, case: Case, /) -> Answer: ...


@dataclass(frozen=True)
class Variant:
    """An alternative: what differs from now, by full path, and of the planner's own options."""

    label: str
    changes: Mapping[str, object]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One question.

    changes: full path -> value, of what was given. extra: the planner's own options by name. columns: values
    of the one option that was given several, as variants. unknown: options whose value was "?".
    """

    topic: Topic
    base: Scenario
    changes: Mapping[str, object]
    player: Player
    make: Callable[[Scenario, Mapping[str, object]], Scenario]
    extra: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[Variant, ...] = ()
    variants: tuple[Variant, ...] = ()
    targets: tuple[Threshold, ...] = ()
    unknown: frozenset[str] = frozenset()
    remedies: bool = False
    whole: bool = False  # the scenario came from a file, so everything is given
    command: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def scenario(self) -> Scenario:
        """As it is now; raises ScenarioError."""
        made = self.make(self.base, self.changes)
        return dataclasses.replace(made, threshold=(*made.threshold, *self.targets))

    @cached_property
    def hosts(self) -> Resolved:
        """Both ends of it."""
        return resolve(self.scenario)

    def given(self, option: str) -> bool:
        """Whether the quantity was given, by an option, -o or a file."""
        quantity = next(one for one in self.topic.OPEN if one.option == option)
        if option in self.unknown:
            return False
        return self.whole or any(path in self.changes for path in quantity.paths)

    def has(self, *paths: str) -> bool:
        """Whether any of these places was given."""
        return any(path in self.changes for path in paths)

    @property
    def open(self) -> str | None:
        """The one quantity to be solved for; None where all are given. Raises Short for several."""
        left = [one for one in self.topic.OPEN if not self.given(one.option)]
        if len(left) > 1:
            names = " and ".join(one.flag for one in left)
            raise Short(f"plan {self.topic.NAME}: {names} are unknown: give one, or use sweep")
        return left[0].option if left else None

    def varied(self, variant: Variant) -> Case:
        """The same question with something else in place."""
        return dataclasses.replace(self.other(variant.changes, variant.extra), variants=(), columns=())

    def other(self, changes: Mapping[str, object], extra: Mapping[str, Any] | None = None) -> Case:
        """The same question with other values, by full path."""
        return dataclasses.replace(
            self, changes={**self.changes, **changes}, extra={**self.extra, **(extra or {})}
        )

    def loss(self, otherwise: float) -> float:
        """The share that the target lets be lost, where it says so."""
        found = [share for one in self.scenario.threshold if (share := lost_share(one)) is not None]
        return min(found, default=otherwise)


def lost_share(threshold: Threshold) -> float | None:
    """The share that a threshold lets be lost; None where it is about something else."""
    name = threshold.metric.rpartition(".")[2]
    if name in LOST and threshold.test in ("<", "<="):
        return threshold.bound
    if name in KEPT and threshold.test in (">", ">="):
        return max(0.0, 1 - threshold.bound)
    return None


#: Words of what no simulation of connection states can answer, and what to do instead.
BEYOND: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("byte", "bandwidth", "throughput", "goodput", "bps"),
     "bytes per second depend on congestion control, which is not modelled: measure with iperf3"),
    (("cpu", "load_average"), "CPU time is not modelled: measure with perf on the host"),
    (("pps", "packet", "nic", "irq"), "packets per second and NICs are not modelled: measure with the NIC"),
    (("tls", "ssl"), "TLS is not modelled: give its time as --accept-time"),
    (("congestion", "cwnd"), "congestion control is not modelled: use a packet simulator or the network"),
    (("udp", "quic"), "UDP and QUIC are not modelled: only TCP connections are"),
    (("conntrack", "nf_"), "conntrack tables are not modelled: compare nf_conntrack_count with its max"),
    (("skew", "ecmp"), "the hash of a load balancer is not modelled: give one server its own --rate"),
)  # fmt: skip


def beyond(word: str) -> str | None:
    """Why a word asks for what is not modelled, None where it does not."""
    lower = word.lower()
    return next((why for words, why in BEYOND if any(one in lower for one in words)), None)


def require_answerable(word: str) -> None:
    """Refuse a word that is about something that is not modelled."""
    if why := beyond(word):
        raise Refused(f"{word}: {why}")
