"""SYN_RECEIVED that came from LISTEN, as the reference engine does it: one method per set of rules.

A mixin of `ReferenceEngine`. Source: docs/semantics.md sections 3 and 4; RFC 9293 3.10.7.4, RFC 5961.
"""

from fractions import Fraction

from tcpcore import EventKind, State
from tests.reference.connection import (
    ACK,
    RST,
    SPACE,
    SYN,
    UNSCALED,
    add,
    after,
    before,
    between,
    tick,
)
from tests.reference.data import REXMT

BURST = 256_000_000                # ns, linux: half-open entries whose timers fall into it are judged as one


class HalfOpen:
    def in_half_open(self, conn, seg, now):
        listener = self.listeners.get(conn.listener)
        if listener is None:
            self.drop_half_open(conn, "ListenerClosed", "SynQueueListenerClosed")
            return self.segment_arrives(seg, now)
        rules = self.config.half_open_rules
        if self.drops_synfin(seg):
            return
        if rules == "syncache":
            return self.in_syncache(conn, listener, seg, now)
        if self.lacks_timestamp(conn, seg):
            return
        if rules == "linux":
            return self.in_request_sock(conn, listener, seg, now)
        return self.otherwise(conn, seg, now)

    def in_request_sock(self, conn, listener, seg, now):
        """Linux's order."""
        paws = conn.older(seg)
        echo_bad = (self.config.tsecr_checked == 1 and conn.ts and seg.has_ts and seg.tsecr
                    and not between(conn.first_tsval, seg.tsecr, conn.last_tsval))
        if seg.seq == conn.irs and seg.flags & (SYN | ACK | RST) == SYN and not paws:
            if self.config.dup_syn_restarts or not self.limited(conn, seg, now, "TCPACKSkippedSynRecv"):
                self.syn_ack_again(conn, now)
            return
        wrong_ack = seg.has_ack and not seg.rst and seg.ack != conn.snd_nxt
        if wrong_ack and self.config.wrong_ack_first:
            return self.refuse_ack(conn, seg)
        if paws or echo_bad or not self.in_window(conn, seg):
            if paws or echo_bad:
                self.count("PAWSEstab" if paws else "TSEcrRejected")
            if not seg.rst and not self.limited(conn, seg, now, "TCPACKSkippedSynRecv"):
                self.ordinary_ack(conn, now)
            return
        if seg.rst:
            self.rst_for_half_open(conn, seg, now)
        elif seg.syn and seg.seq != conn.irs:
            self.answering_rst(seg)
            self.abort_half_open(conn)
        elif wrong_ack:
            self.refuse_ack(conn, seg)
        elif seg.has_ack:
            self.complete(conn, seg, now)

    def in_syncache(self, conn, listener, seg, now):
        """FreeBSD's cache: a RST by its number, any SYN as the first one again, an ACK that fits."""
        window = min(self.window(conn), UNSCALED)
        inside = (seg.seq - conn.rcv_nxt) % SPACE < max(window, 1)
        if seg.rst:
            if inside:
                self.rst_for_half_open(conn, seg, now)
        elif seg.syn and not seg.has_ack:
            if conn.ts and seg.has_ts:
                conn.take_timestamp(seg, now)
            conn.ts = conn.ts and seg.has_ts
            conn.ecn = conn.ecn and seg.asks_for_ecn
            self.syn_ack_again(conn, now)
        elif seg.syn:
            if self.config.listen_answers_synack:
                self.refuse_ack(conn, seg)
        elif not seg.has_ack or self.lacks_timestamp(conn, seg):
            pass
        elif conn.older(seg):
            self.count("PAWSEstab")
        elif seg.ack != conn.snd_nxt or (seg.seq - conn.rcv_nxt) % SPACE >= window:
            self.refuse_ack(conn, seg)
        else:
            self.complete(conn, seg, now)

    def rst_for_half_open(self, conn, seg, now):
        if seg.seq == conn.rcv_nxt or self.config.insecure_rst:
            self.count("EmbryonicRsts")
            self.count("AttemptFails")
            self.drop_half_open(conn, "EmbryonicReset", "SynQueueReset")
        else:
            self.challenge_ack(conn, now)

    def refuse_ack(self, conn, seg):
        """An acknowledgment of something else."""
        self.answering_rst(seg)
        if self.config.bad_ack_ends_half_open and conn.half_open:
            self.abort_half_open(conn)

    def in_window(self, conn, seg):
        edge = add(conn.rcv_nxt, self.window(conn))
        return (seg.seq == conn.rcv_nxt
                or (after(seg.end, conn.rcv_nxt) and before(seg.seq, edge))
                or seg.seq == seg.end == edge)

    def syn_ack_again(self, conn, now):
        if self.config.dup_syn_restarts:
            conn.retries = 0
        conn.no_sample = True
        self.resend(conn, now)
        self.arm(conn, "main", tick(now) + self.synack_interval(conn.retries), REXMT)

    def abort_half_open(self, conn, cause="EmbryonicAborted"):
        self.count("EmbryonicRsts")
        self.count("AttemptFails")
        self.drop_half_open(conn, cause, "SynQueueAborted")

    def drop_half_open(self, conn, cause, counter):
        self.count(counter)
        self.die(conn, 0, cause)

    def complete(self, conn, seg, now):
        """The ACK a half-open entry waits for, if anybody can take the connection."""
        listener = self.listeners[conn.listener]
        conn.update_timestamp(seg, now)
        if conn.retries < listener.defer and seg.end == conn.rcv_nxt:
            self.count("TCPDeferAcceptDrop")
            conn.deferred = True
            return
        if self.accept_queue_full(listener):
            self.count("ListenOverflows")
            self.count("ListenDrops")
            if self.config.tcp_abort_on_overflow:
                self.answering_rst(seg)
                self.abort_half_open(conn, "AcceptQueueFull")
            return
        if seg.syn:
            return self.challenge_ack(conn, now)
        conn.half_open = conn.young = False
        conn.invalid_at = None
        self.count("PassiveOpens")
        self.count("SynQueueEstablished")
        if not listener.auto_accept:
            conn.queued = True
            listener.queue.append(conn)
        self.established(conn, seg, now)
        if self.trims:
            seg = self.without_beyond(conn, seg)[1]
        self.text_and_fin(conn, seg, now)

    def established(self, conn, seg, now):
        """The peer has acknowledged our SYN."""
        if conn.passive or conn.state == State.SYN_SENT or self.config.crossed_keepalive:
            self.start_keepalive(conn, now)
        conn.state, conn.error = State.ESTABLISHED, 0
        self.note(conn, EventKind.ESTABLISHED)
        conn.snd_una = seg.ack
        conn.take_window(seg)
        self.rest(conn, now)
        conn.retries = conn.backoff = 0
        self.sample_syn(conn, seg, now)

    def syn_ack_timer(self, conn, now):
        """Section 3, the second half."""
        listener = self.listeners.get(conn.listener)
        if listener is None:
            return self.drop_half_open(conn, "ListenerClosed", "SynQueueListenerClosed")
        self.count("TCPTimeouts")
        if listener.burst != 1 + now // BURST:
            listener.burst = 1 + now // BURST
            listener.burst_half_open, listener.burst_young = self.half_open(listener), self.young(listener)
        gone = conn.retries >= self.synack_retries(listener)
        waits = conn.deferred and conn.retries < listener.defer
        gone = gone and not waits
        listener.burst_half_open = max(0, listener.burst_half_open - gone)
        listener.burst_young = max(0, listener.burst_young - conn.young)
        if gone:
            return self.drop_half_open(conn, "SynQueueExpired", "SynQueueExpired")
        conn.retries += 1
        conn.young = False
        conn.ecn = conn.ecn and conn.retries <= self.config.ecn_maxretries
        if not (conn.deferred and conn.retries < listener.defer):
            conn.no_sample = True
            self.resend(conn, now)
        self.arm(conn, "main", tick(now) + self.synack_interval(conn.retries), REXMT)

    def synack_retries(self, listener):
        """Lowered while the queue is more than half full: of old entries (linux), at all (short-timer)."""
        most = self.config.tcp_synack_retries
        half_open = self.half_open(listener)
        room = listener.backlog + 1
        if self.config.synq_policy == "short-timer" and half_open > room / 2:
            return int(most * Fraction(max(0, room - half_open), room) * 2)
        half_open = listener.burst_half_open
        if self.config.synq_policy == "linux" and 2 * half_open > max(8, listener.backlog):
            young = 2 * listener.burst_young
            while most > 2 and half_open >= young:
                most -= 1
                young *= 2
        return most
