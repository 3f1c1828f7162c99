# H
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stddef cimport size_t

from tcpcore.records.counters cimport Counters
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport N_STATES, Tcb
from tcpcore.components.events cimport Events
from tcpcore.components.flow_table cimport FlowTable, flow_hash
from tcpcore.components.isn cimport Isn
from tcpcore.components.listeners cimport ListenerTable
from tcpcore.components.ports cimport Ports
from tcpcore.components.range_pool cimport RangePool
from tcpcore.components.syn_eviction cimport EvictionQueues
from tcpcore.components.syn_policy cimport EvictionScope, Pause
from tcpcore.components.syncookie cimport Cookies
from tcpcore.components.tcb_pool cimport TcbPool
from tcpcore.components.timer_wheel cimport TimerWheel

cdef enum:
    STRIDE = 1024             # segments hashed ahead in one go
    AHEAD_PAD = 48            # places behind them for looking ahead without asking where the end is

cdef struct EngineState:
    Knobs knobs
    TcbPool pool
    FlowTable flows
    TimerWheel wheel
    ListenerTable listeners
    Isn isn
    Ports ports
    RangePool ranges
    Events events
    Counters counters
    uint64_t counts[N_STATES]  # blocks by state; LISTEN: open listeners; CLOSED unused
    uint64_t half_open        # SYN-RECEIVED that came from LISTEN
    uint64_t queued           # in accept queues
    uint32_t last_listener    # the id that a SYN asked for last, 0 none
    uint64_t held_dead        # CLOSED, kept for whoever holds them
    uint64_t orphans          # the application is gone, not yet TIME-WAIT
    uint64_t time_wait_like            # of these: in FIN-WAIT-2 and counted by tcp_max_tw_buckets
    int64_t challenge_second  # tcp_challenge_ack_limit: the second being counted
    uint32_t challenge_left
    Cookies cookies
    EvictionScope eviction_scope                 # what a queue of the next is
    EvictionQueues eviction                 # only with a book
    Pause pause
    uint64_t bucket_k0
    uint64_t bucket_k1
    uint64_t draws            # random numbers drawn
    uint64_t random_key
    bint predicting           # ask predict.pxd before the law; only ever off to prove it right
    uint64_t predicted        # segments and calls that it answered
    uint32_t hashes[STRIDE + AHEAD_PAD]
    uint32_t owners[STRIDE + AHEAD_PAD]   # whose each of these segments seemed to be, or 0
    const Segment* batch      # the segments these belong to
    Py_ssize_t batch_n
    Py_ssize_t numbered       # these two are for numbered_n segments from here on
    Py_ssize_t numbered_n
    uint32_t isns[STRIDE]
    uint32_t ts_offsets[STRIDE]

cdef enum KeyPurpose:
    KEY_FLOWS = 1             # and + 1: both halves
    KEY_ISN = 3
    KEY_PORTS = 5
    KEY_RANDOM = 7
    KEY_COOKIES = 9
    KEY_BUCKETS = 11

cdef bint state_init(EngineState* eng, uint64_t seed) noexcept nogil
cdef void state_free(EngineState* eng) noexcept nogil
cdef size_t state_bytes(const EngineState* eng) noexcept nogil
cdef uint64_t lookup_handle(const EngineState* eng, uint32_t raddr, uint16_t rport, uint32_t laddr,
                          uint16_t lport) noexcept nogil
cdef uint32_t resolve_handle(const EngineState* eng, uint64_t conn) noexcept nogil
cdef bint challenge_allowed(EngineState* eng, int64_t now) noexcept nogil


cdef inline uint64_t handle_of(const EngineState* eng, uint32_t slot) noexcept nogil:
    return <uint64_t>eng.pool.blocks[slot].generation << 32 | slot


cdef inline uint32_t tcb_hash(const EngineState* eng, const Tcb* tcb) noexcept nogil:
    return flow_hash(&eng.flows, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport)
