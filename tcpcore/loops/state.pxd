# What one engine is made of: its knobs, its components, and the counts that span components.
#
# The loops (receive, advance, connect, calls) are the only code that reads and writes it. Nothing here
# decides what a segment means: that is the state machine (tcp/).
# Invariants, walked by invariants.pyx: counts[s] TCBs are in state s; a TCB is in the flow table unless it
# is CLOSED; every half-open entry is counted by its listener.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stddef cimport size_t

from tcpcore.base.siphash_batch cimport SIPHASH_BATCH
from tcpcore.records.counters cimport Counters
from tcpcore.records.handle cimport handle_generation, handle_of, handle_slot
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport FourTuple, Segment
from tcpcore.records.tcb cimport B_HELD, B_QUEUED, CLOSED, N_STATES, Tcb
from tcpcore.tcp.syn_image cimport SynImage, drop_image
from tcpcore.components.events cimport Events
from tcpcore.components.flow_table cimport FlowTable, flow_hash
from tcpcore.components.isn cimport Isn
from tcpcore.components.listeners cimport ListenerTable
from tcpcore.components.bound_ports cimport BoundPorts
from tcpcore.components.ports cimport Ports
from tcpcore.components.range_pool cimport RangePool
from tcpcore.components.syn_eviction cimport EvictionQueues
from tcpcore.components.syn_policy cimport EvictionScope, Pause
from tcpcore.components.syncookie cimport CookieOptions, Cookies
from tcpcore.components.tcb_pool cimport TcbPool
from tcpcore.components.timer_wheel cimport TimerWheel

cdef enum:
    STRIDE = 1024             # segments of a batch that are hashed at once
    AHEAD_PAD = 48            # places behind them, so that prefetching needs no test for the end

cdef struct CookieImage:
    SynImage syn              # its TCB and its SYN-ACK
    CookieOptions agreed
    uint32_t index            # of the MSS in the cookie
    uint32_t lost             # options that the cookie does not carry

cdef struct EngineState:
    Knobs knobs
    int64_t now               # ns; the time of the last call, which the next may not lie before
    int busy                  # 1 during a call (loops/guard)
    uint32_t local_addr       # source address where connect() is given none
    void* group               # the members that do its work (loops/spread), NULL: it does it itself
    TcbPool pool
    FlowTable flows
    TimerWheel wheel
    ListenerTable listeners
    Isn isn
    Ports ports
    BoundPorts bound          # ports that no search may give, only where port_selection is "linux"
    RangePool ranges
    Events events
    uint8_t effects_wanted    # Effect bits that are carried out: all but the edges nobody subscribed to
    Counters counters
    uint64_t counts[N_STATES]     # TCBs by state; LISTEN: open listeners; CLOSED is not used
    uint64_t half_open        # SYN-RECEIVED that came from LISTEN
    uint64_t accept_queued    # TCBs in accept queues
    uint32_t last_listener    # id of the listener that the last SYN found, 0 none
    SynImage syn_image        # of the last SYN that opened, while nothing but its numbers counts
    SynImage asked_image      # the same where the policy has to be asked about each SYN
    CookieImage cookie_image  # of the last SYN that a cookie answered
    uint64_t held_dead        # CLOSED TCBs that an application still holds
    uint64_t orphans          # connections without an application, TIME-WAIT left out
    uint64_t time_wait_like   # orphans in FIN-WAIT-2 that tcp_max_tw_buckets counts
    uint64_t lingering        # of the orphans: their close() with SO_LINGER still waits, they are none yet
    int64_t followed          # tick of the last call that aged the 32-bit times (loops/silence)
    int64_t challenge_second  # second of virtual time that challenge_left belongs to
    uint32_t challenge_left   # challenge ACKs still allowed in it (tcp_challenge_ack_limit)
    Cookies cookies
    EvictionScope eviction_scope
    EvictionQueues eviction   # not initialised where eviction_scope is EVICT_NEVER
    uint32_t syncache_buckets     # where it is EVICT_PER_BUCKET
    Pause pause
    uint64_t bucket_k0, bucket_k1     # key of the syncache buckets
    uint64_t random_key
    uint64_t draws            # random numbers drawn so far: the message that random_key hashes next
    bint predicting           # ask the fast path (tcp/predict) first; off only to compare the two
    uint64_t predicted        # segments and calls that the fast path answered
    uint64_t port_looks       # ports that connect() has looked at
    # scratch space of one batch
    uint32_t hashes[STRIDE + AHEAD_PAD]
    uint32_t candidates[STRIDE + AHEAD_PAD]   # TCB (slot + 1) that the prefetch found for a segment, 0 none
    const Segment* batch      # the segments that hashes and candidates belong to
    Py_ssize_t batch_n
    Py_ssize_t isn_first, isn_count   # isns and ts_offsets are those of so many segments from the first on
    uint32_t isn_shift        # what the ISN clock has gained since isns were computed, 0 but in play()
    uint32_t isns[STRIDE]
    uint32_t ts_offsets[STRIDE]
    Py_ssize_t cookie_first, cookie_count     # the same of cookie_bases and cookie_masks, of cookie_minute
    uint32_t cookie_minute
    uint32_t cookie_bases[SIPHASH_BATCH]
    uint32_t cookie_masks[SIPHASH_BATCH]
    Py_ssize_t buckets_first, buckets_count   # and of the syncache buckets
    uint32_t buckets[SIPHASH_BATCH]
    uint32_t victims[SIPHASH_BATCH]   # TCB (slot + 1) that each bucket will probably evict, 0 none; a hint
    uint32_t victim_generations[SIPHASH_BATCH]
    uint32_t victim_hashes[SIPHASH_BATCH]     # of their 4-tuples
    uint8_t* marks            # in a member of a group: gets the answers to each segment; else NULL
    Segment* arriving         # [STRIDE] segments of a timed batch (loops/play), untouched until there is one

# What derive_key makes of the seed; a component that needs 128 bits takes the next number as well.
cdef enum KeyPurpose:
    KEY_FLOWS = 1
    KEY_ISN = 3
    KEY_PORTS = 5
    KEY_RANDOM = 7
    KEY_COOKIES = 9
    KEY_BUCKETS = 11

cdef bint state_init(EngineState* eng, uint64_t seed, Tcb* blocks, uint32_t buckets) noexcept nogil
cdef bint state_subscribe(EngineState* eng, uint32_t kinds) noexcept nogil
cdef void state_free(EngineState* eng) noexcept nogil
cdef size_t state_bytes(const EngineState* eng) noexcept nogil
cdef uint64_t lookup_handle(const EngineState* eng, uint32_t raddr, uint16_t rport, uint32_t laddr,
                            uint16_t lport) noexcept nogil
cdef void lookup_handles(const EngineState* eng, const FourTuple* tuples, Py_ssize_t n,
                         uint64_t* conns) noexcept nogil
cdef bint challenge_allowed(EngineState* eng, int64_t now) noexcept nogil


cdef inline uint64_t handle_at(const EngineState* eng, uint32_t slot) noexcept nogil:
    """The handle of the connection in this slot."""
    return handle_of(eng.pool.blocks[slot].generation, slot)


cdef inline void drop_images(EngineState* eng) noexcept nogil:
    """What SYNs were answered under has changed."""
    drop_image(&eng.syn_image)
    drop_image(&eng.asked_image)
    drop_image(&eng.cookie_image.syn)


cdef inline void begin_stretch(EngineState* eng, const Segment* segs, Py_ssize_t n) noexcept nogil:
    """Begin the work on n segments: nothing about them has been hashed but the places of the flow table."""
    eng.batch = segs
    eng.batch_n = n
    eng.isn_first = eng.isn_count = 0
    eng.cookie_first = eng.cookie_count = 0
    eng.buckets_first = eng.buckets_count = 0


cdef inline uint32_t tcb_hash(const EngineState* eng, const Tcb* tcb) noexcept nogil:
    """The flow table's hash of this TCB's 4-tuple."""
    return flow_hash(&eng.flows, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport)


cdef inline uint32_t resolve_handle(const EngineState* eng, uint64_t conn) noexcept nogil:
    """Slot + 1 of a live handle, 0 for a stale one: another generation, or a TCB that nobody holds."""
    cdef uint32_t slot = handle_slot(conn), generation = handle_generation(conn)
    cdef const Tcb* tcb
    if slot >= eng.pool.capacity:
        return 0
    tcb = &eng.pool.blocks[slot]
    if generation == 0 or tcb.generation != generation:
        return 0
    return slot + 1 if tcb.state != CLOSED or tcb.bits & (B_HELD | B_QUEUED) else 0
