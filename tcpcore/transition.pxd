# The law: RFC 9293 3.10, pure. Each function edits the one block it is given (and its cold
# line) and fills the action; it sends, arms, frees and looks up nothing, reads no clock and
# draws no random number. The order of this page is the order of the RFC.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from tcpcore.action cimport Action
from tcpcore.block cimport Block, Cold
from tcpcore.knobs cimport Knobs
from tcpcore.segment cimport Segment

cdef enum ListenVerdict:
    LISTEN_DROP = 0
    LISTEN_RESET = 1
    LISTEN_OPEN = 2

# 3.10.1 OPEN call: handshake.pxd, and what may come with a SYN or instead of a half-open entry
cdef void open_text(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs,
                    Action* act) noexcept nogil
cdef void open_cookie(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      uint32_t ts_offset, uint32_t rcv_buf, Action* act) noexcept nogil
# 3.10.2 SEND call
cdef void send_call(Block* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil
# 3.10.3 RECEIVE call
cdef uint32_t receive_call(Block* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil
# 3.10.4 CLOSE call, as shutdown() and as close()
cdef void shutdown_call(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void close_call(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
# 3.10.5 ABORT call
cdef void abort_call(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void abandon_call(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
# 3.10.6 STATUS call: Engine.info reads the block
# 3.10.7 SEGMENT ARRIVES
cdef void in_closed(const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil
cdef ListenVerdict in_listen(const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil
cdef void segment_arrives(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil
# 3.10.8 Timeouts
cdef void timeout(Block* tcb, Cold* cold, uint8_t kind, uint8_t synack_retries, const Knobs* knobs,
                  int64_t now, Action* act) noexcept nogil
