# Keepalive, the user timeout and the time of the last answer: the liveness line of one connection.
#
# Inline, and asked only where a cold line is: a connection that nothing of it was asked of has no such line,
# and then the knobs' own user timeout holds. Not here: what a silence leads to (timeouts.pyx).
# Invariant: the line is valid only while the cold line has HAS_LIVENESS; keepalive_at lies ahead of the last
# moment at which the keepalive timer could have run. Where close() waits it has its end: the FIN is in
# flight or queued then, and no keepalive timer runs.
# Sources: RFC 9293 3.8.4, RFC 5482; Linux tcp_keepalive_timer, tcp_clamp_rto_to_user_timeout.
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from tcpcore.records.connect_args cimport TIMEOUT_OF_KNOB
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.tcb cimport B_COLD, B_ORPHAN, HAS_LIVENESS, Cold, Liveness, Tcb
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.rto cimport tick_up, window_probe_timeout


cdef inline bint has_liveness(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """True if the liveness line is valid."""
    return tcb.bits & B_COLD and cold.highest & HAS_LIVENESS


cdef inline void start_liveness(Tcb* tcb, Cold* cold, Liveness* live, uint32_t user_timeout_ms,
                                bint keepalive) noexcept nogil:
    """Make the liveness line valid, with what was asked for."""
    use_cold(tcb, cold)
    memset(live, 0, sizeof(Liveness))
    live.user_timeout_ms = user_timeout_ms
    live.keepalive = keepalive
    cold.highest |= HAS_LIVENESS


cdef inline void use_liveness(Tcb* tcb, Cold* cold, Liveness* live) noexcept nogil:
    """Make the liveness line valid, if it is not."""
    if not has_liveness(tcb, cold):
        start_liveness(tcb, cold, live, TIMEOUT_OF_KNOB, False)


cdef inline bint lingers(const Tcb* tcb, const Cold* cold, const Liveness* live) noexcept nogil:
    """True while close() with SO_LINGER waits for the ACK of our FIN: the application is gone as far as
    segments go, but the connection is no orphan yet (Linux: sk_stream_wait_close before sock_orphan)."""
    return has_liveness(tcb, cold) and live.lingers


cdef inline bint is_orphan(const Tcb* tcb, const Cold* cold, const Liveness* live) noexcept nogil:
    """True if the application has closed it, and close() has returned."""
    return tcb.bits & B_ORPHAN and not lingers(tcb, cold, live)


cdef inline bint resets_text(const Tcb* tcb, const Cold* cold, const Liveness* live,
                             const Knobs* knobs) noexcept nogil:
    """True if nobody is there for text any more (RFC 9293 3.6.1). FreeBSD (tcp_usr_close: TF_CLOSED) says so
    once close() returns, and until then takes it and throws it away."""
    return tcb.bits & B_ORPHAN and not (knobs.linger_takes_text and lingers(tcb, cold, live))


cdef inline void start_keepalive(Liveness* live, const Knobs* knobs, int64_t now) noexcept nogil:
    """The connection is ESTABLISHED: its keepalive timer begins to run, if one was asked for."""
    live.heard_at = tick_up(now)
    if live.keepalive:
        live.keepalive_at = live.heard_at + 1000 * <int64_t>knobs.tcp_keepalive_time


cdef inline int64_t keepalive_due(Liveness* live, const Knobs* knobs, int64_t now) noexcept nogil:
    """The tick at which the keepalive timer is due, once nothing is in flight or queued any more. While
    something was, the timer did nothing but start over each time that it ran out."""
    cdef int64_t interval = 1000 * <int64_t>knobs.tcp_keepalive_time
    cdef int64_t tick = tick_up(now)
    if live.keepalive_at < tick:
        live.keepalive_at += ((tick - live.keepalive_at - 1) // interval + 1) * interval
    return live.keepalive_at


cdef inline uint32_t user_timeout(const Tcb* tcb, const Cold* cold, const Liveness* live,
                                  const Knobs* knobs) noexcept nogil:
    """How long the peer of this connection may be silent, in ticks; 0: as R2 says."""
    if has_liveness(tcb, cold) and live.user_timeout_ms != TIMEOUT_OF_KNOB:
        return live.user_timeout_ms
    return knobs.tcp_user_timeout_ms


cdef inline uint32_t cut_by(uint32_t timeout, uint32_t limit, int64_t elapsed) noexcept nogil:
    """`timeout`, but no longer than to the moment when `limit` has elapsed, which is at least a tick away;
    limit 0: there is none."""
    if limit == 0 or elapsed + timeout <= limit:
        return timeout
    return <uint32_t>(limit - elapsed) if elapsed < limit else 1


cdef inline uint32_t persist_interval(const Tcb* tcb, const Cold* cold, const Knobs* knobs,
                                      const Liveness* live, int64_t now) noexcept nogil:
    """How long after this moment the next window probe goes, or the connection ends (Linux:
    tcp_clamp_probe0_to_user_timeout)."""
    cdef uint32_t timeout = window_probe_timeout(tcb, cold, knobs)
    if has_liveness(tcb, cold) and live.probing_since:
        return cut_by(timeout, user_timeout(tcb, cold, live, knobs), tick_up(now) - live.probing_since)
    return timeout


cdef inline void note_heard(Tcb* tcb, Cold* cold, Liveness* live, int64_t now) noexcept nogil:
    """An acceptable segment has come. Also of a connection of which nothing was asked, from when its window
    closes on text in flight."""
    use_liveness(tcb, cold, live)
    live.heard_at = tick_up(now)
    if tcb.snd_wnd:
        live.probing_since = 0
