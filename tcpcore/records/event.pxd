# One event: what the embedder subscribed to and what happened. EVENT, the numpy dtype, is derived from the
# struct; EventKind in Python is made of the enum (components/events).
#
#   0     8   16        20    21     22     24
#   |conn |at |listener |kind |cause |state |        two bytes of padding at the end
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef struct Event:
    uint64_t conn             # handle
    int64_t at                # ns
    uint32_t listener         # listener id, 0 for active opens
    uint8_t kind              # EventCode
    uint8_t cause             # 0 where nothing went wrong
    uint8_t state             # StateId after the event
    uint8_t _pad0

cdef enum EventCode:
    EV_OPENED = 1             # a TCB was taken: SYN sent, or SYN received
    EV_ESTABLISHED = 2
    EV_ACCEPTED = 3
    EV_CLOSED = 4             # ended in order
    EV_LOST = 5               # ended otherwise
    EV_REFUSED = 6            # never had a TCB
    EV_TIME_WAIT = 7
    EV_READABLE = 8           # unread text: none before, some now
    EV_EOF = 9                # the peer's FIN came in order
    EV_WRITABLE = 10          # queued text: some before, none now, all of it acknowledged
