"""What the defaults of a FreeBSD 14 host make of a connection: docs/freebsd.md, name by name."""

import pytest

from tcpcore import Config, State, segments
from tests.dialogues.dialogue import LOCAL, LOCAL_PORT, RTT, SILENCE, TICK

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
