"""The records of the reference engine: a connection, a listener, and what a segment of theirs looks like.

Plain objects and plain integers; numbers modulo 2**32 are compared by `before` and `after` only. Nothing here
decides anything. Source: docs/semantics.md section 1, RFC 9293 3.3.1 and 3.4.
"""

import copy
from dataclasses import dataclass, field

import numpy as np

from tcpcore import SEGMENT, State

SPACE = 1 << 32
MS = 1_000_000
FIN, SYN, RST, PSH, ACK, ECE, CWR = 1, 2, 4, 8, 16, 64, 128
OPT_MSS, OPT_WSCALE, OPT_SACK_OK, OPT_TS = 1, 2, 4, 8
DEFAULT_MSS = 536
SMALLEST_MSS = 48
UNSCALED = 65535
NO_LIMIT = 2**31 - 1

#: Where the application may still queue data, and where a queue may leave.
SENDERS = {State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT}
TRANSMITTERS = {State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK}
#: Where the peer may still send text.
RECEIVERS = {State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2}
CLOSED_BY_US = {State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK}
BEHIND_FIN = {State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK}
CURRENT = {State.ESTABLISHED, State.CLOSE_WAIT}


def before(a, b):
    return (a - b) % SPACE >= SPACE // 2


def after(a, b):
    return before(b, a)


def between(low, x, high):
    return (x - low) % SPACE <= (high - low) % SPACE


def add(a, n):
    return (a + n) % SPACE


def tick(now):
    """The first whole millisecond not before `now` (ns)."""
    return -(-now // MS)


def doubled(first, times, cap):
    """`first` doubled that often, capped."""
    return min(first << min(times, 64), cap)


def model(first, times, cap):
    """How long `times` doublings of `first` take together, each interval capped."""
    return sum(doubled(first, k, cap) for k in range(times + 1))


def cut(interval, limit, elapsed):
    """`interval`, but only up to when `limit` (0: none) has elapsed, and a tick at least."""
    return min(interval, max(limit - elapsed, 1)) if limit else interval


class Segment:
    """One row of a SEGMENT array as Python integers."""

    def __init__(self, row):
        for name in SEGMENT.names:
            setattr(self, name, int(row[name]))
        self.syn, self.fin, self.rst, self.has_ack = (bool(self.flags & bit) for bit in (SYN, FIN, RST, ACK))
        self.has_ts = bool(self.opts & OPT_TS)
        self.len = self.payload_len + self.syn + self.fin
        self.end = add(self.seq, self.len)

    def cut(self, *, syn=None, text=0, tail=0, fin=None):
        """The same without its SYN or FIN, without so many bytes at its beginning or its end."""
        rest = copy.copy(self)
        if syn is False and rest.syn:
            rest.syn, rest.flags, rest.seq = False, rest.flags & ~SYN, add(rest.seq, 1)
        if fin is False:
            rest.fin, rest.flags = False, rest.flags & ~FIN
        rest.seq = add(rest.seq, text)
        rest.payload_len -= text + tail
        rest.len = rest.payload_len + rest.syn + rest.fin
        rest.end = add(rest.seq, rest.len)
        return rest

    def without_syn(self):
        """The same, its SYN overlooked: the number stays."""
        rest = copy.copy(self)
        rest.syn, rest.flags = False, rest.flags & ~SYN
        rest.len = rest.payload_len + rest.fin
        rest.end = add(rest.seq, rest.len)
        return rest

    @property
    def asks_for_ecn(self):
        return bool(self.flags & ECE and self.flags & CWR)

    def offered_shift(self):
        return min(self.wscale, 14) if self.opts & OPT_WSCALE else None

    def offered_mss(self):
        return (self.mss if self.opts & OPT_MSS else 0) or DEFAULT_MSS


@dataclass(eq=False)
class Listener:
    number: int
    addr: int
    port: int
    backlog: int
    auto_accept: bool
    auto_close: bool
    rcv_buf: int
    defer: int = 0                                   # timeouts during which a half-open entry waits for text
    queue: list = field(default_factory=list)        # completed and not accepted, oldest first
    entries: list = field(default_factory=list)      # all that were ever half-open, oldest first
    keepalive: bool = False
    user_timeout_ms: int | None = None
    burst: int = 0                                   # number of the last burst of their timers, and what it
    burst_half_open: int = 0                         # found, less those its timers ended or made mature
    burst_young: int = 0


@dataclass(eq=False)
class Connection:
    slot: int
    generation: int
    laddr: int
    lport: int
    raddr: int
    rport: int
    rcv_buf: int
    state: State = State.CLOSED
    listener: int = 0
    error: int = 0                   # while it lives: what ICMP said since the peer was last heard
    # who knows it
    passive: bool = False            # came from LISTEN
    half_open: bool = False          # passive and still SYN_RECEIVED
    deferred: bool = False           # half-open, acknowledged, its text awaited
    young: bool = False              # half-open, its SYN-ACK never resent by the timer
    held: bool = False               # an application has a handle of its own
    queued: bool = False             # waits in an accept queue
    orphan: bool = False             # the application closed it
    lingers: int | None = None       # tick at which its close() returns; None: it has
    shut: bool = False               # shutdown() in active SYN_RECEIVED waits for ESTABLISHED
    whole: bool = False              # orphan in FIN_WAIT_2, kept as a connection
    auto_close: bool = False
    in_time_wait_table: bool = False   # counts for tcp_max_tw_buckets
    # RFC 9293 3.3.1
    iss: int = 0
    irs: int = 0
    snd_una: int = 0
    snd_nxt: int = 0
    snd_wnd: int = 0
    snd_wl1: int = 0
    rcv_nxt: int = 0
    max_wnd: int = 0
    # agreed in SYNs
    mss: int = DEFAULT_MSS
    ts: bool = False
    sack: bool = False
    scaled: bool = False
    snd_shift: int = 0
    rcv_shift: int = 0
    ecn: bool = False                # our SYN asks for it, our SYN-ACK grants it
    # RFC 7323
    ts_offset: int = 0
    ts_recent: int = 0
    ts_recent_at: int = 0            # ms
    first_tsval: int = 0             # of our first SYN or SYN-ACK
    last_tsval: int = 0
    # data, as lengths
    snd_end: int = 0                 # after the last byte queued
    fin_queued: bool = False
    fin_sent: bool = False
    syn_unacked: bool = False        # beyond SYN_RECEIVED with our SYN-ACK still being resent
    unread: int = 0
    had_unread: bool = False         # from then on the window is what was offered last
    took_over: bool = False          # a TIME_WAIT's 4-tuple and TS.Recent, by connect()
    kept_window: bool = False        # the same, before any text came
    rcv_adv: int = 0                 # right edge of the window we offered
    ranges: list = field(default_factory=list)       # ahead of a gap, sorted
    peer_done: bool = False          # its FIN has been taken
    delayed: int = 0                 # segments taken and not acknowledged
    noted: set = field(default_factory=set)          # EventKind: what this segment is to tell
    # RFC 6298
    srtt: int | None = None          # us
    rttvar: int = 0
    syn_at: int = 0                  # tick of the first SYN or SYN-ACK
    syn_timed: int = 0               # tick from which its round trip is taken
    no_sample: bool = False          # Karn: the SYN exchange gives none
    plain_syn: bool = False          # our SYN was resent without options
    timed: tuple | None = None       # (number, tick) being timed
    backoff: int = 0
    retries: int = 0
    first_resend: int = 0            # tick
    answered: int = 0                # tick: the peer spoke while its window was closed, or probing began
    recover: int | None = None       # resending until this number is acknowledged
    # silence: keepalive, user timeout, loss probes
    keepalive: bool = False
    own_timeout: int | None = None   # ms; None: the knob's
    asked: bool = False              # one of them was
    heard: int | None = None         # tick of the last acceptable ACK
    keepalive_at: int | None = None  # tick at which the keepalive timer is due
    probing_since: int | None = None   # tick of the first probe of a closed window, where it is bounded
    probed_to: int | None = None     # SND.NXT when the loss probe went
    # RFC 5961 section 7
    invalid_at: int | None = None    # ms of the last limited answer
    war_at: int = 0                  # ms of the first answer of the window of ack_war_cnt
    war_sent: int = 0                # answers counted in it
    # timers: (tick, kind)
    main: tuple | None = None
    side: tuple | None = None
    first: tuple | None = None       # the one that stands in the queue
    entry: tuple | None = None       # (tick, order): its place there

    @property
    def handle(self):
        return self.generation << 32 | self.slot

    @property
    def flow(self):
        return self.laddr, self.lport, self.raddr, self.rport

    @property
    def in_flight(self):
        return (self.snd_nxt - self.snd_una) % SPACE

    @property
    def unsent(self):
        """Bytes queued and never sent."""
        return 0 if self.fin_sent else (self.snd_end - self.snd_nxt) % SPACE

    @property
    def right_edge(self):
        return add(self.snd_una, self.snd_wnd)

    def row_limit(self):
        """Bytes in one row: the peer's MSS less the options, at most half of its largest window."""
        least = SMALLEST_MSS - 12 * self.ts
        bound = self.max_wnd // 2 if self.max_wnd > DEFAULT_MSS else max(self.max_wnd, least)
        return min(self.mss - 12 * self.ts, bound)

    def take_window(self, seg):
        """SEG.WND becomes SND.WND; that of a SYN is never scaled (RFC 7323 2.2)."""
        self.snd_wnd = seg.wnd if seg.syn else seg.wnd << self.snd_shift
        self.snd_wl1 = seg.seq
        self.max_wnd = max(self.max_wnd, self.snd_wnd)

    def older(self, seg):
        """PAWS (RFC 7323 5.3, R1)."""
        return self.ts and seg.has_ts and after(self.ts_recent, seg.tsval)

    def newer_window(self, seg):
        """Whether SND.WND would be taken from this segment (RFC 9293 3.10.7.4, fifth)."""
        wnd = seg.wnd << self.snd_shift
        return after(seg.ack, self.snd_una) or after(seg.seq, self.snd_wl1) or (
            seg.seq == self.snd_wl1 and (wnd > self.snd_wnd or wnd == 0))

    @property
    def last_ack_sent(self):
        """While an ACK is delayed: the number of the text that came last."""
        return self.snd_wl1 if self.delayed else self.rcv_nxt

    def update_timestamp(self, seg, now):
        """TS.Recent after a good segment (RFC 7323 4.3)."""
        if (self.ts and seg.has_ts and not seg.rst and not after(seg.seq, self.last_ack_sent)
                and not self.older(seg)):
            self.take_timestamp(seg, now)

    def take_timestamp(self, seg, now):
        self.ts_recent, self.ts_recent_at = seg.tsval, now // MS


def as_rows(rows):
    """Dictionaries as a SEGMENT array."""
    array = np.zeros(len(rows), SEGMENT)
    for i, row in enumerate(rows):
        for name, value in row.items():
            array[i][name] = value
    return array
