"""A part of the grid of `make theory`: every point, fewer seeds; and the proof that it can fail.

Sources: see loadgen/theory. What "inside" means for many points together: tests/theory/grid.py.
"""

import pytest

from tests.theory import forms as theory
from tests.theory.grid import APPROXIMATE, EXACT, PART, holds

POINTS = sum(len(group.points) for group in EXACT)
SHORT = 5                              # places up to which one more or less must show at every point
each_exact = pytest.mark.parametrize("group", EXACT, ids=str)


@each_exact
def test_the_simulation_meets_the_form(group):
    for row in group.rows(PART):
        assert row.verdict(POINTS) != "OUTSIDE", (row.label, row.formula, row.interval())


def test_no_more_points_are_outside_than_by_chance():
    assert holds([row for group in EXACT for row in group.rows(PART)])


@each_exact
def test_the_points_span_what_can_be_lost(group):
    """From 1 % to 99 %, in five points or more; of five neighbouring numbers four are good cookies."""
    losses = sorted(row.formula for row in group.rows(PART))
    if group.form is theory.BACKSCATTER:
        losses = sorted(1 - row.formula / (1 + point[2]) for row, point in zip(group.rows(PART), group.points,
                                                                              strict=True))
    assert len(losses) >= 5
    assert losses[0] <= 0.011 and losses[-1] >= (0.8 if group.form is theory.FORGERY else 0.98)


@pytest.mark.parametrize("more", [-1, 1])
@pytest.mark.parametrize("group", [group for group in EXACT if group.mutable], ids=str)
def test_one_place_more_or_less_is_found(group, more):
    """An engine whose capacity is off by one is outside the interval of the whole family, at all small
    queues."""
    short = [(point, row) for point, row in zip(group.points, group.rows(PART, more), strict=True)
             if point[0] <= SHORT]
    assert len(short) >= 3
    for point, row in short:
        assert not row.is_inside(POINTS), (point, row.formula, row.interval())


@pytest.mark.parametrize("places", [29, 31])
def test_a_bucket_of_another_size_is_found(places):
    group = next(group for group in EXACT if group.form is theory.BUCKET_TAIL)
    for (load,), row in zip(group.points, group.rows(PART), strict=True):
        assert theory.evict_oldest_loss(places, load, 1) not in row.interval(POINTS)


@pytest.mark.parametrize("good", [3, 5])
def test_another_number_of_good_cookies_is_found(good):
    group = next(group for group in EXACT if group.form is theory.FORGERY)
    for (span,), row in zip(group.points, group.rows(PART), strict=True):
        assert theory.forgery_odds(good, span) not in row.interval(POINTS)


def rows_of(form):
    group = next(group for group in APPROXIMATE if group.form is form)
    return zip(group.points, group.rows(PART), strict=True)


def test_the_fluid_limit_is_too_low_by_what_it_says():
    for (places, load), row in rows_of(theory.FLUID):
        interval = row.interval(len(row.samples))
        assert interval.high > row.formula
        if load > places + 5:
            assert interval.low < row.formula + 1 / (load - places)


def test_a_paced_flood_is_off_by_less_than_one_arrival_in_a_life():
    """And Erlang's formula is not its loss: a paced flood that fits loses nothing."""
    for (places, load), row in rows_of(theory.PACED):
        assert abs(row.interval().mean - row.formula) <= 1 / load + 1e-9
        if load <= places:
            assert row.interval().mean == 0 and theory.erlang_b(places, load) > 0.05


def test_tries_at_the_same_queue_help_less_than_independent_ones():
    """Close together, and a whole life apart where far more come than fit. In between they help more."""
    for (places, load, _, gap), row in rows_of(theory.RETRIES):
        interval = row.interval()
        if gap == 0.1 or (gap == 1 and load >= 4 * places):
            assert interval.high < row.formula
        if gap == 0.5:
            assert interval.mean > row.formula
