"""What a connection tells its application without being asked: `readable`, `eof`, `writable` (section 12)."""

import pytest

from tcpcore import EventKind, State
from tests.dialogues.dialogue import RTT

WANTED = ("established", "readable", "eof", "writable", "closed", "lost", "time_wait")
pytestmark = pytest.mark.knobs(events=WANTED)
BUFFERED = pytest.mark.knobs(events=WANTED, auto_read=False)


def told(dialogue):
    """The events since the last question, by name."""
    return [EventKind(event["kind"]).name.lower() for event in dialogue.host.stack.events()]


@pytest.fixture
def open_one(established):
    """ESTABLISHED, and all that was told of it forgotten."""
    told(established)
    return established


# -- readable


def test_text_is_told_each_time_when_it_is_read_at_once(open_one):
    for _ in range(2):
        open_one.arrives("A", length=100)
        open_one.expects("A")
        assert told(open_one) == ["readable"]


@BUFFERED
def test_text_is_told_when_nothing_was_unread(open_one):
    open_one.arrives("A", length=100)
    open_one.expects("A")
    assert told(open_one) == ["readable"]
    open_one.arrives("A", length=100)
    open_one.expects("A")
    assert told(open_one) == []
    assert open_one.recv(150) == 150
    open_one.arrives("A", length=100)
    open_one.expects("A")
    assert told(open_one) == []                       # 50 bytes were left
    assert open_one.recv() == 150
    open_one.arrives("A", length=1)
    open_one.expects("A")
    assert told(open_one) == ["readable"]


def test_text_behind_a_gap_is_told_once_the_gap_is_filled(open_one):
    open_one.arrives("A", seq=11, length=10)
    open_one.expects("A", ack=1)
    assert told(open_one) == []
    open_one.arrives("A", seq=1, length=10)
    open_one.expects("A", ack=21)
    assert told(open_one) == ["readable"]


def test_old_text_is_not_told(open_one):
    open_one.arrives("A", length=10)
    open_one.expects("A")
    told(open_one)
    open_one.arrives("A", seq=1, length=10)
    open_one.expects("A")
    assert told(open_one) == []


def test_text_of_the_segment_that_establishes_is_told_behind_it(syn_received):
    syn_received.arrives("FA", length=10, at=RTT)
    syn_received.expects("A")
    assert told(syn_received) == ["established", "readable", "eof"]


# -- eof


@pytest.mark.parametrize("place", ["established", "fin_wait_2"])
def test_the_peers_fin_is_told_once(request, host, place):
    dialogue = request.getfixturevalue(place)
    told(dialogue)
    for _ in range(2):
        dialogue.arrives("FA", seq=1)
        dialogue.expects("A", ack=2)
    assert told(dialogue) == (["eof", "time_wait"] if place == "fin_wait_2" else ["eof"])


def test_a_fin_that_crosses_ours_is_told(fin_wait_1):
    told(fin_wait_1)
    fin_wait_1.arrives("FA", ack=1)
    fin_wait_1.expects("A")
    assert told(fin_wait_1) == ["eof"]


@BUFFERED
def test_a_fin_is_told_though_text_before_it_is_unread(open_one):
    open_one.arrives("FA", length=10)
    open_one.expects("A")
    assert told(open_one) == ["readable", "eof"]
    assert open_one.recv() == 10


def test_a_fin_behind_a_gap_is_told_once_the_gap_is_filled(open_one):
    open_one.arrives("FA", seq=11, length=10)
    open_one.expects("A", ack=1)
    assert told(open_one) == []
    open_one.arrives("A", seq=1, length=10)
    open_one.expects("A", ack=22)
    assert told(open_one) == ["readable", "eof"]


def test_a_fin_for_an_application_that_has_closed_is_told(established):
    established.close()
    established.expects("FA")
    established.arrives("A", at=RTT)
    told(established)
    established.arrives("FA")
    established.expects("A")
    assert told(established) == ["eof", "time_wait"]


# -- writable


def test_the_last_byte_acknowledged_is_told(open_one):
    open_one.send(3000)
    for length in (1460, 1460, 80):
        open_one.expects("A", length=length)
    open_one.arrives("A", ack=2921, at=RTT)
    assert told(open_one) == []
    open_one.arrives("A", ack=3001)
    assert told(open_one) == ["writable"]
    open_one.arrives("A")
    assert told(open_one) == []


def test_sent_and_acknowledged_is_not_all_while_more_is_queued(open_one):
    open_one.arrives("A", wnd=0)                      # a window of the same segment only shrinks to 0
    open_one.arrives("A", wnd=1460)
    open_one.send(2000)
    open_one.expects("A", length=1460)
    open_one.arrives("A", wnd=0, at=RTT)
    assert told(open_one) == []
    open_one.arrives("A", wnd=1460)
    open_one.expects("A", length=540)
    open_one.arrives("A", at=2 * RTT)
    assert told(open_one) == ["writable"]


def test_neither_syn_nor_fin_is_queued_data(syn_sent):
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A")
    syn_sent.shutdown()
    syn_sent.expects("FA")
    syn_sent.arrives("A")
    assert told(syn_sent) == ["established"]
    assert syn_sent.state == State.FIN_WAIT_2


def test_data_queued_before_the_handshake_is_told_when_acknowledged(syn_sent):
    syn_sent.send(10)
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A", length=10)
    assert told(syn_sent) == ["established"]
    syn_sent.arrives("A")
    assert told(syn_sent) == ["writable"]


def test_data_is_told_before_the_end_that_comes_with_it(close_wait):
    told(close_wait)
    close_wait.send(10)
    close_wait.expects("A", length=10)
    close_wait.close()
    close_wait.expects("FA")
    close_wait.arrives("A", at=RTT)
    assert told(close_wait) == ["writable", "closed"]


def test_what_a_reset_cuts_off_is_lost_and_nothing_else(open_one):
    open_one.send(10)
    open_one.expects("A", length=10)
    open_one.arrives("R")
    assert told(open_one) == ["lost"]
