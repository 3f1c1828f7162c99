"""Closed forms for what a SYN queue loses, and the statistics that set a simulation beside them.

Plain functions of plain numbers: no engine, no random numbers, nothing but `math`. Each form has its
assumption with it (`Form`), because a formula is compared with a run that breaks it as easily as with one
that does not. An exact form is what a simulation must meet within its confidence interval; an approximate
one has a known bias, which is printed too.

Notation: c places, a offered load in erlangs (arrivals per second times mean time in the queue), R a client's
round trip, T the life of an entry that nobody answers. `Engine.room` says how many places a queue has: mostly
one more than the backlog.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_ERROR: Final = 1e-15  # relative, of series and fractions
_TINY: Final = 1e-300

LINUX_COOKIES: Final = 2 * 4  # good minutes times MSS indices
FREEBSD_COOKIES: Final = 256  # low bytes, each with the MAC that belongs to it
NUMBERS: Final = 2**32


@dataclass(frozen=True)
class Form:
    """A closed form as it is printed beside a simulation."""

    name: str
    formula: str
    assumes: str
    source: str
    exact: bool = True
    bias: str = ""  # of an approximate one


ERLANG_B: Final = Form(
    "Erlang B",
    "B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1))",
    "SYNs come as a Poisson process, a full queue refuses, who was refused does not come again",
    "Erlang 1917; any distribution of the time in the queue (Sevastyanov 1957)",
)
POISSON_TAIL: Final = Form(
    "Poisson tail",
    "P(Poisson(lambda R) >= c)",
    "SYNs come as a Poisson process to a queue that is full, the oldest entry goes",
    "an entry is gone when c more have come within its round trip",
)
BUCKET_TAIL: Final = Form(
    "Poisson tail in buckets",
    "P(Poisson(lambda R / b) >= m)",
    "as the Poisson tail, b buckets of m, each with its share by a keyed hash",
    "each bucket is a queue of its own",
)
RANDOM_VICTIM: Final = Form(
    "random victim",
    "1 - exp(-lambda R / c)",
    "SYNs come as a Poisson process to a queue that is full, any entry goes with the same odds",
    "an entry survives each newcomer with 1 - 1/c; thinning of a Poisson process",
)
BACKSCATTER: Final = Form(
    "backscatter",
    "(1 + retries) (1 - B)",
    "spoofed peers are silent, nothing is pruned or evicted; B is what the queue refuses",
    "every entry is answered once and resent to as often as the stack resends",
)
FORGERY: Final = Form(
    "cookie forgery",
    "good numbers / numbers tried",
    "the number is drawn uniformly, cookies are being sent",
    "counting: Linux takes 2 minutes x 4 indices, FreeBSD 256 low bytes of 2**32",
)
FLUID: Final = Form(
    "fluid limit",
    "1 - c / a",
    "as Erlang B, far more come than fit (a >> c)",
    "Erlang B for a / c fixed and c to infinity",
    exact=False,
    bias="too low, by less than 1 / (a - c)",
)
PACED: Final = Form(
    "paced flood",
    "0 where lambda T <= c, then 1 - c / (lambda T)",
    "spoofed SYNs at even distances, nobody else at the queue",
    "c are let in every T",
    exact=False,
    bias="whole arrivals: off by up to 1 / (lambda T)",
)
RETRIES: Final = Form(
    "retries",
    "1 - B**n",
    "each of a client's n tries meets a queue that knows nothing of the last one",
    "independent tries",
    exact=False,
    bias="any size: a full queue stays full, and after T it is what it was, so tries a small part of T or a "
    "whole T apart help less; places come free in bursts, so tries spread over T help more",
)

FORMS: Final = (
    ERLANG_B, POISSON_TAIL, BUCKET_TAIL, RANDOM_VICTIM, BACKSCATTER, FORGERY, FLUID, PACED, RETRIES,
)  # fmt: skip

# -- what is lost -----------------------------------------------------------------------------------


def erlang_b(places: int, load: float) -> float:
    """Share of arrivals that find all places of a queue taken.

    Parameters
    ----------
    places : int
        c, 0 or more.
    load : float
        a, erlangs.

    Notes ----- Erlang's recursion (1917); see `ERLANG_B` for what is assumed. Insensitive: only the mean
    time in the queue counts, so spoofed and honest clients may share it (`offered`), and by PASTA both lose
    the same share.
    """
    loss = 1.0
    for k in range(1, places + 1):
        loss = load * loss / (k + load * loss)
    return loss


def offered(*classes: tuple[float, float]) -> float:
    """Erlangs of several classes of clients, each (per second, seconds in the queue)."""
    return sum(rate * seconds for rate, seconds in classes)


def fluid_loss(places: float, load: float) -> float:
    """`erlang_b` for a load far above the places: 1 - c / a, nothing below. See `FLUID`."""
    return max(0.0, 1 - places / load) if load else 0.0


def paced_loss(places: int, rate: float, life: float) -> float:
    """Share of a flood refused that comes at even distances: rate per second, life in seconds.

    None at all while the queue has room for what comes in a life, where `erlang_b` has some: a deterministic
    stream is not a Poisson process, and insensitivity does not hold for it. See `PACED`.
    """
    return fluid_loss(places, rate * life)


def retried(loss: float, tries: int) -> float:
    """Share of clients that have got in after so many tries, 1 - B**n. See `RETRIES`."""
    return 1 - loss**tries


def poisson_tail(mean: float, least: int) -> float:
    """P(N >= least) of a Poisson number: the regularised lower gamma function P(least, mean)."""
    return _gamma_p(least, mean) if least > 0 else 1.0


def evict_oldest_loss(places: int, rate: float, rtt: float) -> float:
    """Share of honest entries gone before their answer under evict-oldest. See `POISSON_TAIL`.

    Parameters
    ----------
    places : int
        c of the queue, or of one bucket.
    rate : float
        SYNs per second at it, of whomever: lambda, for b buckets lambda / b.
    rtt : float
        Seconds from a client's SYN to its answer at the queue.
    """
    return poisson_tail(rate * rtt, places)


def evict_random_loss(places: int, rate: float, rtt: float) -> float:
    """Share of honest entries gone before their answer under evict-random. See `RANDOM_VICTIM`."""
    return -math.expm1(-rate * rtt / places)


# -- what is sent, and guessed ---------------------------------------------------------------------


def life(retries: int, first: float = 1.0) -> float:
    """Seconds until an entry that nobody answers is given up: T = first (2**(retries + 1) - 1).

    RFC 6298 5.5: the interval doubles with each resend. 63 s for Linux's five.
    """
    return first * (2.0 ** (retries + 1) - 1)


def backscatter(retries: int, loss: float = 0.0) -> float:
    """SYN-ACKs per spoofed SYN; a stateless cookie counts as 0 retries. See `BACKSCATTER`."""
    return (1 + retries) * (1 - loss)


def forgery_odds(good: int = LINUX_COOKIES, tried: int = NUMBERS) -> float:
    """Odds that one blind ACK is taken for the answer to a cookie: 2**-29 for Linux, 2**-24 for FreeBSD's
    `FREEBSD_COOKIES`. See `FORGERY`."""
    return good / tried


# -- statistics -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """A mean, or a share, and where it may be in truth."""

    mean: float
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def over_seeds(samples: Sequence[float], confidence: float = 0.99) -> Interval:
    """Interval of the mean of independent runs, one sample each, by Student's t.

    Within a run one arrival's fate depends on the last one's: only runs with seeds of their own, each after
    its warm-up, are independent, and two of them are the least there can be.
    """
    n = len(samples)
    if n < 2:
        raise ValueError(f"samples: expected two or more, got {n}")
    mean = math.fsum(samples) / n
    variance = math.fsum((sample - mean) ** 2 for sample in samples) / (n - 1)
    half = student_t(confidence, n - 1) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half)


def of_counts(hits: int, trials: int, confidence: float = 0.99) -> Interval:
    """Interval of a share of independent trials, exact for small counts (Clopper and Pearson 1934)."""
    if not 0 <= hits <= trials or trials == 0:
        raise ValueError(f"hits: expected 0 .. {trials} of one trial or more, got {hits}")
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _root(lambda p: _beta_i(hits, trials - hits + 1, p), tail)
    high = 1.0 if hits == trials else _root(lambda p: _beta_i(hits + 1, trials - hits, p), 1 - tail)
    return Interval(hits / trials, low, high)


def of_family(points: int, confidence: float = 0.99) -> float:
    """The confidence that each of so many points needs for all of them to have this one (Bonferroni)."""
    return 1 - (1 - confidence) / max(points, 1)


def outside_by_chance(points: int, confidence: float = 0.99) -> int:
    """So many of the points may lie outside their own intervals: more have odds below 1 - confidence."""
    few, odds = 0, 1 - confidence
    while few < points and _beta_i(few + 1, points - few, odds) > 1 - confidence:
        few += 1
    return few


def student_t(confidence: float, dof: int) -> float:
    """t with P(|t'| <= t) = confidence for so many degrees of freedom."""
    # P(|t'| > t) is the incomplete beta function at x = dof / (dof + t**2)
    x = _root(lambda x: _beta_i(dof / 2, 0.5, x), 1 - confidence)
    return math.sqrt(dof * (1 - x) / x)


# -- the two incomplete functions behind all this -----------------------------------------------------


def _fraction(first: float, terms: Callable[[int], tuple[float, float]]) -> float:
    """first + a1 / (b1 + a2 / (b2 + ...)) where terms(k) is (ak, bk), by Lentz's method."""
    value = upper = first or _TINY
    lower = 0.0
    for k in range(1, 100_000):
        a, b = terms(k)
        lower = 1 / (b + a * lower or _TINY)
        upper = b + a / upper or _TINY
        value *= upper * lower
        if abs(upper * lower - 1) < _ERROR:
            break
    return value


def _gamma_p(s: float, x: float) -> float:
    """Regularised lower incomplete gamma function P(s, x) (NIST DLMF 8.11.4 and 8.9.2)."""
    if x <= 0:
        return 0.0
    scale = math.exp(s * math.log(x) - x - math.lgamma(s))
    if x < s + 1:
        term = total = 1 / s
        k = s
        while term > total * _ERROR:
            k += 1
            term *= x / k
            total += term
        return scale * total
    rest = _fraction(x + 1 - s, lambda k: (-k * (k - s), x + 2 * k + 1 - s))
    return 1 - scale / rest


def _beta_i(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I(x; a, b) (NIST DLMF 8.17.4 and 8.17.22)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_i(b, a, 1 - x)

    def term(k: int) -> tuple[float, float]:
        m, odd = divmod(k, 2)
        if odd:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0

    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _fraction(1.0, term))


def _root(rising: Callable[[float], float], value: float) -> float:
    """x in (0, 1) where a rising function has this value."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if rising(middle) < value:
            low = middle
        else:
            high = middle
    return high
