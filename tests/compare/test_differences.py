"""Intervals and p-values of differences, against scipy; Holm against its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loadgen.comparing.differences import EXACT, LARGEST, PAIRED, SINGLE, WELCH, difference, holm
from loadgen.report.estimate import Figure


def figure(values, **rest):
    known = [value for value in values if value is not None]
    mean = math.fsum(known) / len(known) if known else None
    return Figure(mean, "count", "lower", n=len(known), seeds=tuple(values), **rest)


def seeds(n, seed=7, start=0):
    return [(seed, replicate) for replicate in range(start, start + n)]


VALUES = st.lists(st.integers(0, 1000), min_size=2, max_size=12)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=12))
def test_shared_seeds_are_paired(pairs):
    old, new = ([pair[side] for pair in pairs] for side in (0, 1))
    found = difference(figure(old), figure(new), (seeds(len(old)), seeds(len(new))))
    assert found.how == PAIRED and found.n == (len(old), len(old))
    apart = np.subtract(new, old)
    assert found.value == pytest.approx(apart.mean())
    if np.ptp(apart):
        known = stats.ttest_rel(new, old)
        low, high = known.confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)
        assert found.p_of() == pytest.approx(known.pvalue, rel=1e-6, abs=1e-12)
    else:
        assert (found.low, found.high, found.p_of()) == (apart[0], apart[0], 0.0 if apart[0] else 1.0)


@given(VALUES, VALUES)
def test_others_are_welchs(old, new):
    found = difference(figure(old), figure(new), (seeds(len(old)), seeds(len(new), seed=8)))
    assert found.how == WELCH and found.n == (len(old), len(new))
    if np.ptp(old) and np.ptp(new):
        known = stats.ttest_ind(new, old, equal_var=False)
        low, high = known.confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)
        assert found.p_of() == pytest.approx(known.pvalue, rel=1e-5, abs=1e-9)


def test_a_margin_moves_the_question():
    found = difference(figure([10, 12, 11, 13]), figure([20, 23, 21, 24]), (seeds(4), seeds(4)))
    assert found.p_of() < 0.01 < found.p_of(found.value + 0.1) < 1
    known = stats.ttest_1samp(np.subtract([20, 23, 21, 24], [10, 12, 11, 13]), 10)
    assert found.p_of(10) == pytest.approx(known.pvalue)


def test_only_the_seeds_that_both_have_are_pairs():
    found = difference(figure([1, 2, 3, 4]), figure([3, 5, 9]), (seeds(4), seeds(3, start=2)))
    assert (found.how, found.n, found.value) == (PAIRED, (2, 2), 0.5)
    missing = difference(figure([1, None, 3]), figure([2, 5, 5]), (seeds(3), seeds(3)))
    assert missing.n == (2, 2)


def test_one_run_a_side_has_no_interval():
    found = difference(figure([1]), figure([2]), (seeds(1), seeds(1)))
    assert (found.how, found.value, found.low, found.p_of()) == (SINGLE, 1.0, None, None)
    assert difference(figure([1, 2]), figure([2]), (seeds(2), seeds(1, seed=8))).how == SINGLE
    assert difference(figure([None]), figure([2]), (seeds(1), seeds(1))) is None


def test_what_no_run_is_needed_for():
    form = [Figure(value, "1/s", "higher", source="F", n=0) for value in (470.0, 940.0)]
    assert difference(*form, (seeds(4), seeds(4))).how == EXACT
    table = [Figure(value, "bytes", "lower", source="T") for value in (1, 2)]
    assert difference(*table, (seeds(4), seeds(4))).how == LARGEST
    assert difference(*table, (seeds(4), seeds(4))).p_of() is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm(p):
    found = holm({str(at): value for at, value in enumerate(p)})
    order = sorted(range(len(p)), key=lambda at: p[at])
    rejecting = True
    for rank, at in enumerate(order):  # step down until one is not rejected
        rejecting = rejecting and p[at] * (len(p) - rank) <= 0.05
        assert (found[str(at)] <= 0.05) == rejecting
