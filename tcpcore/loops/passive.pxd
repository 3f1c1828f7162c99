# Passive opens: a SYN for a listener becomes a half-open entry, is answered by a cookie, or is refused.
#
# The rule of LISTEN is tcp/listen, the policies are components/syn_policy, the first TCB and its SYN-ACK are
# tcp/opens. Here they meet: admission, eviction, the entry's place in the queues, and the counters.
from libc.stdint cimport int64_t, uint16_t, uint32_t

from tcpcore.records.knobs cimport ROUND_MSS_DOWN
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport B_AUTO_CLOSE, Tcb
from tcpcore.tcp.receive_window cimport round_window
from tcpcore.components.isn cimport isn_hashes
from tcpcore.components.listeners cimport Listener, accept_queue_full
from tcpcore.components.ports cimport in_port_range
from tcpcore.components.syn_policy cimport (
    EVICT_NEVER, Pressure, policy_has_room, policy_pauses, policy_refuses,
)
from tcpcore.loops.state cimport EngineState

cdef uint32_t open_half(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t id, int64_t iss,
                        int64_t now, Segment* rows) noexcept nogil
cdef void ask_of(EngineState* eng, uint32_t slot, uint32_t id) noexcept nogil
cdef void count_passive(EngineState* eng, Tcb* tcb) noexcept nogil
cdef Pressure pressure_on(const EngineState* eng, const Listener* listener) noexcept nogil


cdef inline void fill_passive_tuple(Tcb* tcb, const Segment* seg, uint32_t id,
                                    const Listener* listener) noexcept nogil:
    """Fill in the 4-tuple and the listener of a TCB that a segment to a listener opens."""
    tcb.raddr = seg.src
    tcb.laddr = seg.dst
    tcb.rport = seg.sport
    tcb.lport = seg.dport
    tcb.listener = <uint16_t>id
    if listener.auto_close:
        tcb.bits |= B_AUTO_CLOSE


cdef inline bint queue_has_room(const Listener* listener) noexcept nogil:
    """Whether neither of a listener's queues keeps it from taking one more half-open entry."""
    return listener.half_open <= listener.backlog and not accept_queue_full(listener)


cdef inline bint admits_alike(const EngineState* eng) noexcept nogil:
    """Whether a listener whose queues have room takes any SYN."""
    return eng.eviction_scope == EVICT_NEVER and policy_has_room(&eng.knobs)


cdef inline bint refuses_alike(const EngineState* eng, const Listener* listener) noexcept nogil:
    """Whether this listener refuses any SYN because its half-open queue is full."""
    return (eng.eviction_scope == EVICT_NEVER and policy_refuses(&eng.knobs)
            and listener.half_open > listener.backlog and not accept_queue_full(listener))


cdef inline bint opens_alike(const EngineState* eng, uint16_t lport) noexcept nogil:
    """Whether all that an admitted SYN to this port leads to follows from the knobs, it and its hashes."""
    return isn_hashes(&eng.isn) and not policy_pauses(&eng.knobs) and not in_port_range(&eng.ports, lport)


cdef inline uint32_t own_buffer(const EngineState* eng, uint32_t size, bint stamped) noexcept nogil:
    """A receive buffer as open_passive takes it: 0 where it is what the knobs say anyway."""
    return size if size != (
        eng.knobs.rcv_buf_stamped if stamped and eng.knobs.window_rounding == ROUND_MSS_DOWN
        else eng.knobs.rcv_buf_judged) else 0


cdef inline uint32_t buffer_for(const EngineState* eng, const Listener* listener,
                                bint stamped) noexcept nogil:
    """The receive buffer of a connection of this listener, as open_passive takes it."""
    if listener.rcv_buf == 0:
        return 0
    stamped = stamped and eng.knobs.tcp_timestamps
    return own_buffer(eng, round_window(&eng.knobs, listener.rcv_buf, eng.knobs.mss, stamped), stamped)
