"""Means, ratios and intervals over seeds, against textbook values and by coverage."""

import math

import numpy as np
import pytest

from loadgen.report.estimate import FEWEST_SEEDS, mean, ratio, student_t


@pytest.mark.parametrize(("dof", "t"), [
    (1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (7, 2.365), (8, 2.306), (31, 2.040),
    (63, 1.998), (1000, 1.962),
])  # fmt: skip
def test_student_t_is_that_of_the_tables(dof, t):
    assert student_t(dof) == pytest.approx(t, abs=6e-4)


def test_a_mean_has_an_interval_from_four_seeds_on():
    for n in range(1, FEWEST_SEEDS):
        assert mean(range(1, n + 1))[1:] == (None, None, n)
    value, low, high, n = mean([1, 2, 3, 4])
    half = 3.182446 * math.sqrt(5 / 3 / 4)
    assert (value, low, high, n) == (2.5, pytest.approx(2.5 - half), pytest.approx(2.5 + half), 4)


def test_seeds_without_a_sample_do_not_count():
    assert mean([None, 5, None, 7]) == (6, None, None, 2)
    assert mean([None, None]) == (None, None, None, 0)
    assert mean([]) == (None, None, None, 0)


def test_equal_values_stay_whole_numbers():
    assert mean([7] * 8) == (7, 7.0, 7.0, 8)


def test_a_ratio_is_that_of_the_sums():
    value, low, high, n, part, whole = ratio([(1, 10), (3, 10), (2, 10), (2, 20)])
    assert (value, n, part, whole) == (8 / 50, 4, 8, 50)
    assert 0 <= low < value < high <= 1


def test_with_equal_denominators_it_is_the_interval_of_the_mean():
    parts = [(5, 100), (9, 100), (6, 100), (4, 100), (7, 100)]
    _, low, high, *_ = ratio(parts)
    assert (low, high) == pytest.approx(mean([part / 100 for part, _ in parts])[1:3])


def test_a_ratio_of_nothing_has_no_value():
    assert ratio([(0, 0)] * 8) == (None, None, None, 0, 0, 0)
    assert ratio([(0, 0), (1, 4)])[:4] == (0.25, None, None, 1)


def test_ends_of_an_interval_are_possible_values():
    _, low, high, *_ = ratio([(0, 10), (0, 10), (0, 10), (9, 10)])
    assert low == 0 and high <= 1
    assert mean([0, 0, 0, 100])[1] == 0


def test_19_of_20_intervals_have_the_truth_in_them():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(2000):
        whole = rng.poisson(500, 8) + 1
        _, low, high, *_ = ratio(list(zip(rng.binomial(whole, 0.3).tolist(), whole.tolist(), strict=True)))
        covered += low <= 0.3 <= high
    assert 0.93 < covered / 2000 < 0.97
