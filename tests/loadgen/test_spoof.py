"""The flood's trace: exact times and counts, the right sources, the same words however it is cut."""

import math

import numpy as np
import pytest

from loadgen.phases.spoof import KINDS, Pace, SourceError, Sources, Spoofer, paced
from loadgen.phases.streams import Purpose, Stream, log
from tcpcore import Flag

S = 10**9
SERVER = (0x0A000001, 80)


def trace(pace, sources=None, kind="syn", seed=1, until=S, most=4096, steps=1):
    """All of it by `until`, taken in so many steps; with the time at which each batch was asked for."""
    spoofer = Spoofer(pace, sources or Sources.random(), kind, SERVER, seed, 0)
    batches = []
    for step in range(1, steps + 1):
        batches += [segs.copy() for segs in spoofer.take(until * step // steps, most)]
    return spoofer, np.concatenate(batches) if batches else np.empty(0)


@pytest.mark.parametrize("rate", [1_000, 333_333, 7_777_777, 100_000_000_000])
def test_paced_times_are_exact(rate):
    for first in (0, 12_345, 2_999_999_999):
        times = paced(first, 100, rate)
        assert times.tolist() == [i * 10**12 // rate for i in range(first, first + 100)]


@pytest.mark.parametrize("spacing", ["paced", "poisson"])
def test_the_trace_does_not_depend_on_how_it_is_cut(spacing):
    pace = Pace(50_000_000, spacing)
    whole, one = trace(pace)
    cut, many = trace(pace, most=7, steps=997)
    assert np.array_equal(one, many)
    assert whole.sent == cut.sent == len(one)
    assert whole.last_at == cut.last_at <= S


def test_another_seed_is_another_trace():
    assert not np.array_equal(trace(Pace(1_000_000))[1], trace(Pace(1_000_000), seed=2)[1])


def test_a_poisson_flood_has_its_rate_and_its_scatter():
    spoofer = Spoofer(Pace(20_000_000, "poisson"), Sources.random(), "syn", SERVER, 3, 0)
    counts = np.array([sum(len(s) for s in spoofer.take(ms * 10**6, 4096)) for ms in range(1, 5001)])
    assert counts.mean() == pytest.approx(20, abs=4 * math.sqrt(20 / 5000))
    assert counts.var() == pytest.approx(20, rel=0.1)  # mean and variance of a Poisson number are one


def test_an_exact_count_and_not_one_more():
    spoofer, segs = trace(Pace(100_000_000, count=33_333), until=60 * S)
    assert spoofer.sent == len(segs) == 33_333
    assert spoofer.next_at is None


def test_it_stops_before_its_stop():
    spoofer, segs = trace(Pace(1_000_000, start_ns=S // 4, stop_ns=S // 2))
    assert len(segs) == 250
    assert spoofer.last_at < S // 2


def test_on_and_off():
    pace = Pace(1_000_000, start_ns=100, on_ns=S // 10, off_ns=S // 5)
    spoofer = Spoofer(pace, Sources.random(), "syn", SERVER, 1, 0)
    on = pace.intervals(S)
    assert on == [(100 + k * 3 * S // 10, min(S, 100 + k * 3 * S // 10 + S // 10)) for k in range(4)]
    counts = [(sum(map(len, spoofer.take(a - 1, 64))), sum(map(len, spoofer.take(b - 1, 64)))) for a, b in on]
    assert counts == [(0, 100)] * 4


def test_log_is_a_logarithm():
    x = np.concatenate([Stream(1, 0, Purpose.FLOOD).words(10_000) * 2.0**-64, [1.0, 0.5, 2.0**-53]])
    assert np.abs(log(x) - np.log(x)).max() < 1e-13


# -- sources ----------------------------------------------------------------------------


def test_random_sources_are_spread_over_unicast_space():
    _, segs = trace(Pace(100_000_000))
    octets = np.bincount(segs["src"] >> np.uint32(24), minlength=256)
    never = {0, 10, 127, *range(224, 256)}
    assert {octet for octet in range(256) if not octets[octet]} == never
    share = 1 / (256 - len(never))
    n = len(segs)
    assert np.abs(octets[octets > 0] - n * share).max() < 5 * math.sqrt(n * share)
    assert segs["sport"].min() >= 1024
    assert len(np.unique(segs["seq"])) > 0.999 * n


@pytest.mark.parametrize("name", ["203.0.113.0/24", "203.0.113.7", "203.0.113.7,198.51.100.0/30,203.0.113.9"])
def test_given_sources_and_no_others(name):
    sources = Sources.parse(name)
    _, segs = trace(Pace(20_000_000), sources)
    allowed = np.concatenate([np.arange(low, low + size) for low, size in sources.blocks])
    found, counts = np.unique(segs["src"], return_counts=True)
    assert found.tolist() == sorted(allowed.tolist())
    expected = len(segs) / len(allowed)
    assert np.abs(counts - expected).max() < 5 * math.sqrt(expected)


def test_a_long_list_of_sources():
    names = [f"198.51.{i}.{i}" for i in range(100)]
    _, segs = trace(Pace(20_000_000), Sources.parse("\n".join(names)))
    assert len(np.unique(segs["src"])) == 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty list"),
        (" , ", "empty list"),
        ("203.0.113.5/24", "did you mean 203.0.113.0/24"),
        ("nonsense", "nonsense"),
        ("::1", "IPv4"),
        ("224.0.0.1", "unicast"),
        ("0.0.0.0/8", "unicast"),
    ],
)
def test_sources_that_cannot_be(text, words):
    with pytest.raises(SourceError, match=words):
        Sources.parse(text)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind):
    _, segs = trace(Pace(1_000_000), kind=kind)
    assert set(segs["flags"].tolist()) == {int(Flag[kind.upper()])}
    assert (len(np.unique(segs["ack"])) > 1) == (kind == "ack")
