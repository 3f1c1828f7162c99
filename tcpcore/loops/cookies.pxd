# SYN cookies (RFC 4987 3.6): answering a SYN without a half-open entry, and opening from the ACK.
#
# What a cookie says and how it is made is components/syncookie; when one is sent is the policy's.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.records.segment cimport Segment
from tcpcore.components.listeners cimport Listener
from tcpcore.loops.state cimport EngineState

cdef uint32_t send_cookie(EngineState* eng, const Segment* seg, uint32_t id, int64_t now,
                          Segment* rows) noexcept nogil
cdef bint cookie_back(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t id, int64_t now,
                      Segment* rows, uint32_t* n_rows) noexcept nogil
cdef void expect_cookies(Listener* listener, int64_t now) noexcept nogil
