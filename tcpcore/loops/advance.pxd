# Timeouts (RFC 9293 3.10.8): firing what is due.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.records.segment cimport Segment
from tcpcore.loops.state cimport EngineState

cdef enum:
    TIMER_STAGES = 3          # of prefetching for a timer: its entry, its TCB, its bucket
    TIMERS_KEPT = 64

cdef struct AheadHash:
    # the hash of a TCB's 4-tuple, computed while its flow table head is prefetched
    uint32_t ref
    uint32_t hash

cdef struct TimersAhead:
    # what is known of timers to come where few are due at one tick, and advance_to would see each too late
    int64_t asked[TIMER_STAGES]       # tick up to which each stage is done
    AheadHash hashes[TIMERS_KEPT]     # by ref
    uint32_t generations[TIMERS_KEPT]     # of the TCBs that they belong to

cdef void timers_ahead(EngineState* eng, TimersAhead* ahead, int stage, int64_t limit) noexcept nogil
cdef Py_ssize_t advance_to(EngineState* eng, int64_t now, Segment* rows, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t advance_timed(EngineState* eng, int64_t now, Segment* rows, int64_t* times, int64_t since,
                              TimersAhead* far, Py_ssize_t room) noexcept nogil
