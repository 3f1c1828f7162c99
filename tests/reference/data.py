"""What the reference engine sends, and when: rows, windows, data as lengths, round trips, resend timers.

A mixin of `ReferenceEngine`: it needs `self.config`, `self.emit`, `self.count`, `self.arm`, `self.disarm`,
`self.die`.
Source: docs/semantics.md sections 1, 5, 7, 8 and 9; RFC 9293 3.8, RFC 6298, RFC 5961 section 7.
"""

import errno

from tcpcore import EventKind, State
from tests.reference.connection import (
    ACK,
    CWR,
    ECE,
    FIN,
    MS,
    NO_LIMIT,
    OPT_MSS,
    OPT_SACK_OK,
    OPT_TS,
    OPT_WSCALE,
    PSH,
    RECEIVERS,
    RST,
    SPACE,
    SYN,
    TRANSMITTERS,
    UNSCALED,
    add,
    after,
    before,
    cut,
    doubled,
    model,
    tick,
)  # fmt: skip
from tests.reference.out_of_order import Range, taken, with_range

#: What a timer is for; `ReferenceEngine.fire` calls the method of that name.
REXMT, PERSIST, FIN_WAIT_2, TIME_WAIT = "rexmt", "persist", "fin_wait_2", "time_wait"
DELACK, OUTPUT, KEEPALIVE = "delack", "output", "keepalive"
#: Rows that one segment may make a connection send at once; a call may send all that fits the window.
AT_ONCE = 2
ALL = 1 << 30
LONGEST_SAMPLE_MS, OLDEST_ECHO_MS = 65535, 2_147_483
DATA_RTO_MIN_MS = 200
SYNACK_MAX_MS = 120_000


class Sending:
    # -- rows (3.5.2, 3.10.7) --------------------------------------------------------------------

    def tsval(self, conn, now):
        return add(now // MS, conn.ts_offset)

    def row(self, conn, now, flags, seq, payload_len=0, wnd=None, **options):
        if wnd is None:
            wnd = self.advertise(conn)
        options.setdefault("opts", 0)
        if conn.ts:
            options["opts"] |= OPT_TS
            options["tsval"] = self.tsval(conn, now)
            options["tsecr"] = conn.ts_recent if flags & (ACK | SYN) else 0
        self.emit(src=conn.laddr, sport=conn.lport, dst=conn.raddr, dport=conn.rport, flags=flags, seq=seq,
                  ack=conn.rcv_nxt if flags & ACK else 0, wnd=wnd, payload_len=payload_len, **options)

    def send_seq(self, conn):
        """SND.NXT, or the right edge of the peer's window when that lies before it (not while half-open)."""
        if conn.half_open or not self.config.seq_within_window:
            return conn.snd_nxt
        beyond = (conn.snd_nxt - conn.right_edge) % SPACE
        if not before(conn.right_edge, conn.snd_nxt) or (conn.scaled and beyond < 1 << conn.rcv_shift):
            return conn.snd_nxt
        return conn.right_edge

    def bare_ack(self, conn, now):
        self.row(conn, now, ACK, self.send_seq(conn))
        self.acknowledged(conn)

    def ordinary_ack(self, conn, now):
        """By knob it says again what the peer has not acknowledged: our SYN, or our FIN."""
        again = self.config.ack_repeats_control and conn.snd_una != conn.snd_nxt
        if again and conn.state == State.SYN_RECEIVED:
            self.syn(conn, now)
            self.acknowledged(conn)
        elif again and conn.fin_sent:
            self.row(conn, now, FIN | ACK, add(conn.snd_nxt, -1))
            self.acknowledged(conn)
        else:
            self.bare_ack(conn, now)

    def active_rst(self, conn, now):
        self.row(conn, now, RST | (ACK if self.config.abort_rst_has_ack else 0), self.send_seq(conn),
                 wnd=None if self.config.rst_has_window else 0)

    def answering_rst(self, seg):
        """3.5.2 group 1; never in answer to a RST."""
        if seg.rst:
            return
        there = {"src": seg.dst, "sport": seg.dport, "dst": seg.src, "dport": seg.sport}
        if seg.has_ack:
            self.emit(**there, flags=RST, seq=seg.ack)
        else:
            self.emit(**there, flags=RST | ACK, ack=seg.end)

    def offers_again(self, conn):
        """Whether the SYN-ACK of a simultaneous open has what the SYN had."""
        return self.config.crossed_synack_offers and not conn.passive

    def syn(self, conn, now):
        """A SYN, or a SYN-ACK once we have the peer's."""
        answer = conn.state != State.SYN_SENT
        config = self.config
        offers = self.offers_again(conn) if answer else not conn.plain_syn
        options = {"opts": OPT_MSS, "mss": config.mss}
        if conn.scaled or (offers and config.tcp_window_scaling):
            options["opts"] |= OPT_WSCALE
            options["wscale"] = config.wscale(conn.rcv_buf)
        if conn.sack or (offers and config.tcp_sack):
            options["opts"] |= OPT_SACK_OK
        if offers and config.tcp_timestamps:
            options["opts"] |= OPT_TS
            options["tsval"] = self.tsval(conn, now)
            options["tsecr"] = conn.ts_recent         # 0 unless it took a TIME_WAIT over
        conn.last_tsval = self.tsval(conn, now)
        flags = SYN | ACK if answer else SYN
        flags |= FIN * (conn.state == State.SYN_RECEIVED and conn.fin_sent)
        if not answer and conn.retries > (0 if config.tcp_ecn_fallback else config.ecn_maxretries):
            conn.ecn = False
        if conn.ecn:
            flags |= ECE if answer else ECE | CWR
        self.row(conn, now, flags, conn.iss,
                 wnd=min(self.syn_window(conn, answer), UNSCALED), **options)

    # -- our window (section 7) ------------------------------------------------------------------

    @property
    def as_freebsd(self):
        return self.config.window_offered == "freebsd"

    def syn_window(self, conn, answer):
        """Where SYNs crossed an ACK may have told more than the SYN did, and the SYN-ACK tells it again."""
        if answer and not conn.passive and self.rounds_up and self.told(conn):
            return self.offered(conn)
        return self.plain_window(conn)

    def plain_window(self, conn):
        """What the empty buffer gives; SYNs tell it unscaled."""
        return self.config.window(conn.rcv_buf, stamped=conn.took_over or (conn.passive and conn.ts))

    def whole_window(self, conn):
        """What the empty buffer gives, as far as 16 bits can tell it."""
        window = self.plain_window(conn)
        if conn.rcv_shift and not conn.half_open and not self.as_freebsd:
            window = self.units(conn, window) << conn.rcv_shift
        return min(window, UNSCALED << conn.rcv_shift)

    @property
    def rounds_up(self):
        return self.config.window_rounding == "mss-down" and not self.as_freebsd

    def synack_counts(self, conn):
        """Whether the SYN-ACK's window, which is not rounded, is the one that a passive opener told last."""
        return bool(conn.passive and conn.rcv_shift and self.rounds_up and not self.config.auto_read)

    def told_window(self, conn):
        """The window before the first text, or before anything but a SYN-ACK was sent."""
        return self.plain_window(conn) if self.synack_counts(conn) else self.most_offered(conn)

    def units(self, conn, window):
        """A window in units of our shift; rounded up by Linux, but not for half-open entries."""
        up = self.rounds_up and not conn.half_open
        return (window + up * ((1 << conn.rcv_shift) - 1)) >> conn.rcv_shift

    def most_offered(self, conn):
        """What is offered while the buffer is empty."""
        whole = self.whole_window(conn)
        if self.as_freebsd and (whole > UNSCALED or self.told(conn)):
            return self.tellable(conn, whole)
        return whole

    def tellable(self, conn, window):
        """A window rounded up to what the shift can tell, and no more than that."""
        return min(-(-window >> conn.rcv_shift), UNSCALED) << conn.rcv_shift

    def offered(self, conn):
        """What is left of the window offered last."""
        return max((conn.rcv_adv - conn.rcv_nxt + SPACE // 2) % SPACE - SPACE // 2, 0)

    def window(self, conn):
        """W of the rules: what the peer may send now, as told or (by knob) as the buffer has room."""
        window = self.offered(conn) if self.told(conn) else self.told_window(conn)
        if conn.half_open:
            return min(window, UNSCALED)              # what the SYN-ACK could tell
        if self.config.window_by_buffer:
            window = max(window, self.config.window(conn.rcv_buf) - conn.unread)
        return window

    def told(self, conn):
        """Whether the window is what was offered last, not simply all there is."""
        return conn.had_unread or conn.kept_window or conn.rcv_buf != self.config.rcv_buf

    def next_window(self, conn):
        whole = self.plain_window(conn) if conn.rcv_shift or self.as_freebsd else self.whole_window(conn)
        if conn.peer_done and self.told(conn) and self.config.fin_freezes_window:
            return self.offered(conn)
        if not conn.unread:
            return self.most_offered(conn)
        free = max(whole - conn.unread, 0)
        if self.as_freebsd:
            small = free < whole // 4 and free < conn.mss
            return max(0 if small else self.tellable(conn, free), self.offered(conn))
        if free < self.config.mss or free < whole // 16:
            free = 0
        elif not conn.rcv_shift:
            free -= free % self.config.mss
        elif 2 * free < whole:
            free = free >> conn.rcv_shift << conn.rcv_shift
        else:
            free = self.units(conn, free) << conn.rcv_shift
        return max(free, self.offered(conn))

    def advertise(self, conn):
        """The window as 16 bits tell it; the right edge that they tell never moves back."""
        whole = self.whole_window(conn)
        if (not self.told(conn) and self.synack_counts(conn) and not conn.half_open
                and whole != self.plain_window(conn)):
            conn.kept_window = True
            conn.rcv_adv = add(conn.rcv_nxt, whole)
        window = min(self.units(conn, self.next_window(conn)), UNSCALED)
        edge = add(conn.rcv_nxt, window << conn.rcv_shift)
        if after(edge, conn.rcv_adv):
            conn.rcv_adv = edge
        return window

    # -- limits (section 8) ----------------------------------------------------------------------

    def limited(self, conn, seg, now, skipped):
        """Whether an answer to a segment that carries nothing comes too soon after the previous one."""
        if not (seg.len and not seg.syn) and self.too_soon(conn, now, skipped):
            return True
        return not (seg.payload_len and not seg.syn) and self.ack_war(conn, now, skipped)

    def ack_war(self, conn, now, skipped="TCPACKSkippedSeq"):
        """Whether this answer is one too many for its connection (ack_war_cnt)."""
        most, window = self.config.ack_war_cnt, self.config.ack_war_timewindow_ms
        if not most or not window:
            return False
        if not conn.war_sent or now // MS - conn.war_at > window:
            conn.war_at, conn.war_sent = now // MS, 0
        if conn.war_sent >= most:
            self.count(skipped)
            return True
        conn.war_sent += 1
        return False

    def unanswered(self, conn, seg, now):
        """Whether a segment with no text and nothing new goes without the ACK it would get."""
        return (not seg.payload_len or seg.syn) and self.ack_war(conn, now)

    def too_soon(self, conn, now, skipped):
        limit = self.config.tcp_invalid_ratelimit
        if not limit:
            return False
        if conn.invalid_at is not None and now // MS - conn.invalid_at < limit:
            self.count(skipped)
            return True
        conn.invalid_at = now // MS
        return False

    def challenge_ack(self, conn, now):
        skipped = "TCPACKSkippedChallenge"
        if self.too_soon(conn, now, skipped) or self.ack_war(conn, now, skipped):
            return
        limit = self.config.tcp_challenge_ack_limit
        if limit not in (0, NO_LIMIT):
            second = now // (1000 * MS)
            if second != self.challenge_second:
                self.challenge_second = second
                self.challenges_left = limit // 2 + self.draw(limit)
            if self.challenges_left <= 0:
                return
            self.challenges_left -= 1
        self.count("TCPChallengeACK")
        self.bare_ack(conn, now)

    # -- RFC 6298 --------------------------------------------------------------------------------

    def sample(self, conn, ticks):
        r = min(max(ticks, 1), LONGEST_SAMPLE_MS) * 1000
        if conn.srtt is None:
            conn.srtt, conn.rttvar = r, r // 2
        else:
            conn.rttvar = (3 * conn.rttvar + abs(conn.srtt - r)) // 4
            conn.srtt = (7 * conn.srtt + r) // 8
        conn.backoff = 0

    def sample_syn(self, conn, seg, now):
        if not conn.no_sample:
            self.sample(conn, tick(now) - conn.syn_timed)
        else:
            self.sample_echo(conn, seg, now)

    def sample_echo(self, conn, seg, now):
        """The round trip that the echo of our TSval tells, if there is one."""
        if conn.ts and seg.has_ts and seg.tsecr:
            trip = (self.tsval(conn, now) - seg.tsecr) % SPACE
            if trip < OLDEST_ECHO_MS:
                self.sample(conn, trip)
                return True
        return False

    def sample_ack(self, conn, seg, now, syn=False):
        """What an advancing ACK tells: the echo if there is one, else the number being timed; for our SYN it
        is the number."""
        timed = conn.timed
        if timed and not before(seg.ack, timed[0]):
            conn.timed = None
        else:
            timed = None
        if (timed and syn) or (not self.sample_echo(conn, seg, now) and timed):
            self.sample(conn, tick(now) - timed[1])

    def rto(self, conn):
        """ms, without backoff."""
        config = self.config
        if conn.srtt is None and conn.syn_unacked:
            return config.rto_initial_ms
        if conn.srtt is None:
            return min(config.rto_syn_resent_ms, config.tcp_rto_max_ms)
        if config.rto_min_rule == "variance":
            us = conn.srtt + max(4 * conn.rttvar, config.tcp_rto_min_us)
        else:
            us = max(conn.srtt + 4 * conn.rttvar, config.tcp_rto_min_us)
        return min(-(-us // 1000), config.tcp_rto_max_ms)

    def interval(self, conn):
        most = self.config.tcp_rto_max_ms
        return min(doubled(self.rto(conn), conn.backoff, most) + self.config.rto_slop_ms, most)

    def probe_interval(self, conn):
        """Before the next zero-window probe."""
        config = self.config
        most = config.persmax_ms or config.tcp_rto_max_ms
        first = self.rto(conn)
        if config.persist_interval == "srtt":
            first = 2 * config.rto_syn_resent_ms
            if conn.srtt is not None:
                first = -(-(4 * conn.srtt + 8 * conn.rttvar) // 1000)
        interval = doubled(first, min(conn.backoff, config.rto_doublings_max), most) + config.rto_slop_ms
        return max(min(interval, most), config.persmin_ms or 0)

    def probed_byte(self, conn):
        """Whether the byte at SND.NXT has been a probe's."""
        return (self.config.persist_probe == "byte" and conn.main is not None and conn.main[1] == PERSIST
                and conn.backoff > 0 and conn.unsent > 0)

    def syn_interval(self, doublings, resends=None, most=None):
        """The slop comes with the first resend."""
        config = self.config
        most = most or config.tcp_rto_max_ms
        slop = config.rto_slop_ms if (doublings if resends is None else resends) else 0
        return min(doubled(config.rto_initial_ms, doublings, most) + slop, most)

    def synack_interval(self, resends):
        return self.syn_interval(resends, most=self.synack_max() if resends else None)

    def synack_max(self):
        return SYNACK_MAX_MS if self.config.half_open_rules == "linux" else self.config.tcp_rto_max_ms

    # -- output (3.8.6, section 7) ---------------------------------------------------------------

    def data_row(self, conn, now, seq, length, fin):
        flags = ACK | (PSH if length else 0) | (FIN if fin else 0)
        self.row(conn, now, flags, seq, payload_len=length)
        self.acknowledged(conn)

    def acknowledged(self, conn):
        """An ACK went out: none is owed."""
        conn.delayed = 0
        if conn.side and conn.side[1] == DELACK:
            self.disarm(conn, "side")

    def next_row(self, conn):
        """(length, FIN) of the next row that fits the peer's window whole, or None."""
        room = conn.snd_wnd - conn.in_flight
        length = min(conn.unsent, conn.row_limit())
        fin = conn.fin_queued and not conn.fin_sent and length == conn.unsent
        needed = length + (fin if self.config.fin_needs_window else 0)
        return (length, fin) if 0 < length + fin and needed <= room else None

    def waiting(self, conn):
        return conn.unsent > 0 or (conn.fin_queued and not conn.fin_sent)

    def send_next(self, conn, now, length, fin):
        seq = conn.snd_nxt
        conn.snd_nxt = add(seq, length + fin)
        conn.fin_sent |= fin
        if length and conn.recover is None and conn.timed is None:
            conn.timed = conn.snd_nxt, tick(now)
        self.data_row(conn, now, seq, length, fin)

    def output(self, conn, now, room=AT_ONCE):
        """Send what the peer's window lets go, `room` rows at most; how many went."""
        rows = 0
        if conn.state not in TRANSMITTERS:
            return rows
        while rows < room and (row := self.next_row(conn)):
            self.send_next(conn, now, *row)
            rows += 1
        if self.next_row(conn):
            self.arm(conn, "side", now // MS, OUTPUT)     # not rounded up: due at `now`
        self.watch(conn, now, rows)
        return rows

    def watch(self, conn, now, rows):
        """The timer that what is in flight, or waits for a window, needs, after so many rows went out."""
        kind = conn.main and conn.main[1]
        if conn.in_flight:
            if kind != REXMT:
                if kind == PERSIST:
                    conn.backoff = 0                  # that of the probes
                elif kind == KEEPALIVE:
                    conn.retries = 0
                self.arm(conn, "main", tick(now) + self.flight_interval(conn), REXMT)
            elif rows and (self.probes_loss(conn) or self.probes_fin(conn)):
                self.arm(conn, "main", tick(now) + self.later_probe(conn, now), REXMT)
        elif self.waiting(conn) and kind in (None, KEEPALIVE):
            conn.retries = 0 if kind else conn.retries
            if self.config.persist_interval == "srtt":
                conn.backoff = 0
            conn.answered = tick(now)
            self.arm(conn, "main", tick(now) + self.probe_interval(conn), PERSIST)

    def resend(self, conn, now):
        """The first unacknowledged row again."""
        self.count("RetransSegs")
        if conn.snd_una == conn.iss:
            self.count("TCPSynRetrans")
            return self.syn(conn, now)
        end = add(conn.snd_nxt, -1) if conn.fin_sent else conn.snd_nxt
        left = (end - conn.snd_una) % SPACE
        length = min(left, conn.row_limit(), conn.snd_wnd or left)
        self.data_row(conn, now, conn.snd_una, length, conn.fin_sent and length == left)

    # -- timers (3.10.8) -------------------------------------------------------------------------

    def rexmt_timer(self, conn, now):
        if conn.half_open:
            self.syn_ack_timer(conn, now)
        elif conn.state in (State.SYN_SENT, State.SYN_RECEIVED):
            self.syn_timer(conn, now)
        else:
            self.data_timer(conn, now)

    def syn_timer(self, conn, now):
        """SYN_SENT and the active SYN_RECEIVED (section 5)."""
        config = self.config
        self.count("TCPTimeouts")
        most = config.tcp_syn_retries
        elapsed = tick(now) - conn.syn_at
        limit = self.user_timeout(conn)
        patience = limit or model(config.rto_initial_ms, most, config.tcp_rto_max_ms)
        linear = config.tcp_syn_linear_timeouts if conn.state == State.SYN_SENT else 0
        timed = self.config.retries_rule == "time" or limit
        if (conn.retries >= most + linear or (timed and conn.retries and elapsed >= patience)
                or (config.keepinit_ms is not None and elapsed >= config.keepinit_ms)):
            self.count("AttemptFails")
            self.count("TCPAbortOnTimeout")
            return self.die(conn, conn.error or errno.ETIMEDOUT, "ConnectTimedOut")
        self.count_resend(conn, now)
        conn.no_sample = True
        if conn.state == State.SYN_SENT and config.rexmit_drop_options and conn.retries >= 3:
            conn.plain_syn = True
        self.resend(conn, now)
        if conn.state == State.SYN_RECEIVED or conn.retries > config.tcp_syn_linear_timeouts:
            conn.backoff = min(conn.backoff + 1, config.rto_doublings_max)
        self.arm_syn(conn, now, cut(self.syn_interval(conn.backoff, conn.retries), limit, elapsed))

    def arm_syn(self, conn, now, interval):
        """For a SYN of ours; an attempt that is bounded ends with its bound."""
        due = tick(now) + interval
        if self.config.keepinit_ms is not None:
            due = min(due, max(tick(now), conn.syn_at + self.config.keepinit_ms))
        self.arm(conn, "main", due, REXMT)

    def delack_timer(self, conn, now):
        self.ordinary_ack(conn, now)

    def output_timer(self, conn, now):
        self.output(conn, now, room=1)

    # -- text and FIN (3.10.7.4, seventh and eighth) ------------------------------------------------

    def seventh_text(self, conn, seg, now):
        """Take what is in order, keep what is ahead. What is owed: nothing, "ack", or "later"."""
        first = add(seg.seq, seg.syn)
        end = seg.end
        window = self.window(conn)
        if first == end:
            return "ack" if seg.syn else None         # the SYN of a simultaneous open, again
        if not after(end, conn.rcv_nxt):
            return "ack"
        edge = add(conn.rcv_nxt, window)
        if window == 0 and not self.trims and (seg.payload_len or self.config.bare_fin_needs_window):
            self.count("TCPZeroWindowDrop")
            return "ack"
        if window and not before(first, edge) and not self.trims:
            return "ack"
        fin = seg.fin
        if self.config.acceptance == "rfc" and after(end, edge):
            end, fin = edge, False
        if after(first, conn.rcv_nxt):
            self.keep(conn, first, end, fin)
            return "ack"
        at_once = bool(conn.ranges) or (end - conn.rcv_nxt) % SPACE > self.config.mss
        self.take(conn, end, fin)
        return "ack" if at_once or conn.peer_done else "later"

    def keep(self, conn, first, end, fin):
        """A range ahead of a gap, a FIN in its own; four of them at most."""
        ranges = with_range(conn.ranges, Range(first, end, int(fin)), conn.rcv_nxt)
        self.count("TCPOFODrop" if ranges is None else "TCPOFOQueue")
        conn.ranges = conn.ranges if ranges is None else ranges

    def take(self, conn, end, fin):
        """RCV.NXT moves to `end` and over every range that has become contiguous, up to a FIN."""
        start, conn.rcv_nxt = conn.rcv_nxt, end
        if not fin:
            conn.rcv_nxt, fin, conn.ranges = taken(conn.ranges, conn.rcv_nxt)
        conn.peer_done = bool(fin)
        if fin:
            conn.ranges = []
        nbytes = (conn.rcv_nxt - start) % SPACE - fin
        self.count("BytesReceived", nbytes)
        if nbytes and conn.orphan:                     # it lingers, and has no buffer (linger_takes_text)
            if fin:
                self.note(conn, EventKind.EOF)
            return
        if nbytes and not conn.unread:
            self.note(conn, EventKind.READABLE)       # with auto_read nothing stays unread
        if fin:
            self.note(conn, EventKind.EOF)
        if not self.config.auto_read:
            conn.unread += nbytes
            if not self.told(conn):
                conn.rcv_adv = add(start, self.told_window(conn))
            conn.had_unread |= nbytes > 0 or (bool(fin) and bool(self.config.fin_fills_buffer))

    def settle(self, conn, now, owed, room=AT_ONCE):
        """After all steps: queued data, else the ACK that is owed."""
        if owed == "later":
            conn.delayed += self.config.delack_ms > 0
            owed = "ack" if conn.delayed >= 2 or not self.config.delack_ms else owed
        rows = self.output(conn, now, room)
        if rows and owed == "later" and not self.next_row(conn):
            self.disarm(conn, "side")
        if rows or not owed:
            return
        if owed == "ack":
            self.ordinary_ack(conn, now)
        elif conn.side is None or conn.side[1] == OUTPUT:            # which has nothing to send any more
            self.arm(conn, "side", tick(now) + self.config.delack_ms, DELACK)

    # -- recv (3.10.3) -----------------------------------------------------------------------------

    def read(self, conn, nbytes, now):
        """Take from the receive buffer; how much."""
        left = self.offered(conn)
        taken = conn.unread if nbytes is None else min(conn.unread, nbytes)
        conn.unread -= taken
        if taken and conn.state in RECEIVERS and self.update_is_due(conn, left):
            self.ordinary_ack(conn, now)
        return taken

    def update_is_due(self, conn, left):
        """Whether what was read opens the window enough."""
        whole = self.whole_window(conn)
        if self.config.window_update == "doubled":
            return 2 * left <= whole and self.next_window(conn) >= max(2 * left, 1)
        whole = self.plain_window(conn)
        free = min(max(whole - conn.unread, 0), UNSCALED << conn.rcv_shift)
        more = max(free - left, 0)
        if conn.delayed or free >> conn.rcv_shift == left >> conn.rcv_shift:
            return False
        return 2 * more >= whole or (more >= 2 * conn.mss and (
            more >= whole // 4 or free <= whole // 8 or whole <= 8 * conn.mss))
