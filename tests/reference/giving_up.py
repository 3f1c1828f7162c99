"""How the reference engine asks a silent peer again, and when it gives up.

A mixin of `ReferenceEngine`: resends, loss probes, window probes, keepalive, the user timeout.
Source: docs/semantics.md sections 7 and 7a; RFC 9293 3.8.3, 3.8.4, 3.8.6.1, RFC 5482, RFC 8985 7.
"""

import errno

from tests.reference.connection import ACK, CLOSED_BY_US, SPACE, add, before, cut, doubled, model, tick
from tests.reference.data import KEEPALIVE, PERSIST, REXMT

DATA_RTO_MIN_MS = 200
PROBE_SLACK_US = 2000


class GivingUp:
    def give_up(self, conn):
        self.count("TCPAbortOnTimeout")
        self.die(conn, conn.error or errno.ETIMEDOUT, "TimedOut")

    def user_timeout(self, conn):
        """ms; 0: none."""
        return self.config.tcp_user_timeout_ms if conn.own_timeout is None else conn.own_timeout

    def count_resend(self, conn, now):
        if conn.retries == 0 and conn.recover is None:
            conn.first_resend = tick(now)
        conn.retries = min(conn.retries + 1, 255)

    def backed_off(self, conn):
        return doubled(self.rto(conn), conn.backoff, self.config.tcp_rto_max_ms)

    def most_resends(self, conn, alive):
        config = self.config
        if not self.is_orphan(conn):
            return config.tcp_retries2
        return 8 if alive and not config.tcp_orphan_retries else config.tcp_orphan_retries

    # -- text in flight (section 7)

    def data_timer(self, conn, now):
        probes = self.probes_loss(conn) or self.probes_fin(conn)
        if conn.retries == 0 and probes and self.loss_probe(conn, now):
            return self.arm(conn, "main", tick(now) + self.interval(conn), REXMT)
        limit = self.user_timeout(conn)
        since = tick(now) - conn.first_resend if conn.retries else 0
        if conn.snd_wnd == 0 and self.config.closed_window_ends and not self.is_orphan(conn):
            late = self.closed_too_long(conn, now, since, limit)
        else:
            self.count("TCPTimeouts")
            late = self.silent_too_long(conn, since, limit)
        if late:
            return self.give_up(conn)
        self.count_resend(conn, now)
        conn.backoff = min(conn.backoff + 1, self.config.rto_doublings_max)
        conn.timed = conn.probed_to = None
        conn.recover = conn.snd_nxt if conn.snd_una != conn.iss else None
        self.resend(conn, now)
        interval = cut(self.interval(conn), limit, tick(now) - conn.first_resend)
        self.arm(conn, "main", tick(now) + interval, REXMT)

    def closed_too_long(self, conn, now, since, limit):
        """The window closed on text in flight."""
        most = 2 * self.config.tcp_rto_max_ms
        if limit:
            return since >= limit
        return since > most and (conn.heard is None or tick(now) - conn.heard > most)

    def silent_too_long(self, conn, since, limit):
        if limit:
            return conn.retries > 0 and since >= limit
        most = self.most_resends(conn, alive=self.backed_off(conn) < self.config.tcp_rto_max_ms)
        if self.config.retries_rule != "time":
            return conn.retries >= most
        return conn.retries > 0 and since >= model(DATA_RTO_MIN_MS, most, self.config.tcp_rto_max_ms)

    # -- loss probes (RFC 8985 7)

    def probes_loss(self, conn):
        return (self.config.tcp_early_retrans >= 3 and conn.sack and not conn.syn_unacked
                and conn.recover is None and conn.probed_to is None)

    def probes_fin(self, conn):
        """close() has sent our FIN behind the SYN-ACK of a simultaneous open, which was never resent."""
        return (self.config.tcp_early_retrans >= 3 and conn.sack and conn.syn_unacked and conn.fin_sent
                and conn.recover is None and conn.probed_to is None
                and conn.timed and conn.timed[0] == add(conn.iss, 1))

    def last_row(self, conn):
        """Where the last row in flight begins, as far as lengths tell."""
        first, end = conn.snd_una, add(conn.snd_nxt, -conn.fin_sent)
        timed = conn.timed and conn.timed[0]
        if end == first:
            return first
        if conn.fin_sent and timed != conn.snd_nxt:
            return end
        if timed is not None and before(first, timed) and before(timed, end):
            first = timed
        length, most = (end - first) % SPACE, conn.row_limit()
        return add(end, -((length - 1) % most + 1)) if length > most else first

    def probe_time(self, conn, lone):
        if conn.srtt is None:
            return self.config.rto_initial_ms
        return -(-(2 * conn.srtt + (self.config.tcp_rto_min_us if lone else PROBE_SLACK_US)) // 1000)

    def flight_interval(self, conn):
        """From now to the RTO, or to the loss probe where that is first."""
        if not self.probes_loss(conn):
            return self.interval(conn)
        return min(self.interval(conn), self.probe_time(conn, lone=self.last_row(conn) == conn.snd_una))

    def later_probe(self, conn, now):
        """The same after more was sent: the RTO is that of the oldest row."""
        interval = min(self.interval(conn), self.probe_time(conn, lone=False))
        return cut(interval, self.interval(conn), tick(now) - conn.timed[1]) if conn.timed else interval

    def loss_probe(self, conn, now):
        """The last row again; whether the window has room for it."""
        first = self.last_row(conn)
        if first != conn.snd_una and not before(first, conn.right_edge):
            return False
        self.data_row(conn, now, first, (conn.snd_nxt - conn.fin_sent - first) % SPACE, conn.fin_sent)
        self.count("RetransSegs")
        self.count("TCPLossProbes")
        if conn.timed and before(first, conn.timed[0]):
            conn.timed = None
        conn.probed_to = conn.snd_nxt
        return True

    def probe_answered(self, conn, seg):
        """Before SND.UNA moves."""
        wnd = seg.wnd << (0 if seg.syn else conn.snd_shift)
        again = seg.ack == conn.snd_una == conn.probed_to and not seg.payload_len and wnd == conn.snd_wnd
        if before(conn.probed_to, seg.ack) or again:
            conn.probed_to = None

    # -- a closed window (3.8.6.1)

    def persist_interval(self, conn, now):
        if conn.probing_since is None:
            return self.probe_interval(conn)
        return cut(self.probe_interval(conn), self.user_timeout(conn), tick(now) - conn.probing_since)

    def persist_timer(self, conn, now):
        if self.probing_ends(conn, now):
            return self.give_up(conn)
        self.count_resend(conn, now)
        if self.config.retries_rule != "time" or conn.backoff < self.config.tcp_retries2:
            conn.backoff = min(conn.backoff + 1, 31)
        if conn.snd_wnd and conn.unsent:
            conn.retries = conn.backoff = 0
            self.send_next(conn, now, min(conn.snd_wnd, conn.unsent, conn.row_limit()), False)
            return self.watch(conn, now, 1)
        self.count("TCPWinProbe")
        if conn.unsent and self.config.persist_probe == "byte":
            self.data_row(conn, now, conn.snd_nxt, 1, False)
        else:
            self.row(conn, now, ACK, add(conn.snd_una, -1))
            self.acknowledged(conn)
        self.arm(conn, "main", tick(now) + self.persist_interval(conn, now), PERSIST)

    def probing_ends(self, conn, now):
        if limit := self.user_timeout(conn):
            if conn.probing_since is not None and tick(now) - conn.probing_since >= limit:
                return True
            if conn.probing_since is None:
                conn.probing_since = tick(now)
        if self.config.persist_ends == "silence":
            return self.silence_ends(conn, tick(now) - conn.answered)
        alive = True
        if self.is_orphan(conn) and self.config.orphan_probes_end:
            alive = self.backed_off(conn) < self.config.tcp_rto_max_ms
            if not alive and conn.backoff >= self.config.tcp_orphan_retries:
                return True
        return conn.retries >= self.most_resends(conn, alive)

    def silence_ends(self, conn, silence):
        """After all doublings too long a silence, or once we closed a minute of it."""
        if conn.state in CLOSED_BY_US and silence >= 60_000:
            return True
        most = min(7_200_000, 2559 * self.rto(conn))
        return conn.backoff + 1 >= min(self.most_resends(conn, True), 32) and silence >= most

    # -- keepalive (3.8.4)

    def heard_from(self, conn, now):
        conn.heard = tick(now)
        if conn.snd_wnd:
            conn.probing_since = None

    def start_keepalive(self, conn, now):
        if conn.asked:
            conn.heard = tick(now)
        if conn.keepalive:
            conn.keepalive_at = tick(now) + 1000 * self.config.tcp_keepalive_time

    def rest(self, conn, now):
        """Nothing is in flight or waits any more."""
        self.disarm(conn, "main")
        if conn.keepalive_at is not None:
            while conn.keepalive_at < tick(now):
                conn.keepalive_at += 1000 * self.config.tcp_keepalive_time
            self.arm(conn, "main", conn.keepalive_at, KEEPALIVE)

    def keepalive_timer(self, conn, now):
        idle, limit = tick(now) - conn.heard, self.user_timeout(conn)
        wait = 1000 * self.config.tcp_keepalive_time - idle
        if wait <= 0:
            unanswered = conn.retries >= self.config.tcp_keepalive_probes
            if (conn.retries and idle >= limit) if limit else unanswered:
                self.active_rst(conn, now)
                return self.give_up(conn)
            self.count_resend(conn, now)
            self.row(conn, now, ACK, add(conn.snd_una, -1))
            self.acknowledged(conn)
            self.count("TCPKeepAlive")
            wait = 1000 * self.config.tcp_keepalive_intvl
        conn.keepalive_at = tick(now) + wait
        self.arm(conn, "main", conn.keepalive_at, KEEPALIVE)
