"""Every invariant that spans components, and each component's own check.

Complete and slow: one pass over all TCBs that were ever used. Returns what is wrong, in words.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from tcpcore.base.seq cimport seq_lt
from tcpcore.records.counters cimport Counters, Mib, counted
from tcpcore.records.tcb cimport (
    B_COLD, B_EPHEMERAL, B_FIN_SENT, B_HELD, B_MATURE, B_ORPHAN, B_PASSIVE, B_QUEUED, CLOSED, FIN_WAIT_2,
    LISTEN, N_STATES, OUR_FIN, SYN_RECEIVED, SYN_SENT, TIME_WAIT, T_FIN_WAIT_2, T_KEEPALIVE, T_NONE,
    T_PERSIST, T_REXMT, T_TIME_WAIT, Cold, Tcb, in_set, main_kind,
)
from tcpcore.tcp.liveness cimport lingers
from tcpcore.tcp.time_wait cimport is_time_wait_like
from tcpcore.components.bound_ports cimport (
    BOUND_COUNTED, BOUND_NONE, BoundPort, bound_at, bound_chosen, bound_count, bound_place,
)
from tcpcore.components.flow_table cimport flow_check
from tcpcore.components.listeners cimport (
    LISTENER_FREE, LISTENER_OPEN, Listener, listener_at, listeners_check,
)
from tcpcore.components.ports cimport PORTS_LINUX, in_port_range, ports_check, ports_counts
from tcpcore.components.range_pool cimport range_pool_check
from tcpcore.components.syn_eviction cimport eviction_check, eviction_count
from tcpcore.components.syn_policy cimport EVICT_PER_BUCKET, EVICT_PER_LISTENER
from tcpcore.components.timer_wheel cimport wheel_check
from tcpcore.loops.apply cimport binds_port
from tcpcore.loops.state cimport handle_at, lookup_handle


cdef str timer_fault(const Tcb* tcb, const Cold* cold):
    """What is wrong with the timers of a TCB that is not CLOSED; None when nothing is."""
    cdef uint8_t main = main_kind(tcb, cold) if tcb.bits & B_COLD else tcb.timer
    cdef bint flying = tcb.snd_una != tcb.snd_nxt
    if tcb.timer == T_NONE and tcb.bits & B_COLD and cold.later_timer != T_NONE:
        return "a later timer without an earlier one"
    if (tcb.timer == T_NONE) != (tcb.timer_pos == 0):
        return "timer and wheel entry disagree"
    if tcb.state == TIME_WAIT:
        if tcb.bits & B_COLD and (cold.later_timer != T_NONE or cold.ranges):
            return "TIME-WAIT with a second timer or with text to put in order"
        return None if tcb.timer == T_TIME_WAIT else "TIME-WAIT without its timer"
    if tcb.state == FIN_WAIT_2:
        if (main == T_FIN_WAIT_2) == ((tcb.bits & B_ORPHAN) != 0):
            return None
        return "FIN-WAIT-2 timer and orphan disagree"
    if tcb.state in (SYN_SENT, SYN_RECEIVED) or flying:
        return None if main == T_REXMT else "numbers in flight without the resend timer"
    return None if main in (T_NONE, T_PERSIST, T_KEEPALIVE) else f"timer {main} with nothing in flight"


cdef list tcb_faults(const EngineState* eng, uint32_t slot):
    """What is wrong with the TCB in this slot."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    cdef const Cold* cold = &eng.pool.colds[slot]
    cdef list faults = []
    if tcb.state == CLOSED:
        if tcb.timer != T_NONE or tcb.timer_pos:
            faults.append(f"slot {slot}: CLOSED with a timer")
        return faults
    if tcb.state == LISTEN or tcb.state >= N_STATES:
        faults.append(f"slot {slot}: state {tcb.state} is none for a TCB")
    if lookup_handle(eng, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport) != handle_at(eng, slot):
        faults.append(f"slot {slot}: not found by its 4-tuple")
    if seq_lt(tcb.snd_nxt, tcb.snd_una):
        faults.append(f"slot {slot}: SND.UNA {tcb.snd_una} is beyond SND.NXT {tcb.snd_nxt}")
    if tcb.bits & B_COLD and seq_lt(cold.snd_end, tcb.snd_nxt - (1 if tcb.bits & B_FIN_SENT else 0)):
        faults.append(f"slot {slot}: SND.NXT {tcb.snd_nxt} is beyond the queued {cold.snd_end}")
    fault = timer_fault(tcb, cold)
    if fault:
        faults.append(f"slot {slot}: {fault} (state {tcb.state}, timer {tcb.timer}, bits {tcb.bits:#06x})")
    return faults


cdef list census(const EngineState* eng):
    """Count everything again from the TCBs alone, and compare."""
    cdef uint64_t counts[N_STATES]
    cdef uint64_t held_dead = 0, orphans = 0, half_open = 0, queued = 0, used = 0, live, brief = 0, waits = 0
    cdef uint32_t slot, id
    cdef const Tcb* tcb
    cdef const Listener* listener
    cdef dict per_listener = {}
    cdef list faults = []
    for id in range(N_STATES):
        counts[id] = 0
    for slot in range(eng.pool.fresh):
        tcb = &eng.pool.blocks[slot]
        faults += tcb_faults(eng, slot)
        queued += tcb.bits & B_QUEUED != 0
        if tcb.state == CLOSED:
            held_dead += tcb.bits & (B_HELD | B_QUEUED) != 0
            continue
        counts[tcb.state] += 1
        orphans += tcb.bits & B_ORPHAN != 0 and tcb.state != TIME_WAIT
        brief += is_time_wait_like(tcb.state, tcb.bits, &eng.knobs)
        if lingers(tcb, &eng.pool.colds[slot], &eng.pool.lives[slot]):
            waits += tcb.bits & B_ORPHAN != 0 and in_set(tcb.state, OUR_FIN)
        if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
            half_open += 1
            total, young = per_listener.get(tcb.listener, (0, 0))
            per_listener[tcb.listener] = total + 1, young + (not tcb.bits & B_MATURE)
    live = 0
    for id in range(1, eng.listeners.fresh + 1):
        listener = listener_at(&eng.listeners, id)
        live += listener.state == LISTENER_OPEN
        if (listener.state != LISTENER_FREE
                and (listener.half_open, listener.young) != per_listener.pop(id, (0, 0))):
            faults.append(f"listener {id}: counts {listener.half_open} half-open "
                          f"({listener.young} young), not what the TCBs say")
    for id in per_listener:
        faults.append(f"listener {id}: free, with half-open entries")
    counts[LISTEN] = live
    for id in range(1, N_STATES):
        if counts[id] != eng.counts[id]:
            faults.append(f"state {id}: counted {eng.counts[id]}, found {counts[id]}")
        used += counts[id] if id != LISTEN else 0
    for name, gauge, found in (
        ("held_dead", eng.held_dead, held_dead), ("orphans", eng.orphans, orphans),
        ("time_wait_like", eng.time_wait_like, brief), ("lingering", eng.lingering, waits),
        ("half_open", eng.half_open, half_open), ("accept_queue", eng.accept_queued, queued),
        ("blocks_used", eng.pool.used, used + held_dead), ("flow table", eng.flows.count, used),
    ):
        if gauge != found:
            faults.append(f"{name}: counted {gauge}, found {found}")
    return faults


cdef list identities(const EngineState* eng):
    """The identity of half-open entries: each one added has left under exactly one counter, or is there."""
    cdef const Counters* counters = &eng.counters
    cdef uint64_t added = counted(counters, Mib.SynQueueAdded)
    cdef uint64_t left = (counted(counters, Mib.SynQueueEstablished) + counted(counters, Mib.SynQueueEvicted)
                          + counted(counters, Mib.SynQueueExpired) + counted(counters, Mib.SynQueueReset)
                          + counted(counters, Mib.SynQueueAborted)
                          + counted(counters, Mib.SynQueueListenerClosed))
    if added != left + eng.half_open:
        return [f"SynQueueAdded {added} is not {left} gone + {eng.half_open} there"]
    return []


cdef list eviction_faults(const EngineState* eng):
    """Check that every half-open entry that a policy may evict stands in an eviction queue."""
    cdef const Listener* listener
    cdef uint32_t id
    cdef uint64_t entries = 0
    cdef list faults = []
    if eng.eviction_scope == EVICT_PER_BUCKET:
        for id in range(eng.eviction.n_queues):
            entries += eviction_count(&eng.eviction, id)
        if entries != eng.half_open:
            faults.append(f"eviction queues: {entries} entries of {eng.half_open} half-open")
    elif eng.eviction_scope == EVICT_PER_LISTENER:
        for id in range(1, eng.listeners.fresh + 1):
            listener = listener_at(&eng.listeners, id)
            entries = eviction_count(&eng.eviction, id)
            if entries != (listener.half_open if listener.state == LISTENER_OPEN else 0):
                faults.append(f"eviction queues: {entries} entries of listener {id}, "
                              f"not {listener.half_open}")
    return faults


cdef list check_between(const EngineState* eng):
    """What is wrong between the components, none of which is asked about its own memory."""
    return census(eng) + identities(eng) + eviction_faults(eng)


cdef list port_faults(const EngineState* eng):
    """Count the ports of each destination again from the TCBs, and compare."""
    cdef const Tcb* tcb
    cdef uint32_t slot
    cdef dict found = {}, told = ports_counts(&eng.ports)
    cdef list faults = []
    for slot in range(eng.pool.fresh):
        tcb = &eng.pool.blocks[slot]
        if tcb.state == CLOSED:
            continue
        if ((tcb.bits & B_EPHEMERAL != 0) != in_port_range(&eng.ports, tcb.lport) and not eng.ports.incomplete
                and (tcb.bits & B_EPHEMERAL or eng.ports.rule != PORTS_LINUX)):
            faults.append(f"slot {slot}: port {tcb.lport} is of the range and not counted, or the reverse")
        if tcb.bits & B_EPHEMERAL:
            key = tcb.laddr, tcb.raddr, tcb.rport
            n, odd = found.get(key, (0, 0))
            found[key] = (n + 1, odd + ((tcb.lport - eng.ports.low) & 1))
    return faults + [f"ports towards {key}: counted {told.get(key)}, found {found.get(key)}"
                     for key in found.keys() | told.keys() if told.get(key) != found.get(key)]


cdef list bound_faults(const EngineState* eng):
    """Compare the counts of bound ports with the TCBs: all in C, as little code."""
    cdef const Tcb* tcb
    cdef const BoundPort* port
    cdef uint32_t i, n = 0, ports = 0
    cdef int64_t bound = 0, chosen = 0, told = 0
    cdef bint wrong = False, kept = eng.bound.use == BOUND_COUNTED
    for i in range(eng.pool.fresh if eng.ports.rule == PORTS_LINUX else 0):
        tcb = &eng.pool.blocks[i]
        if tcb.state == CLOSED:
            continue
        if tcb.bits & B_EPHEMERAL:
            chosen += kept
            wrong |= kept and bound_chosen(&eng.bound, tcb.laddr, tcb.lport) == 0
        elif binds_port(eng, tcb, tcb.state):
            bound += kept
            wrong |= eng.bound.use == BOUND_NONE
            wrong |= kept and bound_count(&eng.bound, tcb.laddr, tcb.lport) == 0
    for i in range(eng.bound.ports.mask + 1 if eng.bound.ports.entries != NULL else 0):
        port = bound_at(&eng.bound, i)
        if port.bound + port.chosen:
            n += 1
            wrong |= bound_place(&eng.bound, port.laddr, port.lport) != i
            if port.lport:
                bound -= port.bound
                chosen -= port.chosen
                ports += port.bound != 0
                wrong |= port.bound != 0 and port.chosen != 0
            else:
                told += port.bound
    wrong |= n != eng.bound.n or bound != 0 or chosen != 0 or told != ports
    if wrong and not eng.bound.incomplete:
        return ["the counts of bound ports are not those of the connections"]
    return []


cdef list check_invariants(const EngineState* eng):
    """All that is wrong with an engine, in words; empty when it is sound."""
    return (flow_check(&eng.flows, eng.pool.capacity) + wheel_check(&eng.wheel)
            + listeners_check(&eng.listeners) + ports_check(&eng.ports) + range_pool_check(&eng.ranges)
            + eviction_check(&eng.eviction) + port_faults(eng) + bound_faults(eng) + check_between(eng))
