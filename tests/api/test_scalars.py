"""Calls of one: scalars give the same results, errors and states as arrays; results are the caller's own.

A scalar has a way of its own through the engine's border. Each case is made twice, once with the values as
they are and once with each as an array of no dimension and of a subclass, which takes the way of arrays.
"""

import itertools
from fractions import Fraction
from ipaddress import AddressValueError, IPv4Address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpcore import SEGMENT, Flag, segments
from tests.api.every_call import LOCAL, NOW, PEER, Number, Scene, plain

EDGES = [0, 1, 2, 7, 80, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64,
         -1, -(2**63), 10**30, PEER, LOCAL, 0xDFFFFFFF, 0xE0000000]  # fmt: skip
NUMPY = [np.dtype(code).type for code in "bhilqBHILQ"]
DOTTED = ["10.0.0.2", "10.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "223.255.255.255", "1.2.3.4",
          "10.0.0", "10.0.0.2.", ".10.0.0.2", "10..0.2", "010.0.0.2", "10.0.0.00", "10.0.0.256",
          "10.0.0.1000", " 10.0.0.2", "10.0.0.2\n", "10.0.0.-2", "10.0.0.2/32", "١٠.0.0.2",
          "", "a", "1"]  # fmt: skip


class Plain(np.ndarray):
    """An array that is not taken for a scalar."""


class Whole(int):
    """An int that may have a mind of its own."""


class Text(str):
    """A text that may have one."""


def in_forms(number):
    """Each way to say a number."""
    fitting = [kind(number) for kind in NUMPY if np.iinfo(kind).min <= number <= np.iinfo(kind).max]
    return [number, Whole(number), Fraction(number), Number(number, int), np.asarray(number), *fitting]


ODD = [None, True, False, np.True_, 1.0, np.float32(2), "5", b"5", 1j, (), [7], np.array([7, 7]),
       np.zeros(0, int)]  # fmt: skip


def numbers(*good):
    """Mostly good ones, in all forms; some at an edge; some that are no numbers."""
    return st.one_of(
        st.sampled_from([form for number in good for form in in_forms(number)]),
        st.sampled_from([form for number in good for form in in_forms(number)]),
        st.sampled_from(EDGES).flatmap(lambda number: st.sampled_from(in_forms(number))),
        st.sampled_from(ODD),
    )


ADDRESSES = numbers(PEER, LOCAL) | st.sampled_from(DOTTED) | st.sampled_from(
    [Text("10.0.0.2"), IPv4Address("10.0.0.2"), *DOTTED[:7]]) | st.ip_addresses(v=4).map(str)
PORTS = numbers(7, 80, 1000)
COUNTS = numbers(3, 100, 70_000)
TIMES = st.sampled_from([NOW, NOW, NOW + 5 * 10**9, NOW - 1, -1, 2**62, 2**62 + 1, 2**63, 2**64, True, 1.5,
                         None])  # fmt: skip
OUT = st.sampled_from([None, None, 0, 1, 2, 8])


def as_array(value):
    """The value for the way of arrays; what is known not to be a number of any kind stays."""
    if isinstance(value, str):
        try:
            value = np.uint32(int(IPv4Address(str(value))))
        except AddressValueError:
            return value
    if value is None or isinstance(value, IPv4Address | list | tuple | bytes):
        return value
    return np.asarray(value).view(Plain)


def outcome(arguments, call, rows):
    """What a call on a new scene gives or raises, and the scene afterwards."""
    scene = Scene()
    if rows is not None:
        arguments = arguments | {"out": segments(rows)}
    try:
        result = plain(call(scene, **arguments))
    except Exception as error:
        result = type(error), str(error)
    assert scene.eng.check() == []
    return result, scene.seen(), scene.eng.events().tolist()


def same_both_ways(call, rows=None, apart=("now",), **arguments):
    """The outcome of a call, which is the same if all its arguments but those `apart` are arrays."""
    arguments = {name: value for name, value in arguments.items() if value is not LEFT_OUT}
    arrays = {name: value if name in apart else as_array(value) for name, value in arguments.items()}
    got = outcome(arguments, call, rows)
    assert got == outcome(arrays, call, rows)
    return got


class LeftOut:
    def __repr__(self):
        return "left out"


LEFT_OUT = LeftOut()


def or_not(strategy):
    return st.just(LEFT_OUT) | st.just(LEFT_OUT) | strategy


@given(dst=ADDRESSES, dport=PORTS, now=TIMES, src=or_not(ADDRESSES), sport=or_not(PORTS),
       n=st.sampled_from([LEFT_OUT, LEFT_OUT, None, 1, np.int8(1), Whole(1), 0, 2, True, -1, "1"]),
       isn=or_not(numbers(0, 2**32 - 1)), rcv_buf=or_not(numbers(1, 9000, 65535 << 14)), rows=OUT)
def test_connect(rows, **arguments):
    same_both_ways(lambda s, **given: s.eng.connect(**given), rows, apart=("now", "n"), **arguments)


@given(raddr=ADDRESSES, rport=PORTS, laddr=ADDRESSES,
       lport=st.integers(0, 15).flatmap(lambda i: numbers(EPHEMERAL[i % 4])) | PORTS)
def test_lookup(**arguments):
    same_both_ways(lambda s, **given: s.eng.lookup(**given), **arguments)


def known():
    scene = Scene()
    return [int(conn) for conn in scene.conns], [int(port) for port in scene.from_peer["dport"]]


CONNS, EPHEMERAL = known()
HANDLES = numbers(*CONNS) | st.sampled_from([0, 1, 2**32, CONNS[0] + 2**32, 2**64 - 1]) | st.sampled_from(
    CONNS).flatmap(lambda conn: st.sampled_from([
        np.array([conn], np.uint64), np.array(conn, np.uint64), np.array([[conn]], np.uint64),
        np.array([conn], ">u8"), np.array([conn], np.int64), np.array([conn, 5], np.uint64)[:1],
        np.array([conn], np.uint64).view(Plain),
        np.array([conn, conn], np.uint64)[::2], np.array([conn, 0], np.uint64)]))  # fmt: skip


@given(conns=HANDLES)
def test_info(conns):
    same_both_ways(lambda s, **given: s.eng.info(**given), conns=conns)


@pytest.mark.parametrize("name", ["send", "recv"])
@given(conns=HANDLES, nbytes=COUNTS | st.just(2**30), now=TIMES, rows=OUT)
def test_send_and_recv(name, rows, **arguments):
    same_both_ways(lambda s, **given: getattr(s.eng, name)(**given), rows, **arguments)


@pytest.mark.parametrize("name", ["shutdown", "close", "abort", "unreachable"])
@given(conns=HANDLES, now=TIMES, rows=OUT)
def test_calls_without_an_amount(name, rows, **arguments):
    same_both_ways(lambda s, **given: getattr(s.eng, name)(**given), rows, **arguments)


@given(now=TIMES.filter(lambda now: type(now) is int))
def test_a_time_in_any_form(now):
    forms = [now, Whole(now), Number(now, int), *([np.int64(now)] if abs(now) < 2**63 else [])]
    for call in (lambda s, now: s.eng.advance(now), lambda s, now: s.eng.receive(s.acks, now)):
        outcomes = [outcome({"now": form}, call, None) for form in forms]
        assert [one for one in outcomes if one != outcomes[0]] == []


FIELDS = st.fixed_dictionaries({}, optional={
    name: ADDRESSES if name in ("src", "dst") else numbers(0, 1, 2 ** (8 * SEGMENT[name].itemsize) - 1)
    for name in SEGMENT.names} | {"sprot": st.just(1)})  # fmt: skip


@given(n=st.sampled_from([1, 1, 1, np.int8(1), Whole(1), True, 0, 2, 1.0, "1"]), fields=FIELDS)
def test_segments(n, fields):
    def built(fields):
        try:
            return plain(segments(n, **fields))
        except Exception as error:
            return type(error), str(error)

    assert built(fields) == built({name: as_array(value) for name, value in fields.items()})


def test_a_row_has_what_was_asked_for():
    (row,) = segments(1, src="10.0.0.1", dst=2**32 - 1, sport=65535, dport=np.uint16(1), seq=2**32 - 1, ack=1,
                      wnd=2, payload_len=3, flags=Flag.SYN, mss=4, wscale=14, tsval=np.int64(5),
                      tsecr=6)  # fmt: skip
    assert row.tolist() == (LOCAL, 2**32 - 1, 65535, 1, 2**32 - 1, 1, 2, 3, 2, 11, 14, 4, 5, 6)
    assert segments(1, mss=4, opts=0)["opts"] == 0 and segments()["opts"] == 0


# -- results


def short_results(eng):
    """Results of calls of one, with and without rows."""
    for i in itertools.count(1):
        conns, syn = eng.connect(PEER, 80, NOW, sport=i)
        yield syn
        yield eng.receive(segments(1, src=PEER, dst=LOCAL, sport=80, dport=i, flags=Flag.RST), NOW)
        yield eng.receive(segments(1, src=PEER, dst=LOCAL, sport=9, dport=i, flags=Flag.SYN, seq=i), NOW)
        yield eng.close(conns, NOW)
        yield eng.advance(NOW)


def test_a_short_result_is_the_callers_own():
    """It shares memory with no other, can be written, and stays as it is, whatever becomes of the engine."""
    scene = Scene()
    results = list(itertools.islice(short_results(scene.eng), 400))
    kept = [rows.tobytes() for rows in results]
    assert sum(map(len, results)) == 160
    extents = sorted((rows.ctypes.data, rows.nbytes) for rows in results if len(rows))
    assert all(at + size <= after for (at, size), (after, _) in itertools.pairwise(extents))
    for rows in results:
        assert rows.dtype is SEGMENT and rows.flags.writeable and rows.flags.c_contiguous
    del scene
    assert [rows.tobytes() for rows in results] == kept
    for rows in results:
        rows.view(np.uint8)[:] = 0xFF
    assert all(rows.tobytes() == b"\xff" * 40 * len(rows) for rows in results)


def test_what_a_short_result_is_cut_out_of_is_an_array_like_others():
    """As `segs` and as `out` it does what any array does."""
    one, other = Scene(), Scene()
    shared = one.eng.connect(PEER, 80, NOW, sport=1)[1].base
    apart = other.eng.connect(PEER, 80, NOW, sport=1)[1].base.copy()
    for _ in range(3):
        rows = one.eng.abort(one.conns[:2], NOW, out=shared)
        assert rows.tobytes() == other.eng.abort(other.conns[:2], NOW, out=apart).tobytes()
        rows = one.eng.receive(one.acks[5:6], NOW)
        assert rows.tobytes() == other.eng.receive(other.acks[5:6], NOW).tobytes()
        one.conns, other.conns = one.conns[2:], other.conns[2:]
    assert one.eng.check() == [] and one.seen() == other.seen()
