# The arguments of many active opens: a column each for Engine.connect(), a row each for compiled callers; and
# what listen() and connect() may ask about a peer that is silent.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t

cdef enum:
    TIMEOUT_OF_KNOB = 0x7FFFFFFF      # no user timeout of its own: tcp_user_timeout_ms

cdef struct Asked:
    # of all connections of a listener, or of one connect()
    uint32_t user_timeout_ms  # RFC 5482; 0: none; TIMEOUT_OF_KNOB
    uint8_t keepalive
    uint8_t given             # 0: nothing was asked, and the connections need no liveness line

cdef struct ConnectArgs:
    # [n], or one value for all where the column's step is 0
    const uint32_t* dst
    const uint16_t* dport
    const uint32_t* src
    const int32_t* sport      # -1: choose an ephemeral port, then for all rows
    const int64_t* isn        # -1: as the knob isn says
    const uint32_t* rcv_buf   # bytes; 0: the knob's
    Py_ssize_t steps[6]       # in the order of the columns
    Asked asked               # of all rows

cdef struct ConnectRow:
    # 24 bytes; a field of zeros is the default
    uint32_t dst
    uint32_t src              # 0: Config.local_addr
    uint16_t dport
    uint16_t sport            # 0: choose an ephemeral port
    uint32_t isn              # used if has_isn
    uint32_t rcv_buf          # bytes; 0: the knob's
    uint8_t has_isn
    uint8_t keepalive         # 1: probe a silent peer
    uint16_t _pad1
