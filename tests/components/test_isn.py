"""Initial sequence numbers: the clock to the tick, the key, the three rules (RFC 9293 3.4.1, RFC 6528)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.extensions.isn import make, ts_offset
from tests.reference import isn as reference

LINUX, RFC, CLASSROOM = 64, 4_000, 4_000_000       # periods of the clock in ns
HERE, THERE = ("10.0.0.1", 80), ("192.0.2.7", 0xFFFF)
WRAP = 1 << 32

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 2**16 - 1)
tick_periods = pytest.mark.parametrize("tick_ns", [LINUX, RFC, CLASSROOM])
clocked = pytest.mark.parametrize("rule", ["rfc6528", "rfc793"])


def at(now, rule="rfc6528", tick_ns=LINUX, seed=7, here=HERE, there=THERE):
    return make(rule, tick_ns, seed, *here, *there, now)


@given(rule=st.sampled_from(["rfc6528", "rfc793", "random"]), tick_ns=st.integers(1, 2**63 - 1), seed=u64,
       laddr=u32, lport=u16, raddr=u32, rport=u16, now=st.integers(0, 2**63 - 1))
def test_equals_the_reference(rule, tick_ns, seed, laddr, lport, raddr, rport, now):
    args = rule, tick_ns, seed, laddr, lport, raddr, rport, now
    assert make(*args) == reference.make(*args)


@given(seed=u64, laddr=u32, lport=u16, raddr=u32, rport=u16)
def test_timestamp_offset_equals_the_reference(seed, laddr, lport, raddr, rport):
    args = seed, laddr, lport, raddr, rport
    assert ts_offset(*args) == reference.ts_offset(*args)


@tick_periods
@clocked
def test_one_number_per_tick_exactly(rule, tick_ns):
    start = (WRAP - 2) * tick_ns                   # the clock wraps within these five ticks
    first = at(start, rule, tick_ns)
    for tick in range(5):
        expected = np.uint32((int(first) + tick) % WRAP)
        assert at(start + tick * tick_ns, rule, tick_ns) == expected
        assert at(start + (tick + 1) * tick_ns - 1, rule, tick_ns) == expected


def test_the_classroom_clock_counts_one_per_4_ms_from_zero():
    milliseconds = np.array([0, 3, 4, 7, 8, 1000, 60_000])
    numbers = at(milliseconds * 1_000_000, "rfc793", CLASSROOM)
    assert numbers.tolist() == [0, 0, 1, 1, 2, 250, 15_000]


@pytest.mark.parametrize("tick_ns, wraps_ns", [
    (LINUX, 274_877_906_944),                      # 274.9 s
    (RFC, 17_179_869_184_000),                     # 4.77 h
    (CLASSROOM, 17_179_869_184_000_000),           # 199 days
])
@clocked
def test_wrap_period(rule, tick_ns, wraps_ns):
    first = at(0, rule, tick_ns)
    assert at(wraps_ns, rule, tick_ns) == first
    assert at(wraps_ns - 1, rule, tick_ns) == np.uint32((int(first) - 1) % WRAP)
    assert at(wraps_ns // 2, rule, tick_ns) == np.uint32((int(first) + WRAP // 2) % WRAP)


@given(now=st.integers(0, 10**15), steps=st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_monotone_for_one_tuple(now, steps):
    """A later incarnation starts above an earlier one, on the circle (RFC 6528 3)."""
    times = now + np.cumsum([0, *steps])
    numbers = at(times).astype(np.int64)
    assert (np.diff(numbers) % WRAP < WRAP // 2).all()


def test_each_part_of_the_tuple_and_the_seed_move_the_number():
    numbers = [at(0), at(0, seed=8), at(0, here=THERE, there=HERE),
               at(0, here=("10.0.0.2", 80)), at(0, here=("10.0.0.1", 81)),
               at(0, there=("192.0.2.8", 0xFFFF)), at(0, there=("192.0.2.7", 0xFFFE))]
    assert len({int(number) for number in numbers}) == len(numbers)


def test_two_seeds_agree_on_no_tuple():
    ports = np.arange(1024, 5120)
    one, other = (make("rfc6528", LINUX, seed, "10.0.0.1", 80, "192.0.2.7", ports, 0) for seed in (0, 1))
    assert not (one == other).any()
    assert len(np.unique(one)) == len(one)


def test_the_bare_clock_has_no_key():
    assert at(12_345_678, "rfc793") == 12_345_678 // LINUX
    assert at(12_345_678, "rfc793", seed=1, there=("1.2.3.4", 5)) == 12_345_678 // LINUX


def test_random_numbers_depend_on_the_draw_and_the_seed_only():
    first = make("random", LINUX, 7, *HERE, *THERE, np.zeros(1000, np.int64))
    assert first.tolist() == make("random", RFC, 7, *THERE, *HERE, np.arange(1000)).tolist()
    assert first.tolist()[:20] == [reference.make("random", 1, 7, 0, 0, 0, 0, 0, drawn=i) for i in range(20)]
    assert len(np.unique(first)) == 1000
    assert not np.isin(first, make("random", LINUX, 8, *HERE, *THERE, np.zeros(1000, np.int64))).any()


def test_timestamp_offsets_are_per_connection_and_not_the_sequence_numbers():
    peers, ports = np.arange(1000, dtype=np.uint32), np.arange(1000, dtype=np.uint16)
    offsets = ts_offset(7, "10.0.0.1", 80, peers, 40000)
    assert len(np.unique(offsets)) == 1000
    assert len(np.unique(ts_offset(7, "10.0.0.1", 80, "10.0.0.2", ports))) == 1000
    assert not (offsets == ts_offset(8, "10.0.0.1", 80, peers, 40000)).any()
    assert not (offsets == ts_offset(7, peers, 40000, "10.0.0.1", 80)).any()
    assert not np.isin(make("rfc6528", LINUX, 7, "10.0.0.1", 80, peers, 40000, 0), offsets).any()


def test_shapes_broadcast():
    assert at(np.zeros((2, 3), np.int64)).shape == (2, 3)
    assert at([]).shape == (0,) and at(np.zeros(0, np.int64)).dtype == np.uint32
    assert at(5).shape == ()


@pytest.mark.parametrize("change, error, message", [
    ({"rule": "rfc1948"}, ValueError, "rule: expected one of rfc6528, rfc793, random, got 'rfc1948'"),
    ({"tick_ns": 0}, ValueError, "tick_ns: expected 1 "),
    ({"tick_ns": 2**63}, ValueError, "tick_ns: expected 1 "),
    ({"seed": -1}, ValueError, "seed: expected 0 "),
    ({"seed": "x"}, TypeError, "seed: expected integers"),
    ({"now": -1}, ValueError, "now: expected 0 "),
    ({"now": 2**63}, ValueError, "now: expected 0 "),
    ({"now": 1.0}, TypeError, "now: expected integers"),
    ({"here": ("10.0.0.1", 65536)}, ValueError, "lport: expected 0 "),
    ({"there": ("10.0.0.256", 1)}, ValueError, "raddr: expected a dotted IPv4 address"),
])
def test_bad_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        at(**{"now": 0, **change})
