"""Initial sequence numbers as the wire shows them: on the SYN, on the SYN-ACK.

Source: RFC 9293 3.4.1 (MUST-8, MUST-9), RFC 6528.
"""

import numpy as np
import pytest

from tcpcore import Config, Engine, Flag, segments

MS = 1_000_000
SECOND = 1000 * MS
SPACE = 1 << 32
LOCAL, PEER = "10.0.0.1", "10.0.0.2"
CLASSROOM = 4 * MS                     # the textbook's clock: one step in 4 ms


def engine(**knobs):
    eng = Engine(Config.linux(capacity=4096, local_addr=LOCAL, **knobs))
    eng.listen(LOCAL, 80)
    return eng


def say(eng, now, flags, seq, ack=0, sport=1):
    """The peer's segment; what it is answered by."""
    return eng.receive(segments(1, src=PEER, dst=LOCAL, sport=sport, dport=80, flags=flags, seq=seq, wnd=5000,
                                ack=ack % SPACE), now)


def active(eng, now, sport=1000, **options):
    """SEG.SEQ of our SYN; the connection is gone afterwards."""
    conns, rows = eng.connect(PEER, 80, now, sport=sport, **options)
    eng.abort(conns, now)
    assert rows["flags"].tolist() == [Flag.SYN]
    return int(rows["seq"][0])


def passive(eng, now, sport=1000):
    """SEG.SEQ of our SYN-ACK; the half-open entry is gone afterwards."""
    rows = say(eng, now, Flag.SYN, 9, sport=sport)
    assert rows["flags"].tolist() == [Flag.SYN | Flag.ACK]
    eng.abort(eng.lookup(PEER, sport, LOCAL, 80), now)
    return int(rows["seq"][0])


ROLES = pytest.mark.parametrize("number", [active, passive])


@ROLES
def test_classroom_clock_goes_up_by_one_each_four_milliseconds(number):
    eng = engine(isn="rfc793", isn_tick_ns=CLASSROOM)
    seen = [number(eng, now * MS) for now in range(0, 41)]
    assert seen == [now // 4 for now in range(0, 41)]
    assert number(eng, 3600 * SECOND) == 3600 * 250


@ROLES
def test_the_clock_of_rfc_793_is_the_same_for_everybody(number):
    eng = engine(isn="rfc793", isn_tick_ns=4000)
    assert len({number(eng, SECOND, sport) for sport in range(1, 50)}) == 1
    assert number(eng, SECOND) == SECOND // 4000


@ROLES
def test_the_clock_wraps(number):
    eng = engine(isn="rfc793", isn_tick_ns=CLASSROOM)
    last = (SPACE - 1) * CLASSROOM
    times = [last, last + CLASSROOM - 1, last + CLASSROOM, last + 2 * CLASSROOM]
    assert [number(eng, now) for now in times] == [SPACE - 1, SPACE - 1, 0, 1]


def test_a_connection_opened_at_the_wrap_lives_across_it():
    eng = engine(isn="rfc793", isn_tick_ns=CLASSROOM, tcp_timestamps=0)
    now = (SPACE - 1) * CLASSROOM
    synack = say(eng, now, Flag.SYN, SPACE - 1)
    assert (int(synack["seq"][0]), int(synack["ack"][0])) == (SPACE - 1, 0)
    say(eng, now, Flag.ACK, 0, 0)
    conns = eng.accept(1)
    assert eng.info(conns)[["snd_una", "snd_nxt", "rcv_nxt"]].tolist() == [(0, 0, 0)]
    assert eng.send(conns, 10, now)["seq"].tolist() == [0]


@pytest.mark.parametrize("tick", [64, 4000, CLASSROOM])
@ROLES
def test_rfc_6528_is_a_clock_for_each_tuple(number, tick):
    """ISN = M + F(tuple, key): for one tuple the differences are the clock's."""
    eng = engine(isn="rfc6528", isn_tick_ns=tick)
    first = number(eng, 0)
    for now in (1, tick - 1, tick, 7 * tick, SECOND, 20_000 * SECOND):
        assert (number(eng, now) - first) % SPACE == now // tick % SPACE


@ROLES
def test_rfc_6528_hides_the_clock_of_one_tuple_from_another(number):
    eng = engine(isn="rfc6528")
    seen = np.array([number(eng, SECOND, sport) for sport in range(1, 1001)], np.int64)
    assert len(set(seen.tolist())) == 1000
    # spread over the whole space, without a step between neighbours: a shared clock would show as one
    assert np.histogram(seen, 8, (0, SPACE))[0].min() > 80
    assert len(set(np.diff(seen).tolist())) == 999


def test_rfc_6528_tells_each_part_of_the_tuple_apart():
    def syn(**change):
        where = {"dst": PEER, "dport": 80, "src": LOCAL, "sport": 1000, **change}
        return int(engine().connect(now=0, **where)[1]["seq"][0])

    changes = [{}, {"dst": "10.0.0.3"}, {"dport": 81}, {"src": "10.0.0.9"}, {"sport": 1001}]
    assert len({syn(**change) for change in changes}) == len(changes)


@ROLES
def test_rfc_6528_is_keyed_by_the_seed(number):
    assert len({number(engine(seed=seed), 0) for seed in range(20)}) == 20
    assert number(engine(seed=5), 0) == number(engine(seed=5), 0)


@ROLES
def test_random_numbers_have_no_clock(number):
    eng = engine(isn="random")
    seen = [number(eng, 0) for _ in range(200)]
    assert len(set(seen)) == 200
    assert seen == [number(eng, 0) for eng in [engine(isn="random")] for _ in range(200)], "the seed decides"


def test_a_forced_number_is_taken_as_it_is():
    eng = engine()
    forced = [0, 1, 2**31, SPACE - 1]
    conns, rows = eng.connect(PEER, 80, 0, sport=[1, 2, 3, 4], isn=forced)
    assert rows["seq"].tolist() == forced
    info = eng.info(conns)
    assert info["snd_una"].tolist() == forced
    assert info["snd_nxt"].tolist() == [(number + 1) % SPACE for number in forced]


def test_the_number_stays_the_same_when_the_syn_is_sent_again():
    eng = engine()
    _, syn = eng.connect(PEER, 80, 0)
    again = eng.advance(30 * SECOND)
    assert len(again) > 3 and set(again["seq"].tolist()) == set(syn["seq"].tolist())
    synack = say(eng, 30 * SECOND, Flag.SYN, 9)
    again = eng.advance(33 * SECOND)
    again = again[again["flags"] == Flag.SYN | Flag.ACK]
    assert len(again) and set(again["seq"].tolist()) == set(synack["seq"].tolist())


def test_a_reopened_time_wait_goes_on_above_the_old_numbers():
    """RFC 9293 3.6.1 (MAY-2): larger than any number the old incarnation used."""
    eng = engine(tcp_timestamps=0)
    iss = int(say(eng, 0, Flag.SYN, 9)["seq"][0])
    say(eng, 0, Flag.ACK, 10, iss + 1)
    conns = eng.accept(1)
    eng.shutdown(conns, 0)
    say(eng, 0, Flag.FIN | Flag.ACK, 10, iss + 2)
    synack = say(eng, 0, Flag.SYN, 1000)
    assert synack["flags"].tolist() == [Flag.SYN | Flag.ACK]
    assert int(synack["seq"][0]) == (iss + 2 + 65537) % SPACE
