"""The simulator's queue, inboxes, buckets, draws and arrivals against heapq, math and fractions."""

import heapq
import math
from fractions import Fraction
from statistics import NormalDist

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loadgen.sim.build import areas
from tests.extensions.simulator_queues import (
    Arriving,
    Plans,
    arrival,
    bits,
    bucket,
    exponential,
    logarithm,
    quantile,
)
from tests.reference import draws

near = st.integers(0, 20)
INSIDE = st.floats(1e-300, 1 - 1e-16)


@given(st.lists(st.one_of(st.none(), st.tuples(near, st.integers(-1, 4))), max_size=600))
def test_plans_come_by_time_and_then_in_the_order_in_which_they_were_asked_for(script):
    plans, model = Plans(3), []
    for who, step in enumerate([*script, *[None] * (len(script) + 1)]):
        if step is None:
            assert plans.take() == (heapq.heappop(model) if model else None)
        else:
            assert plans.add(step[0], who, step[1])
            heapq.heappush(model, (step[0], who))


def test_lanes_and_heap_grow_and_wrap():
    plans, model = Plans(1), []
    for who in range(5000):
        at, lane = (who, 0) if who % 3 else (5000 - who, -1)
        plans.add(at, who, lane)
        heapq.heappush(model, (at, who))
        if who % 5 == 0:
            assert plans.take() == heapq.heappop(model)
    while model:
        assert plans.take() == heapq.heappop(model)
    assert plans.take() is None


def test_what_is_planned_at_equal_steps_and_what_is_not():
    """A lane keeps the former as runs; those that are taken from in the middle go on."""
    plans, model, at, who = Plans(1), [], 0, 0
    steps = [10] * 700 + [0] * 90 + [1, 2, 3] * 30 + [1 << 33] * 3 + [7] * 400
    for number, step in enumerate(steps):
        at, who = at + step, who + (2 if number % 211 == 0 else 1)
        plans.add(at, who, 0)
        heapq.heappush(model, (at, who))
        if number % 4 == 0:
            assert plans.take() == heapq.heappop(model)
    while model:
        assert plans.take() == heapq.heappop(model)
    assert plans.take() is None
    assert plans.add(5, 1, 0) and plans.take() == (5, 1)


@given(st.lists(st.one_of(near, st.tuples(near, st.integers(1, 9))), max_size=400))
def test_segments_arrive_by_time_and_then_in_the_order_of_sending(script):
    inbox, model, order = Arriving(), [], 0
    for step in script:
        if isinstance(step, int):
            assert inbox.add(step, order)
            heapq.heappush(model, (step, order))
            order += 1
        elif model:
            assert inbox.next() == model[0][0]
            at, before = model[0][0], max(0, order - step[0])
            taken = inbox.take(at, before, step[1])
            assert len(taken) <= step[1]
            assert bool(taken) == (model[0][1] < before)
            assert taken == [heapq.heappop(model)[1] for _ in taken]
    while model:
        at = model[0][0]
        taken = inbox.take(at, order, 4)
        assert taken == [heapq.heappop(model)[1] for _ in taken] != []
    assert inbox.next() == 2**63 - 1


@given(st.integers(0, 2**61), st.integers(0, 2**61))
def test_buckets_rise_and_are_narrow(a, b):
    a, b = min(a, b), max(a, b)
    assert bucket(a) <= bucket(b)
    if bucket(a) == bucket(b):
        assert (b - a) * 128 < max(a, 1)


def test_buckets_are_numbered_without_a_gap():
    edges = [*range(256)] + [(128 + i) << s for s in range(1, 54) for i in range(128)]
    assert [bucket(edge) for edge in edges] == list(range(len(edges)))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_words_are_those_of_splitmix64(key, i):
    assert bits(key, i) == draws.word(key, i)


def test_the_published_words_of_splitmix64():
    """The first of the generator with state 1234567, as Vigna's splitmix64.c prints them."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [bits(1234567, i) for i in range(4)] == published


@given(st.floats(1e-300, 1e300))
def test_log(x):
    assert logarithm(x) == draws.log_of(x) == pytest.approx(math.log(x), rel=1e-14, abs=1e-14)


@given(st.floats(-690, 690))
def test_exp(x):
    assert exponential(x) == draws.exp_of(x) == pytest.approx(math.exp(x), rel=1e-14)


@given(INSIDE)
def test_normal(p):
    assert quantile(p) == draws.normal_of(p) == pytest.approx(NormalDist().inv_cdf(p), rel=1e-12, abs=1e-12)


rates = st.one_of(st.just(0.0), st.floats(0.1, 1e6))
shapes = st.lists(st.tuples(st.integers(1, 10**11), rates), min_size=1, max_size=5)


@given(shapes, st.floats(0, 1))
def test_an_arrival_is_where_the_integral_reaches_it(steps, share):
    """Exact to 1 ns: the integral half a ns before it is below, half a ns after it above (in fractions)."""
    at, shape = 0, []
    for gap, rate in steps:
        shape.append((at, rate))
        at += gap
    points = areas(tuple(shape))
    area = math.floor(share * (points[-1][2] + 10 * points[-1][1] * 1e9))
    when = arrival(points, float(area))
    if when < 0:
        assert shape[-1][1] == 0 and integral(shape, shape[-1][0]) <= area + Fraction(1, 10**6)
        return
    assume(when < 1e13)
    assert integral(shape, Fraction(when) - 1) <= area <= integral(shape, Fraction(when) + 1)


def integral(shape, until):
    total = Fraction(0)
    for k, (at, rate) in enumerate(shape):
        end = shape[k + 1][0] if k + 1 < len(shape) else max(until, at)
        slope = (Fraction(shape[k + 1][1]) - Fraction(rate)) / (end - at) if k + 1 < len(shape) else 0
        width = min(until, Fraction(end)) - at
        if width > 0:
            total += Fraction(rate) * width + slope * width * width / 2
    return total / 10**9
