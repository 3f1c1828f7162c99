"""SYN cookies: what they carry, how long they are good, which ACKs pass, what forging one costs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpcore import SEGMENT, Flag, Option, segments
from tests.extensions.syncookie import COOKIE_OPTIONS, SynCookies
from tests.reference.syncookie import ECN, ReferenceCookies

SECOND = 1_000_000_000
WRAP = 1 << 32
START = 1000 * SECOND                 # 40 s into minute 16, 10 s into period 66
EDGE = WRAP - 1                       # the peer's number wraps with its SYN
ALL = int(Option.WSCALE | Option.SACK_OK | Option.TS) | ECN
rules = pytest.mark.parametrize("rule", ["linux", "freebsd"])

u32 = st.one_of(st.integers(0, 3), st.integers(WRAP - 4, WRAP - 1), st.integers(0, WRAP - 1))
u16 = st.integers(0, 2**16 - 1)
times = st.one_of(st.integers(0, 90 * SECOND), st.integers(0, 2**63 - 1))


def syn(**differs):
    fields = {"src": "192.0.2.7", "sport": 0xFFFF, "dst": "10.0.0.1", "dport": 80, "seq": EDGE,
              "flags": Flag.SYN, "mss": 1460, "wscale": 7, "tsval": 1, "opts": 15}
    return segments(**{**fields, **differs})


def answers(syns, isns, tsvals=0, **differs):
    """The third segments of the handshakes, each echoing what our SYN-ACK said."""
    acks = np.zeros(len(syns), SEGMENT)
    for name in ("src", "sport", "dst", "dport"):
        acks[name] = syns[name]
    acks["flags"] = Flag.ACK
    acks["seq"] = syns["seq"] + np.uint32(1)
    acks["ack"] = isns + np.uint32(1)
    acks["opts"] = syns["opts"] & Option.TS
    acks["tsecr"] = tsvals
    for name, value in differs.items():
        acks[name] = value
    return acks


def mss_of(cookies, acks, now):
    return cookies.read(acks, now)["mss"].tolist()


def plain(row):
    return {name: int(row[name]) for name in SEGMENT.names}


@rules
@pytest.mark.parametrize("now", [0, START, 2**63 - 1])
def test_round_trip_over_all_options(rule, now):
    """mss 0: no such option; wscale 16: none; 15 is illegal and taken for 14 (RFC 7323 2.3)."""
    sizes = [0, 1, 215, 216, 535, 536, 537, 1299, 1300, 1360, 1400, 1439, 1440, 1452, 1459, 1460, 9000]
    rows = list(itertools.product(sizes, range(17), [0, 4], [0, 8], [0, 0xC0, 0x40]))
    mss, wscale, sack, ts, ecn = np.array(rows).T
    opts = (mss > 0) + 2 * (wscale < 16) + sack + ts
    syns = syn()[[0] * len(rows)]
    syns["mss"], syns["wscale"], syns["opts"], syns["flags"] = mss, wscale, opts, 2 + ecn
    syns["seq"] += np.arange(len(rows), dtype=np.uint32)
    cookies, reference = SynCookies(rule, offers=ALL, seed=7), ReferenceCookies(rule, offers=ALL, seed=7)
    agreed, lost = cookies.agree(syns)
    assert agreed.tolist() == [reference.agree(row) for row in map(plain, syns)]
    tsvals = cookies.tsval(syns, 0) + np.uint32(12345)
    found = cookies.read(answers(syns, cookies.make(syns, now), tsvals), now, ts_offset=12345)
    assert found.tolist() == agreed.tolist()
    carried = ts > 0 if rule == "linux" else np.ones(len(rows), bool)
    assert (agreed["opts"] & 6).tolist() == np.where(carried, opts & 6, 0).tolist()
    assert lost.tolist() == np.where(carried, 0, opts & 6).tolist()


hosts = st.builds(
    dict, mss=st.integers(1, 2**16 - 1), offers=st.integers(0, 31), seed=st.integers(0, 2**64 - 1)
)
syns = st.builds(
    syn, src=u32, sport=u16, dst=u32, dport=u16, seq=u32, mss=u16, wscale=st.integers(0, 255),
    opts=st.integers(0, 15), flags=st.sampled_from([2, 0x42, 0xC2]),
)


@rules
@settings(max_examples=60)
@given(host=hosts, one=syns, now=times, clock=u32, ts_offset=u32, later=st.integers(0, 200 * SECOND),
       off=st.integers(-5, 2))
def test_equals_the_reference(rule, host, one, now, clock, ts_offset, later, off):
    cookies, reference, row = SynCookies(rule, **host), ReferenceCookies(rule, **host), plain(one[0])
    isn, tsval = cookies.make(one, now), cookies.tsval(one, clock)
    assert isn.item() == reference.make(row, now)
    assert tsval.item() == reference.tsval(row, clock)
    assert cookies.agree(one)[0].tolist() == [reference.agree(row)]
    ack = answers(one, (isn.astype(np.int64) + off).astype(np.uint32), tsval + np.uint32(ts_offset))
    then = min(now + later, 2**63 - 1)
    expected = reference.read(plain(ack[0]), then, ts_offset)
    assert cookies.read(ack, then, ts_offset).tolist() == [expected or (0, 0, 0)]


def test_linux_takes_four_ack_values():
    """Recorded: with MSS 1460, ack L+1, L+0, L-1 and L-2 pass; one for each MSS."""
    cookies = SynCookies("linux")
    acks = answers(syn()[[0] * 7], cookies.make(syn(), START))
    acks["ack"] -= np.arange(-1, 6, dtype=np.int64).astype(np.uint32)         # L+2 .. L-4
    assert mss_of(cookies, acks, START) == [0, 1460, 1440, 1300, 536, 0, 0]


@pytest.mark.parametrize("mss, passes", [(536, 1), (1300, 2), (1440, 3), (1460, 4)])
def test_linux_takes_the_ack_of_another_mss(mss, passes):
    cookies = SynCookies("linux")
    acks = answers(syn()[[0] * 7], cookies.make(syn(mss=mss), START))
    acks["ack"] += np.arange(-3, 4, dtype=np.int64).astype(np.uint32)         # L-2 .. L+4
    good = [size > 0 for size in mss_of(cookies, acks, START)]
    assert good == [k <= 7 - passes and k >= 4 - passes for k in range(7)]


@pytest.mark.parametrize("shift", [1, 2, 1000, 2**31, WRAP - 1])
def test_only_linux_takes_seq_and_ack_shifted_together(shift):
    for rule, mss in (("linux", 1460), ("freebsd", 0)):
        cookies = SynCookies(rule)
        acks = answers(syn(), cookies.make(syn(), START))
        acks["seq"] += np.uint32(shift)
        acks["ack"] += np.uint32(shift)
        assert mss_of(cookies, acks, START) == [mss]


def test_freebsd_takes_one_ack_value():
    cookies = SynCookies("freebsd")
    acks = answers(syn()[[0] * 8], cookies.make(syn(), START))
    acks["ack"] += np.arange(-3, 5, dtype=np.int64).astype(np.uint32)
    assert mss_of(cookies, acks, START) == [0, 0, 0, 1460, 0, 0, 0, 0]


@pytest.mark.parametrize("rule, born, good, dead", [
    ("linux", START, START + 45 * SECOND, START + 125 * SECOND),             # recorded
    ("linux", 0, 120 * SECOND - 1, 120 * SECOND),
    ("linux", 60 * SECOND - 1, 120 * SECOND - 1, 120 * SECOND),
    ("linux", 255 * 60 * SECOND, 257 * 60 * SECOND - 1, 257 * 60 * SECOND),  # the 8 bits of the minute wrap
    ("freebsd", 0, 30 * SECOND - 1, 30 * SECOND),
    ("freebsd", 15 * SECOND - 1, 30 * SECOND - 1, 30 * SECOND),
    ("freebsd", 15 * SECOND, 45 * SECOND - 1, 45 * SECOND),
    ("freebsd", 10**9 * SECOND, (10**9 + 15) * SECOND, (10**9 + 30) * SECOND),
])
def test_how_long_it_is_good(rule, born, good, dead):
    cookies = SynCookies(rule)
    acks = answers(syn(), cookies.make(syn(), born))
    for now in (born, (born + good) // 2, good):
        assert mss_of(cookies, acks, now) == [1460]
    for now in (dead, dead + 15 * SECOND, dead + 30 * SECOND, dead + 3600 * SECOND):
        assert mss_of(cookies, acks, now) == [0]


def test_a_cookie_from_the_future_is_dead():
    for rule, early in (("linux", 60), ("freebsd", 30)):
        cookies = SynCookies(rule)
        acks = answers(syn(), cookies.make(syn(), START))
        assert mss_of(cookies, acks, START - early * SECOND) == [0]


@rules
def test_it_is_good_again_and_again(rule):
    cookies = SynCookies(rule)
    acks = answers(syn(), cookies.make(syn(), START))
    assert [mss_of(cookies, acks, START + n) for n in range(3)] == [[1460]] * 3


@rules
@pytest.mark.parametrize("change", [
    {"src": 0xC0000208}, {"dst": 0x0A000002}, {"sport": 0xFFFE}, {"dport": 81}, {"seq": 5}, {"seq": EDGE},
])
def test_it_is_good_for_its_connection_only(rule, change):
    cookies = SynCookies(rule)
    acks = answers(syn(), cookies.make(syn(), START))
    assert mss_of(cookies, acks, START) == [1460]
    assert mss_of(cookies, answers(syn(), cookies.make(syn(), START), **change), START) == [0]


@rules
def test_two_seeds_agree_on_nothing(rule):
    syns = syn()[[0] * 4096]
    syns["sport"] = np.arange(4096)
    one, other = SynCookies(rule, seed=0), SynCookies(rule, seed=1)
    isns = one.make(syns, START)
    assert (isns != other.make(syns, START)).all()
    assert len(np.unique(isns)) == 4096
    assert not one.read(answers(syns, other.make(syns, START)), START)["mss"].any()


@rules
@pytest.mark.parametrize("flags, good", [
    ("ACK", True), ("ACK|PSH", True), ("ACK|FIN", True), ("ACK|SYN", False), ("ACK|RST", False),
    ("FIN", False), ("RST", False),
])
def test_data_and_fin_may_complete_it_others_not(rule, flags, good):
    cookies = SynCookies(rule)
    bits = sum(Flag[name] for name in flags.split("|"))
    acks = answers(syn(), cookies.make(syn(), START), flags=bits, payload_len=100)
    assert mss_of(cookies, acks, START) == [1460 if good else 0]


def test_linux_forgery_odds_by_exact_counting():
    """8 of 2**32 ACK numbers: all low parts of both good minutes are tried, and a sample of the others."""
    cookies = SynCookies("linux", seed=3)
    base = ReferenceCookies("linux", seed=3).hash(plain(syn()[0]), b"") + EDGE + 1
    acks = answers(syn()[[0] * 2**20], np.zeros(2**20, np.uint32))
    for minute in (START // (60 * SECOND), START // (60 * SECOND) - 1):
        found = 0
        for part in range(0, 2**24, 2**20):
            acks["ack"] = (base % WRAP + (minute << 24) + part + np.arange(2**20)) % WRAP
            found += np.count_nonzero(cookies.read(acks, START)["mss"])
        assert found == 4
    others = np.random.default_rng(1).integers(minute + 2 << 24, minute + 256 << 24, 2**20)
    acks["ack"] = (base % WRAP + others) % WRAP
    assert not cookies.read(acks, START)["mss"].any()


def test_freebsd_forgery_odds_by_exact_counting():
    """256 of 2**32: for each low byte (all that a cookie says) one of the 2**24 ACK numbers that say it."""
    cookies = SynCookies("freebsd")
    acks = answers(syn()[[0] * 2**20], np.zeros(2**20, np.uint32))
    for low in (0x00, 0xFF):                                       # one key each
        found = 0
        for part in range(0, 2**24, 2**20):
            top = part + np.arange(2**20)
            acks["ack"] = ((top << 8 | low ^ top >> 16) + 1) % WRAP
            found += np.count_nonzero(cookies.read(acks, START)["mss"])
        assert found == 1


def test_freebsd_says_256_things():
    """Every low byte has a cookie: 8 MSS, 8 shifts, SACK, in each of the two good periods; all different."""
    cookies = SynCookies("freebsd")
    sizes, shifts = [216, 536, 1200, 1360, 1400, 1440, 1452, 1460], [16, 0, 1, 2, 4, 6, 7, 8]
    rows = list(itertools.product(sizes, shifts, [0, 4]))
    mss, wscale, sack = np.array(rows).T
    syns = syn()[[0] * len(rows)]
    syns["mss"], syns["wscale"], syns["opts"] = mss, wscale, 1 + 2 * (wscale < 16) + sack
    isns = np.concatenate([cookies.make(syns, START - 15 * SECOND), cookies.make(syns, START)])
    assert len(np.unique(isns)) == len(np.unique((isns ^ isns >> 24) & 0xFF)) == 256
    assert cookies.read(answers(np.concatenate([syns, syns]), isns), START)["mss"].all()


@pytest.mark.parametrize("clock", [0, 1, 62, 63, 64, 1000, 2**31, WRAP - 1])
def test_tsval_is_the_last_value_with_these_low_bits(clock):
    """Linux: wscale 7 is 7, SACK 16, ECN 32; never ahead of the clock, never 64 ms behind."""
    cookies = SynCookies("linux", offers=ALL)
    for one, low in ((syn(), 7 + 16), (syn(opts=8), 15), (syn(flags=0xC2), 7 + 48), (syn(wscale=0), 16)):
        tsval = cookies.tsval(one, clock).item()
        assert tsval % 64 == low and (clock - tsval) % WRAP < 64
    assert SynCookies("freebsd").tsval(syn(), clock).item() == clock


def test_linux_loses_options_without_timestamps_and_freebsd_does_not():
    no_ts = syn(opts=7)
    for rule, opts, lost in (("linux", 0, 6), ("freebsd", 6, 0)):
        agreed, gone = SynCookies(rule).agree(no_ts)
        assert (agreed["opts"].item(), gone.item()) == (opts, lost)
    linux = SynCookies("linux")
    assert linux.read(answers(syn(), linux.make(syn(), START), opts=0), START).tolist() == [(1460, 0, 0)]


@pytest.mark.parametrize("offers, tsecr, good", [
    (8, 15, True), (8, 7, False), (8, 15 + 16, False), (8 + 4, 15 + 16, True), (8 + 2, 7, True),
    (8, 15 + 32, False), (8 + 16, 15 + 32, True), (2 + 4, 7, True),
])
def test_linux_refuses_an_echo_of_what_we_never_offer(offers, tsecr, good):
    """TSecr is not authenticated: what it says is checked against what this host could have said. Without
    tcp_timestamps it is not read (tcp_parse_options; cookie_without_tcp_timestamps in tests/live)."""
    cookies = SynCookies("linux", offers=offers)
    acks = answers(syn(), cookies.make(syn(), START), tsecr)
    assert mss_of(cookies, acks, START) == [1460 if good else 0]


@pytest.mark.parametrize("rule, own, expected", [
    ("linux", 1400, 1300), ("linux", 100, 536), ("freebsd", 1400, 1400), ("freebsd", 100, 216),
])
def test_our_own_mss_cuts_the_peers(rule, own, expected):
    cookies = SynCookies(rule, mss=own)
    assert mss_of(cookies, answers(syn(), cookies.make(syn(), START)), START) == [expected]


def test_empty_batches():
    cookies = SynCookies("linux")
    assert len(cookies.make(segments(0), 0)) == len(cookies.tsval(segments(0), 0)) == 0
    assert cookies.read(segments(0), 0).dtype == COOKIE_OPTIONS


@pytest.mark.parametrize("call, error, message", [
    (lambda: SynCookies("bsd"), ValueError, "rule: expected one of linux, freebsd, got 'bsd'"),
    (lambda: SynCookies("linux", mss=0), ValueError, "mss: expected 1 "),
    (lambda: SynCookies("linux", mss=65536), ValueError, "mss: expected 0 "),
    (lambda: SynCookies("linux", offers=256), ValueError, "offers: expected 0 "),
    (lambda: SynCookies("linux", seed=-1), ValueError, "seed: expected 0 "),
    (lambda: SynCookies("linux").make(syn(), -1), ValueError, "now: expected 0 "),
    (lambda: SynCookies("linux").make(syn(), 2**63), ValueError, "now: expected 0 "),
    (lambda: SynCookies("linux").read(syn(), 0, WRAP), ValueError, "ts_offset: expected 0 "),
    (lambda: SynCookies("linux").tsval(syn(), WRAP), ValueError, "clock: expected 0 "),
    (lambda: SynCookies("linux").read([1], 0), TypeError, "acks: expected a numpy array of SEGMENT"),
    (lambda: SynCookies("linux").make(syn()[::2].view("u1"), 0), TypeError, "syns: expected dtype SEGMENT"),
])
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
