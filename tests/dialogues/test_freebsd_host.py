"""What the defaults of a FreeBSD 14 host make of a connection: docs/freebsd.md, name by name."""

import numpy as np
import pytest

from tcpcore import Config, State, segments
from tests.dialogues.dialogue import LOCAL, LOCAL_PORT, RTT, SECOND, SILENCE, TICK, signed

pytestmark = pytest.mark.profile("freebsd")


# -- tolerate_missing_ts, minmss

@pytest.mark.knobs(tcp_timestamps=1)
def test_segments_without_the_timestamps_agreed_on_are_taken(listening):
    listening.timestamps = True
    listening.arrives("S", mss=1460, opts=9)
    listening.expects("SA", opts=9)
    listening.arrives("A", at=RTT, opts=0)
    assert listening.accept()
    listening.arrives("A", length=100, opts=0)
    listening.expects("A", ack=101, at=RTT + 0.04)


@pytest.mark.parametrize("offered, used", [(88, 216), (216, 216), (217, 217)])
def test_a_peer_cannot_ask_for_less_than_minmss(listening, offered, used):
    listening.arrives("S", mss=offered, opts=1)
    listening.expects("SA")
    listening.arrives("A", at=RTT)
    assert listening.accept()
    listening.send(1000)
    listening.expects("A", length=used)
    listening.host.heard.clear()


# -- RST in SYN-RECEIVED that came from SYN-SENT (tcp_do_segment)

@pytest.mark.parametrize("ack", [0, 1, 2, -1000])
def test_the_ack_of_a_reset_is_not_looked_at(crossed, ack):
    crossed.arrives("RA", seq=1, ack=ack)
    crossed.expects(SILENCE)
    assert (crossed.state, crossed.error) == (State.CLOSED, "ECONNREFUSED")


@pytest.mark.parametrize("ack", [0, 2, -1000])
def test_a_reset_with_any_ack_elsewhere_in_the_window_is_challenged(crossed, ack):
    crossed.arrives("RA", seq=2, ack=ack)
    crossed.expects("A", ack=1)
    assert crossed.state == State.SYN_RECEIVED


# -- rexmit_drop_options

@pytest.mark.knobs(rexmit_drop_options=1, tcp_timestamps=1, tcp_sack=1, tcp_window_scaling=1)
def test_the_third_resend_of_a_syn_asks_for_nothing_but_its_mss(closed):
    assert closed.connect()
    for at, opts in ((0, 15), (1, 15), (3.2, 15), (7.4, 1), (15.6, 1)):
        closed.expects("S", at=at, opts=opts, mss=1460)
    closed.arrives("SA", mss=1460, wscale=3, opts=15)
    closed.expects("A", opts=0, wnd=65_535)
    assert closed.state == State.ESTABLISHED


@pytest.mark.knobs(tcp_timestamps=1, tcp_sack=1, tcp_window_scaling=1)
def test_by_default_a_syn_keeps_its_options(closed):
    assert closed.connect()
    for at in (0, 1, 3.2, 7.4):
        closed.expects("S", at=at, opts=15)


# -- rexmit_initial, tcp_backoff

def test_a_syn_that_was_resent_gives_text_an_rto_of_a_second(syn_sent):
    syn_sent.expects("S", at=1)
    syn_sent.arrives("SA", mss=1460, at=1.1)
    syn_sent.expects("A")
    syn_sent.settled()
    syn_sent.send(100)
    syn_sent.expects("A", length=100)
    syn_sent.expects("A", seq=1, length=100, at=1.2)


@pytest.mark.knobs(tcp_retries2=20, tcp_orphan_retries=20)
def test_the_interval_is_512_rto_at_most(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA")
    listening.arrives("A", at=0.001)
    assert listening.accept()
    listening.settled()
    listening.send(100)
    listening.expects("A", length=100)
    at = 0
    for doublings in range(13):
        at += 0.03 * 2 ** min(doublings, 9) + 0.2
        listening.expects("A", seq=1, length=100, at=round(at, 3))


# -- nolocaltimewait

@pytest.mark.knobs(nolocaltimewait=1)
def test_another_host_has_its_time_wait(fin_wait_2):
    fin_wait_2.arrives("FA")
    fin_wait_2.expects("A")
    assert fin_wait_2.state == State.TIME_WAIT


@pytest.mark.parametrize("addr", [LOCAL, "127.0.0.1"])
@pytest.mark.parametrize("kept, state", [(0, State.TIME_WAIT), (1, State.CLOSED)])
def test_a_connection_of_this_host_with_itself_has_none(stack, addr, kept, state):
    host = stack(Config.freebsd(local_addr=addr, nolocaltimewait=kept, isn="rfc793", capacity=8, delack_ms=0))
    (server,) = [host.listen(addr, LOCAL_PORT, backlog=4)]
    (conn,), rows = host.connect(addr, LOCAL_PORT, 0, src=addr, sport=4000)
    peer = {"src": addr, "dst": addr, "sport": LOCAL_PORT, "dport": 4000}
    iss = int(rows[0]["seq"])
    host.unlisten(server, 0)
    host.receive(segments(1, **peer, flags=18, seq=100, ack=iss + 1, wnd=9000, mss=1460, opts=1), 0)
    host.shutdown(conn, 0)
    host.receive(segments(1, **peer, flags=17, seq=101, ack=iss + 2, wnd=9000), TICK)
    assert State(host.info([conn])[0]["state"]) == state


# -- old text

@pytest.mark.parametrize("sack, at_once", [(0, False), (1, True)])
@pytest.mark.parametrize("seq, length", [(-49, 150), (0, 101)])
@pytest.mark.knobs(tcp_sack=1)
def test_with_sack_text_that_is_partly_old_is_acknowledged_at_once(listening, sack, at_once, seq, length):
    peer = listening
    peer.arrives("S", mss=1460, opts=1 | 4 * sack)
    peer.expects("SA")
    peer.arrives("A")
    assert peer.accept()
    peer.arrives("A", seq=seq, length=length)
    end = seq + length
    if at_once:
        peer.expects("A", ack=end)
    peer.expects(SILENCE, at=0.039)
    if not at_once:
        peer.expects("A", ack=end, at=0.04)


# -- persmin, persmax: zero-window probes (tcp_setpersist, tcp_timer_persist)

@pytest.fixture
def shut(established):
    """300 bytes wait for a window that the peer has closed; the round trip was 100 ms."""
    established.arrives("A", wnd=0)
    established.send(300)
    established.expects(SILENCE)
    return established.settled()


def probed(peer, seconds):
    """When the window was probed in so many seconds; each probe is the first byte that waits."""
    peer.host.run(peer.ready + seconds * SECOND)
    rows, peer.host.heard = peer.host.heard, []
    assert {(int(row["payload_len"]), signed(row["seq"], peer.iss)) for _, row in rows} == {(1, peer.next)}
    return [(when - peer.ready) // TICK for when, _ in rows]


def test_a_closed_window_is_probed_after_5_s_and_after_a_minute_at_most(shut):
    # 4 SRTT + 8 RTTVAR are 0.8 s: 1.0, 1.8, 3.4 are 5, then 6.6, 13.0, 25.8 and 51.4
    waits = [5000, 5000, 5000, 6600, 13_000, 25_800, 51_400, 60_000, 60_000]
    assert probed(shut, 240) == [sum(waits[: n + 1]) for n in range(len(waits))]


def test_a_long_round_trip_makes_the_first_interval_longer(syn_received):
    syn_received.arrives("A", at=0.9, wnd=0)
    assert syn_received.accept()
    syn_received.settled()
    syn_received.send(300)
    assert probed(syn_received, 25) == [7400, 7400 + 14_600]


@pytest.mark.knobs(persmin_ms=1000, persmax_ms=3000)
def test_persmin_and_persmax_bound_the_interval(shut):
    assert probed(shut, 8) == [1000, 2800, 5800]


def test_the_byte_of_a_probe_counts_once_it_is_acknowledged(shut):
    shut.expects("A", length=1, at=5)
    shut.arrives("A", ack=1, wnd=0)
    shut.expects(SILENCE)
    shut.expects("A", seq=1, length=1, at=10)
    shut.arrives("A", ack=2, wnd=0)
    shut.expects("A", seq=2, length=1, at=15)
    shut.arrives("A", ack=2, wnd=500)
    shut.expects("A", seq=2, length=299)
    shut.arrives("A", ack=301)


def test_a_byte_that_was_not_taken_goes_again_with_the_rest(shut):
    shut.expects("A", length=1, at=5)
    shut.arrives("A", ack=1)
    shut.expects("A", seq=1, length=300)
    shut.arrives("A", ack=301)


def test_no_byte_is_acknowledged_before_a_probe(shut):
    shut.arrives("A", ack=2, wnd=0)
    shut.expects("A")
    shut.expects("A", seq=1, length=1, at=5)


def test_probes_that_are_answered_have_no_end(shut):
    for _ in range(60):
        shut.expects("A", seq=1, length=1, within=61)
        shut.arrives("A", ack=1, wnd=0)
    assert shut.state == State.ESTABLISHED


def test_silence_ends_a_connection_behind_a_closed_window_after_all_doublings(shut):
    # 2559 RTO of 0.3 s are 767.7 s: probe 12 is at 411.8 s, 17 at 711.8, and 18 would be at 771.8
    assert len(probed(shut, 771)) == 17
    shut.wait(771.7)
    assert shut.state == State.ESTABLISHED
    shut.wait(771.9)
    assert (shut.state, shut.error) == (State.CLOSED, "ETIMEDOUT")


def test_a_minute_of_silence_ends_it_once_we_have_closed(shut):
    shut.shutdown()
    assert len(probed(shut, 60)) == 5
    shut.wait(60.3)
    assert shut.state == State.FIN_WAIT_1
    shut.wait(60.5)
    assert (shut.state, shut.error) == (State.CLOSED, "ETIMEDOUT")


# -- a FIN needs no window; a RST has none (tcp_output)

def test_a_fin_goes_into_a_closed_window(established):
    established.arrives("A", wnd=0)
    established.shutdown()
    established.expects("FA")
    established.arrives("A", wnd=0)
    assert established.state == State.FIN_WAIT_2


def test_a_fin_goes_with_text_that_fills_the_window(established):
    established.arrives("A", wnd=0)
    established.send(100)
    established.shutdown()
    established.arrives("A", wnd=100)
    established.expects("FA", length=100)
    established.arrives("A")


def test_a_fin_waits_for_the_text_before_it(established):
    established.arrives("A", wnd=0)
    established.send(100)
    established.shutdown()
    established.arrives("A", wnd=99)
    established.expects(SILENCE)
    established.arrives("A", wnd=100)
    established.expects("FA", length=100)
    established.arrives("A")


def test_a_reset_of_our_own_has_no_window(established):
    established.abort()
    established.expects("RA", wnd=0)


# -- finwait2_timeout, fast_finwait2_recycle, keepcnt, keepintvl (tcp_timer_2msl)

@pytest.fixture
def orphaned(established):
    """FIN-WAIT-2, the application gone before our FIN was acknowledged."""
    established.close()
    established.expects("FA")
    established.arrives("A", at=RTT)
    assert established.state == State.FIN_WAIT_2
    return established.settled()


def test_fin_wait_2_without_an_application_ends_at_the_second_look(orphaned):
    orphaned.wait(674.9)
    assert orphaned.state == State.FIN_WAIT_2
    orphaned.wait(675.1)
    assert orphaned.state == State.CLOSED


@pytest.mark.parametrize("heard, end", [(1, 675), (74.9, 675), (75, 750), (300, 975), (650, 1275)])
def test_a_peer_that_speaks_is_waited_for(orphaned, heard, end):
    orphaned.arrives("A", seq=0, at=heard)
    orphaned.expects("A")
    orphaned.wait(end - 0.1)
    assert orphaned.state == State.FIN_WAIT_2
    orphaned.wait(end + 0.1)
    assert orphaned.state == State.CLOSED


def test_close_in_fin_wait_2_waits_for_600_s(fin_wait_2):
    fin_wait_2.wait(1)
    fin_wait_2.close()
    fin_wait_2.wait(600.9)
    assert fin_wait_2.state == State.FIN_WAIT_2
    fin_wait_2.wait(601.1)
    assert fin_wait_2.state == State.CLOSED


@pytest.mark.knobs(fast_finwait2_recycle=1, tcp_fin_timeout=7)
def test_fast_finwait2_recycle_ends_it_after_finwait2_timeout(orphaned):
    orphaned.arrives("A", seq=0, at=6)
    orphaned.expects("A")
    orphaned.wait(6.9)
    assert orphaned.state == State.FIN_WAIT_2
    orphaned.wait(7.1)
    assert orphaned.state == State.CLOSED


# -- while an ACK is delayed (tcp_do_segment: last_ack_sent)

def test_a_reset_at_rcv_nxt_is_challenged_while_an_ack_is_delayed(established):
    established.arrives("A", length=100)
    established.arrives("R", seq=101)
    established.expects("A", ack=101)
    assert established.state == State.ESTABLISHED
    established.arrives("R", seq=101)
    assert established.state == State.CLOSED


def test_a_reset_at_the_number_acknowledged_last_ends_the_connection(established):
    established.arrives("A", length=100)
    established.arrives("R", seq=1)
    established.expects(SILENCE)
    assert (established.state, established.error) == (State.CLOSED, "ECONNRESET")


@pytest.mark.knobs(resets_from_last_ack=0)
def test_by_the_letter_rcv_nxt_is_exact(established):
    established.arrives("A", length=100)
    established.arrives("R", seq=1)
    established.expects(SILENCE)
    established.arrives("R", seq=101)
    established.expects(SILENCE)
    assert established.state == State.CLOSED


@pytest.mark.knobs(tcp_timestamps=2, delack_ms=40)
def test_the_timestamp_echoed_is_that_of_the_first_text_that_waits_for_an_ack(established):
    established.arrives("A", length=100, at=0.2)
    first = established.clock()
    established.arrives("A", length=100, at=0.21)
    established.expects("A", ack=201, tsecr=first)


@pytest.mark.parametrize("length, at_once", [(1460, False), (1461, True)])
def test_text_longer_than_a_segment_is_acknowledged_at_once(established, length, at_once):
    established.arrives("A", length=length)
    established.expects("A" if at_once else SILENCE)
    established.expects("A", within=0.05) if not at_once else None


# -- windows (tcp_output: recwin)

@pytest.mark.knobs(auto_read=False, rcv_buf=11_680, delack_ms=0)
def test_reading_two_segments_of_eight_opens_the_window(established):
    for _ in range(8):
        established.arrives("A", length=1460)
        established.expects("A")
    assert established.recv(2919) == 2919
    established.expects(SILENCE)
    assert established.recv(1) == 1
    established.expects("A", wnd=2920)
    assert established.recv(1460) == 1460
    established.expects(SILENCE)


@pytest.mark.knobs(auto_read=False, rcv_buf=58_400, delack_ms=0)
@pytest.mark.parametrize("unread, read, told", [
    (58_400, 2920, 2920), (20_000, 14_599, None), (20_000, 14_600, 53_000),
])
def test_a_large_buffer_wants_a_quarter_unless_it_is_full(established, unread, read, told):
    for length in [1460] * (unread // 1460) + [unread % 1460] * bool(unread % 1460):
        established.arrives("A", length=length)
        established.expects("A")
    assert established.recv(read) == read
    established.expects("A", wnd=told) if told else established.expects(SILENCE)


@pytest.mark.knobs(auto_read=False, rcv_buf=11_680, delack_ms=0)
def test_a_window_is_told_to_the_byte_unless_it_is_small(established):
    established.arrives("A", length=1000)
    established.expects("A", wnd=10_680)
    for n in range(6):
        established.arrives("A", length=1460)
        established.expects("A", wnd=10_680 - 1460 * (n + 1))
    established.arrives("A", length=500)
    established.expects("A", wnd=1420)               # the edge told before stays


@pytest.mark.knobs(auto_read=False, delack_ms=0)
def test_a_buffer_that_no_header_can_tell_is_told_as_far_as_it_can(established):
    """recvspace 65536 is a buffer of 65700; without scaling the window is what is free, at most 65535."""
    for length, told in ((99, 65_535), (66, 65_535), (1, 65_534), (1460, 64_074)):
        established.arrives("A", length=length)
        established.expects("A", wnd=told)


@pytest.mark.knobs(auto_read=False, delack_ms=0)
def test_what_reading_has_to_open_is_counted_in_the_buffer_too(established):
    for length in [1460] * 13 + [1020]:
        established.arrives("A", length=length)
        established.expects("A")
    assert established.recv(16_424) == 16_424
    established.expects(SILENCE)
    assert established.recv(1) == 1
    established.expects("A", wnd=62_125)              # 65700 / 4 more


@pytest.mark.knobs(tcp_window_scaling=1)
def test_with_scaling_the_window_is_rounded_up(listening):
    listening.arrives("S", mss=1460, wscale=3, opts=3)
    listening.expects("SA", wnd=65_535, wscale=6)
    listening.arrives("A")
    assert listening.accept()
    listening.arrives("A", seq=-1)
    listening.expects("A", wnd=1027)                  # 65700 / 64


# -- syncache.hashsize and bucketlimit, portrange.randomized

@pytest.mark.engine_only("keys")
def test_a_smaller_syncache_evicts_sooner(stack):
    host = stack(Config.freebsd(capacity=100, tcp_syncookies=0, syncache_hashsize=2, syncache_bucketlimit=5))
    host.listen(LOCAL, LOCAL_PORT, backlog=1)
    syns = segments(60, src="10.0.0.2", dst=LOCAL, sport=range(1000, 1060), dport=LOCAL_PORT, flags=2)
    host.receive(syns, 0)
    assert host.gauges()["half_open"] == 10
    assert host.room(1)["half_open_max"] == 10


@pytest.mark.engine_only("keys")
def test_sequential_ports_follow_each_other(stack):
    host = stack(Config.freebsd(capacity=100, port_selection="sequential",
                                ip_local_port_range=(50_000, 50_004)))
    (first, *_), rows = host.connect(np.array([2, 3, 2], np.uint32) + (10 << 24), 80, 0)
    assert list(rows["sport"]) == [50_000, 50_001, 50_002]
    host.abort(first, 0)
    _, rows = host.connect("10.0.0.2", 80, 0, n=3)
    assert list(rows["sport"]) == [50_003, 50_004, 50_000]
