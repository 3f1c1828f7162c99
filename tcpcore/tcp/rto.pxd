# Resend timing: RTT and RTO (RFC 6298), backoff, Karn's rule, and when to give up (RFC 9293 3.8.3).
#
# Inline arithmetic: numbers in, numbers out. Times are ticks of 1 ms unless the name says _us; a `timeout`
# is relative.
# Not here: which timer runs, and what happens when it expires (timeouts.pyx).
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.knobs cimport (
    HALF_OPEN_LINUX, PERSIST_ENDS_SILENCE, PERSIST_RTO, RETRIES_COUNT, RTO_MIN_VARIANCE, Knobs,
)
from tcpcore.records.tcb cimport (
    B_COLD, B_PASSIVE, B_PROBED, B_RECOVER, B_SACK, B_SYN_UNACKED, ESTABLISHED, RESENT_SHIFT, SYN_SENT,
    TICK_NS, Cold, Tcb, ticks_from, with_highest,
)
from tcpcore.tcp.cold cimport use_cold

cdef enum:
    LINUX_RTO_BASE = 200      # Linux counts out tcp_retries2 in units of this, whatever the RTO is
    TW_FULL_MS = 60_000       # Linux TCP_TIMEWAIT_LEN, in the FIN-WAIT-2 rule
    TW_SHORT_MS = 4000        # Linux counts shorter ones as TWKilled
    ECHO_MAX = 2_147_483      # Linux tcp_rtt_tsopt_us: the echo of a timestamp so old, in ms, is no sample
    RTT_MAX = 65535           # what Tcb.rtt can hold; a longer sample is cut
    SYNACK_MAX_MS = 120_000   # Linux TCP_RTO_MAX
    PROBE_SLACK_US = 2000     # Linux TCP_TIMEOUT_MIN_US: on top of a probe's two round trips


cdef inline int64_t tick_up(int64_t now) noexcept nogil:
    """The first tick at or after `now` (ns): deadlines are never early."""
    return <int64_t>((<uint64_t>now + TICK_NS - 1) // TICK_NS)


cdef inline uint32_t clock_ms(int64_t now) noexcept nogil:
    """The timestamp clock, modulo 2**32. Unsigned: `now` is never negative, and the division is shorter."""
    return <uint32_t>(<uint64_t>now // TICK_NS)


cdef inline int64_t syn_began(const Tcb* tcb) noexcept nogil:
    """The tick of the first SYN of an active open that is not yet ESTABLISHED.
    Its bits 32 to 47 are where the round trip will be."""
    return <int64_t>tcb.rtt << 32 | tcb.snd_wl1


cdef inline void set_syn_began(Tcb* tcb, int64_t now) noexcept nogil:
    """Keep `now` as syn_began."""
    cdef int64_t tick = tick_up(now)
    tcb.snd_wl1 = <uint32_t>tick
    tcb.rtt = <uint16_t>(tick >> 32)


cdef inline uint32_t backed_off(uint32_t interval, uint32_t shift, uint32_t cap) noexcept nogil:
    """`interval` doubled `shift` times, at most `cap`."""
    cdef uint64_t doubled = (<uint64_t>interval) << (shift if shift < 31 else 31)
    return <uint32_t>doubled if doubled < cap else cap


cdef inline uint32_t with_slop(uint32_t interval, uint32_t slop, uint32_t cap) noexcept nogil:
    """`interval` and on top FreeBSD's allowance for slow peers (rexmit_slop), which is never doubled; at
    most `cap`."""
    cdef uint64_t total = <uint64_t>interval + slop
    return <uint32_t>total if total < cap else cap


cdef inline uint64_t backoff_sum(uint32_t interval, uint32_t last, uint32_t cap) noexcept nogil:
    """The sum of the intervals with 0 to `last` doublings (Linux: tcp_model_timeout)."""
    cdef uint64_t total = 0
    cdef uint32_t shift
    for shift in range(last + 1):
        total += backed_off(interval, shift, cap)
    return total


cdef inline uint32_t rtt_sample(uint32_t sample) noexcept nogil:
    """A measured round trip in ticks, made fit to keep: 1 .. RTT_MAX; 0 if it is no sample."""
    if sample >= <uint32_t>0x80000000:
        return 0
    return 1 if sample == 0 else RTT_MAX if sample > RTT_MAX else sample


cdef inline void rtt_update(Cold* cold, uint32_t sample) noexcept nogil:
    """Take in one more round trip, in ticks (RFC 6298 2.2, 2.3)."""
    cdef uint32_t us = sample * 1000
    cdef uint32_t error
    if cold.srtt_us == 0:
        cold.srtt_us = us
        cold.rttvar_us = us // 2
    else:
        error = us - cold.srtt_us if us > cold.srtt_us else cold.srtt_us - us
        cold.rttvar_us = <uint32_t>((3 * <uint64_t>cold.rttvar_us + error) // 4)
        cold.srtt_us = <uint32_t>((7 * <uint64_t>cold.srtt_us + us) // 8)
    cold.backoff = 0


cdef inline uint32_t rto_of(uint64_t srtt, uint64_t variance, const Knobs* knobs) noexcept nogil:
    """The RTO of SRTT and 4 RTTVAR, both in us, with the minimum that rto_min_rule sets (RFC 6298
    2.2-2.5)."""
    cdef uint64_t us
    if knobs.rto_min_rule == RTO_MIN_VARIANCE:
        us = srtt + (variance if variance > knobs.tcp_rto_min_us else knobs.tcp_rto_min_us)
    else:
        us = srtt + variance
        if us < knobs.tcp_rto_min_us:
            us = knobs.tcp_rto_min_us
    us = (us + 999) // 1000
    return <uint32_t>us if us < knobs.tcp_rto_max_ms else knobs.tcp_rto_max_ms


cdef inline uint32_t rto(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The RTO before any backoff and slop, in ticks (RFC 6298 2)."""
    if (tcb.bits & B_COLD) and cold.srtt_us:
        return rto_of(cold.srtt_us, 4 * <uint64_t>cold.rttvar_us, knobs)
    if tcb.rtt and tcb.state >= ESTABLISHED:             # before, it is a part of when the attempt began
        return rto_of(1000 * <uint64_t>tcb.rtt, 2000 * <uint64_t>tcb.rtt, knobs)
    if tcb.bits & B_SYN_UNACKED:
        return knobs.rto_initial_ms                      # our SYN is still being resent
    return knobs.rto_syn_resent_ms if knobs.rto_syn_resent_ms < knobs.tcp_rto_max_ms else knobs.tcp_rto_max_ms


cdef inline uint32_t backoff_of(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """How often the RTO has been doubled since the last sample."""
    return cold.backoff if tcb.bits & B_COLD else tcb.retries


cdef inline uint32_t rexmt_timeout(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The resend timeout as it stands: backed off, with the slop, in ticks (RFC 6298 5.5)."""
    return with_slop(backed_off(rto(tcb, cold, knobs), backoff_of(tcb, cold), knobs.tcp_rto_max_ms),
                     knobs.rto_slop_ms,
                     knobs.tcp_rto_max_ms)


cdef inline bint probes_loss(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """True if what is in flight is probed for before the RTO is backed off (RFC 8985 7.2; Linux:
    tcp_schedule_loss_probe): SACK was agreed on, nothing is being resent and no such probe is out."""
    return (knobs.tcp_early_retrans >= 3 and tcb.bits & B_SACK
            and not tcb.bits & (B_RECOVER | B_PROBED | B_SYN_UNACKED))


cdef inline uint32_t probe_timeout(const Tcb* tcb, const Cold* cold, const Knobs* knobs,
                                   bint lone) noexcept nogil:
    """The probe timeout (RFC 8985 7.2): two round trips, and for a lone row, whose ACK the peer may delay,
    the least RTO on top. Without a sample it is the RTO of a SYN (Linux)."""
    cdef uint64_t srtt = cold.srtt_us if tcb.bits & B_COLD and cold.srtt_us else 1000 * <uint64_t>tcb.rtt
    if srtt == 0:
        return knobs.rto_initial_ms
    return <uint32_t>((2 * srtt + (knobs.tcp_rto_min_us if lone else PROBE_SLACK_US) + 999) // 1000)


cdef inline uint32_t sent_timeout(const Tcb* tcb, const Cold* cold, const Knobs* knobs,
                                  bint lone) noexcept nogil:
    """The timeout of what was just sent or is left after an ACK: the RTO, or that of a probe if it comes
    first. lone: one row is in flight."""
    cdef uint32_t timeout = rexmt_timeout(tcb, cold, knobs), probe
    if (lone and not tcb.bits & B_COLD and tcb.rtt and knobs.rto_slop_ms == 0
            and 1000 * <uint32_t>tcb.rtt <= knobs.tcp_rto_min_us):
        return timeout                                # the RTO of one sample, which is first then
    if probes_loss(tcb, knobs):
        probe = probe_timeout(tcb, cold, knobs, lone)
        return probe if probe < timeout else timeout
    return timeout


cdef inline uint32_t window_probe_timeout(const Tcb* tcb, const Cold* cold,
                                          const Knobs* knobs) noexcept nogil:
    """The interval before the next zero-window probe, backed off, with the slop, in ticks; FreeBSD:
    tcp_setpersist."""
    cdef uint32_t cap = knobs.persmax_ms if knobs.persmax_ms else knobs.tcp_rto_max_ms
    cdef uint32_t doublings = backoff_of(tcb, cold)
    cdef uint32_t interval = 2 * knobs.rto_syn_resent_ms
    if doublings > knobs.rto_doublings_max:
        doublings = knobs.rto_doublings_max
    if knobs.persist_interval == PERSIST_RTO:
        interval = rto(tcb, cold, knobs)
    elif cold.srtt_us:
        interval = <uint32_t>((4 * <uint64_t>cold.srtt_us + 8 * <uint64_t>cold.rttvar_us + 999) // 1000)
    elif tcb.rtt:
        interval = 8 * <uint32_t>tcb.rtt
    interval = with_slop(backed_off(interval, doublings, cap), knobs.rto_slop_ms, cap)
    return interval if interval > knobs.persmin_ms else knobs.persmin_ms


cdef inline void keep_resent_at(Cold* cold, int64_t tick) noexcept nogil:
    """resent_at := tick."""
    cold.resent_at = <uint32_t>tick
    cold.resent_at_high = <uint8_t>(tick >> 32)
    cold.highest = with_highest(cold.highest, tick, RESENT_SHIFT)


cdef inline void restart_silence(Cold* cold, const Knobs* knobs, int64_t now) noexcept nogil:
    """The peer was heard while its window is closed, or the window begins to be probed: what persist_ends
    "silence" counts from. Nothing is in flight that was resent, and resent_at is free for it."""
    if knobs.persist_ends == PERSIST_ENDS_SILENCE:
        keep_resent_at(cold, tick_up(now))


cdef inline void count_resend(Tcb* tcb, Cold* cold, int64_t now) noexcept nogil:
    """Count a resend or a probe; the time of the first one is kept until all that was lost then has been
    acknowledged (Linux: retrans_stamp)."""
    cdef int64_t tick = tick_up(now)
    use_cold(tcb, cold)
    if tcb.retries == 0 and not (tcb.bits & B_RECOVER and tcb.state >= ESTABLISHED):
        keep_resent_at(cold, tick)
    tcb.retries += tcb.retries < 255                  # the time rule may need more of them than its limit


cdef inline int64_t since_first_resend(const Cold* cold, int64_t now) noexcept nogil:
    """Ticks since the first resend; meant for a TCB with one. A year of them would not fit 32 bits."""
    return ticks_from(tick_up(now), cold.resent_at, cold.resent_at_high, cold.highest, RESENT_SHIFT)


cdef inline bint r2_reached(const Tcb* tcb, const Cold* cold, const Knobs* knobs, uint32_t limit,
                            int64_t now) noexcept nogil:
    """True if the peer has had its time, R2 (RFC 9293 3.8.3): `limit` resends, or on Linux
    (retransmits_timed_out) as long after the first resend as they would take at the least RTO. Before that
    resend Linux never gives up, whatever the limit."""
    if knobs.retries_rule == RETRIES_COUNT:
        return tcb.retries >= limit
    return (tcb.retries != 0 and since_first_resend(cold, now)
            >= <int64_t>backoff_sum(LINUX_RTO_BASE, limit, knobs.tcp_rto_max_ms))


cdef inline void count_syn(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now) noexcept nogil:
    """Count a resend of our SYN, or of the SYN-ACK of a simultaneous open. The first SYNs do not double the
    interval (Linux: tcp_syn_linear_timeouts in tcp_retransmit_timer, for SYN-SENT alone)."""
    count_resend(tcb, cold, now)
    if tcb.state != SYN_SENT or tcb.retries > knobs.tcp_syn_linear_timeouts:
        cold.backoff += cold.backoff < knobs.rto_doublings_max


cdef inline uint32_t syn_timeout(const Knobs* knobs, uint32_t resends, uint32_t doublings) noexcept nogil:
    """The timeout after the SYN or SYN-ACK number `resends`, 0 the first: the slop is for resends only."""
    return with_slop(backed_off(knobs.rto_initial_ms, doublings, knobs.tcp_rto_max_ms),
                     knobs.rto_slop_ms if resends else 0, knobs.tcp_rto_max_ms)


cdef inline uint32_t synack_max(const Knobs* knobs) noexcept nogil:
    """The longest interval between SYN-ACKs, in ticks. Linux has a constant (TCP_RTO_MAX) for it."""
    return SYNACK_MAX_MS if knobs.half_open_rules == HALF_OPEN_LINUX else knobs.tcp_rto_max_ms


cdef inline uint32_t synack_timeout(const Knobs* knobs, uint32_t resends) noexcept nogil:
    """The timer of a half-open entry after so many resends, in ticks."""
    cdef uint32_t most = synack_max(knobs)
    if resends == 0:
        return syn_timeout(knobs, 0, 0)
    return with_slop(backed_off(knobs.rto_initial_ms, resends, most), knobs.rto_slop_ms, most)


cdef inline uint32_t first_syn_timeout(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """The timeout of a first SYN or SYN-ACK, which has no slop and is at most tcp_rto_max_ms (Config sees to
    it); keepinit may cut the SYN's short."""
    if knobs.keepinit_ms and knobs.keepinit_ms < knobs.rto_initial_ms and not tcb.bits & B_PASSIVE:
        return knobs.keepinit_ms
    return knobs.rto_initial_ms


cdef inline bint keeps_full_socket(const Knobs* knobs) noexcept nogil:
    """True if an orphan in FIN-WAIT-2 is a full socket for as long as tcp_fin_timeout exceeds a minute
    (Linux)."""
    return knobs.orphan_fin_wait_2_brief and knobs.fin_timeout_ms > TW_FULL_MS


cdef inline uint32_t rto_with(const Tcb* tcb, const Cold* cold, const Knobs* knobs,
                              uint32_t sample) noexcept nogil:
    """The RTO after one more round trip that no cold line keeps, in ticks; sample 0: there is none."""
    cdef Cold estimate
    if sample == 0:
        return rto(tcb, cold, knobs)
    estimate.srtt_us = 1000 * <uint32_t>tcb.rtt
    estimate.rttvar_us = 500 * <uint32_t>tcb.rtt
    rtt_update(&estimate, sample)
    return rto_of(estimate.srtt_us, 4 * <uint64_t>estimate.rttvar_us, knobs)


cdef inline bint rto_is_short(const Tcb* tcb, const Knobs* knobs, uint32_t sample,
                              uint32_t limit) noexcept nogil:
    """True if 3.5 RTO are certainly less than `limit`, which saves working the RTO out: with both round
    trips at most M, neither SRTT nor 1.6 RTTVAR is more, and the RTO at most 3.5 M, the least variance and
    a tick."""
    cdef uint32_t most = sample if sample > tcb.rtt else tcb.rtt
    return not tcb.bits & B_COLD and most and 13 * most + 4 * (knobs.tcp_rto_min_us // 1000 + 2) < limit


cdef inline bint ends_by_silence(const Knobs* knobs) noexcept nogil:
    """True if FIN-WAIT-2 without an application ends once its peer has been silent for long (FreeBSD without
    fast_finwait2_recycle)."""
    return not (knobs.orphan_fin_wait_2_brief or knobs.fast_finwait2_recycle)


cdef inline uint32_t fin_wait_2_timeout(const Tcb* tcb, const Cold* cold, const Knobs* knobs,
                                        uint32_t sample) noexcept nogil:
    """How long an orphan in FIN-WAIT-2 waits for the peer's FIN: tcp_fin_timeout, on Linux 3.5 RTO at least
    (tcp_time_wait: icsk_rto, as it was backed off) and without what it spent as a full socket before.
    sample: see rto_with."""
    cdef uint32_t timeout = knobs.fin_timeout_ms - (TW_FULL_MS if keeps_full_socket(knobs) else 0), least
    if not knobs.orphan_fin_wait_2_brief:
        # the first look (idle) comes at the very tick of it, and finds no silence longer than that
        return knobs.fin_wait_2_idle_ms + knobs.fin_wait_2_check_ms if ends_by_silence(knobs) else timeout
    if rto_is_short(tcb, knobs, sample, timeout):
        return timeout
    least = rto_with(tcb, cold, knobs, sample)
    if tcb.bits & B_COLD:
        least = backed_off(least, cold.backoff, knobs.tcp_rto_max_ms)
    least = (least << 2) - (least >> 1)
    return timeout if timeout > least else least
