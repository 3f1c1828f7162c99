"""The engine under the assumptions of the closed forms: one seed, one independent run, a share of losses
each.

Every run makes its assumptions true: SYNs come as a Poisson process (or evenly), nobody answers, nothing is
resent unless the form says so. What is looked at begins when the queue has forgotten how it started: after
five lives of an entry, or with a queue that is full. `more` is a mutation: the engine gets so many places
more than the formula is told, and must then be found outside the interval.
"""

import numpy as np

from tcpcore import Engine, Flag, segments

MS = 1_000_000
LOCAL = 0x0A000001
IN_WINDOW = 2                          # an RST this far beyond IRS is in the window and not exact
STEPS = 1000                           # ms in the life of an entry that is not resent to
SHORT_LIFE = 400                       # the same of one that is
WARM_UP = 5                            # lives


def syns(n, ports, first=0):
    """`n` spoofed SYNs, each from a source of its own."""
    return segments(n, src=0x0B000000 + first + np.arange(n), dst=LOCAL, sport=7, dport=ports, flags=Flag.SYN,
                    wnd=5000)


# -- drop-new


def patient(capacity, seed, retries=0, unit=STEPS):
    """An engine that refuses who finds no place; an entry's first interval is `unit` ms."""
    return Engine(capacity=capacity, seed=seed, synq_policy="drop-new", tcp_syncookies=0, tcp_timestamps=0,
                  tcp_synack_retries=retries, rto_initial_ms=unit)


def refused(points, seed, lives, busy, more=0):
    """Share of SYNs refused, for each (places, load in erlangs).

    A point gets as many listeners as it takes to be `busy` erlangs together; each begins at a moment of its
    own within the first life, or all would fill and empty in step for long. Time goes in steps of 1 ms; who
    came a life ago leaves before the SYNs of a step are looked at. So a SYN meets whoever was let in during
    the last STEPS - 1/2 ms, on average: that is the life which the load is made of.
    """
    rng = np.random.default_rng([seed, 1])
    queues_of = [int(np.ceil(busy / load)) for _, load in points]
    point_of = np.repeat(np.arange(len(points)), queues_of)
    places, loads = np.array(points).T[:, point_of]
    eng = patient(1 << 14, seed)
    for queue, room in enumerate(places):
        eng.listen(LOCAL, 1 + queue, int(room) - 1 + more)
    per_step = loads / (STEPS - 0.5)
    begins = rng.integers(0, STEPS, len(places))
    came, kept = np.zeros(len(points)), np.zeros(len(points))
    for life in range(WARM_UP + lives):
        queues = np.repeat(np.arange(len(places)), rng.poisson(per_step * STEPS))
        rng.shuffle(queues)
        steps = np.sort(rng.integers(0, STEPS, len(queues)))
        if life == 0:
            begun = steps >= begins[queues]
            queues, steps = queues[begun], steps[begun]
        edges = np.searchsorted(steps, np.arange(STEPS + 1))
        batch = syns(len(queues), 1 + queues, life << 20)
        answered = []
        for step in range(STEPS):
            now = (life * STEPS + step) * MS
            eng.advance(now)
            if edges[step] < edges[step + 1]:
                answered.append(eng.receive(batch[edges[step]:edges[step + 1]], now)["sport"] - 1)
        if life >= WARM_UP:
            came += np.bincount(point_of[queues], minlength=len(points))
            kept += np.bincount(point_of[np.concatenate(answered)], minlength=len(points))
    assert eng.check() == []
    return 1 - kept / came


def backscattered(points, seed, lives, busy, more=0):
    """SYN-ACKs per spoofed SYN, resends included, for each (places, load, retries); load by the whole life.

    Every entry's resends fall within its life, so over many lives those of the entries that came before the
    count began make up for those of the entries that are still there when it ends.
    """
    rng = np.random.default_rng([seed, 2])
    return np.array([backscatter_of(rng, *point, seed, lives, busy, more) for point in points])


def backscatter_of(rng, places, load, retries, seed, lives, busy, more):
    unit = SHORT_LIFE // 2 ** (retries + 1)      # so that a life has about as many steps whatever the retries
    life = unit * (2 ** (retries + 1) - 1)
    queues = int(np.ceil(busy / load))
    eng = patient(1 << 13, seed, retries, unit)
    for queue in range(queues):
        eng.listen(LOCAL, 1 + queue, places - 1 + more)
    begins = rng.integers(0, life, queues)
    came = sent = 0
    for step in range((WARM_UP + lives) * life):
        n = rng.poisson(queues * load / (life - 0.5))
        rows = len(eng.advance(step * MS))
        if n:
            at = rng.integers(0, queues, n)
            at = at[begins[at] <= step]
            rows += len(eng.receive(syns(len(at), 1 + at, step << 6), step * MS))
        if step >= WARM_UP * life:
            came, sent = came + n, sent + rows
    assert eng.check() == []
    return sent / came


# -- what the approximate forms are about


def refused_evenly(points, seed, lives):
    """Share of a flood refused that comes at even distances, each SYN at its own ns, for each (places, SYNs
    in a life); the phase against the ms is the seed's."""
    shares = []
    for places, per_life in points:
        eng = patient(1 << 10, seed)
        eng.listen(LOCAL, 80, places - 1)
        period, phase = STEPS * MS / per_life, np.random.default_rng([seed, 6]).random()
        batch = syns(int((WARM_UP + lives) * per_life), 80)
        seen, kept = int(WARM_UP * per_life), 0
        for k in range(len(batch)):
            now = int((k + phase) * period)
            eng.advance(now)
            answered = len(eng.receive(batch[k:k + 1], now))
            kept += answered if k >= seen else 0
        shares.append(1 - kept / (len(batch) - seen))
    return np.array(shares)


def got_in(points, seed, lives, queues=20, clients=200):
    """Share of clients let in by one of their tries, for each (places, load, tries, lives between two tries).

    The flood is Poisson and drop-new refuses; a client let in leaves at once.
    """
    rng = np.random.default_rng([seed, 7])
    return np.array([got_in_at(rng, *point, seed, lives, queues, clients) for point in points])


def got_in_at(rng, places, load, tries, gap, seed, lives, queues, clients):
    eng = patient(1 << 13, seed)
    for queue in range(queues):
        eng.listen(LOCAL, 1 + queue, places - 1)
    n = clients * lives
    first = rng.integers(WARM_UP * STEPS, (WARM_UP + lives) * STEPS, n)
    due = (first[:, None] + (np.arange(tries) * gap * STEPS).astype(int)).ravel()
    order = np.argsort(due, kind="stable")
    who, due = np.repeat(np.arange(n), tries)[order], due[order]
    steps = int(due[-1]) + 1
    edges = np.searchsorted(due, np.arange(steps + 1))
    at, is_in = rng.integers(0, queues, n), np.zeros(n, bool)
    for step in range(steps):
        eng.advance(step * MS)
        flood = rng.poisson(queues * load / (STEPS - 0.5))
        if flood:
            eng.receive(syns(flood, 1 + rng.integers(0, queues, flood), step << 6), step * MS)
        asking = who[edges[step]:edges[step + 1]]
        asking = asking[~is_in[asking]]
        if len(asking):
            peer = {"dst": LOCAL, "sport": 8, "wnd": 5000}
            tries = segments(len(asking), src=0x01000000 + asking, dport=1 + at[asking], flags=Flag.SYN,
                             seq=0, **peer)
            rows = eng.receive(tries, step * MS)
            is_in[rows["dst"] - 0x01000000] = True
            leave = segments(len(rows), src=rows["dst"], dport=rows["sport"], flags=Flag.RST, seq=1, **peer)
            eng.receive(leave, step * MS)
    assert eng.check() == []
    return is_in.mean()


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


def share_gone(eng, rng, n, per_window, port):
    question, who = asked_later(rng, n, per_window)
    rows = eng.receive(ask(question, who, port), 0)
    return 1 - np.count_nonzero(rows["flags"] == Flag.ACK) / np.count_nonzero(question)


def evicted(policy, points, seed, n, more=0):
    """Share of entries gone a window after they came, for each (places, SYNs per window)."""
    rng = np.random.default_rng([seed, 3])
    eng = Engine(capacity=sum(places + more for places, _ in points), synq_policy=policy, tcp_syncookies=0,
                 tcp_timestamps=0, seed=seed)
    shares = []
    for port, (places, per_window) in enumerate(points, 1):
        eng.listen(LOCAL, port, places - 1 + more)
        shares.append(share_gone(eng, rng, n, per_window, port))
    assert eng.gauges()["half_open"] == sum(places + more for places, _ in points) and eng.check() == []
    return np.array(shares)


def evicted_from_buckets(loads, seed, n):
    """The same of FreeBSD's 512 buckets of 30, for each number of SYNs per window and bucket."""
    rng = np.random.default_rng([seed, 4])
    shares = []
    for per_bucket in loads:
        eng = Engine(capacity=512 * 30, synq_policy="freebsd", tcp_syncookies=0, tcp_timestamps=0, seed=seed)
        eng.listen(LOCAL, 80)
        shares.append(share_gone(eng, rng, n, 512 * per_bucket, 80))
        assert eng.gauges()["half_open"] == 512 * 30
    return np.array(shares)


# -- cookies


def forged(encoding, spans, seed, n):
    """Share of blind ACKs that pass, for each span of numbers around the genuine one that is drawn from; a
    span of 0 is all 2**32 numbers. Each guess is at a flow of its own."""
    rng = np.random.default_rng([seed, 5])
    shares = []
    for span in spans:
        eng = Engine(capacity=n if span else 1024, tcp_syncookies=2, cookie_encoding=encoding, seed=seed)
        eng.listen(LOCAL, 80, auto_accept=True)
        src = 0x0B000000 + np.arange(n)
        peer = {"src": src, "dst": LOCAL, "sport": 7, "dport": 80, "wnd": 5000}
        genuine = eng.receive(segments(n, flags=Flag.SYN, seq=0, mss=1460, **peer), 0)["seq"]
        # Linux takes the genuine number and the three below it
        around = rng.integers(0, span, n) - 3 - (span - 4) // 2 if span else rng.integers(0, 2**32, n)
        eng.receive(segments(n, flags=Flag.ACK, seq=1, ack=(genuine + 1 + around) % 2**32, **peer), MS)
        shares.append(eng.counters["SyncookiesRecv"] / n)
    return np.array(shares)
