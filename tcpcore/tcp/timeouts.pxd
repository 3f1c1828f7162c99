# TIMEOUTS: RFC 9293 3.10.8.
from libc.stdint cimport int64_t, uint8_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.tcb cimport Cold, Tcb

cdef void timer_expired(Tcb* tcb, Cold* cold, uint8_t kind, uint8_t synack_retries, const Knobs* knobs,
                        int64_t now, Action* act) noexcept nogil
cdef void resend_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
