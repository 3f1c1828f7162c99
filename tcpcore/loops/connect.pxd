# Active opens (RFC 9293 3.10.1) of a batch.
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.connect_args cimport ConnectArgs
from tcpcore.records.segment cimport Segment
from tcpcore.components.ports cimport PortSearch
from tcpcore.loops.state cimport EngineState

cdef struct ConnectRequest:
    # the arguments of one connect()
    uint32_t laddr
    uint32_t raddr
    uint16_t rport
    int32_t lport             # -1: to be chosen
    int64_t iss               # -1: from the ISN generator
    uint32_t rcv_buf          # bytes, rounded; 0: the knob's
    # what was worked out ahead
    uint32_t hash             # of the 4-tuple with the port named, or the one that `search` expects
    Py_ssize_t numbers        # index of its isns and ts_offsets, -1 none
    PortSearch* search        # prepared; not used where the port is named

cdef Py_ssize_t connect_batch(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t n, int64_t now,
                              uint64_t* conns, Segment* rows) noexcept nogil
cdef uint64_t connect_one(EngineState* eng, const ConnectRequest* request, int64_t now, Segment* rows,
                          uint32_t* n_rows) noexcept nogil
