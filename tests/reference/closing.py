"""FIN_WAIT_2 without an application, as the reference engine has it.

A mixin of `ReferenceEngine`. Source: docs/semantics.md section 6a; RFC 9293 3.6.1, 3.10.7.4.
"""

import errno

from tcpcore import EventKind, State
from tests.reference.connection import CLOSED_BY_US, CURRENT, add, after, before, tick
from tests.reference.data import FIN_WAIT_2


class Closing:
    # -- FIN_WAIT_2 without an application (section 6a) ------------------------------------------------

    @property
    def brief(self):
        """Whether it is judged like TIME_WAIT."""
        return self.config.orphan_fin_wait_2_brief

    @property
    def whole_at_first(self):
        """What is above 60 s Linux waits as a connection."""
        return self.brief and self.config.tcp_fin_timeout > 60

    def start_fin_wait_2(self, conn, now):
        if self.whole_at_first and not conn.whole:
            conn.whole = True
            timeout = 1000 * self.config.tcp_fin_timeout - 60_000
            return self.arm(conn, "main", tick(now) + timeout, FIN_WAIT_2)
        conn.whole = False
        timeout = self.fin_wait_2_time(conn)
        if self.brief and not self.enter_time_wait_table(conn, timeout):
            return
        self.arm(conn, "main", tick(now) + timeout, FIN_WAIT_2)

    @property
    def by_silence(self):
        """Whether it ends once the peer has been silent for long (without fast_finwait2_recycle)."""
        return not self.brief and not self.config.fast_finwait2_recycle

    @property
    def fin_look(self):
        """ms between two looks (FreeBSD: keepintvl)."""
        return 1000 * self.config.tcp_keepalive_intvl

    @property
    def fin_silence(self):
        """ms of silence that end it (FreeBSD: keepcnt * keepintvl)."""
        return self.config.tcp_keepalive_probes * self.fin_look

    def forgets(self, conn):
        """Whether close is silent after a simultaneous open (R11.4)."""
        return conn.state == State.SYN_RECEIVED and self.config.close_forgets_opening

    def shut_opening(self, conn, now):
        """shutdown() in SYN_RECEIVED: its FIN waits, or goes with another SYN-ACK."""
        if conn.half_open or conn.orphan or conn.shut:
            return
        if self.config.shutdown_waits == 2 and conn.unsent:
            self.half_close(conn, now)
            return
        conn.shut = True
        if self.config.shutdown_waits == 2:
            conn.fin_queued = conn.fin_sent = True
            self.syn(conn, now)
            conn.snd_nxt = add(conn.snd_nxt, 1)

    # -- SO_LINGER (section 11) --------------------------------------------------------------------------

    def is_orphan(self, conn):
        return conn.orphan and conn.lingers is None

    def resets_text(self, conn):
        return conn.orphan and not (self.config.linger_takes_text and conn.lingers is not None)

    def linger(self, conn, now, seconds):
        """close() waits for the ACK of our FIN."""
        conn.lingers = tick(now) + 1000 * seconds
        if conn.main:
            at, kind = conn.main
            self.arm(conn, "main", max(at, tick(now)), kind)

    def linger_is_over(self, conn, now):
        """Its time has passed; the timer goes on."""
        conn.lingers = None
        self.arm(conn, "main", *conn.main)
        self.limit_orphans(conn, now, len(self.rows))

    def end_lingering(self, now):
        """The ACK of our FIN has come."""
        for conn in [conn for conn in self.slots.values() if conn.lingers is not None]:
            if conn.state not in CLOSED_BY_US or conn.state == State.FIN_WAIT_2:
                conn.lingers = None
                if conn.state == State.FIN_WAIT_2:
                    self.start_fin_wait_2(conn, now)

    def heard_in_fin_wait_2(self, conn, now):
        """The end is the first look that finds the peer silent for longer than that."""
        due = max(conn.main[0], tick(now))
        while due - tick(now) <= self.fin_silence:
            due += self.fin_look
        self.arm(conn, "main", due, FIN_WAIT_2)

    def fin_wait_2_time(self, conn):
        timeout = 1000 * self.config.tcp_fin_timeout
        if self.by_silence:
            return self.fin_silence + self.fin_look   # the first look finds no longer one
        if not self.config.orphan_fin_wait_2_brief:
            return timeout
        rto = self.backed_off(conn)
        least = 4 * rto - rto // 2
        return max(timeout if timeout <= 60_000 else timeout - 60_000, least)

    def enter_time_wait_table(self, conn, lasts):
        """Whether there is room for one more; if not the connection is gone."""
        if not conn.in_time_wait_table:
            if self.time_wait_table() >= self.config.tcp_max_tw_buckets:
                self.count("TCPTimeWaitOverflow")
                self.die(conn, 0, None)
                return False
            conn.in_time_wait_table = True
            conn.invalid_at = None
            self.count("TW" if lasts > 4000 else "TWKilled")
        return True

    def in_orphaned_fin_wait_2(self, conn, seg, now):
        paws = conn.older(seg)
        if paws or not self.in_window(conn, seg):
            self.count("PAWSEstab", paws)
            if not self.limited(conn, seg, now, "TCPACKSkippedFinWait2"):
                self.ordinary_ack(conn, now)
        elif seg.rst:
            self.die(conn, errno.ECONNRESET, "ResetByPeer")
        elif seg.syn and not before(seg.seq, conn.rcv_nxt):
            self.answering_rst(seg)
            self.die(conn, errno.ECONNRESET, "ResetByPeer")
        elif not seg.has_ack or seg.len == 0 or not after(seg.end, conn.rcv_nxt):
            pass
        elif seg.fin and seg.end == add(conn.rcv_nxt, 1):
            conn.rcv_nxt = seg.end
            self.note(conn, EventKind.EOF)
            if conn.ts and seg.has_ts:
                conn.take_timestamp(seg, now)
            self.ordinary_ack(conn, now)
            self.start_time_wait(conn, now)
        else:
            self.data_after_close(conn, seg)

    def fin_wait_2_timer(self, conn, now):
        if conn.whole and self.whole_at_first:
            return self.start_fin_wait_2(conn, now)
        if conn.whole:
            self.active_rst(conn, now)
        self.die(conn, 0, "FinWait2TimedOut")

    def current(self):
        """CurrEstab."""
        return sum(conn.state in CURRENT for conn in self.slots.values())
