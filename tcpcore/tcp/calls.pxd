# The calls of an application on a connection that exists: RFC 9293 3.10.2 - 3.10.5.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.tcb cimport Cold, Tcb

# 3.10.2 SEND
cdef void send_call(Tcb* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil
# 3.10.3 RECEIVE
cdef uint32_t receive_call(Tcb* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil
# 3.10.4 CLOSE, as shutdown() and as close()
cdef void shutdown_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void close_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
# 3.10.5 ABORT, and what the end of a listener does to a connection that nobody accepted
cdef void abort_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void abandon_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
# 3.9.2.2 what an ICMP message tells
cdef void unreachable_call(Tcb* tcb, Cold* cold, uint32_t code, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil
# 3.10.6 STATUS: Engine.info reads the TCB
