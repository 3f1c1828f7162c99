"""TIME_WAIT, as the reference engine does it: one method per set of rules.

A mixin of `ReferenceEngine`. Source: docs/semantics.md section 10; RFC 9293 3.6.1 and 3.10.7.4,
RFC 6191, RFC 1337.
"""

from tcpcore import EventKind, State
from tests.reference.connection import ACK, add, after, tick
from tests.reference.data import TIME_WAIT


class TimeWait:
    def start_time_wait(self, conn, now):
        self.count("ConnectionsClosed")
        local = conn.raddr == conn.laddr or conn.raddr >> 24 == 127
        if self.config.time_wait_ms == 0 or (self.config.nolocaltimewait and local):
            return self.die(conn, 0, None)
        if self.enter_time_wait_table(conn, self.config.time_wait_ms):
            conn.state = State.TIME_WAIT
            self.note(conn, EventKind.TIME_WAIT)
            self.disarm(conn, "side")
            self.restart_time_wait(conn, now)

    def restart_time_wait(self, conn, now):
        self.arm(conn, "main", tick(now) + self.config.time_wait_ms, TIME_WAIT)

    def in_time_wait(self, conn, seg, now):
        if not self.drops_synfin(seg):
            getattr(self, f"in_time_wait_{self.config.time_wait_rules}")(conn, seg, now)

    def newer_syn(self, conn, seg):
        """By number or by timestamp."""
        newer = conn.ts and seg.has_ts and after(seg.tsval, conn.ts_recent)
        return (seg.syn and not seg.rst and not seg.has_ack and not conn.older(seg)
                and (after(seg.seq, conn.rcv_nxt) or newer))

    def reopen(self, conn, listener, seg, now):
        """Its number goes beyond all that the old connection used."""
        iss = add(conn.snd_nxt, 65537) or 1
        self.count("TWRecycled")
        self.die(conn, 0, None)
        self.in_listen(listener, seg, now, iss)

    def in_time_wait_linux(self, conn, seg, now):
        paws = conn.older(seg)
        if not paws and seg.seq == conn.rcv_nxt and (seg.len == 0 or seg.rst):
            if seg.rst and not self.config.tcp_rfc1337:
                return self.die(conn, 0, None)
            if not seg.rst:
                self.restart_time_wait(conn, now)
            if conn.ts and seg.has_ts:
                conn.take_timestamp(seg, now)
            return
        if self.newer_syn(conn, seg):
            listener = self.listener_at(seg.dst, seg.dport)
            return self.reopen(conn, listener, seg, now) if listener else self.ordinary_ack(conn, now)
        if paws:
            self.count("PAWSTimewait")
        if seg.rst:
            return
        if paws or seg.has_ack:
            self.restart_time_wait(conn, now)
        if not self.limited(conn, seg, now, "TCPACKSkippedTimeWait"):
            self.ordinary_ack(conn, now)

    def in_time_wait_rfc(self, conn, seg, now):
        if seg.rst:
            if self.config.tcp_rfc1337 or not self.seq_in_window(conn, seg):
                return
            if seg.seq == conn.rcv_nxt or self.config.insecure_rst:
                return self.die(conn, 0, None)
            return self.challenge_ack(conn, now)
        if seg.syn:
            listener = self.listener_at(seg.dst, seg.dport)
            if listener and self.newer_syn(conn, seg):
                return self.reopen(conn, listener, seg, now)
            self.count("TCPSYNChallenge")
            return self.challenge_ack(conn, now)
        if self.lacks_timestamp(conn, seg):
            return
        paws, fits = conn.older(seg), self.acceptable(conn, seg)
        expected_fin = seg.fin and (fits or seg.end == conn.rcv_nxt)
        if paws:
            self.count("PAWSTimewait")
        elif expected_fin:
            self.restart_time_wait(conn, now)
        elif fits:
            return
        if not self.limited(conn, seg, now, "TCPACKSkippedTimeWait"):
            self.ordinary_ack(conn, now)

    def in_time_wait_freebsd(self, conn, seg, now):
        if seg.rst:
            if not self.config.tcp_rfc1337 and seg.seq == conn.rcv_nxt:
                self.die(conn, 0, None)
        elif seg.syn and not seg.has_ack and after(seg.seq, conn.rcv_nxt):
            self.count("TWRecycled", self.listener_at(seg.dst, seg.dport) is not None)
            self.die(conn, 0, None)
            self.in_no_flow(seg, now)
        elif seg.has_ack and not self.lacks_timestamp(conn, seg):
            if seg.fin and seg.end == conn.rcv_nxt:
                self.restart_time_wait(conn, now)
            if (seg.flags, seg.payload_len, seg.seq, seg.ack) != (ACK, 0, conn.rcv_nxt, conn.snd_nxt):
                self.ordinary_ack(conn, now)

    def time_wait_timer(self, conn, now):
        self.die(conn, 0, None)
