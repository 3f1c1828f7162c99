# The application's calls on connections and listeners (RFC 9293 3.10.2 to 3.10.5), and accept(); what ICMP
# tells (3.9.2.2).
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.info cimport Info
from tcpcore.records.segment cimport Segment
from tcpcore.loops.state cimport EngineState

cdef enum:
    MAX_QUEUED = 1 << 30      # bytes unacknowledged and queued: half the number space is for the window test

cdef enum Call:
    CALL_SEND = 0
    CALL_RECV = 1
    CALL_SHUTDOWN = 2
    CALL_CLOSE = 3
    CALL_ABORT = 4
    CALL_UNREACHABLE = 5      # not the application's but the network's


cdef inline bint too_many_orphans(const EngineState* eng) noexcept nogil:
    """Whether there are more connections without an application than tcp_max_orphans allows. What waits for
    a FIN like TIME-WAIT is none any more (Linux: inet_timewait_sock), what lingers none yet."""
    return eng.orphans - eng.time_wait_like - eng.lingering > eng.knobs.tcp_max_orphans


cdef uint32_t reset_orphan(EngineState* eng, uint32_t slot, int64_t now, Segment* rows) noexcept nogil
cdef Py_ssize_t call_batch(EngineState* eng, Call call, const uint64_t* conns, Py_ssize_t n,
                           const uint32_t* nbytes, uint32_t* taken, int64_t now, Segment* rows) noexcept nogil
cdef uint64_t bytes_queued(const EngineState* eng, uint64_t conn) noexcept nogil
cdef uint32_t rows_due_with(EngineState* eng, uint64_t conn, uint32_t nbytes) noexcept nogil
cdef Py_ssize_t rows_of_send(EngineState* eng, const uint64_t* conns, const uint32_t* nbytes, Py_ssize_t n,
                             uint64_t* most) noexcept nogil
cdef uint64_t accept_one(EngineState* eng, uint16_t listener, int64_t now) noexcept nogil
cdef void connection_info(const EngineState* eng, uint64_t conn, Info* info) noexcept nogil
cdef uint32_t close_listener(EngineState* eng, uint16_t listener, int64_t now, Segment* rows) noexcept nogil
