# SEGMENT ARRIVES in TIME-WAIT (RFC 9293 3.10.7.4), and in the FIN-WAIT-2 that Linux keeps like one.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from tcpcore.records.action cimport Action
from tcpcore.records.counters cimport Counters, Mib, count
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport B_FULL_SOCKET, B_ORPHAN, FIN_WAIT_2, Cold, Tcb
from tcpcore.tcp.rto cimport TW_SHORT_MS


cdef inline bint is_time_wait_like(uint8_t state, uint16_t bits, const Knobs* knobs) noexcept nogil:
    """True for an orphan in FIN-WAIT-2 that is kept like a TIME-WAIT and takes one of tcp_max_tw_buckets."""
    return (state == FIN_WAIT_2 and (bits & (B_ORPHAN | B_FULL_SOCKET)) == B_ORPHAN
            and knobs.orphan_fin_wait_2_brief)


cdef inline void count_time_wait(Counters* counters, uint32_t timeout) noexcept nogil:
    """Count a connection that is kept like a TIME-WAIT for `timeout` ticks; Linux tells short ones apart."""
    count(counters, Mib.TWKilled if timeout <= TW_SHORT_MS else Mib.TW)


# how a connection gets there
cdef void enter_orphan_fin_wait_2(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil
cdef void orphaned_in_fin_wait_2(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil
cdef void heard_in_fin_wait_2(const Tcb* tcb, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void await_fin(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil
cdef void enter_time_wait(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil
# SEGMENT ARRIVES
cdef void in_time_wait(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil
cdef void in_time_wait_like(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil
