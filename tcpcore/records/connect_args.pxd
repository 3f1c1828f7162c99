# Many active opens at once, a column for each argument of connect(), as Python gives them. A noun.
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t

cdef struct ConnectArgs:
    # [n], or one value for all where the column's step is 0
    const uint32_t* dst
    const uint16_t* dport
    const uint32_t* src
    const int32_t* sport      # -1: to be chosen, then for all
    const int64_t* isn
    const uint32_t* rcv_buf
    Py_ssize_t steps[6]       # in the order of the columns
