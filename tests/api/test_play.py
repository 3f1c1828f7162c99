"""`Engine.play`: what its rows say, what it refuses, where it stops."""

import numpy as np
import pytest

from tcpcore import OP, SEGMENT, Config, Engine, OpKind, State, segments
from tests.api.every_call import PEER, A, S, Scene

MS = 1_000_000
NOT_REACHED, REFUSED = 2**64 - 1, 2**64 - 2
ONE = segments(1, src=PEER, dst=0x0A000001, sport=9, dport=80, flags=S, wnd=99)


def batch(*rows):
    """OP of (at, kind, conn, arg, seg); what is left out is 0."""
    ops = np.zeros(len(rows), OP)
    for op, (at, kind, *rest) in zip(ops, rows, strict=True):
        conn, arg, seg = [*rest, *(0, 0, None)[len(rest):]]
        op["at"], op["kind"], op["conn"], op["arg"] = at, kind, conn, arg
        if seg is not None:
            op["seg"] = seg[0]
    return ops


def open_to(dst=PEER, dport=7, **fields):
    return segments(1, dst=dst, dport=dport, **fields)


def test_the_dtype():
    assert OP.itemsize == 72 and OP["seg"] == SEGMENT
    kinds = {"at": "i8", "kind": "u1", "conn": "u8", "arg": "u4", "result": "u8"}
    assert {name: OP[name].str[1:] for name in OP.names if name != "seg"} == kinds


def test_a_life_in_one_batch():
    """Each row at its time, timers in between at theirs, and every result."""
    eng = Engine(auto_read=False)
    web = eng.listen("10.0.0.1", 80)
    synack = eng.receive(ONE, 0)
    client = {"src": PEER, "dst": 0x0A000001, "sport": 9, "dport": 80, "wnd": 99}
    ack = segments(1, **client, flags=A, seq=1, ack=synack["seq"] + np.uint32(1))
    text = segments(1, **client, flags=A, seq=1, ack=synack["seq"] + np.uint32(1), payload_len=50)
    conn = 1 << 32
    ops = batch((5, OpKind.ACCEPT, web), (10, OpKind.SEGMENT, 0, 0, ack), (10, OpKind.ACCEPT, web),
                (20, OpKind.SEGMENT, 0, 0, text), (30, OpKind.RECV, conn, 20),
                (30, OpKind.RECV, conn, 0xFFFFFFFF), (40, OpKind.SEND, conn, 60),
                (50, OpKind.CONNECT, 0, 0, open_to(sport=40000)),
                (50, OpKind.CONNECT, 0, 0, open_to(sport=40000)),
                (60, OpKind.CLOSE, conn), (70, OpKind.CLOSE, 99))
    rows, times = eng.play(ops, 1500 * MS)
    opened = 1 << 32 | 1
    assert ops["result"].tolist() == [0, 0, conn, 0, 20, 30, 0, opened, 0, 0, 0]
    assert times[:4].tolist() == [20, 40, 50, 60]        # ACK, text, SYN, FIN
    assert rows["flags"][2] == S and rows["dport"][2] == 7
    assert sorted(times[4:].tolist()) == times[4:].tolist() and times[4] > 200 * MS
    assert 1001 * MS in times.tolist()                   # the SYN again
    assert eng.causes["AddressInUse"] == 1 and eng.counters["StaleHandles"] == 1
    assert eng.info(conn)["state"] == State.FIN_WAIT_1 and eng.check() == []


def test_always_keepalive_holds_here_too():
    eng = Engine(always_keepalive=1, tcp_keepalive_time=10)
    (syn,), _ = eng.play(batch((0, OpKind.CONNECT, 0, 0, open_to(sport=40000))), 0)
    synack = segments(1, src=PEER, dst=syn["src"], sport=7, dport=40000, flags=S | A, seq=1,
                      ack=syn["seq"] + np.uint32(1), wnd=99)
    eng.receive(synack, MS)
    assert len(eng.advance(9_999 * MS)) == 0
    assert len(eng.advance(10_002 * MS)) == eng.counters["TCPKeepAlive"] == 1


def test_output_due_at_once_is_not_earlier_than_what_caused_it():
    """More than two rows that a segment lets go: they are due on the tick before, and come at its time."""
    eng = Engine(mss=10, local_addr="10.0.0.1")
    conns, syn = eng.connect(PEER, 7, 0)
    peer = {"src": PEER, "dst": syn["src"], "sport": 7, "dport": syn["sport"],
            "ack": syn["seq"] + np.uint32(1)}
    eng.receive(segments(1, **peer, flags=S | A, seq=99, wnd=0, mss=48), 0)
    eng.send(conns, 300, 0)
    ops = batch((MS + 300, OpKind.SEGMENT, 0, 0, segments(1, **peer, flags=A, seq=100, wnd=999)))
    rows, times = eng.play(ops, 2 * MS)
    assert len(rows) > 2 and set(times.tolist()) == {MS + 300}


GOOD = [(MS, OpKind.SEGMENT, 0, 0, ONE), (2 * MS, OpKind.RECV, 5)]


@pytest.mark.parametrize(("row", "said"), [
    ((2 * MS, 0), "ops[2]: expected 'kind' as in OpKind, got 0"),
    ((2 * MS, 9), "ops[2]: expected 'kind' as in OpKind, got 9"),
    ((2 * MS - 1, OpKind.SEGMENT), "ops[2]: expected 'at' of at least 2000000 "),
    ((7 * MS + 1, OpKind.SEGMENT), "ops[2]: expected 'at' of at most until, 7000000, got 7000001"),
    ((-1, OpKind.SEGMENT), "ops[2]: expected 'at' of at least 2000000 "),
    ((2 * MS, OpKind.ACCEPT, 2), "ops[2]: expected 'conn' to be the id of an open listener, got 2"),
    ((2 * MS, OpKind.ACCEPT, 2**32 + 1), "ops[2]: expected 'conn' to be the id of an open listener, got 4"),
    ((2 * MS, OpKind.ACCEPT, 0), "ops[2]: expected 'conn' to be the id of an open listener, got 0"),
    ((2 * MS, OpKind.CONNECT, 0, 0, open_to(dst=0xE0000001)),
     "ops[2]: expected a unicast address as 'dst', got 0xe0000001"),
    ((2 * MS, OpKind.CONNECT, 0, 0, open_to(dport=0)), "ops[2]: expected 1 .. 65535 as 'dport', got 0"),
    ((2 * MS, OpKind.CONNECT, 0, 0, open_to(src=0xFFFFFFFF)),
     "ops[2]: expected 0 or a unicast address as 'src', got 0xffffffff"),
    ((2 * MS, OpKind.SEND, 5, 2**30 + 1), "ops[2]: expected 'arg' of at most 1073741824, got 1073741825"),
])
def test_a_bad_row_is_named_and_nothing_has_changed(row, said):
    scene = Scene()
    ops = batch(*GOOD, row, *GOOD)
    before, kept = scene.seen(), ops.tobytes()
    with pytest.raises(ValueError, match="^ops") as error:
        scene.eng.play(ops, 7 * MS)
    assert str(error.value).startswith(said)
    assert scene.seen() == before and ops.tobytes() == kept


def test_times_against_the_engines_own():
    eng = Engine()
    eng.advance(5)
    with pytest.raises(ValueError, match="until: expected at least 5 "):
        eng.play(batch(), 4)
    with pytest.raises(ValueError, match=r"ops\[0\]: expected 'at' of at least 5 "):
        eng.play(batch((4, OpKind.SEGMENT)), 6)
    eng.play(batch((5, OpKind.SEGMENT), (5, OpKind.SEGMENT)), 5)
    assert eng.counters["InSegs"] == 2


@pytest.mark.parametrize(("arguments", "error", "said"), [
    ({"ops": segments(3)}, TypeError, "ops: expected dtype OP "),
    ({"ops": [1]}, TypeError, "ops: expected a numpy array of OP, got list"),
    ({"ops": np.zeros((2, 2), OP)}, ValueError, "ops: expected one dimension"),
    ({"ops": np.zeros(4, OP)[::2]}, ValueError, "ops: expected a contiguous"),
    ({"at_out": np.zeros(9)}, TypeError, "at_out: expected dtype int64 "),
    ({"at_out": np.zeros(1, np.int64)}, ValueError, "at_out: expected at least 2 rows"),
    ({"out": segments(1)}, ValueError, "out: expected at least 2 rows"),
    ({"out": segments(9), "at_out": np.zeros(1, np.int64)}, ValueError, "out: expected at least 2 rows"),
    ({"until": 2**63}, ValueError, "until: expected 0 .. "),
    ({"until": 1.5}, TypeError, "until: expected an integer"),
])
def test_a_bad_argument(arguments, error, said):
    eng = Engine()
    with pytest.raises(error) as caught:
        eng.play(**{"ops": batch(), "until": 5} | arguments)
    assert str(caught.value).startswith(said)
    assert repr(eng).endswith("now 0 ns>")


def test_a_send_over_the_limit_is_left_out():
    """What is queued is known only when the row's turn comes."""
    scene = Scene()
    conn = scene.conns[3].item()
    ops = batch((MS, OpKind.SEND, conn, 2**30 - 5), (MS, OpKind.SEND, conn, 6), (MS, OpKind.SEND, conn, 5))
    scene.eng.play(ops, MS)
    assert ops["result"].tolist() == [0, REFUSED, 0] and scene.eng.check() == []


def syns(n):
    ops = np.zeros(n, OP)
    ops["kind"], ops["at"] = OpKind.SEGMENT, np.arange(n) * 1000
    ops["seg"] = segments(n, src=PEER, dst=0x0A000001, sport=np.arange(1, n + 1), dport=80, flags=S, wnd=99)
    return ops


def listening(**knobs):
    eng = Engine(Config.linux(capacity=5000, somaxconn=5000, tcp_max_syn_backlog=9000, **knobs))
    eng.listen("10.0.0.1", 80)
    return eng


def test_it_stops_before_what_may_not_fit_and_goes_on():
    whole, ops = listening(), syns(10)
    rows, times = whole.play(ops, 2000 * MS)
    assert len(rows) == 20 and (ops["result"] == 0).all()
    eng, again = listening(), syns(10)
    out, at_out = segments(7), np.zeros(9, np.int64)
    first, at = eng.play(again, 2000 * MS, out=out, at_out=at_out)
    assert len(first) == 6 == len(at) and np.shares_memory(first, out) and np.shares_memory(at, at_out)
    assert again["result"].tolist() == [0] * 6 + [NOT_REACHED] * 4
    assert repr(eng).endswith("now 6000 ns>")
    rest, later = eng.play(again[6:], 2000 * MS, out=segments(9))
    assert (again["result"] == 0).all() and eng.next_timer() <= 2000 * MS
    last = eng.advance(2000 * MS)
    assert b"".join(part.tobytes() for part in (first, rest, last)) == rows.tobytes()
    assert [*at.tolist(), *later.tolist()] == times.tolist()[:15]


def test_without_out_it_grows():
    """A SYN-ACK is sent again up to five times."""
    eng, ops = listening(), syns(4000)
    rows, times = eng.play(ops, 200_000 * MS)
    assert len(rows) == len(times) == eng.counters["OutSegs"] > 2 * 4000 + 1024
    assert eng.next_timer() is None and eng.gauges()["blocks_used"] == 0
    looped = listening()
    parts = []
    for op in syns(4000):
        parts += [looped.advance(op["at"]), looped.receive(np.array([op["seg"]], SEGMENT), op["at"])]
    parts.append(looped.advance(200_000 * MS))
    assert rows.tobytes() == b"".join(part.tobytes() for part in parts)


def test_no_rows_is_advance():
    one, other = Scene().eng, Scene().eng
    rows, times = one.play(batch(), 5000 * MS)
    assert rows.tobytes() == other.advance(5000 * MS).tobytes() and len(rows) == len(times) > 0
    assert one.blocks.tobytes() == other.blocks.tobytes()
