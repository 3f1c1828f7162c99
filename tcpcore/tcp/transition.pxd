# The law: RFC 9293 3.10, pure. Each function edits the one block it is given (and its cold
# line) and fills the action; it sends, arms, frees and looks up nothing, reads no clock and
# draws no random number. The order of this page is the order of the RFC.
from libc.stdint cimport int64_t, uint8_t, uint32_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Cold, Tcb

# 3.10.1 OPEN call: handshake.pxd, and what may come with a SYN or instead of a half-open entry
cdef void open_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs,
                    Action* act) noexcept nogil
cdef void open_cookie(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      uint32_t ts_offset, uint32_t rcv_buf, Action* act) noexcept nogil
# 3.10.2 SEND call
cdef void send_call(Tcb* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil
# 3.10.3 RECEIVE call
cdef uint32_t receive_call(Tcb* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil
# 3.10.4 CLOSE call, as shutdown() and as close()
cdef void shutdown_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void close_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
# 3.10.5 ABORT call
cdef void abort_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void abandon_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
# 3.10.6 STATUS call: Engine.info reads the block
# 3.10.7 SEGMENT ARRIVES
cdef void in_closed(const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil
cdef void segment_arrives(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil
# 3.10.8 Timeouts
cdef void timer_expired(Tcb* tcb, Cold* cold, uint8_t kind, uint8_t synack_retries, const Knobs* knobs,
                  int64_t now, Action* act) noexcept nogil
