"""SEGMENT ARRIVES, as the reference engine does it: one method per subsection of RFC 9293 3.10.7.

A mixin of `ReferenceEngine`. Source: docs/semantics.md sections 2 to 6 and 10;
RFC 9293 3.10.7, RFC 5961, RFC 7323 5, RFC 6191.
"""

import errno

from tcpcore import EventKind, State
from tests.reference.connection import (
    ACK,
    BEHIND_FIN,
    CLOSED_BY_US,
    MS,
    OPT_SACK_OK,
    RECEIVERS,
    RST,
    SPACE,
    add,
    after,
    before,
    between,
    tick,
)
from tests.reference.data import AT_ONCE, FIN_WAIT_2, KEEPALIVE, PERSIST, REXMT
from tests.reference.half_open import HalfOpen
from tests.reference.time_wait import TimeWait

INVALID_FROM = 0xE0000000          # 224.0.0.0: multicast, reserved, broadcast


def ask(conn, keepalive, user_timeout_ms):
    """What listen() or connect() asks about a silent peer."""
    conn.keepalive, conn.own_timeout = bool(keepalive), user_timeout_ms
    conn.asked = conn.keepalive or user_timeout_ms is not None


class Arrival(HalfOpen, TimeWait):
    def segment_arrives(self, seg, now):
        """3.10.7: whose is it?"""
        conn = self.flows.get((seg.dst, seg.dport, seg.src, seg.sport))
        if conn is None:
            return self.in_no_flow(seg, now)
        if conn.half_open:
            self.in_half_open(conn, seg, now)
        elif conn.state == State.SYN_SENT:
            self.in_syn_sent(conn, seg, now)
        elif conn.state == State.TIME_WAIT:
            self.in_time_wait(conn, seg, now)
        else:
            self.otherwise(conn, seg, now)
        self.tell_noted(conn)

    def in_no_flow(self, seg, now):
        if any(addr == 0 or addr >= INVALID_FROM for addr in (seg.src, seg.dst)):
            self.count("InErrs")
            return
        listener = self.listener_at(seg.dst, seg.dport)
        if listener:
            self.in_listen(listener, seg, now)
        else:
            self.in_closed(seg)

    # -- 3.10.7.1 --------------------------------------------------------------------------------

    def in_closed(self, seg):
        blackhole = self.config.blackhole
        if seg.rst or blackhole == 2 or (blackhole == 1 and seg.syn):
            return
        self.answering_rst(seg)

    # -- 3.10.7.2 --------------------------------------------------------------------------------

    def in_listen(self, listener, seg, now, iss=None):
        if seg.rst:
            return
        if seg.has_ack:
            if not seg.syn or self.config.listen_answers_synack:
                self.answering_rst(seg)
        elif seg.syn and not (seg.fin and (self.config.listen_drops_synfin or self.config.drop_synfin)):
            self.syn_for_listener(listener, seg, now, iss)

    def syn_for_listener(self, listener, seg, now, iss):
        """Section 3. `iss` is given when the SYN reopens a TIME_WAIT."""
        config = self.config
        half_open = self.half_open(listener)
        spared = config.accept_full_drops_syn == 2 and self.young(listener) <= 1
        if config.accept_full_drops_syn and not spared and self.accept_queue_full(listener):
            self.count("ListenOverflows")
            self.count("ListenDrops")
            return self.refuse("AcceptQueueFull", listener.number)
        # "freebsd": no bucket is ever full where there are so few peers
        full = half_open > listener.backlog and config.synq_policy != "freebsd"
        if full and config.synq_policy == "evict-oldest":
            oldest = next(conn for conn in listener.entries if conn.half_open)
            self.drop_half_open(oldest, "SynQueueEvicted", "SynQueueEvicted")
        elif iss is None and full:
            self.count("TCPReqQFullDrop")
            self.count("ListenDrops")
            return self.refuse("SynQueueFull", listener.number)
        most = config.tcp_max_syn_backlog
        if (iss is None and config.synq_policy == "linux" and not config.tcp_syncookies
                and most - half_open < most // 4):
            self.count("ListenDrops")
            return self.refuse("SynQueueReserve", listener.number)
        conn = self.take_block(seg.dst, seg.dport, seg.src, seg.sport, listener.rcv_buf)
        if conn is None:
            self.count("ListenDrops")
            self.count("BlocksExhausted")
            return self.refuse("BlocksExhausted", listener.number)
        conn.state, conn.listener, conn.auto_close = State.SYN_RECEIVED, listener.number, listener.auto_close
        conn.passive = conn.half_open = conn.young = True
        ask(conn, listener.keepalive or self.config.always_keepalive, listener.user_timeout_ms)
        conn.ecn = bool(seg.asks_for_ecn and config.tcp_ecn)
        self.tell(EventKind.OPENED, conn)
        listener.entries.append(conn)
        conn.iss = self.isn(conn, now) if iss is None else iss
        conn.snd_una = conn.iss
        conn.snd_nxt = conn.snd_end = add(conn.iss, 1)
        self.take_syn(conn, seg, now)
        self.count("SynQueueAdded")
        conn.syn_at = conn.syn_timed = tick(now)
        conn.first_tsval = self.tsval(conn, now)
        self.syn(conn, now)
        self.arm(conn, "main", tick(now) + self.syn_interval(0), REXMT)
        if config.syn_text == "kept":
            self.keep_syn_text(conn, seg, seg.fin)
        else:
            self.count("SynPayloadIgnored", seg.payload_len)

    def keep_syn_text(self, conn, seg, fin):
        """What comes with a SYN waits for ESTABLISHED."""
        room = self.window(conn)
        if seg.payload_len > room:
            fin = False
        if seg.payload_len or fin:
            self.keep(conn, conn.rcv_nxt, add(conn.rcv_nxt, min(seg.payload_len, room) + fin), fin)

    def drops_synfin(self, seg):
        return self.config.drop_synfin and seg.syn and seg.fin

    def lacks_timestamp(self, conn, seg):
        """Timestamps were agreed, and this is no RST without one."""
        return conn.ts and not seg.has_ts and not seg.rst and not self.config.tolerate_missing_ts

    def take_syn(self, conn, seg, now):
        """The peer's SYN: its number, window and options."""
        config = self.config
        conn.irs = seg.seq
        conn.rcv_nxt = add(seg.seq, 1)
        conn.mss = max(min(seg.offered_mss(), config.mss), config.tcp_min_snd_mss)
        offers = not conn.plain_syn
        conn.sack = bool(seg.opts & OPT_SACK_OK and config.tcp_sack and offers)
        conn.ts = bool(seg.has_ts and config.tcp_timestamps and offers)
        shift = seg.offered_shift()
        conn.scaled = shift is not None and bool(config.tcp_window_scaling) and offers
        conn.snd_shift = shift if conn.scaled else 0
        ours = conn.scaled or self.offers_again(conn) and not seg.has_ack and config.tcp_window_scaling
        conn.rcv_shift = config.wscale(conn.rcv_buf) if ours else 0
        conn.rcv_adv = add(conn.rcv_nxt, self.most_offered(conn))
        conn.take_window(seg)
        if conn.ts:
            conn.take_timestamp(seg, now)

    def accept_queue_full(self, listener):
        room = listener.backlog + 1
        if self.config.accept_queue_rule == "half-more":
            room = max(1, 3 * listener.backlog // 2)
        return not listener.auto_accept and len(listener.queue) >= room

    def before_recent(self, conn, seg):
        """PAWS by the TIME_WAIT that a connect took over."""
        return (self.config.tcp_timestamps and seg.has_ts and not conn.plain_syn and conn.ts_recent
                and after(conn.ts_recent, seg.tsval))

    # -- 3.10.7.3 --------------------------------------------------------------------------------

    def in_syn_sent(self, conn, seg, now):
        if self.drops_synfin(seg):
            return
        text = self.config.syn_text
        if seg.has_ack:
            if not (after(seg.ack, conn.snd_una) and not after(seg.ack, conn.snd_nxt)):
                self.answering_rst(seg)
                if conn.retries == 0 and self.config.early_syn_resend_ms:
                    conn.no_sample = True
                    self.arm_syn(conn, now, self.config.early_syn_resend_ms)
                return
            if (self.config.tsecr_checked and self.config.tcp_timestamps and not conn.plain_syn
                    and seg.has_ts and seg.tsecr
                    and not between(conn.first_tsval, seg.tsecr, self.tsval(conn, now))):
                self.count("PAWSActive")
                return self.answering_rst(seg)
        if seg.rst:
            if seg.has_ack:
                self.count("AttemptFails")
                self.die(conn, errno.ECONNREFUSED, "ConnectRefused")
            return
        if not seg.syn or (not seg.has_ack and self.before_recent(conn, seg)):
            return
        self.take_syn(conn, seg, now)
        if text == "dropped":
            self.count("SynPayloadIgnored", seg.payload_len)
        if seg.has_ack:
            self.established(conn, seg, now)
            if text == "dropped":
                self.settle(conn, now, "ack")
            else:
                self.text_and_fin(conn, seg, now, owed="ack")
            return
        if conn.rcv_shift and self.rounds_up and not self.config.auto_read:
            conn.kept_window = True
            conn.rcv_adv = add(conn.rcv_nxt, self.plain_window(conn))
        conn.state = State.SYN_RECEIVED
        once = self.config.crossed_ecn_granted
        conn.ecn = seg.asks_for_ecn and bool(conn.ecn or (once and self.config.tcp_ecn))
        self.syn(conn, now)
        conn.syn_timed, conn.ecn = tick(now), conn.ecn and not once
        if self.config.crossed_syn_restarts:
            self.arm_syn(conn, now, self.syn_interval(conn.backoff, conn.retries))
        if text != "dropped":
            self.keep_syn_text(conn, seg, seg.fin and text == "kept")

    # -- 3.10.7.4 --------------------------------------------------------------------------------

    def otherwise(self, conn, seg, now):
        if self.drops_synfin(seg) or self.lacks_timestamp(conn, seg):
            return
        if conn.orphan and conn.state == State.FIN_WAIT_2 and self.brief and not conn.whole:
            return self.in_orphaned_fin_wait_2(conn, seg, now)
        if self.config.flagless_dropped and not (seg.syn or seg.rst or seg.has_ack):
            return
        if conn.state == State.FIN_WAIT_2 and conn.main and conn.main[1] == FIN_WAIT_2 and self.by_silence:
            self.heard_in_fin_wait_2(conn, now)
        owed = None
        if self.trims:
            seg, owed = self.first_trimmed(conn, seg, now)
        elif not self.first_sequence(conn, seg, now):
            return
        if seg and self.second_rst(conn, seg, now) and self.fourth_syn(conn, seg, now):
            self.fifth_ack(conn, seg, now, owed)

    # -- acceptance "trim" (FreeBSD): what is left of a segment goes on -------------------------------

    @property
    def trims(self):
        return self.config.acceptance == "trim"

    def first_trimmed(self, conn, seg, now):
        """(what is left of the segment or None, what is owed already)."""
        opening = conn.state == State.SYN_RECEIVED
        if opening and seg.has_ack and not seg.rst and not (
                after(seg.ack, conn.snd_una) and not after(seg.ack, conn.snd_nxt)):
            self.answering_rst(seg)
            return None, None
        if seg.rst or (seg.syn and not opening):
            return seg, None
        if self.too_old(conn, seg, now):
            self.count("PAWSEstab")
            if (seg.payload_len or self.config.paws_answers != "text") and not self.limited(
                    conn, seg, now, "TCPACKSkippedPAWS"):
                self.ordinary_ack(conn, now)
            return None, None
        if opening and before(seg.seq, conn.irs):
            self.answering_rst(seg)
            return None, None
        whole = seg
        again, seg = self.without_old(conn, seg)
        if self.resets_text(conn) and seg.payload_len and conn.state in CLOSED_BY_US:
            self.data_after_close(conn, seg)
            return None, None
        again = again and (whole.payload_len > 0 or not self.ack_war(conn, now))
        probe, seg = self.without_beyond(conn, seg)
        if seg is None:
            return None, None if self.limited(conn, probe, now, "TCPACKSkippedSeq") else self.ordinary_ack(
                conn, now)
        if not self.config.ts_recent_needs_good_ack:
            conn.update_timestamp(seg, now)
        overlaps = (whole.payload_len > 0 and before(whole.seq, conn.rcv_nxt) and conn.sack
                    and self.config.overlap_acked_at_once)
        return seg, "ack" if again or probe or overlaps else None

    def without_old(self, conn, seg):
        """(whether all of it is old, what is left after RCV.NXT)."""
        old = (conn.rcv_nxt - seg.seq) % SPACE
        if old == 0 or old >= SPACE // 2:
            return False, seg.without_syn()
        old -= seg.syn
        if old < seg.payload_len or (old == seg.payload_len and seg.fin):
            return False, seg.cut(syn=False, text=old)
        return True, seg.cut(syn=False, text=seg.payload_len, fin=False)

    def without_beyond(self, conn, seg):
        """(whether it probes a closed window, what is left up to the right edge or None)."""
        window = self.window(conn)
        beyond = (seg.seq + seg.payload_len - conn.rcv_nxt - window) % SPACE
        if beyond == 0 or beyond >= SPACE // 2:
            return False, seg
        if beyond < seg.payload_len:
            return False, seg.cut(tail=beyond, fin=False)
        if window == 0 and seg.seq == conn.rcv_nxt:
            return True, seg.cut(tail=seg.payload_len, fin=False)
        return seg, None

    # -- the steps

    def too_old(self, conn, seg, now):
        """PAWS, while TS.Recent is young enough."""
        young = now // MS - conn.ts_recent_at <= self.config.paws_idle_s * 1000
        late = (conn.ts_recent - seg.tsval) % SPACE <= self.config.paws_tolerance_ticks
        return (conn.older(seg) and young and not late and not seg.rst
                and not self.harmless_replay(conn, seg))

    def first_sequence(self, conn, seg, now):
        if self.too_old(conn, seg, now):
            if (self.config.paws_ignores_old_acks and seg.has_ack and seg.len == 0
                    and before(seg.seq, conn.rcv_nxt)):
                self.count("PAWSOldAck")
                return False
            self.count("PAWSEstab")
            return self.not_acceptable(conn, seg, now, "TCPACKSkippedPAWS")
        if not (self.acceptable(conn, seg) or self.exact_rst(conn, seg) or self.crossed_syn_ack(conn, seg)):
            return self.not_acceptable(conn, seg, now, "TCPACKSkippedSeq")
        if not self.config.ts_recent_needs_good_ack:
            conn.update_timestamp(seg, now)
        return True

    def harmless_replay(self, conn, seg):
        """A pure ACK that says nothing new may be up to one RTO old."""
        return (self.config.paws_answers == "spare-acks" and seg.has_ack and seg.len == 0
                and seg.seq == conn.rcv_nxt and seg.ack == conn.snd_una
                and not conn.newer_window(seg)
                and (conn.ts_recent - seg.tsval) % SPACE <= self.rto(conn))

    def acceptable(self, conn, seg):
        window = self.window(conn)
        edge = add(conn.rcv_nxt, window)
        if self.config.acceptance == "rfc":
            first, last = conn.rcv_nxt, add(edge, -1)
            if window == 0:
                return seg.seq == conn.rcv_nxt
            return between(first, seg.seq, last) or (seg.len > 0 and between(first, add(seg.end, -1), last))
        if before(seg.end, conn.rcv_nxt) or after(seg.seq, edge):
            return False
        return not (self.config.beyond_window_dropped and after(add(seg.end, -seg.fin), edge)
                    and self.something_unread(conn))

    def something_unread(self, conn):
        """Text, or a FIN that the application has not gone away from."""
        if conn.unread or self.config.auto_read or conn.state not in BEHIND_FIN:
            return bool(conn.unread)
        return conn.state == State.CLOSING or not conn.orphan

    def exact_rst(self, conn, seg):
        """At RCV.NXT, or one before it when that is the peer's FIN."""
        if not seg.rst:
            return False
        return seg.seq == conn.rcv_nxt or (
            self.config.rst_before_fin and conn.state in BEHIND_FIN and seg.seq == add(conn.rcv_nxt, -1))

    def seq_in_window(self, conn, seg, begin=None):
        begin = conn.rcv_nxt if begin is None else begin
        return seg.seq == begin or (seg.seq - begin) % SPACE < self.window(conn)

    def not_acceptable(self, conn, seg, now, skipped):
        if seg.rst:
            return False
        if seg.syn:
            self.count("TCPSYNChallenge")
            self.challenge_ack(conn, now)
        elif not self.limited(conn, seg, now, skipped):
            self.ordinary_ack(conn, now)
        return False

    def second_rst(self, conn, seg, now):
        if not seg.rst:
            return True
        begin = conn.last_ack_sent if self.config.resets_from_last_ack else conn.rcv_nxt
        if self.config.rst_seq_in_window and not self.seq_in_window(conn, seg, begin):
            return False
        if conn.half_open:
            return self.rst_for_half_open(conn, seg, now)
        exact = self.exact_rst(conn, seg) if begin == conn.rcv_nxt else seg.seq == begin
        if not exact and not self.config.insecure_rst and not self.rst_at_sack_edge(conn, seg):
            self.challenge_ack(conn, now)
            return False
        opening = conn.state == State.SYN_RECEIVED
        if opening:
            self.count("AttemptFails")
        error = self.reset_error(conn)
        if opening and self.config.refused_in_syn_received:
            error = errno.ECONNREFUSED
        self.die(conn, error, "ConnectRefused" if opening else "ResetByPeer")
        return False

    def rst_at_sack_edge(self, conn, seg):
        """Right behind all that came ahead of a gap."""
        return bool(self.config.rst_at_sack_edge and conn.sack and conn.ranges
                    and seg.seq == max(conn.ranges, key=lambda r: r.place(conn.rcv_nxt)[1]).end)

    def reset_error(self, conn):
        broken = conn.state == State.CLOSE_WAIT and self.config.epipe_in_close_wait
        return errno.EPIPE if broken else errno.ECONNRESET

    # Third, security: not implemented.

    def fourth_syn(self, conn, seg, now):
        if not seg.syn or self.crossed_syn_ack(conn, seg):
            return True
        if conn.half_open:
            return self.abort_half_open(conn)
        begin = conn.last_ack_sent if self.config.resets_from_last_ack else conn.rcv_nxt
        if self.config.insecure_syn and self.seq_in_window(conn, seg, begin):
            self.row(conn, now, RST | ACK, conn.snd_nxt, wnd=0)
            self.count("AttemptFails", conn.state == State.SYN_RECEIVED)
            self.die(conn, errno.ECONNRESET, "ResetByPeer")
            return False
        self.count("TCPSYNChallenge")
        self.challenge_ack(conn, now)
        return False

    def crossed_syn_ack(self, conn, seg):
        """Simultaneous open: the SYN-ACK of which the SYN is known."""
        return (self.config.crossed_synack_opens and conn.state == State.SYN_RECEIVED and not conn.half_open
                and seg.has_ack and seg.seq == conn.irs and seg.len == 1 and seg.ack == conn.snd_nxt)

    def fifth_ack(self, conn, seg, now, owed=None):
        if not seg.has_ack:
            return self.without_ack(conn, seg, now, owed)
        if conn.state == State.SYN_RECEIVED:
            return self.last_ack_of_opening(conn, seg, now, owed)
        rfc793 = self.config.ack_range == "rfc793"
        if seg.ack == add(conn.snd_nxt, 1) and self.probed_byte(conn):
            conn.snd_nxt = seg.ack
        if after(seg.ack, conn.snd_nxt):
            if not rfc793:
                self.challenge_ack(conn, now)
            elif not self.unanswered(conn, seg, now):
                self.ordinary_ack(conn, now)
            return
        reach = min(conn.max_wnd, (conn.snd_una - conn.iss - conn.passive) % SPACE)
        if not rfc793 and before(seg.ack, add(conn.snd_una, -reach)):
            return self.challenge_ack(conn, now)
        room = AT_ONCE
        if not before(seg.ack, conn.snd_una):
            conn.error = 0
            if self.config.ts_recent_needs_good_ack:
                conn.update_timestamp(seg, now)
            if conn.main and conn.main[1] in (PERSIST, KEEPALIVE):
                conn.retries = 0
                if conn.main[1] == PERSIST:
                    conn.answered = tick(now)
                    if self.config.persist_restarts:
                        self.arm(conn, "main", tick(now) + self.persist_interval(conn, now), PERSIST)
            if conn.probed_to is not None:
                self.probe_answered(conn, seg)
            advanced = seg.ack != conn.snd_una
            if conn.newer_window(seg):
                conn.take_window(seg)
            self.heard_from(conn, now)
            if advanced:
                room -= self.advance_una(conn, seg, now)
        if conn.fin_sent and conn.snd_una == conn.snd_nxt and not self.fin_acknowledged(
                conn, seg, now, owed):
            return
        self.text_and_fin(conn, seg, now, room, owed)

    def without_ack(self, conn, seg, now, owed):
        """Dropped; "trim" still owes its ACK, and keeps the text of a SYN that comes again."""
        if not self.trims:
            return
        if conn.state == State.SYN_RECEIVED and (seg.payload_len or seg.fin):
            owed = "ack"
            if seg.payload_len and self.config.syn_text != "dropped":
                self.keep(conn, seg.seq, add(seg.seq, seg.payload_len), False)
        if owed:
            self.ordinary_ack(conn, now)

    def last_ack_of_opening(self, conn, seg, now, owed):
        consent = seg.ack == conn.snd_una and self.config.ack_of_iss_opens and not conn.half_open
        if after(seg.ack, conn.snd_nxt) or not (after(seg.ack, conn.snd_una) or consent):
            return self.refuse_ack(conn, seg)
        if conn.half_open:
            return self.complete(conn, seg, now)
        conn.update_timestamp(seg, now)
        if consent:
            conn.state = State.ESTABLISHED
            self.note(conn, EventKind.ESTABLISHED)
            conn.syn_unacked, conn.ecn = True, False
            if not conn.retries and not conn.no_sample:
                conn.timed = add(conn.iss, 1), conn.syn_timed
            self.sample_echo(conn, seg, now)
            conn.take_window(seg)
        else:
            self.established(conn, seg, now)
        room = AT_ONCE
        if conn.shut:
            conn.shut, conn.state, conn.fin_queued = False, State.FIN_WAIT_1, True
            room -= self.output(conn, now, room=1)
            if conn.fin_sent and conn.snd_una == conn.snd_nxt and not self.fin_acknowledged(
                    conn, seg, now, owed):
                return
        self.text_and_fin(conn, seg, now, room, owed)

    def advance_una(self, conn, seg, now):
        """SND.UNA moves; whether a row was sent again."""
        if before(add(conn.snd_una, conn.syn_unacked), conn.snd_end) and not before(seg.ack, conn.snd_end):
            self.note(conn, EventKind.WRITABLE)
        conn.snd_una = seg.ack
        conn.retries = 0
        syn, conn.syn_unacked = conn.syn_unacked, False
        self.sample_ack(conn, seg, now, syn)
        if conn.snd_una == conn.snd_nxt:
            conn.recover = None
            self.rest(conn, now)
            return False
        self.arm(conn, "main", tick(now) + self.flight_interval(conn), REXMT)
        if conn.recover is not None and before(conn.snd_una, conn.recover):
            self.resend(conn, now)
            return True
        conn.recover = None
        return False

    def fin_acknowledged(self, conn, seg, now, owed):
        """Our FIN is acknowledged; whether the segment has anything more to say."""
        if conn.state == State.FIN_WAIT_1:
            conn.state = State.FIN_WAIT_2
            if self.resets_text(conn) and self.new_text(conn, seg):
                self.data_after_close(conn, seg)
                return False
            if self.is_orphan(conn):
                if seg.fin and self.brief and not self.whole_at_first:
                    self.arm(conn, "main", tick(now) + self.fin_wait_2_time(conn), FIN_WAIT_2)
                    conn.whole = True
                else:
                    self.start_fin_wait_2(conn, now)
                    return conn.state == State.FIN_WAIT_2 and (conn.whole or not self.brief)
        elif conn.state == State.CLOSING:
            if owed:
                self.ordinary_ack(conn, now)
            self.start_time_wait(conn, now)
            return False
        elif conn.state == State.LAST_ACK:
            self.count("ConnectionsClosed")
            self.die(conn, 0, None)
            return False
        return True

    def new_text(self, conn, seg):
        return not self.trims and seg.len > 0 and after(add(seg.end, -seg.fin), conn.rcv_nxt)

    def data_after_close(self, conn, seg):
        self.answering_rst(seg)
        self.count("TCPAbortOnData")
        self.die(conn, self.reset_error(conn), "DataAfterClose")

    # Sixth, URG: ignored.

    def text_and_fin(self, conn, seg, now, room=AT_ONCE, owed=None):
        """Seventh and eighth, and what is sent after all steps."""
        if conn.state == State.ESTABLISHED and conn.ranges and conn.ranges[0].first == conn.rcv_nxt:
            first = conn.ranges.pop(0)           # came with the SYN
            self.take(conn, first.end, first.fins)
            if seg.len or self.config.syn_text != "client":
                owed = "ack"
            if conn.peer_done:
                self.eighth_fin(conn, now)
        if conn.state in RECEIVERS:
            if self.resets_text(conn) and self.new_text(conn, seg):
                return self.data_after_close(conn, seg)
            due = self.seventh_text(conn, seg, now)
            owed = "ack" if "ack" in (owed, due) else due
            if conn.peer_done and not self.eighth_fin(conn, now):
                return
            if conn.state == State.CLOSING and self.config.fin_acked_at_once and self.waiting(conn):
                self.ordinary_ack(conn, now)
                owed, room = None, room - 1
        elif conn.state in BEHIND_FIN and seg.len:
            if not after(seg.end, conn.rcv_nxt):
                owed = "ack"
            elif self.config.text_over_fin_resets and before(seg.seq, conn.rcv_nxt):
                if self.new_text(conn, seg):
                    return self.data_after_close(conn, seg)
                conn.rcv_nxt = seg.end                # a second FIN
                owed = "ack"
        self.settle(conn, now, owed, room)

    def eighth_fin(self, conn, now):
        """The peer's FIN is in order; whether more is to be sent."""
        if conn.state == State.ESTABLISHED:
            conn.state = State.CLOSE_WAIT
            if conn.auto_close:
                self.queue_fin(conn)
        elif conn.state == State.FIN_WAIT_1:
            conn.state = State.CLOSING
        else:
            self.ordinary_ack(conn, now)
            self.start_time_wait(conn, now)
            return False
        return True
