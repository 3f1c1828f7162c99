"""The public API as written: what each call takes, gives and refuses.

Not what a connection does (dialogues), and not whether that is right (properties). Bad arguments have a file
of their own, `test_api_errors.py`.
"""

import contextlib
import errno
import gc
import os
import resource
import threading
import time
from enum import IntEnum, IntFlag

import numpy as np
import pytest

from tcpcore import (
    BLOCK,
    EVENT,
    INFO,
    SEGMENT,
    Config,
    Engine,
    EventKind,
    Flag,
    State,
    format_segments,
    segments,
)

MS = 1_000_000
SECOND = 1000 * MS
EDGE = 0xFFFF_FF00
LOCAL, PEER = "10.0.0.1", "10.0.0.2"
LOCAL_ADDR, PEER_ADDR = 0x0A000001, 0x0A000002
S, A, F, R, P = Flag.SYN, Flag.ACK, Flag.FIN, Flag.RST, Flag.PSH


def from_peer(flags, seq, ack=0, *, sport=1000, dport=80, n=1, **fields):
    return segments(n, src=PEER, dst=LOCAL, sport=sport, dport=dport, flags=flags, seq=seq % 2**32,
                    ack=ack % 2**32, wnd=64_240, **fields)


def opened(eng, listener, sport, now):
    """A passive open from that port, accepted; (handle, our ISS)."""
    synack = eng.receive(from_peer(S, EDGE, sport=sport), now)
    eng.receive(from_peer(A, EDGE + 1, int(synack["seq"][0]) + 1, sport=sport), now)
    conns = eng.accept(listener, 1)
    assert len(conns) == 1
    return conns, int(synack["seq"][0])


@pytest.fixture
def eng():
    return Engine(capacity=64, tcp_timestamps=0, tcp_syncookies=0)


@pytest.fixture
def web(eng):
    return eng.listen(LOCAL, 80)


# -- records


def test_segment_has_the_fields_of_the_contract():
    assert SEGMENT.itemsize == 40
    assert [(name, SEGMENT[name].str[1:]) for name in SEGMENT.names] == [
        ("src", "u4"), ("dst", "u4"), ("sport", "u2"), ("dport", "u2"), ("seq", "u4"), ("ack", "u4"),
        ("wnd", "u2"), ("payload_len", "u2"), ("flags", "u1"), ("opts", "u1"), ("wscale", "u1"),
        ("mss", "u2"), ("tsval", "u4"), ("tsecr", "u4")]


def test_block_is_one_cache_line_with_the_names_of_the_rfc():
    assert BLOCK.itemsize == 64
    assert {"snd_una", "snd_nxt", "snd_wnd", "snd_wl1", "rcv_nxt", "iss", "state", "laddr", "lport", "raddr",
            "rport", "generation", "deadline", "retries"} <= set(BLOCK.names)


def test_event_and_info_have_the_fields_of_the_contract():
    assert {name: EVENT[name].str[1:] for name in EVENT.names} == {
        "conn": "u8", "at": "i8", "listener": "u4", "kind": "u1", "cause": "u1", "state": "u1"}
    assert {"state", "error", "snd_una", "snd_nxt", "rcv_nxt", "unread", "retries",
            "listener"} <= set(INFO.names)


def test_state_and_flag_are_enums_with_the_numbers_of_the_contract():
    assert issubclass(State, IntEnum) and issubclass(Flag, IntFlag)
    assert [state.name for state in sorted(State)] == [
        "CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2",
        "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT"]
    assert [flag.name for flag in Flag] == ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"]


def test_format_segments_prints_a_line_each():
    lines = format_segments(from_peer(S, np.array([1, 2]), n=2, mss=1460)).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("10.0.0.2.1000 > 10.0.0.1.80: Flags [S], seq 1, win 64240, options [mss 1460]")


# -- construction


def test_engine_of_knobs_is_engine_of_config():
    assert Engine(capacity=7, tcp_syncookies=2).config == Config(capacity=7, tcp_syncookies=2)
    assert Engine(Config.freebsd(), capacity=7).config == Config.freebsd(capacity=7)
    assert Engine().config == Config.linux()


def test_a_hundred_million_blocks_cost_nothing_until_used():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    eng = Engine(capacity=100_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 10_000    # pages touched
    assert len(eng.blocks) == 100_000_000
    assert eng.gauges()["bytes_total"] < 1 << 20
    eng.connect(PEER, 80, 0, n=1000)
    assert eng.gauges()["bytes_total"] < 16 << 20
    assert eng.check() == []


def address_space():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_an_engine_gives_its_memory_back():
    Engine(capacity=1_000_000)
    gc.collect()
    before = address_space()
    for _ in range(8):
        Engine(capacity=1_000_000)
        gc.collect()
    assert address_space() - before < 2 * 1_000_000 * 64


# -- listen, unlisten, accept


def test_listen_gives_an_int_and_state_counts_counts_it(eng):
    ids = [eng.listen(LOCAL, 80), eng.listen(LOCAL, 81, 0), eng.listen("0.0.0.0", 80, backlog=10**9),
           eng.listen(PEER_ADDR, np.uint16(80), np.int64(5), auto_accept=True, auto_close=True, rcv_buf=1000)]
    assert all(type(listener) is int and listener > 0 for listener in ids) and len(set(ids)) == 4
    assert eng.state_counts()[State.LISTEN] == 4
    for listener in ids:
        assert len(eng.unlisten(listener, 0)) == 0
    assert not eng.state_counts().any()


def test_second_listener_on_an_address_is_eaddrinuse(eng, web):
    with pytest.raises(OSError) as caught:
        eng.listen(LOCAL_ADDR, 80)
    assert caught.value.errno == errno.EADDRINUSE
    assert eng.state_counts()[State.LISTEN] == 1
    eng.unlisten(web, 0)
    eng.listen(LOCAL, 80)


def test_accept_gives_the_oldest_first_and_no_more_than_asked(eng, web):
    ports = [5, 3, 9, 7]
    for sport in ports:
        synack = eng.receive(from_peer(S, EDGE, sport=sport), 0)
        eng.receive(from_peer(A, EDGE + 1, int(synack["seq"][0]) + 1, sport=sport), 0)
    assert eng.gauges()["accept_queue"] == 4
    assert len(eng.accept(web, 0)) == 0
    first, rest, none = eng.accept(web, 1), eng.accept(web), eng.accept(web)
    assert [conns.dtype for conns in (first, rest, none)] == [np.uint64] * 3
    assert eng.blocks["rport"][(np.concatenate([first, rest]) & 0xFFFFFFFF).astype(int)].tolist() == ports
    assert len(none) == 0


def test_an_auto_accept_listener_has_nothing_to_accept(eng):
    listener = eng.listen(LOCAL, 80, 0, auto_accept=True)
    for sport in (1, 2, 3):
        synack = eng.receive(from_peer(S, EDGE, sport=sport), 0)
        eng.receive(from_peer(A, EDGE + 1, int(synack["seq"][0]) + 1, sport=sport), 0)
    assert len(eng.accept(listener)) == 0
    assert eng.state_counts()[State.ESTABLISHED] == 3


# -- connect


def test_connect_broadcasts_scalars_and_arrays(eng):
    conns, rows = eng.connect([PEER_ADDR, PEER_ADDR + 1, PEER_ADDR + 2], 80, 0, src=LOCAL, sport=[7, 8, 9],
                              isn=EDGE, rcv_buf=30_000)
    assert conns.dtype == np.uint64 and conns.shape == (3,) and rows.dtype == SEGMENT and rows.shape == (3,)
    assert rows["dst"].tolist() == [PEER_ADDR, PEER_ADDR + 1, PEER_ADDR + 2]
    assert rows["sport"].tolist() == [7, 8, 9] and (rows["seq"] == EDGE).all() and (rows["flags"] == S).all()
    assert eng.lookup(rows["dst"], rows["dport"], rows["src"], rows["sport"]).tolist() == conns.tolist()


def test_connect_of_scalars_is_one_connection(eng):
    conns, rows = eng.connect(PEER, 80, 0)
    assert conns.shape == (1,) and len(rows) == 1 and rows["src"] == LOCAL_ADDR
    assert conns[0] >> np.uint64(32) == 1
    assert eng.blocks["state"][int(conns[0] & np.uint64(0xFFFFFFFF))] == State.SYN_SENT


def test_connect_n_times(eng):
    conns, rows = eng.connect(PEER, 80, 0, n=5)
    assert len(set(conns.tolist())) == 5 and len(set(rows["sport"].tolist())) == 5
    assert [len(part) for part in eng.connect(PEER, 80, 0, n=0)] == [0, 0]
    assert [len(part) for part in eng.connect([], 80, 0)] == [0, 0]


def test_connect_that_finds_no_block_or_an_occupied_tuple_gives_0_and_a_cause():
    eng = Engine(capacity=2, tcp_timestamps=0)
    conns, rows = eng.connect(PEER, 80, 0, sport=[7, 7, 8, 9])
    assert (conns > 0).tolist() == [True, False, True, False] and rows["sport"].tolist() == [7, 8]
    lost = {cause: count for cause, count in eng.causes.items() if count}
    assert lost == {"AddressInUse": 1, "BlocksExhausted": 1}


# -- calls on handles


def test_every_call_on_handles_takes_scalars_lists_and_arrays(eng, web):
    for number, call in enumerate((eng.shutdown, eng.close, eng.abort)):
        for turn, form in enumerate((lambda c: int(c[0]), lambda c: c[0], list, lambda c: c.reshape(1, 1))):
            conns, _ = opened(eng, web, 100 + 10 * number + turn, 0)
            rows = call(form(conns), 0)
            assert rows.dtype == SEGMENT and len(rows) == 1
    conns, _ = opened(eng, web, 1, 0)
    assert eng.send(int(conns[0]), 100, 0)["payload_len"].tolist() == [100]
    taken, rows = eng.recv(int(conns[0]), None, 0)
    assert taken.dtype == np.uint32 and taken.tolist() == [0] and len(rows) == 0
    assert eng.info(int(conns[0])).shape == (1,)


def test_send_broadcasts_bytes(eng, web):
    conns = np.concatenate([opened(eng, web, sport, 0)[0] for sport in (1, 2)])
    assert eng.send(conns, [100, 200], 0)["payload_len"].tolist() == [100, 200]
    assert eng.send(conns, 50, 0)["payload_len"].tolist() == [50, 50]
    assert eng.check() == []


def test_recv_takes_what_there_is():
    eng = Engine(capacity=8, auto_read=False, tcp_timestamps=0)
    web = eng.listen(LOCAL, 80)
    conns = np.concatenate([opened(eng, web, sport, 0)[0] for sport in (1, 2)])
    isses = eng.info(conns)["snd_nxt"]
    for sport, iss in zip((1, 2), isses, strict=True):
        eng.receive(from_peer(A | P, EDGE + 1, int(iss), sport=sport, payload_len=500), 0)
    assert eng.info(conns)["unread"].tolist() == [500, 500]
    assert eng.recv(conns, [100, 600], 0)[0].tolist() == [100, 500]
    assert eng.recv(conns, 50, 0)[0].tolist() == [50, 0]
    assert eng.recv(conns, None, 0)[0].tolist() == [350, 0]
    assert eng.info(conns)["unread"].tolist() == [0, 0]


def test_empty_batches_are_legal_everywhere(eng, web):
    none = np.zeros(0, np.uint64)
    for rows in (eng.receive(segments(0), 1), eng.send(none, 1, 1), eng.send([], [], 1), eng.shutdown([], 1),
                 eng.close(none, 1), eng.abort(none, 1), eng.advance(1), eng.recv([], None, 1)[1]):
        assert rows.dtype == SEGMENT and rows.shape == (0,)
    assert len(eng.info([])) == 0 and len(eng.lookup([], 1, 2, 3)) == 0 and len(eng.recv([], None, 1)[0]) == 0
    assert len(eng.events()) == 0 and eng.events().dtype == EVENT


def test_an_empty_batch_moves_the_clock(eng):
    eng.receive(segments(0), 5)
    with pytest.raises(ValueError, match="^now: "):
        eng.advance(4)


def test_a_stale_handle_is_skipped_and_counted(eng, web):
    conns, _ = opened(eng, web, 1, 0)
    alive, _ = opened(eng, web, 2, 0)
    eng.abort(conns, 0)
    mixed = np.array([conns[0], alive[0], 0, 2**64 - 1, 63 | 1 << 32], np.uint64)
    rows = eng.send(mixed, 10, 0)
    assert len(rows) == 1 and rows["dport"] == 2
    assert eng.counters["StaleHandles"] == 4
    taken, _ = eng.recv(mixed, None, 0)
    assert taken.tolist() == [0] * 5
    for call in (eng.shutdown, eng.close, eng.abort):
        assert len(call(conns, 0)) == 0
    assert eng.counters["StaleHandles"] == 11
    told = eng.info(mixed)
    assert told["state"].tolist() == [0, State.ESTABLISHED, 0, 0, 0]
    assert not any(told[0].item()) and not any(told[2].item())


def test_handles_in_a_list_may_be_any_uint64(eng):
    assert eng.info([1 << 32, 2**64 - 1, 0])["state"].tolist() == [State.CLOSED] * 3


def test_send_bounds_what_one_connection_has_queued(eng, web):
    conns, _ = opened(eng, web, 1, 0)
    for batch in (np.repeat(conns, 3), np.repeat(conns, 9)):
        with pytest.raises(ValueError, match="^nbytes: "):
            eng.send(batch, 2**30 // 2, 0)
        assert eng.check() == [] and eng.counters["OutSegs"] == 1
    assert len(eng.send(conns, 2**30, 0)) and eng.check() == []
    with pytest.raises(ValueError, match="^nbytes: "):
        eng.send(conns, 1, 0)
    assert eng.check() == []


def test_send_after_our_fin_is_ignored(eng, web):
    conns, iss = opened(eng, web, 1, 0)
    eng.send(conns, 10, 0)
    eng.shutdown(conns, 0)
    assert len(eng.send(conns, 10, 0)) == 0
    eng.receive(from_peer(A, EDGE + 1, iss + 12, sport=1), 0)
    assert eng.info(conns)["state"] == State.FIN_WAIT_2
    assert len(eng.send(conns, 10, 0)) == 0


def test_a_slot_taken_again_has_another_handle():
    eng = Engine(capacity=1)
    first, _ = eng.connect(PEER, 80, 0)
    eng.abort(first, 0)
    second, _ = eng.connect(PEER, 80, 0)
    assert int(second[0]) - int(first[0]) == 1 << 32
    assert eng.info(first)["state"] == State.CLOSED and eng.info(second)["state"] == State.SYN_SENT


def test_error_is_told_until_close_and_reading_does_not_clear_it(eng):
    conns, rows = eng.connect(PEER, 80, 0, sport=7)
    eng.receive(from_peer(R | A, 0, int(rows["seq"][0]) + 1, sport=80, dport=7), 1)
    for _ in range(2):
        assert eng.info(conns)[["state", "error"]][0].item() == (State.CLOSED, errno.ECONNREFUSED)
    assert eng.gauges()["held_dead"] == 1 and eng.lookup(PEER, 80, LOCAL, 7).tolist() == [0]
    assert len(eng.close(conns, 2)) == 0
    assert eng.gauges()["held_dead"] == eng.gauges()["blocks_used"] == 0


def test_errors_are_errnos(eng, web):
    reset, iss = opened(eng, web, 1, 0)
    eng.receive(from_peer(R, EDGE + 1, sport=1), 0)
    broken, iss = opened(eng, web, 2, 0)
    eng.receive(from_peer(F | A, EDGE + 1, iss + 1, sport=2), 0)
    eng.receive(from_peer(R, EDGE + 2, sport=2), 0)
    late, _ = eng.connect(PEER, 80, 0)
    eng.advance(200 * SECOND)
    assert eng.info(np.concatenate([reset, broken, late]))["error"].tolist() == [
        errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT]


def test_lookup_finds_half_open_and_time_wait_but_no_listener(eng, web):
    assert eng.lookup(0, 0, LOCAL, 80).tolist() == [0]
    eng.receive(from_peer(S, EDGE, sport=1), 0)
    conns, iss = opened(eng, web, 2, 0)
    eng.shutdown(conns, 0)
    eng.receive(from_peer(F | A, EDGE + 1, iss + 2, sport=2), 0)
    found = eng.lookup(PEER, [1, 2, 3], LOCAL, 80)
    assert found.dtype == np.uint64
    assert eng.info(found)["state"].tolist() == [State.SYN_RECEIVED, State.TIME_WAIT, State.CLOSED]
    assert found[2] == 0 and found[1] == conns[0]


# -- what is seen


def test_blocks_is_a_read_only_view_that_keeps_the_memory():
    eng = Engine(capacity=64)
    blocks = eng.blocks
    assert blocks.dtype == BLOCK and blocks.shape == (64,) and not blocks.flags.writeable
    assert blocks.ctypes.data % 64 == 0 and not blocks.flags.owndata
    with pytest.raises(ValueError):
        blocks["state"][0] = 4
    with pytest.raises(ValueError):
        blocks.flags.writeable = True
    conns, rows = eng.connect(PEER, 80, 0)
    assert blocks["state"][0] == State.SYN_SENT and blocks["iss"][0] == rows["seq"][0], "a copy, not a view"
    del eng
    gc.collect()
    Engine(capacity=64).connect(PEER, 81, 0)
    assert blocks["rport"][0] == 80


def test_state_counts_and_gauges_and_counters(eng, web):
    counts, gauges = eng.state_counts(), eng.gauges()
    assert counts.dtype == np.uint64 and counts.shape == (11,)
    assert set(gauges) == {"half_open", "accept_queue", "time_wait", "orphans", "held_dead", "blocks_used",
                           "bytes_total", "bytes_per_connection"}
    assert eng.gauges(sizes=False) == {name: n for name, n in gauges.items() if not name.startswith("bytes")}
    assert all(type(value) is int for value in (eng.counters | eng.causes).values())
    eng.receive(from_peer(S, EDGE, sport=1), 0)
    conns, _ = opened(eng, web, 2, 0)
    gauges = eng.gauges()
    assert gauges["half_open"] == 1 and gauges["blocks_used"] == 2 and eng.counters["CurrEstab"] == 1
    assert gauges["bytes_per_connection"] == gauges["bytes_total"] / 2
    eng.close(conns, 0)
    assert eng.gauges()["orphans"] == 1 and eng.counters["CurrEstab"] == 0


def test_in_and_out_segs_are_rows(eng, web):
    sent = 0
    for rows in (eng.receive(from_peer(S, EDGE, sport=np.arange(1, 11), n=10), 0),
                 eng.connect(PEER, 80, 0, n=7)[1], eng.receive(from_peer(A, 5, n=3), 0),
                 eng.advance(3 * SECOND)):
        sent += len(rows)
    assert eng.counters["InSegs"] == 13 and eng.counters["OutSegs"] == sent


def test_events_tell_what_was_asked_for_and_are_drained():
    eng = Engine(capacity=8, tcp_timestamps=0, events=[kind.name.lower() for kind in EventKind])
    web = eng.listen(LOCAL, 80)
    conns, iss = opened(eng, web, 1, 5)
    eng.receive(from_peer(F | A, EDGE + 1, iss + 1, sport=1), 6)
    eng.shutdown(conns, 7)
    eng.receive(from_peer(A, EDGE + 2, iss + 2, sport=1), 8)
    eng.connect(PEER, 80, 9, sport=[4, 4])
    told = eng.events()
    assert told.dtype == EVENT
    assert [(EventKind(event["kind"]).name, event["at"]) for event in told] == [
        ("OPENED", 5), ("ESTABLISHED", 5), ("ACCEPTED", 5), ("EOF", 6), ("CLOSED", 8),
        ("OPENED", 9), ("REFUSED", 9)]
    assert (told["conn"][:5] == conns[0]).all() and (told["listener"][:5] == web).all()
    assert told["conn"][6] == 0 and told["cause"][6] and not told["cause"][:6].any()
    assert len(eng.events()) == 0 and eng.counters["EventsLost"] == 0


def test_events_nobody_asked_for_are_not_kept(eng, web):
    opened(eng, web, 1, 0)
    assert len(eng.events()) == 0
    eng = Engine(events=["lost"])
    eng.abort(eng.connect(PEER, 80, 0)[0], 0)
    assert [EventKind(event["kind"]) for event in eng.events()] == [EventKind.LOST]


# -- time


def test_next_timer_is_none_or_an_int(eng):
    assert eng.next_timer() is None
    eng.connect(PEER, 80, 1)
    due = eng.next_timer()
    assert type(due) is int and 1 < due <= SECOND + MS
    while (due := eng.next_timer()) is not None:
        eng.advance(due)
        after = eng.next_timer()
        assert after is None or after > due
    assert eng.causes["ConnectTimedOut"] == 1


def test_no_other_call_fires_timers(eng):
    eng.connect(PEER, 80, 0)
    assert len(eng.receive(segments(0), 5 * SECOND)) == 0
    assert eng.next_timer() <= 5 * SECOND
    assert len(eng.advance(5 * SECOND)) == 5      # each second one: tcp_syn_linear_timeouts
    assert eng.next_timer() > 5 * SECOND


def test_advance_gives_more_rows_than_its_first_guess():
    eng = Engine(capacity=4096, tcp_timestamps=0)
    _, syns = eng.connect(PEER, 80, 0, n=3000)
    rows = eng.advance(SECOND)
    assert rows.dtype == SEGMENT and rows.tobytes() == syns.tobytes()
    assert eng.check() == []


def test_advance_out_fills_and_stops():
    eng, whole = (Engine(capacity=64, tcp_timestamps=0) for _ in range(2))
    for engine in (eng, whole):
        engine.connect(PEER, 80, 0, n=20)
    expected = whole.advance(3 * SECOND)
    out, got = segments(7), []
    while (due := eng.next_timer()) is not None and due <= 3 * SECOND:
        rows = eng.advance(3 * SECOND, out=out)
        got += rows.tolist()
        assert len(rows) == 7 or eng.next_timer() > 3 * SECOND
    assert got == expected.tolist()
    assert eng.blocks.tobytes() == whole.blocks.tobytes() and eng.counters == whole.counters


@pytest.mark.parametrize("now", [2**61, 2**62, 2**63 - 10**15, 2**63 - 1])
def test_the_largest_now_is_refused_or_works(eng, now):
    try:
        eng.connect(PEER, 80, now)
    except ValueError as error:
        assert str(error).startswith("now: ")
    else:
        assert eng.next_timer() > now
        assert len(eng.advance(now)) == 0 and eng.next_timer() > now
    assert eng.check() == []


# -- sameness


def session(eng):
    """A bit of everything; every row and every view as bytes, step by step."""
    web = eng.listen(LOCAL, 80, 4)
    yield eng.receive(from_peer(S, EDGE, sport=np.arange(1, 11), n=10, mss=1460, tsval=5), 0).tobytes()
    for handle in eng.lookup(PEER, np.arange(1, 4), LOCAL, 80):
        told = eng.info(handle)[0]
        port = int(eng.blocks["rport"][int(handle) & 0xFFFFFFFF])
        ack = from_peer(A, EDGE + 1, int(told["snd_nxt"]), sport=port, tsval=6, tsecr=0)
        yield eng.receive(ack, MS).tobytes()
    conns = eng.accept(web)
    yield eng.send(conns, 4000, 2 * MS).tobytes()
    yield eng.connect([PEER_ADDR, PEER_ADDR + 1], 443, 3 * MS)[1].tobytes()
    for now in range(0, 100, 7):
        yield eng.advance(3 * MS + now * SECOND).tobytes()
        yield eng.blocks.tobytes()
    yield eng.close(conns, 200 * SECOND).tobytes()
    yield repr((eng.counters, eng.causes, eng.state_counts().tolist(), eng.events().tolist()))


ALL_EVENTS = {"capacity": 64, "events": ("opened", "established", "closed", "lost", "refused")}


def test_the_same_seed_gives_the_same_bytes():
    assert list(session(Engine(seed=7, **ALL_EVENTS))) == list(session(Engine(seed=7, **ALL_EVENTS)))
    assert list(session(Engine(seed=7, **ALL_EVENTS))) != list(session(Engine(seed=8, **ALL_EVENTS)))


def test_two_engines_never_touch():
    alone = list(session(Engine(seed=7, **ALL_EVENTS)))
    one, other = session(Engine(seed=7, **ALL_EVENTS)), session(Engine(seed=8, **ALL_EVENTS))
    together = []
    for step in one:
        together.append(step)
        next(other)
    assert together == alone


# -- threads


class Intruder(threading.Thread):
    """Calls into an engine again and again until it is turned away; proves besides that the GIL is free."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.turned_away, self.other, self.stop = call, threading.Event(), None, False

    def run(self):
        while not (self.stop or self.turned_away.is_set()):
            try:
                self.call()
            except RuntimeError:
                self.turned_away.set()
            except Exception as error:
                self.other = error
                return
            time.sleep(0)


def turned_away(call, work, rounds=100):
    """Whether `call`, made in another thread, meets a RuntimeError while this thread does `work` so often."""
    intruder = Intruder(call)
    intruder.start()
    while rounds and not intruder.turned_away.is_set() and intruder.is_alive():
        with contextlib.suppress(RuntimeError):      # the intruder was inside first: this does not count
            work()
            rounds -= 1
    intruder.stop = True
    intruder.join(10)
    assert intruder.other is None, intruder.other
    return intruder.turned_away.is_set()


#: Long enough for a thread switch, and without effect: RSTs to nobody.
NOISE = from_peer(R, 0, n=400_000)
SPARE = segments(2 * len(NOISE))


@pytest.mark.parametrize("call", [
    lambda eng, web: eng.receive(segments(0), 0),
    lambda eng, web: eng.advance(0),
    lambda eng, web: eng.connect(PEER, 80, 0, n=0),
    lambda eng, web: eng.close([], 0),
    lambda eng, web: eng.send([], 1, 0),
    lambda eng, web: eng.accept(web),
    lambda eng, web: eng.unlisten(eng.listen(LOCAL, 90), 0),
], ids=["receive", "advance", "connect", "close", "send", "accept", "listen"])
def test_a_second_thread_is_turned_away_and_the_gil_is_free(eng, web, call):
    assert turned_away(lambda: call(eng, web), lambda: eng.receive(NOISE, 0, out=SPARE))
    assert len(eng.receive(segments(0), 1)) == 0 and eng.check() == []


@pytest.mark.parametrize("view", [
    lambda eng: eng.lookup(PEER, 80, LOCAL, 7), lambda eng: eng.info(1 << 32), lambda eng: eng.events(),
    lambda eng: eng.check(), lambda eng: eng.next_timer(),
], ids=["lookup", "info", "events", "check", "next_timer"])
def test_the_views_are_closed_while_another_thread_is_inside(eng, view):
    """They would walk components that are being rebuilt."""
    assert turned_away(lambda: view(eng), lambda: eng.receive(NOISE, 0, out=SPARE))


def test_advance_lets_other_threads_run():
    eng = Engine(capacity=200_000, tcp_timestamps=0)
    eng.connect(np.arange(200_000) % 50 + PEER_ADDR, 80, 0)
    web, clock = eng.listen(LOCAL, 80), iter(range(1, 10**6))
    assert turned_away(lambda: eng.accept(web), lambda: eng.advance(next(clock) * SECOND))
