# Output: what of the queued text and FIN may go now, and what goes again (RFC 9293 3.8).
from libc.stdint cimport int64_t, uint8_t, uint32_t

from tcpcore.action cimport Action
from tcpcore.block cimport Block, Cold
from tcpcore.knobs cimport Knobs

cdef uint32_t pump(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                   uint32_t limit) noexcept nogil
cdef uint32_t rows_due(const Block* tcb, const Cold* cold) noexcept nogil
cdef void resend_first(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void probe(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef uint32_t unsent(const Block* tcb, const Cold* cold) noexcept nogil
cdef void set_main(Block* tcb, Action* act, uint8_t kind, uint32_t timeout) noexcept nogil
cdef void stop_main(Action* act) noexcept nogil
