"""Values of a scenario that are more than a number: distributions of times.

A distribution says its family and its numbers; the draws are made by `loadgen.sim.draw`, from a connection's
own bits. Texts are read by `parse_distribution` and written by `format_distribution`; the one undoes the
other exactly. Traces are read by `traces`, single numbers by `numbers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from loadgen.scenario.errors import Mistake, ScenarioError, hint, shown
from loadgen.scenario.numbers import (
    read_rate,
    read_share,
    read_time,
    read_time_float,
    write_number,
    write_time,
)
from loadgen.scenario.traces import Folder, read_trace


@dataclass(frozen=True)
class Distribution:
    """A family of times in ns.

    `const` (a = value), `exp` (a = mean), `lognormal` (a = mean, b = sigma of the logarithm), `normal`
    (a = mean, b = standard deviation, cut at 0), `uniform` (a to b), `trace` (`samples`, in turn).
    """

    family: str = "const"
    a: float = 0.0
    b: float = 0.0
    samples: tuple[int, ...] = ()
    source: str = ""  # file name of a trace

    @property
    def mean(self) -> float:
        """Of the family, in ns."""
        if self.family == "uniform":
            return (self.a + self.b) / 2
        if self.family == "trace":
            return sum(self.samples) / len(self.samples) if self.samples else 0.0
        return self.a

    @property
    def is_zero(self) -> bool:
        """Never anything but 0."""
        return self.family == "const" and self.a == 0


CONST_ZERO = Distribution()

_MOST_SIGMA: Final = 10.0  # beyond it nothing but the tail is left of the mean
_EXPECTED: Final = (
    "a time with its unit such as 30ms, or const:TIME, exp:MEAN, lognormal:MEAN,SIGMA, normal:MEAN,SD, "
    "uniform:FROM,TO, trace:FILE.csv"
)


def _one_time(words: Sequence[str]) -> tuple[float, float]:
    return read_time_float(words[0]), 0.0


def _two_times(words: Sequence[str]) -> tuple[float, float]:
    return read_time_float(words[0]), read_time_float(words[1])


def _time_and_number(words: Sequence[str]) -> tuple[float, float]:
    try:
        sigma = float(words[1])
    except ValueError:
        raise Mistake(f"expected SIGMA, a number such as 1.0, got {words[1].strip()!r}") from None
    return read_time_float(words[0]), sigma


#: Family -> its parameters in words, and how they are read.
FAMILIES: Final[Mapping[str, tuple[str, Callable[[Sequence[str]], tuple[float, float]]]]] = {
    "const": ("TIME", _one_time),
    "exp": ("MEAN", _one_time),
    "lognormal": ("MEAN,SIGMA", _time_and_number),
    "normal": ("MEAN,SD", _two_times),
    "uniform": ("FROM,TO", _two_times),
}


def parse_distribution(value: object, folder: Folder = "") -> Distribution:
    """A distribution from its text, from a number (seconds), from a list of times (a trace), or as it is.

    `folder` is where a trace is looked for first. Raises Mistake.
    """
    if isinstance(value, Distribution):
        return checked(value)
    if isinstance(value, (list, tuple)):
        return checked(Distribution("trace", samples=tuple(read_time(one) for one in value)))
    if not isinstance(value, str):
        return checked(Distribution("const", float(read_time(value, _EXPECTED))))
    family, colon, rest = value.strip().partition(":")
    family = family.strip().lower()
    if not colon:
        return checked(Distribution("const", read_time_float(value, _EXPECTED)))
    if family == "trace":
        name = rest.strip()
        return checked(Distribution("trace", samples=read_trace(name, folder), source=name))
    if family not in FAMILIES:
        near = hint(family, [*FAMILIES, "trace"])
        raise Mistake(f"expected {_EXPECTED}, got {shown(value)}{near}")
    names, read = FAMILIES[family]
    words = rest.split(",")
    if len(words) != names.count(",") + 1:
        raise Mistake(f"expected {family}:{names}, got {shown(value)}")
    return checked(Distribution(family, *read(words)))


def format_distribution(value: Distribution) -> str | list[str]:
    """As `parse_distribution` reads it; a trace without a file is a list of times."""
    if value.family == "trace":
        return f"trace:{value.source}" if value.source else [write_time(one) for one in value.samples]
    first = write_time(value.a)
    if value.family == "const":
        return first
    second = {"exp": "", "lognormal": f",{write_number(value.b)}"}.get(
        value.family, f",{write_time(value.b)}"
    )
    return f"{value.family}:{first}{second}"


def checked(value: Distribution) -> Distribution:
    """The distribution if it can be. Raises Mistake."""
    family, a, b = value.family, value.a, value.b
    if family == "trace":
        if not value.samples or min(value.samples) < 0:
            raise Mistake("expected a trace of at least one time, none of them negative")
        return value
    if family not in FAMILIES:
        raise Mistake(
            f"expected {_EXPECTED}, got the family {shown(family)}{hint(family, [*FAMILIES, 'trace'])}"
        )
    if not (math.isfinite(a) and math.isfinite(b) and a >= 0 and b >= 0):
        raise Mistake(
            f"expected {family}:{FAMILIES[family][0]} with finite numbers from 0 up, got {a!r} and {b!r}"
        )
    if family in ("exp", "lognormal") and a == 0:
        raise Mistake(f"expected {family}:{FAMILIES[family][0]} with a mean above 0, got 0")
    if family == "lognormal" and b > _MOST_SIGMA:
        raise Mistake(f"expected lognormal:MEAN,SIGMA with SIGMA at most {_MOST_SIGMA:g}, got {b:g}")
    if family == "uniform" and b < a:
        raise Mistake(f"expected uniform:FROM,TO with FROM before TO, got {write_time(a)},{write_time(b)}")
    return value


def as_distribution(value: Distribution | str | float) -> Distribution:
    """`parse_distribution` for who calls from Python: raises ScenarioError."""
    try:
        return value if isinstance(value, Distribution) else parse_distribution(value)
    except Mistake as error:
        raise ScenarioError(str(error)) from None


def as_time(value: str | float) -> int:
    """`read_time` for who calls from Python, ns: raises ScenarioError."""
    try:
        return read_time(value)
    except Mistake as error:
        raise ScenarioError(str(error)) from None


def as_shares(value: Mapping[str, str | float] | str | float) -> dict[str, float]:
    """Shares by kind of segment, one alone that of all, for who calls from Python: raises ScenarioError."""
    given = value if isinstance(value, Mapping) else {"all": value}
    try:
        return {kind: read_share(share) if isinstance(share, str) else share for kind, share in given.items()}
    except Mistake as error:
        raise ScenarioError(str(error)) from None


def as_rate(value: str | float) -> float:
    """`read_rate` for who calls from Python: raises ScenarioError."""
    try:
        return read_rate(value)
    except Mistake as error:
        raise ScenarioError(str(error)) from None


def with_times(given: dict[str, object]) -> dict[str, object]:
    """Arguments with X_ns made of X, a text or seconds, where X is given."""
    for name in [name for name in given if f"{name}_ns" in given]:
        value = given[name]
        if isinstance(value, (str, int, float)):
            given[f"{name}_ns"] = as_time(value)
    return given


def fill(entry: Any, given: Mapping[str, object]) -> None:
    """The fields of a frozen dataclass."""
    for one in fields(entry):
        object.__setattr__(entry, one.name, given[one.name])


def with_read(given: dict[str, object], reader: str, value: object, *names: str) -> dict[str, object]:
    """Arguments with what a reader of scenario files makes of a value, where it is given: ScenarioError."""
    if value is None:
        return given
    from loadgen.scenario import readers

    try:
        return given | dict(zip(names, getattr(readers, reader)(value), strict=True))
    except Mistake as error:
        raise ScenarioError(str(error)) from None
