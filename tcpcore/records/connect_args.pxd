# The arguments of Engine.connect() for many active opens, a column each.
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t

cdef struct ConnectArgs:
    # [n], or one value for all where the column's step is 0
    const uint32_t* dst
    const uint16_t* dport
    const uint32_t* src
    const int32_t* sport      # -1: choose an ephemeral port, then for all rows
    const int64_t* isn        # -1: as the knob isn says
    const uint32_t* rcv_buf   # bytes; 0: the knob's
    Py_ssize_t steps[6]       # in the order of the columns
