"""The policies against closed forms: loss inside the 99 % interval, from 1 % to 99 %, queues from 3 up.

The simulation is the engine itself. Many listeners are as many independent queues, so one run is a sample;
buckets are independent already, so there runs with different seeds are. Assumed, and made so: SYNs arrive as
a Poisson process, nobody answers, nothing is resent. Sources: Erlang 1917 (B formula); RFC 4987 3.
"""

import math

import numpy as np
import pytest

from tcpcore import Engine, Flag, segments

MS = 1_000_000
LOCAL = 0x0A000001
T99 = {9: 3.250, 39: 2.708}            # Student's t, two-sided 99 %, by degrees of freedom
QUEUES = 40                            # independent samples where each listener is one
SHORT = 4                              # queues in which one place more or less shows in few samples
IN_WINDOW = 2                          # an RST this far beyond IRS is in the window and not exact


def erlang_b(places, load):
    """Loss of an M/G/c/c queue; load in erlangs."""
    loss = 1.0
    for k in range(1, places + 1):
        loss = load * loss / (k + load * loss)
    return loss


def poisson_tail(mean, least):
    """P(N >= least) of a Poisson number."""
    return 1 - sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(least))


def confirm(samples, formula, places, sharp):
    """The value for so many places lies in the samples' 99 % interval; where sharp, one place more or less
    does not."""
    half = T99[len(samples) - 1] * np.std(samples, ddof=1) / math.sqrt(len(samples))
    assert 0.009 <= formula(places) <= 0.991, "a point that says little"
    off = [abs(np.mean(samples) - formula(places + more)) / half for more in (-1, 0, 1)]
    assert off[1] <= 1, (np.mean(samples), formula(places), off)
    assert not sharp or min(off[0], off[2]) > 1, (np.mean(samples), formula(places), off)


# -- drop-new: Erlang B

LOADS = {  # places: loads in erlangs
    3: (0.456, 1.1, 3.0, 12.0, 290.0), 4: (0.87, 4.0), 10: (4.46, 9.0, 30.0), 50: (37.9, 60.0),
}  # fmt: skip
SLOTS = 400                            # steps of time in the life of an entry
LIVES = 14                             # of which the first four are not looked at
BUSY = 60                              # erlangs that a sample has at least, of several queues if need be


def drop_new_losses(points, seed):
    """Shares refused, QUEUES samples for each (places, load).

    Time goes in steps of 1 ms; those who came a life ago, rto_initial_ms, leave before the SYNs of a step are
    looked at. So a SYN meets whoever was let in during the last SLOTS - 1/2 ms, on average: that is the life
    which the load is made of.
    """
    rng = np.random.default_rng(seed)
    eng = Engine(capacity=1 << 17, synq_policy="drop-new", tcp_syncookies=0, tcp_synack_retries=0,
                 rto_initial_ms=SLOTS, tcp_timestamps=0, seed=seed)
    places, loads, samples = np.array([
        (places, load, number * QUEUES + sample) for number, (places, load) in enumerate(points)
        for sample in range(QUEUES) for _ in range(math.ceil(BUSY / load))]).T
    for queue in range(len(places)):
        eng.listen(LOCAL, 1 + queue, int(places[queue]) - 1)
    queues = np.repeat(np.arange(len(places)), rng.poisson(loads * SLOTS * LIVES / (SLOTS - 0.5)))
    rng.shuffle(queues)
    slots = np.sort(rng.integers(0, SLOTS * LIVES, len(queues)))
    syns = segments(len(queues), src=0x0B000000 + np.arange(len(queues)), dst=LOCAL, sport=7,
                    dport=1 + queues, flags=Flag.SYN, wnd=5000)
    edges = np.searchsorted(slots, np.arange(SLOTS * LIVES + 1))
    seen = SLOTS * 4
    answered = []
    for slot in range(SLOTS * LIVES):
        eng.advance(slot * MS)
        rows = eng.receive(syns[edges[slot]:edges[slot + 1]], slot * MS)
        if slot >= seen:
            answered.append(rows["sport"] - 1)
    assert eng.causes["SynQueueFull"] == len(syns) - eng.counters["SynQueueAdded"] and eng.check() == []
    kept, came = (np.bincount(samples[which].astype(int), minlength=len(points) * QUEUES)
                  for which in (np.concatenate(answered), queues[edges[seen]:]))
    return (1 - kept / came).reshape(len(points), QUEUES)


def test_drop_new_loses_erlang_b():
    points = [(places, load) for places, loads in LOADS.items() for load in loads]
    for (places, load), samples in zip(points, drop_new_losses(points, 11), strict=True):
        confirm(samples, lambda places, load=load: erlang_b(places, load), places, places <= SHORT)


# -- eviction: has an entry been lost by the time its peer would have answered?


def asked_later(rng, n, per_window):
    """`n` Poisson arrivals, and a question about every eighth of them a window later: (kinds, who), in order.
    The window is the unit of time, `per_window` the mean number of arrivals in it."""
    came = np.cumsum(rng.exponential(1 / per_window, n))
    asked = np.arange(n // 4, n, 8)
    asked = asked[came[asked] + 1 < came[-1]]
    order = np.argsort(np.concatenate([came, came[asked] + 1]))
    who = np.concatenate([np.arange(n), asked])[order]
    return order >= n, who


def ask(question, who, port):
    """SYNs, and for a question an RST in the window that is not exact: whoever is still there challenges it
    and stays as it is; LISTEN is silent."""
    return segments(len(who), src=0x0B000000 + who, dst=LOCAL, sport=7, dport=port, wnd=5000,
                    flags=np.where(question, Flag.RST, Flag.SYN), seq=np.where(question, 1 + IN_WINDOW, 0))


def evicted(policy, places, per_window, n, seed):
    """Share of entries that are gone after a window, for each of QUEUES listeners."""
    rng = np.random.default_rng(seed)
    eng = Engine(capacity=(places + 1) * QUEUES, synq_policy=policy, tcp_syncookies=0, tcp_timestamps=0,
                 seed=seed)
    shares = []
    for port in range(1, QUEUES + 1):
        eng.listen(LOCAL, port, places - 1)
        question, who = asked_later(rng, n, per_window)
        rows = eng.receive(ask(question, who, port), 0)
        shares.append(1 - np.count_nonzero(rows["flags"] == Flag.ACK) / np.count_nonzero(question))
    assert eng.gauges()["half_open"] == places * QUEUES and eng.check() == []
    return np.array(shares)


@pytest.mark.parametrize(("places", "per_window"), [
    (3, 0.45), (3, 2.0), (3, 8.4), (4, 0.83), (5, 5.0), (10, 4.2), (10, 9.0), (10, 18.0), (30, 30.0),
    (30, 44.0),
])  # fmt: skip
def test_evict_oldest_loses_a_poisson_tail(places, per_window):
    """A full queue: c newcomers within the round trip, and the oldest entry is gone."""
    samples = evicted("evict-oldest", places, per_window, 4000, 5)
    confirm(samples, lambda places: poisson_tail(per_window, places), places, True)


@pytest.mark.parametrize(("places", "per_window"), [
    (3, 0.033), (3, 1.0), (3, 3.0), (3, 13.0), (4, 2.0), (10, 0.13), (10, 7.0), (10, 40.0), (30, 30.0),
    (30, 100.0),
])  # fmt: skip
def test_evict_random_loses_exponentially(places, per_window):
    """A full queue: each newcomer within the round trip takes one of c."""
    samples = evicted("evict-random", places, per_window, 4000, 6)
    confirm(samples, lambda places: 1 - math.exp(-per_window / places), places, places <= SHORT)


@pytest.mark.parametrize("per_bucket", [18.6, 24.0, 30.0, 36.0, 44.0])
def test_buckets_lose_a_poisson_tail_each(per_bucket):
    """512 buckets of 30, filled by a keyed hash: each is a queue that evicts its oldest."""
    samples = []
    for seed in range(10):
        eng = Engine(capacity=512 * 30, synq_policy="freebsd", tcp_syncookies=0, seed=seed, tcp_timestamps=0)
        eng.listen(LOCAL, 80)
        question, who = asked_later(np.random.default_rng(seed), 180_000, 512 * per_bucket)
        rows = eng.receive(ask(question, who, 80), 0)
        samples.append(1 - np.count_nonzero(rows["flags"] == Flag.ACK) / np.count_nonzero(question))
        assert eng.gauges()["half_open"] == 512 * 30
    confirm(np.array(samples), lambda places: poisson_tail(per_bucket, places), 30, True)
