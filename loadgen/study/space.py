"""Which points a study has: axes of values, advanced together (`--zip`) or each with each (`--grid`).

`a,b,c` are values; `lo..hi/n` are n values from lo to hi evenly apart, `lo..hi/n:log` by a constant factor.
Axes are read against the scenario: a path is written in full, a value that the place does not take is refused
before anything is played. Points come in the order of the axes, the last one fastest.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from loadgen.scenario.errors import Mistake, ScenarioError, shown
from loadgen.scenario.model import Scenario
from loadgen.scenario.paths import changed, resolve_path
from loadgen.study.expression import Expression
from loadgen.study.quantities import Quantity, pair, steps, value_of

MOST_VALUES: Final = 100_000  # of one axis
MOST_POINTS: Final = 1_000_000  # of all axes, before --only
_RANGE: Final = re.compile(r"(?P<low>.+?)\.\.(?P<high>[^/]+(?:/(?:s|min|h|d))?)/(?P<n>\d+)(?P<log>:log)?")
_SPAN: Final = re.compile(r"(?P<low>.+?)\.\.(?P<high>.+?)(?P<log>:log)?")


class SpaceError(ValueError):
    """Axes that cannot be; the message begins with the option's own text."""


@dataclass(frozen=True)
class Axis:
    """A place of the scenario and the texts it is given, one after the other."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """A place of the scenario and the two ends between which something is looked for."""

    path: str
    low: Quantity
    high: Quantity
    log: bool
    whole: bool  # the place takes whole numbers only


@dataclass(frozen=True)
class Space:
    """The axes of a grid, groups of axes that go together, and the condition on their points."""

    grid: tuple[Axis, ...] = ()
    zipped: tuple[Axis, ...] = ()
    only: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(axis.path for axis in (*self.grid, *self.zipped))

    def size(self) -> int:
        """Points without `only`."""
        together = [len(self.zipped[0].values)] if self.zipped else []
        return math.prod([*(len(axis.values) for axis in self.grid), *together])

    def points(self) -> Iterator[dict[str, str]]:
        """Path -> text of each point for which `only` holds. Raises Mistake."""
        condition = Expression(self.only, self.paths) if self.only else None
        grid: list[list[Any]] = [[(axis.path, value) for value in axis.values] for axis in self.grid]
        together = [list(zip(self.paths[len(grid) :], row, strict=True)) for row in self._rows()]
        for chosen in itertools.product(*grid, together):
            pairs: list[tuple[str, str]] = [*chosen[:-1], *chosen[-1]]
            point = dict(pairs)
            if condition is None or condition.holds({path: value_of(text) for path, text in point.items()}):
                yield point

    def _rows(self) -> Iterator[tuple[str, ...]]:
        return zip(*(axis.values for axis in self.zipped), strict=True) if self.zipped else iter([()])


def make_space(scenario: Scenario, grid: Sequence[str], zipped: Sequence[str], only: str = "") -> Space:
    """The space of `PATH=VALUES` texts. Raises SpaceError, Mistake for `only`."""
    space = Space(
        tuple(axis(scenario, text) for text in grid), tuple(axis(scenario, text) for text in zipped), only
    )
    for path in space.paths:
        if space.paths.count(path) > 1:
            raise SpaceError(f"{path}: given twice")
    lengths = {len(one.values) for one in space.zipped}
    if len(lengths) > 1:
        told = ", ".join(f"{one.path} has {len(one.values)}" for one in space.zipped)
        raise SpaceError(f"expected as many values of each, {told}")
    if space.size() > MOST_POINTS:
        raise SpaceError(f"expected at most {MOST_POINTS:,} points, got {space.size():,}")
    if only:
        Expression(only, space.paths)
    return space


def axis(scenario: Scenario, text: str) -> Axis:
    """`PATH=a,b,c` or `PATH=lo..hi/n[:log]`. Raises SpaceError."""
    path, given = _split(scenario, text, "a,b,c or PATH=lo..hi/n")
    try:
        values = _values(scenario, path, given)
    except (Mistake, ScenarioError) as error:
        raise SpaceError(_about(path, error)) from None
    for value in values:
        _try(scenario, path, value)
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise SpaceError(f"{path}: {twice} is there twice")
    return Axis(path, tuple(values))


def span(scenario: Scenario, text: str) -> Span:
    """`PATH=lo..hi[:log]` of a search. Raises SpaceError."""
    path, given = _split(scenario, text, "lo..hi")
    found = _SPAN.fullmatch(given)
    try:
        if found is None:
            raise Mistake(f"expected lo..hi such as 1k..50k, got {shown(given)}")
        low, high = pair(found["low"], found["high"])
        if found["log"] and low.number <= 0:
            raise Mistake(f"expected a positive number for :log, got {low.text}")
    except Mistake as error:
        raise SpaceError(_about(path, error)) from None
    for end in (low, high):
        _try(scenario, path, end.text)
    return Span(path, low, high, bool(found["log"]), _is_whole(scenario, path, low))


def _split(scenario: Scenario, text: str, values: str) -> tuple[str, str]:
    name, equals, given = text.partition("=")
    if not equals or not name.strip() or not given.strip():
        raise SpaceError(f"expected PATH={values}, got {shown(text)}")
    try:
        return resolve_path(scenario, name), given.strip()
    except Mistake as error:
        raise SpaceError(str(error)) from None


def _values(scenario: Scenario, path: str, given: str) -> list[str]:
    found = _RANGE.fullmatch(given)
    if found is None:
        if ".." in given:
            raise Mistake(f"expected lo..hi/n such as 1k..8k/8, or :log behind it, got {shown(given)}")
        texts = [text.strip() for text in given.split(",")]
        if "" in texts:
            raise Mistake(f"expected values between the commas, got {shown(given)}")
        if len(texts) > MOST_VALUES:
            raise Mistake(f"expected at most {MOST_VALUES:,} values, got {len(texts):,}")
        return texts
    low, high = pair(found["low"], found["high"])
    n = int(found["n"]) if len(found["n"]) < 10 else MOST_VALUES + 1
    if not 2 <= n <= MOST_VALUES:
        raise Mistake(f"expected 2 to {MOST_VALUES:,} values, got {found['n'][:20]}")
    if found["log"] and low.number <= 0:
        raise Mistake(f"expected a positive number for :log, got {low.text}")
    _try(scenario, path, low.text)
    whole = _is_whole(scenario, path, low)
    return [one.text for one in steps(low, high, n, log=bool(found["log"]), whole=whole)]


def _try(scenario: Scenario, path: str, text: str) -> None:
    """Refuse a value that the place does not take. Raises SpaceError."""
    try:
        changed(scenario, {path: text})
    except ScenarioError as error:
        raise SpaceError(str(error)) from None


def _is_whole(scenario: Scenario, path: str, low: Quantity) -> bool:
    """Whether the place refuses a fraction of what it takes."""
    if low.unit != "count":
        return False
    try:
        changed(scenario, {path: low.at(low.number + Decimal("0.5")).text})
    except ScenarioError:
        return True
    return False


def _about(path: str, error: Exception) -> str:
    message = str(error)
    return message if path in message else f"{path}: {message}"


def label(values: Mapping[str, object]) -> str:
    """`backlog=511, load.rate=1k` for a message."""
    return ", ".join(f"{path}={text}" for path, text in values.items())
