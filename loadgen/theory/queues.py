"""Closed forms of queueing theory: places that are taken, queues that are served, bursts that must fit.

Erlang B for places without a queue (ports, TIME_WAIT entries, half-open entries), M/M/m/K and M/D/1/K for the
accept queue, the Poisson tail for a stalled one, Little's law. Plain functions of plain numbers, nothing but
`math`. Rates are per second, times in seconds, loads in erlangs (rate times time).

Each docstring says what is assumed; whether a scenario meets that is asked in `checks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadgen.theory.special import poisson_tail

_NEGLIGIBLE: Final = 1e-18  # of a sum
_ALWAYS_FULL: Final = 500.0  # arrivals in a service time: exp(-500) is the chance of none
_HUGE: Final = 1e200  # a sum is scaled down from here on


# -- places without a queue -----------------------------------------------------------------------------


def erlang_b(places: int, load: float) -> float:
    """Share of arrivals that find all places taken.

    Parameters
    ----------
    places : int
        c, 0 or more.
    load : float
        a, erlangs.

    Notes
    -----
    B = (a**c / c!) / sum(a**k / k!, k = 0 .. c) (Erlang 1917), summed from its largest term outward: about
    20 sqrt(c) terms, so 10**7 places are no trouble, and nothing cancels. Assumes Poisson arrivals, of which
    those refused do not come again. Insensitive: only the mean time in a place counts, whatever its
    distribution (Sevastyanov 1957), so several classes may share the places (`syn_queue.offered`), and by
    PASTA all lose the same share.
    """
    if load <= 0:
        return 0.0 if places else 1.0
    mode = min(places, math.floor(load))
    total = term = 1.0
    for k in range(mode, 0, -1):
        term *= k / load
        total += term
        if term < _NEGLIGIBLE * total:
            break
    term = 1.0
    for k in range(mode + 1, places + 1):
        term *= load / k
        total += term
        if term == 0.0:
            break
    return term / total


def erlang_b_mean(places: int, load: float) -> float:
    """Mean number of places taken: what is let in stays, a (1 - B)."""
    return load * (1 - erlang_b(places, load))


def servers_for(load: float, loss: float) -> int:
    """Fewest places with `erlang_b` at most `loss`."""
    return fewest(lambda places: erlang_b(places, load) <= loss, load)


def load_for(places: int, loss: float) -> float:
    """Largest load in erlangs for which `erlang_b` is at most `loss`; `loss` below 1."""
    return most(lambda load: erlang_b(places, load) <= loss, places + 1.0)


# -- a queue that is served -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Queue:
    """What a queue with a bounded number of places comes to in the long run.

    refused: share of arrivals that find it full. waiting: mean number in it, those in service left out.
    present: mean number with them. busy: share of the time for which a worker works.
    """

    refused: float
    waiting: float
    present: float
    busy: float


def mmmk(workers: int, places: int, rate: float, service: float) -> Queue:
    """M/M/m/K: Poisson arrivals, exponential service times, `places` in all with those in service.

    The birth and death equations p(k + 1) = p(k) rate service / min(k + 1, m). With one worker the refused
    share is (1 - rho) rho**K / (1 - rho**(K + 1)). An accept queue of B + 1 places served by m workers that
    take a connection off it before they work has K = B + 1 + m; planner.md's M/M/1/512 counts the queue only.
    """
    load = rate * service
    weights = [1.0]
    for k in range(1, places + 1):
        weights.append(weights[-1] * load / min(k, workers))
        if weights[-1] > _HUGE:
            weights = [weight / _HUGE for weight in weights]
    return _queue(weights, workers)


def md1k(places: int, rate: float, service: float) -> Queue:
    """M/D/1/K: Poisson arrivals, one worker, constant service times, `places` in all with the one in service.

    The Markov chain embedded at the ends of service, exactly: what leaves j behind, j < K. Its balance is
    written across the cut between j and j + 1, so that all terms are positive and nothing cancels:
    pi(j + 1) P(0 arrive) = pi(0) P(more than j arrive) + sum(pi(i) P(more than j - i + 1 arrive), i = 1 .. j).
    At any time p(j) = pi(j) / (pi(0) + rho), and the refused share is 1 - 1 / (pi(0) + rho)
    (Cooper, Introduction to Queueing Theory, 5.9; Gross and Harris 5.1.8).
    """
    load = rate * service
    if load > _ALWAYS_FULL:
        return Queue(1 - 1 / load, places - 1.0, float(places), 1.0)
    none = math.exp(-load)
    more = _more_than(load, places)
    chain = [1.0]
    for j in range(places - 1):
        first = max(1, j + 2 - len(more))
        flow = chain[0] * (more[j] if j < len(more) else 0.0)
        flow += math.fsum(chain[i] * more[j - i + 1] for i in range(first, j + 1))
        chain.append(flow / none)
        if chain[-1] > _HUGE:
            chain = [weight / _HUGE for weight in chain]
    total = math.fsum(chain)
    idle = chain[0] / total
    weights = [weight / total / (idle + load) for weight in chain]
    return _queue([*weights, max(0.0, 1 - 1 / (idle + load))], 1)


def _more_than(mean: float, places: int) -> list[float]:
    """P(a Poisson number is above k), k = 0, 1, ... while it is not negligible, at most so many."""
    found: list[float] = []
    for k in range(places + 1):
        found.append(poisson_tail(mean, k + 1))
        if found[-1] < _NEGLIGIBLE and k > mean:
            break
    return found


def _queue(weights: list[float], workers: int) -> Queue:
    """From the weights of 0 .. K present."""
    total = math.fsum(weights)
    present = math.fsum(k * weight for k, weight in enumerate(weights)) / total
    working = math.fsum(min(k, workers) * weight for k, weight in enumerate(weights)) / total
    return Queue(weights[-1] / total, present - working, present, working / workers)


def relaxation_time(places: int, service: float, rate: float | None = None) -> float:
    """Seconds in which M/M/1/K forgets how it began, by a factor e: the inverse of its spectral gap.

    1 / (lambda + mu - 2 sqrt(lambda mu) cos(pi / (K + 1))) (Morse 1955). Without `rate`: near load 1, where it
    is K**2 s / pi**2. A run of less than about 100 of them is too short to tell (planner.md 2).
    """
    if rate is None:
        return places**2 * service / math.pi**2
    mu = 1 / service
    return 1 / (rate + mu - 2 * math.sqrt(rate * mu) * math.cos(math.pi / (places + 1)))


def service_for(places: int, rate: float, loss: float) -> float:
    """Longest mean service time for which M/M/1/K refuses at most `loss`."""
    return most(lambda service: mmmk(1, places, rate, service).refused <= loss, 1 / rate)


def rate_for(places: int, service: float, loss: float) -> float:
    """Largest rate for which M/M/1/K refuses at most `loss`."""
    return most(lambda rate: mmmk(1, places, rate, service).refused <= loss, 1 / service)


# -- a queue that is not served for a while -------------------------------------------------------------


def stall_loss(places: int, rate: float, stall: float) -> float:
    """P(more than `places` arrive in a stall), Poisson arrivals, the queue empty when the stall begins."""
    return poisson_tail(rate * stall, places + 1)


def places_for_stall(rate: float, stall: float, loss: float) -> int:
    """Fewest places with `stall_loss` below `loss`."""
    return fewest(lambda places: stall_loss(places, rate, stall) < loss, rate * stall)


def stall_for(places: int, rate: float, loss: float) -> float:
    """Longest stall in seconds with `stall_loss` at most `loss`."""
    return most(lambda stall: stall_loss(places, rate, stall) <= loss, places / rate)


# -- without a bound ------------------------------------------------------------------------------------


def little(rate: float, stay: float) -> float:
    """Mean number present: rate times mean time of stay (Little 1961), whatever the distributions."""
    return rate * stay


def mg_infinity(rate: float, stay: float) -> tuple[float, float]:
    """Mean and variance of the number present in M/G/infinity: Poisson distributed, so both are `little`."""
    return rate * stay, rate * stay


# -- solving for one number -----------------------------------------------------------------------------


def fewest(enough: Callable[[int], bool], guess: float) -> int:
    """Smallest n >= 0 for which `enough`, which is false and then true; the answer is near the guess."""
    high = max(1, math.ceil(guess))
    while not enough(high):
        high *= 2
    low = -1
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


def most(holds: Callable[[float], bool], guess: float) -> float:
    """Largest x > 0 for which `holds`, which is true and then false, to 1e-12 of itself."""
    low, high = 0.0, guess
    while holds(high):
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
