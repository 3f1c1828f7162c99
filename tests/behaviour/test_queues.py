"""The two queues of a listener, by numbers: how many fit, what happens to the next, how long they stay."""

import numpy as np
import pytest

from tcpcore import Config, Engine, Flag, State, segments

MS = 1_000_000
SECOND = 1000 * MS
LOCAL, PEER = "10.0.0.1", "10.0.0.2"
S, A, R = Flag.SYN, Flag.ACK, Flag.RST


class Server:
    """A host and as many peers as there are ports."""

    def __init__(self, backlog=None, auto_accept=False, **knobs):
        knobs = {"capacity": 5000, "tcp_timestamps": 0, "tcp_syncookies": 0, "somaxconn": 4096, **knobs}
        self.eng = Engine(Config.linux(**knobs))
        self.web = self.eng.listen(LOCAL, 80, backlog, auto_accept=auto_accept)
        self.now, self.iss = 0, {}

    def say(self, flags, ports, seq, ack=0):
        ports = np.atleast_1d(ports)
        return self.eng.receive(segments(len(ports), src=PEER, dst=LOCAL, sport=ports, dport=80, flags=flags,
                                         seq=seq, ack=ack, wnd=5000), self.now)

    def syn(self, ports):
        """SYNs of these ports; how many were answered."""
        rows = self.say(S, ports, 9)
        for row in rows:
            assert row["flags"] == S | A
            self.iss[int(row["dport"])] = int(row["seq"])
        return len(rows)

    def ack(self, ports):
        """The third segments of these ports; what they are answered by."""
        ports = np.atleast_1d(ports)
        return self.say(A, ports, 10, [(self.iss[int(port)] + 1) % 2**32 for port in ports])

    def wait(self, seconds):
        self.now += round(seconds * SECOND)
        return self.eng.advance(self.now)

    def lost(self):
        return {cause: count for cause, count in self.eng.causes.items() if count}

    @property
    def half_open(self):
        return self.eng.gauges()["half_open"]

    @property
    def unaccepted(self):
        return self.eng.gauges()["accept_queue"]


policies = pytest.mark.parametrize("policy", ["linux", "drop-new"])


@policies
@pytest.mark.parametrize("backlog", [0, 1, 7, 100])
def test_a_backlog_of_b_holds_b_plus_one_half_open(policy, backlog):
    server = Server(backlog, synq_policy=policy)
    assert server.syn(np.arange(1, backlog + 6)) == backlog + 1
    assert server.half_open == backlog + 1 and server.lost() == {"SynQueueFull": 4}
    assert server.eng.counters["TCPReqQFullDrop"] == server.eng.counters["ListenDrops"] == 4


@policies
@pytest.mark.parametrize("backlog", [0, 1, 7, 100])
def test_a_backlog_of_b_holds_b_plus_one_unaccepted(policy, backlog):
    server = Server(backlog, synq_policy=policy)
    for port in range(1, backlog + 2):
        assert server.syn(port) == 1 and len(server.ack(port)) == 0
    assert server.unaccepted == backlog + 1
    assert server.syn(1000) == 0 and server.lost() == {"AcceptQueueFull": 1}
    assert server.eng.counters["ListenOverflows"] == server.eng.counters["ListenDrops"] == 1
    assert len(server.eng.accept(server.web, 1)) == 1
    assert server.syn(1000) == 1


def test_somaxconn_caps_the_backlog_and_is_its_default():
    for backlog in (None, 5, 10**9):
        server = Server(backlog, somaxconn=5)
        assert server.syn(np.arange(1, 20)) == 6
    assert Server(3, somaxconn=5).syn(np.arange(1, 20)) == 4
    assert Server(None, somaxconn=0).syn(np.arange(1, 20)) == 1


def test_a_backlog_may_exceed_the_capacity():
    server = Server(4096, capacity=10)
    assert server.syn(np.arange(1, 21)) == 10
    assert server.lost() == {"BlocksExhausted": 10} and server.eng.counters["ListenDrops"] == 10
    assert server.eng.check() == []


def full(abort, backlog=1):
    """The accept queue full, two more entries half-open."""
    server = Server(backlog, tcp_abort_on_overflow=abort)
    server.syn(np.arange(1, backlog + 2))
    server.ack(np.arange(1, backlog + 1))
    server.syn(np.arange(10, 11 + backlog - 1))
    assert len(server.ack(backlog + 1)) == 0 and server.unaccepted == backlog + 1
    return server


def test_third_segment_for_a_full_queue_is_dropped_and_the_entry_stays():
    server = full(abort=0)
    assert len(server.ack(10)) == 0 and server.half_open == 1 and server.lost() == {}
    assert server.eng.counters["ListenOverflows"] == server.eng.counters["ListenDrops"] == 1
    assert [row["flags"] for row in server.wait(1)] == [S | A]
    server.eng.accept(server.web)
    assert len(server.ack(10)) == 0 and server.unaccepted == 1 and server.half_open == 0


def test_third_segment_for_a_full_queue_is_reset_with_abort_on_overflow():
    server = full(abort=1)
    rows = server.ack(10)
    assert rows["flags"].tolist() == [R] and rows["seq"].tolist() == [(server.iss[10] + 1) % 2**32]
    assert server.half_open == 0 and server.lost() == {"AcceptQueueFull": 1}
    assert server.eng.counters["AttemptFails"] == server.eng.counters["EmbryonicRsts"] == 1


def test_the_dead_in_the_accept_queue_still_count_there():
    server = Server(1)
    server.syn([1, 2])
    server.ack([1, 2])
    server.say(R, [1, 2], 10)
    assert server.eng.gauges()["held_dead"] == server.unaccepted == 2
    assert server.syn(3) == 0 and server.lost() == {"ResetByPeer": 2, "AcceptQueueFull": 1}
    conns = server.eng.accept(server.web)
    assert server.eng.info(conns)["state"].tolist() == [State.CLOSED] * 2
    server.eng.close(conns, 0)
    assert server.eng.gauges()["blocks_used"] == 0


def test_auto_accept_is_bounded_by_the_half_open_queue_only():
    server = Server(0, auto_accept=True)
    for port in range(1, 50):
        assert server.syn(port) == 1
        server.ack(port)
    assert server.unaccepted == 0 and server.eng.state_counts()[State.ESTABLISHED] == 49
    server.syn(100)
    assert server.syn(101) == 0 and server.lost() == {"SynQueueFull": 1}


def test_without_cookies_the_last_quarter_is_a_reserve():
    """tcp_max_syn_backlog 64: with 49 there are 15 left, less than a quarter."""
    server = Server(4096, tcp_max_syn_backlog=64)
    assert server.syn(np.arange(1, 101)) == 49
    assert server.lost() == {"SynQueueReserve": 51} and server.eng.counters["ListenDrops"] == 51
    assert Server(4096, tcp_max_syn_backlog=64, synq_policy="drop-new").syn(np.arange(1, 101)) == 100


def lifetimes(n, policy, backlog=15, retries=5):
    """Resends that each of n entries of one age gets before it is given up."""
    server = Server(backlog, synq_policy=policy, tcp_synack_retries=retries)
    assert server.syn(np.arange(1, n + 1)) == n
    resends = np.zeros(n + 1, int)
    while server.half_open:
        server.now = server.eng.next_timer()
        for row in server.eng.advance(server.now):
            resends[row["dport"]] += 1
    assert server.lost() == {"SynQueueExpired": n} and server.eng.counters["SynQueueExpired"] == n
    return resends[1:].tolist(), server


@pytest.mark.parametrize("retries", [0, 1, 3, 5])
def test_given_up_after_tcp_synack_retries(retries):
    resends, server = lifetimes(1, "linux", retries=retries)
    assert resends == [retries]
    assert server.now == (2 ** (retries + 1) - 1) * SECOND
    assert server.eng.counters["TCPSynRetrans"] == server.eng.counters["RetransSegs"] == retries


def test_more_than_half_a_queue_of_the_old_is_pruned_to_two_resends():
    """Backlog 15: seven are no pressure, eight are; of one age, those asked first go until seven are left."""
    assert lifetimes(7, "linux")[0] == [5] * 7
    assert lifetimes(8, "linux")[0] == [2] + [5] * 7
    assert lifetimes(16, "linux")[0] == [2] * 9 + [5] * 7
    assert lifetimes(16, "drop-new")[0] == [5] * 16


def test_a_short_queue_of_eight_is_not_pressed():
    assert lifetimes(4, "linux", backlog=3)[0] == [5] * 4
    assert lifetimes(5, "linux", backlog=4)[0] == [2] + [5] * 4


@pytest.mark.parametrize(("seconds", "old", "young", "spared"), [
    (7, 5, 7, True), (7, 9, 3, True), (7, 10, 2, True), (7, 11, 1, False),      # the third resend is due
    (15, 7, 3, True), (15, 7, 2, False),                                        # the fourth
    (31, 7, 8, True), (31, 7, 7, False),                                        # the fifth
])
def test_the_young_spare_the_old(seconds, old, young, spared):
    """Five resends, less one each time that the young, doubled again, fit into the queue; two at least."""
    server = Server(15)
    server.syn(np.arange(1, old + 1))
    server.wait(seconds - 0.5)
    server.syn(np.arange(100, 100 + young))
    assert server.half_open == old + young
    assert (1 in server.wait(0.5)["dport"]) == spared
    assert bool(server.eng.lookup(PEER, 1, LOCAL, 80)[0]) == spared


def test_unlisten_linux_leaves_half_open_entries_to_their_timer():
    server = Server(10)
    server.syn([1, 2, 3])
    server.ack(1)
    rows = server.eng.unlisten(server.web, server.now)
    assert rows["flags"].tolist() == [R | A] and rows["dport"].tolist() == [1]
    assert server.half_open == 2
    assert server.ack(2)["flags"].tolist() == [R], "a late third segment is nobody's"
    assert server.half_open == 1
    assert len(server.wait(1)) == 0 and server.half_open == 0
    assert server.lost() == {"ListenerClosed": 3} and server.eng.counters["SynQueueListenerClosed"] == 2
    assert server.eng.gauges()["blocks_used"] == 0 and server.eng.check() == []


def test_unlisten_freebsd_forgets_them_at_once():
    server = Server(10, unlisten_forgets=1)
    server.syn([1, 2, 3])
    server.ack(1)
    assert server.eng.unlisten(server.web, server.now)["dport"].tolist() == [1]
    assert server.half_open == 0 and server.lost() == {"ListenerClosed": 3}
    assert server.ack(2)["flags"].tolist() == [R]
    assert server.eng.next_timer() is None and server.eng.gauges()["blocks_used"] == 0


def test_unlisten_spares_what_was_accepted_and_other_listeners():
    server = Server(10)
    other = server.eng.listen(LOCAL, 81, 10)
    server.syn([1, 2])
    server.ack([1, 2])
    held = server.eng.accept(server.web, 1)
    server.eng.receive(segments(1, src=PEER, dst=LOCAL, sport=5, dport=81, flags=S, seq=9, wnd=1000), 0)
    server.eng.unlisten(server.web, 0)
    assert server.eng.info(held)["state"] == State.ESTABLISHED and server.half_open == 1
    again = server.eng.listen(LOCAL, 80, 0)
    assert again != other and server.syn([7, 8]) == 1, "the new listener starts empty"


def test_a_new_listener_does_not_inherit_the_old_ones_entries():
    server = Server(0)
    server.syn(1)
    server.eng.unlisten(server.web, 0)
    server.web = server.eng.listen(LOCAL, 80, 0)
    assert server.syn(2) == 1
    assert server.ack(1)["flags"].tolist() == [R]
    assert len(server.ack(2)) == 0 and server.unaccepted == 1 and server.eng.check() == []


def test_each_half_open_entry_leaves_by_one_door():
    server = Server(100, tcp_synack_retries=1)
    server.syn(np.arange(1, 11))
    server.ack([1, 2])
    server.say(R, [3], 10)
    server.say(S, [4], 11)
    server.eng.abort(server.eng.lookup(PEER, 5, LOCAL, 80), 0)
    server.wait(3)
    server.syn([20, 21])
    server.eng.unlisten(server.web, server.now)
    server.wait(1)
    gone = {name: n for name, n in server.eng.counters.items() if name.startswith("SynQueue") and n}
    assert gone == {"SynQueueAdded": 12, "SynQueueEstablished": 2, "SynQueueReset": 1, "SynQueueAborted": 2,
                    "SynQueueExpired": 5, "SynQueueListenerClosed": 2}
