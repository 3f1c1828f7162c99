# The TCB (RFC 9293 3.3.1): one 64-byte cache line per connection. Beside it, in arrays of their own: 16
# bytes of timestamps, touched only by connections that agreed on them, a cold line, touched only by data,
# RTT samples, persist timers and errors, and a liveness line, touched only by connections that keepalive,
# a user timeout or a closed window asks about. BLOCK, the numpy dtype, is derived from the struct.
#
#       0       4       8     10    12      16
#    0  | raddr | laddr | rport|lport| next  |
#   16  |snd_una|snd_nxt| rcv_nxt    |snd_wnd|
#   32  | iss   |snd_wl1| deadline   |timer_pos|
#   48  |generation|listener|mss|bits|state|retries|timer|wscale|rtt|
#
# Invariant: a TCB in state CLOSED without B_HELD is free, and its timer is T_NONE.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset


cdef enum:
    TICK_NS = 1_000_000       # one tick of every deadline: 1 ms

cdef struct Tcb:
    uint32_t raddr
    uint32_t laddr
    uint16_t rport
    uint16_t lport
    uint32_t next             # flow table: in an overflow chain the next TCB's slot + 1 or NO_MORE, else 0
    uint32_t snd_una
    uint32_t snd_nxt          # highest number sent + 1 (never pulled back)
    uint32_t rcv_nxt
    uint32_t snd_wnd          # scaled
    uint32_t iss
    uint32_t snd_wl1          # until an active open is ESTABLISHED: low 32 bits of the tick of its first SYN
    uint32_t deadline         # low 32 bits of the absolute tick, while timer != T_NONE
    uint32_t timer_pos        # wheel: where our entry is, 0 none
    uint32_t generation       # counts the connections that have had the slot, from 1
    uint16_t listener         # listener id, 0 for active opens
    uint16_t mss              # what the peer's MSS option allows us to send
    uint16_t bits             # TcbBit
    uint8_t state             # State
    uint8_t retries           # resends (or probes) since the last progress
    uint8_t timer             # TimerKind of `deadline`
    uint8_t wscale            # low nibble: shift for the peer's windows; high: for ours
    uint16_t rtt              # first RTT sample in ticks, 0 none (Karn); till then bits 32 to 47 of that tick

# RFC 7323. Valid only while the TCB has B_TS.
cdef struct Timestamps:
    uint32_t recent           # TS.Recent
    uint32_t recent_at        # tick of its last update
    uint32_t offset           # added to our clock in TSval
    uint32_t first            # TSval of our first SYN

# The cold line. Valid only while the TCB has B_COLD.
cdef struct Cold:
    uint32_t srtt_us
    uint32_t rttvar_us
    uint32_t rtt_seq          # number being timed; B_RECOVER: the recovery point; half-open: our last TSval
    uint32_t rtt_at           # tick it was sent, or (B_CROSSED) our SYN-ACK; half-open, if not 0: see rtt_seq
    uint32_t snd_end          # number after the last byte the application queued
    uint32_t max_snd_wnd      # largest window the peer ever offered (RFC 5961 5)
    uint32_t rcv_adv          # right edge of the window we advertised
    uint32_t rcv_buf          # bytes
    uint32_t unread           # received in order and not yet taken by recv()
    uint32_t oow_at           # tick of the last rate-limited ACK (tcp_invalid_ratelimit); while OOW_SENT
    uint32_t ranges           # reference into the out-of-order pool, 0 none
    uint32_t later            # tick of the second timer
    uint8_t later_timer       # its TimerKind
    uint8_t error             # errno as SO_ERROR would give it; while the connection lives: what ICMP said
    uint8_t delayed           # segments taken and not yet acknowledged (delack_ms)
    uint8_t backoff           # doublings of the RTO since the last sample (Karn)
    uint32_t resent_at        # low 32 bits of the tick of the first resend or probe; while retries is not 0
    uint32_t ack_war_at       # ack_war_cnt: tick at which the window began; while ack_war_sent is not 0
    uint8_t resent_at_high    # bits 32 to 39 of that tick
    uint8_t later_high        # bits 32 to 39 of later: the first timer may be long overdue
    uint8_t highest           # bits 40 to 42 of later (LATER) and of resent_at (RESENT), and flags (Highest)
    uint8_t ack_war_sent      # ACKs counted in the window

# The liveness line: what its application asks of the peer besides acknowledgements, and when that was heard.
# Valid only while the cold line is and has HAS_LIVENESS. Ticks are whole: no silence is too long for them.
cdef struct Liveness:
    int64_t heard_at          # tick of the last acceptable segment
    int64_t keepalive_at      # tick at which the keepalive timer is due, 0: it does not run; see lingers
    int64_t probing_since     # tick of the first probe of a window that is still closed; 0: none went
    uint32_t user_timeout_ms  # RFC 5482; 0: none; TIMEOUT_OF_KNOB
    uint32_t probed_to        # while B_PROBED: SND.NXT when the loss probe went (Linux: tlp_high_seq)
    uint8_t keepalive         # asked for
    uint8_t lingers           # close() with SO_LINGER waits until keepalive_at; the TCB is one of OUR_FIN
    uint32_t linger_rest      # then: how much later than that the main timer is due, while 0 it is due first

# RFC 9293 3.3.2. The numbers are public: tcpcore.State is made of them. (Without a name, so that a state
# can be an index.)
cdef enum:
    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10
    N_STATES = 11

# Sets of states, tested as `in_set(tcb.state, CAN_SEND)`.
cdef enum StateSet:
    CAN_RECEIVE = 0x070       # text is accepted: ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2
    LINGERING = 0x1E0         # may be about to enter FIN-WAIT-2 or TIME-WAIT: FIN-WAIT-1 .. CLOSING
    OPENING = 0x00C           # SYN-SENT, SYN-RECEIVED
    ABORT_RESETS = 0x0F8      # an ABORT call sends a RST (RFC 9293 3.10.5)
    CAN_SEND = 0x090          # the application may send: ESTABLISHED, CLOSE-WAIT
    OUR_FIN = 0x320           # our FIN is queued or sent, not acknowledged: FIN-WAIT-1, CLOSING, LAST-ACK
    AFTER_CLOSE = 0x360       # our side is closed: FIN-WAIT-1, FIN-WAIT-2, CLOSING, LAST-ACK
    PEER_FIN = 0x780          # the peer's FIN is behind RCV.NXT: CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT

cdef enum TcbBit:
    B_HELD = 0x0001           # the application holds it: the TCB outlives the connection
    B_QUEUED = 0x0002         # in a listener's accept queue
    B_PASSIVE = 0x0004        # SYN-RECEIVED came from LISTEN (MUST-11)
    B_ORPHAN = 0x0008         # the application is gone (close)
    B_COLD = 0x0010           # the cold line is valid
    B_TS = 0x0020             # timestamps negotiated
    B_SACK = 0x0040           # SACK permitted by both
    B_WSCALE = 0x0080         # window scaling negotiated
    B_FIN_SENT = 0x0100       # our FIN has been on the wire
    B_AUTO_CLOSE = 0x0200     # the application answers FIN with FIN (listen(auto_close))
    B_EPHEMERAL = 0x0400      # its port is counted by the port allocator
    B_RECOVER = 0x0800        # resending after a timeout until cold.rtt_seq is acknowledged
    B_ECN = 0x0800            # opening: our SYN asks for ECN, our SYN-ACK grants it (RFC 3168 6.1.1)
    B_TIMING = 0x1000         # cold.rtt_seq is being timed
    B_CROSSED = 0x1000        # active SYN-RECEIVED: cold.rtt_at tells when our SYN-ACK went
    B_DEFERRED = 0x1000       # half-open: its handshake is done, its text awaited (TCP_DEFER_ACCEPT)
    B_MATURE = 0x2000         # half-open: its SYN-ACK has been resent (Linux: not young)
    B_SYN_UNACKED = 0x2000    # FIN-WAIT-1 entered from SYN-RECEIVED: our SYN is not acknowledged yet
    B_SHUT = 0x2000           # active SYN-RECEIVED: shutdown() waits for the ACK of our SYN
    B_FULL_SOCKET = 0x2000    # orphan in FIN-WAIT-2: a connection still, no TIME-WAIT (Linux)
    B_WINDOW = 0x4000         # own rcv_buf or unread data: the window is in the cold line
    B_RESEND_SYN = 0x8000     # opening: our SYN went, or will go, twice before its timer: no RTT sample
    B_PROBED = 0x8000         # synchronized: a loss probe has been sent for what is in flight (RFC 8985 7)

cdef enum Highest:
    LATER_SHIFT = 0
    RESENT_SHIFT = 3
    OOW_SENT = 0x40           # an ACK has been counted by tcp_invalid_ratelimit
    HAS_LIVENESS = 0x80       # the liveness line is valid

cdef enum TimerKind:
    T_NONE = 0
    T_REXMT = 1               # SYN, SYN-ACK, data or FIN again
    T_PERSIST = 2             # zero-window probe
    T_FIN_WAIT_2 = 3          # orphan
    T_TIME_WAIT = 4
    T_DELACK = 5
    T_OUTPUT = 6              # queued data that may go out now
    T_KEEPALIVE = 7           # main timer while nothing is in flight or queued
    N_TIMERS = 8


cdef inline bint in_set(uint8_t state, uint32_t states) noexcept nogil:
    return (states >> state) & 1


cdef inline bint is_side(uint8_t kind) noexcept nogil:
    return kind == T_DELACK or kind == T_OUTPUT


cdef inline uint8_t main_kind(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """The main timer that runs, whichever of the two comes first."""
    if is_side(tcb.timer):
        return cold.later_timer
    return tcb.timer


cdef inline int64_t ticks_from(int64_t tick, uint32_t low, uint8_t high, uint8_t highest,
                               int shift) noexcept nogil:
    """Ticks up to `tick` from the one kept in `low`, `high` and three bits of `highest`: 43 bits, 278 years,
    are more than the engine's clock has."""
    cdef int64_t kept = <int64_t>(highest >> shift & 7) << 40 | <int64_t>high << 32 | low
    return (tick - kept) & (<int64_t>1 << 43) - 1


cdef inline uint8_t with_highest(uint8_t highest, int64_t tick, int shift) noexcept nogil:
    """`highest` with bits 40 to 42 of this tick."""
    return <uint8_t>((highest & ~(7 << shift)) | (tick >> 40 & 7) << shift)
