"""Values of a scenario that are more than a number: distributions of times.

A distribution says its law and its numbers; the draws are made by `loadgen.sim.draw`, from a connection's
own bits.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Distribution:
    """A law of times in ns.

    `const` (a = value), `exp` (a = mean), `lognormal` (a = mean, b = sigma of the logarithm), `normal`
    (a = mean, b = standard deviation, cut at 0), `uniform` (a to b), `trace` (`samples`, in turn).
    """

    law: str = "const"
    a: float = 0.0
    b: float = 0.0
    samples: tuple[int, ...] = ()
    source: str = ""  # file name of a trace

    @property
    def mean(self) -> float:
        """Of the law, in ns."""
        if self.law == "uniform":
            return (self.a + self.b) / 2
        if self.law == "trace":
            return sum(self.samples) / len(self.samples) if self.samples else 0.0
        return self.a

    @property
    def is_zero(self) -> bool:
        """Never anything but 0."""
        return self.law == "const" and self.a == 0


CONST_ZERO = Distribution()
