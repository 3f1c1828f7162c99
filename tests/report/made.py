"""Outcomes made by hand: what the loop would hand over, without the loop."""

from dataclasses import replace

import numpy as np

from loadgen.report.names import CAUSES, COUNTERS, STATES
from loadgen.scenario.model import (
    Client,
    Flood,
    Listen,
    Load,
    Run,
    Scenario,
    Server,
    Threshold,
)
from loadgen.scenario.values import Distribution
from loadgen.sim.outcome import FloodOutcome, Histogram, LoadOutcome, Outcome

MS = 1_000_000
S = 1_000_000_000
#: Names of peaks as the loop has them.
PEAKS = {"half_open": "server.half_open", "accept_queue": "server.accept_queue",
         "ports_in_use": "client.blocks_used", "time_wait.client": "client.time_wait",
         "time_wait.server": "server.time_wait"}  # fmt: skip
ENDS = ("served", "ghost", "gave_up", "reset", "pending", "not_started")


def histogram(samples):
    """Of times in ns, 64 buckets to a power of two."""
    samples = np.sort(np.asarray(samples, dtype=np.int64))
    if not len(samples):
        nothing = np.zeros(0, np.int64)
        return Histogram(nothing, nothing, nothing)
    shift = np.array([max(int(value).bit_length() - 7, 0) for value in samples])
    lowest = (samples >> shift) << shift
    highest = lowest + (1 << shift) - 1
    ranges, counts = np.unique(np.stack([lowest, highest], axis=1), axis=0, return_counts=True)
    return Histogram(ranges[:, 0].copy(), ranges[:, 1].copy(), counts.astype(np.int64),
                     int(samples[0]), int(samples[-1]), float(samples.sum()))  # fmt: skip


def load(name="load", *, refused=None, connect=(), served_after=(), first_try=None, **ends):
    """A load's outcome; `attempted` is the sum of its ends."""
    ended = {end: ends.pop(end, 0) for end in ENDS}
    refused = refused or {}
    attempted = sum(ended.values()) + sum(refused.values())
    given = {"connected": ended["served"] + ended["ghost"], "tries": attempted, "requests": ended["served"],
             "first_refusal_ns": None} | ends  # fmt: skip
    return LoadOutcome(name, attempted, refused=refused, connect=histogram(connect), **ended, **given,
                       first_try=ended["served"] if first_try is None else first_try,
                       served_after=histogram(served_after))  # fmt: skip


def outcome(*loads, replicate=0, floods=(), counters=(), causes=(), states=(), peaks=(), series=(), link=(),
            accept_wait=(), virtual_ns=60 * S, partial=False, **rest):  # fmt: skip
    """A replicate. Counters and causes: {"server.ListenDrops": 3}; series: {"server.half_open": [...]}."""
    sides = {side: dict.fromkeys(COUNTERS, 0) for side in ("client", "server")}
    why = {side: dict.fromkeys(CAUSES, 0) for side in ("client", "server")}
    for table, given in ((sides, counters), (why, causes)):
        for name, n in dict(given).items():
            side, _, key = name.partition(".")
            assert key in table[side], key
            table[side][key] = n
    populations = {side: np.zeros(len(STATES), np.uint64) for side in ("client", "server")}
    for name, n in dict(states).items():
        side, _, key = name.partition(".")
        populations[side][STATES.index(key)] = n
    grouped, series = {}, dict(series)
    if "time_ms" in series:
        grouped["time"] = {"time_ns": np.asarray(series.pop("time_ms"), np.int64) * MS}
    for name, values in series.items():
        group, _, key = name.partition(".")
        grouped.setdefault(group, {})[key] = np.asarray(values, np.int64)
    network = {"sent_by_client": 0, "sent_by_server": 0, "backscatter": 0} | dict(link)
    return Outcome(
        seed=7, replicate=replicate, virtual_ns=virtual_ns, partial=partial, loads=list(loads),
        floods=[FloodOutcome(name, sent) for name, sent in dict(floods).items()],
        counters={**sides, "link": network}, causes=why, states=populations,
        gauges={"client": {}, "server": {}},
        peaks={PEAKS.get(name, name): n for name, n in dict(peaks).items()},
        accept_wait=histogram(accept_wait),
        series=grouped, left=rest.pop("left", {"client": 0, "server": 0}),
        engine_bytes={"client": 1 << 20, "server": 1 << 20}, wall_s=0.25, segments=1000, **rest)  # fmt: skip


def scenario(*loads, floods=(), thresholds=(), seeds=1, profile="linux", **rest):
    """Loads by name, or Load; thresholds as (metric, test, bound)."""
    return Scenario(
        name=rest.pop("name", "made"), seed=7,
        server=Server(profile=profile, listen=Listen(port=443, backlog=511)),
        client=Client(profile=profile, hosts=rest.pop("hosts", 1)),
        load=tuple(one if isinstance(one, Load) else Load(name=one, shape=((0, 500.0),)) for one in loads),
        flood=tuple(Flood(name=name, rate=1000.0) for name in floods),
        threshold=tuple(Threshold(*one) for one in thresholds),
        run=Run(seeds=seeds), **rest)  # fmt: skip


def times(n=121, step=500):
    return np.arange(n) * step


def ports(seeds=1):
    """One client host, 500/s: ports run out at 56.5 s."""
    rng = np.random.default_rng(3)
    given = []
    for replicate in range(seeds):
        refused = 18_000 + (0 if seeds == 1 else int(rng.integers(-150, 150)))
        ramp = np.minimum(times(1201) // 2, 28_217)
        given.append(outcome(
            load(served=300_000 - refused, refused={"PortsExhausted": refused}, connect=[1 * MS] * 50,
                 served_after=[2 * MS] * 50, first_refusal_ns=int(56.5 * S) + replicate * 10 * MS),
            replicate=replicate, virtual_ns=600 * S,
            counters={"client.ActiveOpens": 300_000 - refused, "client.PortsExhausted": refused,
                      "client.TW": 253_768, "server.PassiveOpens": 300_000 - refused},
            causes={"client.PortsExhausted": refused},
            states={"client.TIME_WAIT": 28_217, "client.ESTABLISHED": 15, "server.ESTABLISHED": 15},
            peaks={"ports_in_use": 28_232, "time_wait.client": 28_217, "half_open": 3},
            series={"time_ms": times(1201), "client.TIME_WAIT": ramp, "server.ESTABLISHED": np.full(1201, 15),
                    "client.ESTABLISHED": np.full(1201, 15), "server.half_open": np.arange(1201) % 3},
            left={"client": 28_232, "server": 15}))  # fmt: skip
    hold = Distribution("const", 30.0 * MS)
    return scenario(Load(hold=hold, shape=((0, 500.0),)), seeds=seeds, name="proxy"), given


def flooded():
    """1,000 spoofed SYNs a second, cookies off: the half-open queue is full."""
    full = np.minimum(times(61, 1000), 768)
    full[1:] = 768
    one = outcome(
        load(served=21, gave_up=900, pending=79, connect=[20 * MS] * 15 + [1020 * MS] * 6,
             served_after=[20 * MS] * 15 + [1020 * MS] * 6, first_try=15, tries=2600),
        floods={"spoofed": 60_000},
        counters={"server.ListenDrops": 58_000, "server.PassiveOpens": 4_000, "client.TCPSynRetrans": 5_400,
                  "server.TCPReqQFullDrop": 100, "server.SynQueueAdded": 4_100,
                  "server.SynQueueExpired": 3_200},
        causes={"server.SynQueueFull": 58_000, "client.ConnectTimedOut": 900,
                "server.SynQueueExpired": 3_200},
        states={"client.SYN_SENT": 79, "server.SYN_RECEIVED": 768}, peaks={"half_open": 769},
        link={"sent_by_client": 66_000, "sent_by_server": 12_000, "backscatter": 11_900},
        series={"time_ms": times(61, 1000), "server.half_open": full,
                "client.SYN_SENT": np.minimum(np.arange(61) * 4, 80)},
        left={"client": 79, "server": 768})  # fmt: skip
    given = scenario("clients", floods=["spoofed"],
                     thresholds=[("success_ratio", ">=", 0.999), ("connect.p99", "<", 50.0 * MS),
                                 ("half_open.peak", "<=", 1024.0),
                                 ("accept_wait.p99", "<", 1.0 * S)])  # fmt: skip
    return given, [replace(one, loads=[replace(one.loads[0], name="clients")])]


def stalled(seeds=8):
    """3,000/s, stalls of 250 ms every 2 s, backlog 511: the accept queue overflows."""
    rng, given = np.random.default_rng(5), []
    for replicate in range(seeds):
        lost = 2_060 + int(rng.integers(-40, 40))
        waves = np.where(np.arange(400) % 20 >= 17, (np.arange(400) % 20 - 16) * 170, 3).clip(max=512)
        waits = np.concatenate([np.full(9000, 30_000), rng.integers(MS, 250 * MS, 1000)])
        connect = np.concatenate([np.full(9700, 80 * MS), np.full(300, 1080 * MS)])
        given.append(outcome(
            load("api", served=60_000, first_try=60_000 - lost, connect=connect,
                 served_after=connect + 5 * MS),
            replicate=replicate, virtual_ns=20 * S,
            counters={"server.ListenOverflows": 4_342, "server.ListenDrops": 4_342,
                      "client.TCPSynRetrans": 1_900, "server.TCPSynRetrans": 2_300,
                      "server.TCPReqQFullDoCookies": 12, "client.ActiveOpens": 60_000},
            causes={"server.AcceptQueueFull": 4_342}, peaks={"half_open": 512, "accept_queue": 512},
            accept_wait=waits,
            series={"time_ms": times(400, 50), "server.accept_queue": waves,
                    "server.half_open": 240 + waves // 4, "server.ESTABLISHED": 300 + waves}))  # fmt: skip
    return scenario("api", seeds=seeds, thresholds=[("load.api.first_try_ratio", ">=", 0.999),
                                                   ("first_try_ratio", ">=", 0.9656)]), given  # fmt: skip


def herd():
    """200,000 at once, two loads: most are ghosts."""
    connect = [40 * MS] * 80 + [1040 * MS] * 20
    one = outcome(
        load("cars", served=50_000, ghost=100_000, connect=connect, served_after=[5 * S] * 100,
             first_try=48_000),
        load("phones", served=29_423, ghost=20_577, connect=connect, served_after=[29 * S] * 100,
             first_try=20_000),
        virtual_ns=30 * S,
        counters={"server.SyncookiesSent": 187_000, "server.TCPReqQFullDoCookies": 187_000,
                  "server.ListenOverflows": 300_000, "server.ListenDrops": 300_000},
        causes={"server.AcceptQueueFull": 300_000}, peaks={"accept_queue": 4097, "half_open": 4097},
        states={"client.ESTABLISHED": 120_577},
        series={"time_ms": times(61), "server.accept_queue": [4097] * 40 + [0] * 21,
                "client.ESTABLISHED": [0] + [200_000] * 30 + [120_577] * 30})  # fmt: skip
    return scenario("cars", "phones", profile="freebsd"), [one]


def fine(n=10_000):
    """All are served."""
    one = outcome(load(served=n, connect=[40 * MS] * 100, served_after=[60 * MS] * 100),
                  peaks={"half_open": 120, "ports_in_use": 400}, virtual_ns=20 * S)  # fmt: skip
    return scenario("load"), [one]


def only_flood():
    """Spoofed segments, no client."""
    one = outcome(floods={"spoofed": 1_000_000}, peaks={"half_open": 4097},
                  counters={"server.SyncookiesSent": 990_000,
                            "server.TCPReqQFullDoCookies": 990_000})  # fmt: skip
    return scenario(floods=["spoofed"]), [one]


def interrupted():
    """Cut short at 12 s."""
    one = outcome(load(served=900, pending=40, not_started=60, connect=[9 * MS] * 9), virtual_ns=12 * S,
                  partial=True)  # fmt: skip
    return scenario("load"), [one]


EVERY = {
    "ports": ports, "ports of eight seeds": lambda: ports(8), "flooded": flooded, "stalled": stalled,
    "herd": herd, "fine": fine, "only a flood": only_flood, "interrupted": interrupted,
}  # fmt: skip
