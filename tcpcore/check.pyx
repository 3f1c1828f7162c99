# Every invariant that spans organs, and each organ's own check. Complete and slow: one pass
# over all blocks that were ever used. Run by tests and, after a run, by careful users.
from libc.stdint cimport uint32_t, uint64_t

from tcpcore.backlog cimport LISTENER_FREE, LISTENER_OPEN, Listener, backlog_at, backlog_check
from tcpcore.block cimport *
from tcpcore.core cimport *
from tcpcore.counters cimport Counters, Mib, counted
from tcpcore.flowtable cimport flow_check
from tcpcore.policy cimport BOOK_BUCKETS, BOOK_LISTENERS
from tcpcore.ports cimport ports_check
from tcpcore.ranges cimport ranges_check
from tcpcore.seq cimport seq_lt
from tcpcore.synq cimport synq_check, synq_count
from tcpcore.wheel cimport wheel_check


cdef str timer_fault(const Block* tcb, const Cold* cold):
    """What is wrong with the timers of a live block, None when nothing is."""
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
    return None if main in (T_NONE, T_PERSIST) else f"timer {main} with nothing in flight"


cdef list block_faults(const Core* core, uint32_t slot):
    cdef const Block* tcb = &core.pool.blocks[slot]
    cdef const Cold* cold = &core.pool.colds[slot]
    cdef list faults = []
    if tcb.state == CLOSED:
        if tcb.timer != T_NONE or tcb.timer_pos:
            faults.append(f"slot {slot}: CLOSED with a timer")
        return faults
    if tcb.state == LISTEN or tcb.state >= N_STATES:
        faults.append(f"slot {slot}: state {tcb.state} is none for a block")
    if (core_lookup(core, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport)
            != (<uint64_t>tcb.generation << 32 | slot)):
        faults.append(f"slot {slot}: not found by its 4-tuple")
    if seq_lt(tcb.snd_nxt, tcb.snd_una):
        faults.append(f"slot {slot}: SND.UNA {tcb.snd_una} is beyond SND.NXT {tcb.snd_nxt}")
    if tcb.bits & B_COLD and seq_lt(cold.snd_end, tcb.snd_nxt - (1 if tcb.bits & B_FIN_SENT else 0)):
        faults.append(f"slot {slot}: SND.NXT {tcb.snd_nxt} is beyond the queued {cold.snd_end}")
    fault = timer_fault(tcb, cold)
    if fault:
        faults.append(f"slot {slot}: {fault} (state {tcb.state}, timer {tcb.timer}, bits {tcb.bits:#06x})")
    return faults


cdef list census(const Core* core):
    """Count everything again from the blocks alone."""
    cdef uint64_t counts[N_STATES]
    cdef uint64_t held_dead = 0, orphans = 0, half_open = 0, queued = 0, used = 0, live
    cdef uint32_t slot, id
    cdef const Block* tcb
    cdef const Listener* listener
    cdef dict per_listener = {}
    cdef list faults = []
    for id in range(N_STATES):
        counts[id] = 0
    for slot in range(core.pool.fresh):
        tcb = &core.pool.blocks[slot]
        faults += block_faults(core, slot)
        queued += tcb.bits & B_QUEUED != 0
        if tcb.state == CLOSED:
            held_dead += tcb.bits & (B_HELD | B_QUEUED) != 0
            continue
        counts[tcb.state] += 1
        orphans += tcb.bits & B_ORPHAN != 0 and tcb.state != TIME_WAIT
        if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
            half_open += 1
            total, young = per_listener.get(tcb.listener, (0, 0))
            per_listener[tcb.listener] = total + 1, young + (not tcb.bits & B_MATURE)
    live = 0
    for id in range(1, core.backlog.fresh + 1):
        listener = backlog_at(&core.backlog, id)
        live += listener.state == LISTENER_OPEN
        if (listener.state != LISTENER_FREE
                and (listener.half_open, listener.young) != per_listener.pop(id, (0, 0))):
            faults.append(f"listener {id}: counts {listener.half_open} half-open "
                          f"({listener.young} young), not what the blocks say")
    for id in per_listener:
        faults.append(f"listener {id}: free, with half-open entries")
    counts[LISTEN] = live
    for id in range(1, N_STATES):
        if counts[id] != core.counts[id]:
            faults.append(f"state {id}: counted {core.counts[id]}, found {counts[id]}")
        used += counts[id] if id != LISTEN else 0
    for name, told, found in (
        ("held_dead", core.held_dead, held_dead), ("orphans", core.orphans, orphans),
        ("half_open", core.half_open, half_open), ("accept_queue", core.queued, queued),
        ("blocks_used", core.pool.used, used + held_dead), ("flow table", core.flows.count, used),
    ):
        if told != found:
            faults.append(f"{name}: counted {told}, found {found}")
    return faults


cdef list balances(const Core* core):
    """The identity every half-open entry obeys: each one added has left by exactly one door."""
    cdef const Counters* told = &core.counters
    cdef uint64_t added = counted(told, Mib.SynQueueAdded)
    cdef uint64_t left = (counted(told, Mib.SynQueueEstablished) + counted(told, Mib.SynQueueEvicted)
                          + counted(told, Mib.SynQueueExpired) + counted(told, Mib.SynQueueReset)
                          + counted(told, Mib.SynQueueAborted) + counted(told, Mib.SynQueueListenerClosed))
    if added != left + core.half_open:
        return [f"SynQueueAdded {added} is not {left} gone + {core.half_open} there"]
    return []


cdef list order_book(const Core* core):
    """Every half-open entry that a policy may have to evict stands in the book, or it never would."""
    cdef const Listener* listener
    cdef uint32_t id
    cdef uint64_t entries = 0
    cdef list faults = []
    if core.book == BOOK_BUCKETS:
        for id in range(core.synq.n_queues):
            entries += synq_count(&core.synq, id)
        if entries != core.half_open:
            faults.append(f"order book: {entries} entries of {core.half_open} half-open")
    elif core.book == BOOK_LISTENERS:
        for id in range(1, core.backlog.fresh + 1):
            listener = backlog_at(&core.backlog, id)
            entries = synq_count(&core.synq, id)
            if entries != (listener.half_open if listener.state == LISTENER_OPEN else 0):
                faults.append(f"order book: {entries} entries of listener {id}, not {listener.half_open}")
    return faults + synq_check(&core.synq)


cdef list core_check(const Core* core):
    return (flow_check(&core.flows, core.pool.capacity) + wheel_check(&core.wheel)
            + backlog_check(&core.backlog) + ports_check(&core.ports) + ranges_check(&core.ranges)
            + census(core) + balances(core) + order_book(core))
