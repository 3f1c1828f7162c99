"""Which points of which closed form are simulated, how often, and what the comparison says.

Points were chosen by the formula, from 1 % to 99 % and from three places up, before anything was simulated;
seeds are 0, 1, 2, ... Each point has its own 99 % interval over seeds. Of many points a few lie outside of
theirs though the form is right, so a verdict knows the family: "inside" its own interval; "by chance"
outside it but inside the one that is 99 % for all points together (Bonferroni); "OUTSIDE" even of that. The
grid holds when nothing is OUTSIDE and no more are outside by chance than chance explains.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tests.theory import forms as theory
from tests.theory import simulate
from tests.theory.forms import Form, Interval


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    seeds: int
    lives: int
    busy: int                      # erlangs at least per point and run
    entries: int                   # per run, of what evicts
    buckets: int
    guesses: int
    clients: int                   # lives in which clients try


FULL = Size(seeds=20, lives=40, busy=300, entries=200_000, buckets=300_000, guesses=50_000, clients=6)
PART = Size(seeds=10, lives=15, busy=150, entries=150_000, buckets=250_000, guesses=20_000, clients=2)


@dataclass(frozen=True)
class Group:
    """A form, its points, and how a seed's run simulates them all."""

    form: Form
    points: tuple
    formula: Callable                  # of a point
    run: Callable                      # (points, seed, size, more) -> a share for each point
    label: str                         # of a point, for str.format
    mutable: bool = True               # the engine can be given a place more

    def __str__(self):
        return self.form.name

    @cache                             # noqa: B019  groups live as long as the module
    def samples(self, size, more=0):
        """[seed, point]"""
        return np.array([self.run(self.points, seed, size, more) for seed in range(size.seeds)])

    def rows(self, size, more=0):
        samples = self.samples(size, more)
        return [Row(self, self.label.format(*point), self.formula(*point), samples[:, i].tolist())
                for i, point in enumerate(self.points)]


@dataclass(frozen=True)
class Row:
    group: Group
    label: str
    formula: float
    samples: list

    def interval(self, points=1) -> Interval:
        """99 % for so many points together."""
        return theory.over_seeds(self.samples, theory.of_family(points))

    def is_inside(self, points=1):
        interval = self.interval(points)
        # a run whose outcome is certain has no spread but that of its arithmetic
        return interval.low - 1e-12 <= self.formula <= interval.high + 1e-12

    def verdict(self, points):
        if not self.group.form.exact:
            return f"{self.interval().mean - self.formula:+.4f}"
        return "inside" if self.is_inside() else "by chance" if self.is_inside(points) else "OUTSIDE"


EXACT = (
    Group(
        theory.ERLANG_B,
        ((3, 0.456), (3, 1.1), (3, 3.0), (3, 12.0), (3, 290.0), (4, 0.87), (4, 4.0), (5, 2.2), (10, 4.46),
         (10, 9.0), (10, 30.0), (50, 37.9), (50, 60.0), (50, 4900.0)),
        theory.erlang_b,
        lambda points, seed, size, more: simulate.refused(points, seed, size.lives, size.busy, more),
        "c = {0}, a = {1}",
    ),
    Group(
        theory.POISSON_TAIL,
        ((3, 0.45), (3, 2.0), (3, 8.4), (4, 0.83), (5, 5.0), (10, 4.2), (10, 9.0), (10, 18.0), (30, 30.0),
         (30, 44.0)),
        lambda places, arrivals: theory.evict_oldest_loss(places, arrivals, 1),
        lambda points, seed, size, more: simulate.evicted("evict-oldest", points, seed, size.entries, more),
        "c = {0}, lambda R = {1}",
    ),
    Group(
        theory.BUCKET_TAIL,
        ((18.6,), (24.0,), (30.0,), (36.0,), (44.0,)),
        lambda per_bucket: theory.evict_oldest_loss(30, per_bucket, 1),
        lambda points, seed, size, more: simulate.evicted_from_buckets([load for load, in points], seed,
                                                                       size.buckets),
        "b = 512, m = 30, lambda R / b = {0}",
        mutable=False,
    ),
    Group(
        theory.RANDOM_VICTIM,
        ((3, 0.033), (3, 1.0), (3, 3.0), (3, 13.0), (4, 2.0), (10, 0.13), (10, 7.0), (10, 40.0), (30, 30.0),
         (30, 100.0)),
        lambda places, arrivals: theory.evict_random_loss(places, arrivals, 1),
        lambda points, seed, size, more: simulate.evicted("evict-random", points, seed, size.entries, more),
        "c = {0}, lambda R = {1}",
    ),
    Group(
        theory.BACKSCATTER,
        ((3, 0.456, 0), (3, 3.0, 1), (4, 4.0, 2), (10, 9.0, 3), (3, 290.0, 1), (10, 100.0, 5)),
        lambda places, load, retries: theory.backscatter(retries, theory.erlang_b(places, load)),
        lambda points, seed, size, more: simulate.backscattered(points, seed, size.lives, size.busy, more),
        "c = {0}, a = {1}, retries = {2}",
    ),
    Group(
        theory.FORGERY,
        ((400,), (100,), (40,), (16,), (8,), (5,)),
        lambda span: theory.forgery_odds(theory.LINUX_COOKIES // 2, span),
        lambda points, seed, size, more: simulate.forged("linux", [span for span, in points], seed,
                                                         size.guesses),
        "linux, one minute, {0} numbers around the genuine one",
        mutable=False,
    ),
)  # fmt: skip

APPROXIMATE = (
    Group(
        theory.FLUID,
        ((3, 12.0), (10, 12.0), (10, 30.0), (50, 60.0), (100, 400.0)),
        theory.fluid_loss,
        lambda points, seed, size, more: simulate.refused(points, seed, size.lives, size.busy),
        "c = {0}, a = {1}",
    ),
    Group(
        theory.PACED,
        ((10, 9.5), (10, 12.0), (10, 30.0), (50, 45.0), (50, 75.0), (50, 777.7)),
        lambda places, per_life: theory.paced_loss(places, per_life, 1),
        lambda points, seed, size, more: simulate.refused_evenly(points, seed, 5),
        "c = {0}, lambda T = {1}",
    ),
    Group(
        theory.RETRIES,
        ((10, 20.0, 2, 0.1), (10, 20.0, 3, 1.0),
         (50, 200.0, 2, 0.1), (50, 200.0, 2, 0.5), (50, 200.0, 2, 1.0)),
        lambda places, load, tries, gap: theory.retried(theory.erlang_b(places, load), tries),
        lambda points, seed, size, more: simulate.got_in(points, seed, size.clients),
        "c = {0}, a = {1}, {2} tries, {3} T apart",
    ),
)  # fmt: skip


def holds(rows):
    """Whether simulation and exact forms agree, all points taken together."""
    verdicts = [row.verdict(len(rows)) for row in rows]
    chance = theory.outside_by_chance(len(rows))
    return "OUTSIDE" not in verdicts and verdicts.count("by chance") <= chance
