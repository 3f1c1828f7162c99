"""Hash-collision attacks: tuples chosen to share a chain or a bucket, compared with random tuples.

An attacker who knows the source but not the key can make tuples collide under a hash without a key (here
xor-and-fold, as in many stacks) or under another key of the same hash. Neither may cost more than random
tuples do. As a control, the attack is also made with the key known.

    python -m benchmarks.bench_attack      prints the table of ratios
    pytest benchmarks/bench_attack.py      asserts them

Times are CPU times of interleaved passes in one process, and only their ratios are reported.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.harness import cpu_ns, pinned
from tcpcore import Engine, Flag, segments
from tests.extensions.flow_table import Table
from tests.extensions.syn_eviction import bucket

N = 4096  # tuples of an attack
SEED, OTHER = 7, 8
FEW = 16  # chains that the attack aims at, of as many as there are tuples
PASSES = 15
SLOWER = 1.25  # more than noise

LOCAL = 0x0A000001


def candidates(seed: int) -> Iterator[np.ndarray]:
    """Yield random SYNs without end, 2**16 at a time."""
    rng = np.random.Generator(np.random.PCG64(seed))
    while True:
        n = 1 << 16
        yield segments(
            n,
            src=rng.integers(0x0B000000, 0xDF000000, n, dtype=np.uint32),
            sport=rng.integers(1024, 65536, n, dtype=np.uint16),
            seq=rng.integers(0, 2**32, n, dtype=np.uint32),
            dst=LOCAL,
            dport=80,
            flags=Flag.SYN,
            wnd=65535,
        )


def chosen(hits: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
    """The first N candidates for which `hits` is true."""
    found: list[np.ndarray] = []
    for rows in candidates(seed):
        found.append(rows[hits(rows)])
        if sum(map(len, found)) >= N:
            return np.concatenate(found)[:N]
    raise AssertionError


def folded(rows: np.ndarray) -> np.ndarray:
    """A hash without a key."""
    mixed = rows["src"] ^ rows["dst"] ^ (rows["sport"].astype(np.uint32) << 16 | rows["dport"])
    mixed ^= mixed >> np.uint32(16)
    return mixed


def attacks() -> dict[str, np.ndarray]:
    """Sets of N tuples; all but the random ones fall into every N / FEW'th chain only, under their hash."""
    aim = np.uint32(N // FEW - 1)
    known, other = Table(N, seed=SEED), Table(N, seed=OTHER)
    return {
        "random": next(candidates(1))[:N].copy(),
        "collide without a key": chosen(lambda rows: folded(rows) & aim == 0, 2),
        "collide under another key": chosen(lambda rows: other.hash(rows) & aim == 0, 3),
        "collide under the key (control)": chosen(lambda rows: known.hash(rows) & aim == 0, 4),
    }


def bucket_attack() -> np.ndarray:
    """N tuples that fall into one of 512 buckets under another key."""
    return chosen(
        lambda rows: np.array(
            [bucket(OTHER, int(s), int(p), 80) == 0 for s, p in zip(rows["src"], rows["sport"], strict=True)]
        ),
        5,
    )


def table_ns(rows: np.ndarray) -> Callable[[], float]:
    """A function that returns ns per tuple inserted into an empty table, found and removed."""
    table = Table(N, seed=SEED)

    def work() -> float:
        began = cpu_ns()
        table.insert(rows)
        table.find(rows)
        table.remove(rows)
        return (cpu_ns() - began) / len(rows)

    return work


def engine_ns(rows: np.ndarray, policy: str) -> Callable[[], float]:
    """A function that returns ns per SYN at a listener; SYNs that are dropped or evict another count, too."""

    def work() -> float:
        eng = engine_after(rows[:0], policy)
        began = cpu_ns()
        for at in range(0, len(rows), 512):
            eng.receive(rows[at : at + 512], 0)
        return (cpu_ns() - began) / len(rows)

    return work


def engine_after(rows: np.ndarray, policy: str) -> Engine:
    """An engine whose listener has received these SYNs."""
    eng = Engine(capacity=1 << 15, synq_policy=policy, tcp_syncookies=0, seed=SEED, somaxconn=N)
    eng.listen(LOCAL, 80, N)
    eng.receive(rows, 0)
    return eng


def ratios(works: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Median time of each, divided by that of the first; passes take turns, so that a neighbour slows all."""
    times: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    with pinned():
        for turn in range(PASSES + 1):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                works[name]()  # to have its memory in the cache
                times[name].append(works[name]())
    medians = {name: statistics.median(samples[1:]) for name, samples in times.items()}
    first = next(iter(medians.values()))
    return {name: median / first for name, median in medians.items()}


def measured() -> dict[str, dict[str, float]]:
    """Ratios to random tuples, by the structure that is attacked."""
    sets = attacks()
    blind = {name: rows for name, rows in sets.items() if "control" not in name}
    buckets = {"random": sets["random"], "one bucket under another key": bucket_attack()}
    return {
        "flow table": ratios({name: table_ns(rows) for name, rows in sets.items()}),
        "listener, drop-new": ratios({name: engine_ns(rows, "drop-new") for name, rows in blind.items()}),
        "listener, freebsd": ratios({name: engine_ns(rows, "freebsd") for name, rows in buckets.items()}),
    }


def evicted(rows: np.ndarray) -> int:
    """How many half-open connections these SYNs evict under the policy "freebsd"."""
    return int(engine_after(rows, "freebsd").counters["SynQueueEvicted"])


def test_chosen_tuples_cost_no_more_than_random_ones() -> None:
    for attacked, found in measured().items():
        for name, ratio in found.items():
            if "control" in name:
                assert ratio > 2, f"{attacked}: an attack with the key would not be seen"
            else:
                assert ratio < SLOWER, (attacked, name, ratio)


def test_a_bucket_cannot_be_aimed_at() -> None:
    """In one bucket of 30 the 4096 SYNs would evict 4066; spread over 512 buckets they evict none."""
    assert evicted(bucket_attack()) == evicted(attacks()["random"]) == 0


def main() -> None:
    for attacked, found in measured().items():
        print(attacked)
        for name, ratio in found.items():
            print(f"  {name:<34}{ratio:>8.2f} x random")
    print(f"evicted by {N} SYNs aimed at one of 512 buckets: {evicted(bucket_attack())}")


if __name__ == "__main__":
    main()
