"""Closed forms for what a SYN queue loses under a flood.

Plain functions of plain numbers: no engine, no random numbers. Each form has its assumption with it (`Form`),
because a formula is compared with a run that breaks it as easily as with one that does not. An exact form is
what a simulation must meet within its confidence interval; an approximate one has a known bias, which is
printed too.

Notation: c places, a offered load in erlangs (arrivals per second times mean time in the queue), R a client's
round trip, T the life of an entry that nobody answers. A queue has mostly one place more than the backlog.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from loadgen.theory.special import poisson_tail

LINUX_COOKIES: Final = 2 * 4  # good minutes times MSS indices
FREEBSD_COOKIES: Final = 256  # low bytes, each with the MAC that belongs to it
NUMBERS: Final = 2**32
LEFT: Final = 0.1  # of the mean number of free places, when an overloaded queue has settled


def settles(places: int, load: float) -> float:
    """Lives of an entry after which the mean of a queue of constant lives is Erlang's.

    A queue that takes more than it has places for is full before the first entry ends. So the ends come in a
    burst of c/a of a life, as fast as SYNs do, and so in every life after it: places are free for longer than
    in the steady state, until the waits have spread the burst. Below c, five lives do. Above, measured: after
    10 (a/c - 1) sqrt(c) lives less than LEFT is missing, for c of 17 to 1,025 and a/c up to 8.
    """
    return max(5.0, 10 * (load / places - 1) * math.sqrt(places))


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
