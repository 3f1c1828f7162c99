"""The closed forms and the statistics against other ways to compute the same."""

import math
from fractions import Fraction

import pytest

from tests.theory import forms as theory
from tests.theory.__main__ import BEGIN, DOCS, END, forms


@pytest.mark.parametrize("places", [0, 1, 3, 4, 20])
@pytest.mark.parametrize("load", [Fraction(1, 100), Fraction(3), Fraction(50)])
def test_erlang_b_is_the_ratio_of_its_terms(places, load):
    terms = [load ** k / math.factorial(k) for k in range(places + 1)]
    assert theory.erlang_b(places, float(load)) == pytest.approx(float(terms[-1] / sum(terms)), rel=1e-12)


def test_erlang_b_of_a_published_table():
    """Traffic tables: 1 % at 4.46 erlangs on ten places; 10 % at 1.27 on three."""
    assert theory.erlang_b(10, 4.46) == pytest.approx(0.01, abs=5e-5)
    assert theory.erlang_b(3, 1.27) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(("mean", "least"), [
    (0.01, 1), (0.45, 3), (8.4, 3), (18, 10), (44, 30), (120, 100), (120, 150),
])  # fmt: skip
def test_the_poisson_tail_is_what_the_terms_leave(mean, least):
    """In exact fractions, but for exp()."""
    below = sum(Fraction(mean) ** k / math.factorial(k) for k in range(least))
    most = least + 4 * math.ceil(mean) + 60
    above = sum(Fraction(mean) ** k / math.factorial(k) for k in range(least, most))
    assert theory.poisson_tail(mean, least) == pytest.approx(float(above / (above + below)), rel=1e-9)
    assert theory.poisson_tail(mean, 0) == 1 and theory.poisson_tail(0, least) == 0


def test_a_queue_of_half_a_million_is_no_trouble():
    assert 0.5 < theory.evict_oldest_loss(10**6, 1e7, 0.1) < 0.501
    assert theory.evict_oldest_loss(10**6, 1e6, 0.1) == 0


def test_fluid_is_what_erlang_b_tends_to_from_below():
    for scale in (1, 10, 100, 1000):
        gap = theory.erlang_b(3 * scale, 10.0 * scale) - theory.fluid_loss(3 * scale, 10.0 * scale)
        assert 0 < gap < 1 / (10 * scale - 3 * scale)
    assert theory.fluid_loss(10, 5) == theory.fluid_loss(10, 0) == 0


def test_small_forms():
    assert theory.life(5) == 63 and theory.life(0) == 1 and theory.life(3, 0.5) == 7.5
    assert theory.offered((1000, 63), (200, 0.04)) == 63_008
    assert theory.paced_loss(65, 100, 3) == pytest.approx(1 - 65 / 300)
    assert theory.retried(0.5, 3) == 0.875
    assert theory.backscatter(5) == 6 and theory.backscatter(1, 0.25) == 1.5
    assert theory.forgery_odds() == 2**-29 and theory.forgery_odds(theory.FREEBSD_COOKIES) == 2**-24
    assert theory.evict_random_loss(100, 1000, 0.1) == pytest.approx(1 - math.exp(-1))


# Student's t, two-sided, by degrees of freedom: any table
@pytest.mark.parametrize(("confidence", "dof", "t"), [
    (0.99, 1, 63.657), (0.99, 4, 4.604), (0.99, 9, 3.250), (0.99, 19, 2.861), (0.95, 9, 2.262),
    (0.999, 29, 3.659), (0.99, 10**6, 2.5758),
])  # fmt: skip
def test_student_t(confidence, dof, t):
    assert theory.student_t(confidence, dof) == pytest.approx(t, abs=6e-4)


def test_an_interval_over_seeds():
    interval = theory.over_seeds([1.0, 2.0, 3.0, 4.0, 5.0])
    assert interval.mean == 3 and interval.high - 3 == pytest.approx(4.604 * math.sqrt(2.5 / 5), abs=1e-3)
    assert 3 - interval.low == pytest.approx(interval.high - 3) and 0.5 in interval and 7 not in interval
    with pytest.raises(ValueError, match="two or more, got 1"):
        theory.over_seeds([1.0])


@pytest.mark.parametrize("confidence", [0.99, 0.9])
@pytest.mark.parametrize(("hits", "trials"), [(0, 7), (1, 7), (3, 7), (7, 7), (2, 500)])
def test_an_interval_of_counts_leaves_half_the_doubt_on_either_side(hits, trials, confidence):
    """Clopper and Pearson's definition, with the binomial terms themselves."""
    def at_least(k, share):
        return sum(math.comb(trials, j) * share**j * (1 - share) ** (trials - j)
                   for j in range(k, trials + 1))

    interval = theory.of_counts(hits, trials, confidence)
    assert hits / trials in interval
    if hits:
        assert at_least(hits, interval.low) == pytest.approx((1 - confidence) / 2)
    if hits < trials:
        assert 1 - at_least(hits + 1, interval.high) == pytest.approx((1 - confidence) / 2)


def test_counts_that_cannot_be():
    for hits, trials in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match="hits: expected"):
            theory.of_counts(hits, trials)


def test_a_family_of_points():
    assert theory.of_family(1) == 0.99 and theory.of_family(50) == pytest.approx(0.9998)
    for points in (1, 10, 51, 200):
        few = theory.outside_by_chance(points)
        more = 1 - sum(math.comb(points, k) * 0.01**k * 0.99 ** (points - k) for k in range(few + 1))
        fewer = more + math.comb(points, few) * 0.01**few * 0.99 ** (points - few)
        assert more <= 0.01 + 1e-12 and (few == 0 or fewer > 0.01)


def test_the_documented_table_is_that_of_the_forms():
    """`python -m tests.theory docs` writes it."""
    assert BEGIN + forms() + END in DOCS.read_text()
