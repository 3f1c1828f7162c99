# The cold line of a TCB: made when data, RTT samples, persist or a limited ACK first need it.
#
# A connection that only opens and closes never has one, so what it would say must follow from the TCB itself;
# use_cold is where that is written down. The struct is in records/tcb.pxd, the bit is B_COLD.
from libc.stdint cimport uint32_t
from libc.string cimport memset

from tcpcore.records.tcb cimport B_COLD, B_FIN_SENT, OOW_SENT, OPENING, Cold, Tcb, in_set


cdef inline void start_cold(Tcb* tcb, Cold* cold) noexcept nogil:
    """Make a cold line for a TCB that has sent nothing but its SYN."""
    memset(cold, 0, sizeof(Cold))
    tcb.bits |= B_COLD
    cold.snd_end = tcb.snd_nxt


cdef inline void use_cold(Tcb* tcb, Cold* cold) noexcept nogil:
    """Make the cold line valid, if it is not, filled with what the TCB itself knows."""
    if tcb.bits & B_COLD:
        return
    start_cold(tcb, cold)
    cold.snd_end -= 1 if tcb.bits & B_FIN_SENT else 0
    cold.max_snd_wnd = tcb.snd_wnd
    cold.backoff = tcb.retries
    if not in_set(tcb.state, OPENING):
        cold.srtt_us = 1000 * <uint32_t>tcb.rtt
        cold.rttvar_us = 500 * <uint32_t>tcb.rtt


cdef inline void forget_limit(const Tcb* tcb, Cold* cold) noexcept nogil:
    """Let the interval of limited ACKs begin anew. Linux keeps a half-open entry, a connection and a
    TIME-WAIT in records of their own, each with its own last_oow_ack_time."""
    if tcb.bits & B_COLD:
        cold.highest &= ~OOW_SENT
