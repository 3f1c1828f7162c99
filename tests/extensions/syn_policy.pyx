"""The SYN-queue policies, a call for each question."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memset

from tcpcore.components.syn_policy cimport (
    Pause, Pressure, pause_begin, pause_init, policy_accept_room, policy_admit, policy_synack_retries,
)
from tcpcore.records.knobs cimport Knobs

from tcpcore.config import DECLARED

#: Number of each policy by its name: the order of the declaration, as the engine has it.
POLICIES = {name: number for number, name in enumerate(DECLARED["synq_policy"].names)}


def verdict(policy, *, uint32_t backlog=0, uint32_t half_open=0, uint8_t tcp_syncookies=0,
            uint32_t tcp_max_syn_backlog=4096, bint accept_full=False, bint bucket_full=False,
            bint paused=False, bint proven=False, bint accept_full_drops_syn=True):
    """The `Verdict` number for a SYN."""
    cdef Knobs knobs
    cdef Pressure pressure
    memset(&knobs, 0, sizeof(Knobs))
    knobs.synq_policy = POLICIES[policy]
    knobs.accept_full_drops_syn = accept_full_drops_syn
    knobs.tcp_syncookies = tcp_syncookies
    knobs.tcp_max_syn_backlog = tcp_max_syn_backlog
    pressure.backlog = backlog
    pressure.half_open = half_open
    pressure.young = half_open
    pressure.accept_full = accept_full
    pressure.bucket_full = bucket_full
    pressure.paused = paused
    pressure.proven = proven
    return <int>policy_admit(&pressure, &knobs)


def synack_retries(policy, uint8_t retries, *, uint32_t backlog, uint32_t half_open, uint32_t young):
    """Resends an entry may have where ``tcp_synack_retries`` is `retries`."""
    cdef Knobs knobs
    cdef Pressure pressure
    memset(&knobs, 0, sizeof(Knobs))
    memset(&pressure, 0, sizeof(Pressure))
    knobs.synq_policy = POLICIES[policy]
    knobs.tcp_synack_retries = retries
    pressure.backlog = backlog
    pressure.half_open = half_open
    pressure.young = young
    return policy_synack_retries(&pressure, &knobs)


def accept_room(uint32_t limit, bint half_more):
    """How many may wait for accept() at a listener with this backlog."""
    cdef Knobs knobs
    memset(&knobs, 0, sizeof(Knobs))
    knobs.accept_queue_rule = half_more
    return policy_accept_room(limit, &knobs)


def pauses(overflows):
    """The pauses that begin at these times (ns, rising): when each is over. An overflow meanwhile is none."""
    cdef Pause pause
    cdef int64_t at
    cdef list ends = []
    pause_init(&pause)
    for when in overflows:
        at = when
        if at >= pause.until:
            pause_begin(&pause, at)
            ends.append(pause.until)
    return ends
