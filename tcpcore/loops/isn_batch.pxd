# H
from libc.stdint cimport int64_t, uint32_t, uint64_t

from tcpcore.base.prefetch cimport likely
from tcpcore.records.segment cimport OPT_TS, Segment
from tcpcore.components.isn cimport isn_ts_offset
from tcpcore.loops.state cimport EngineState

cdef Py_ssize_t isn_batch_compute(EngineState* eng, const Segment* seg, int64_t now) noexcept nogil
cdef void isn_batch_fill(EngineState* eng, const uint64_t* first, const uint64_t* last, Py_ssize_t n, int64_t now,
                      Py_ssize_t at) noexcept nogil


cdef inline Py_ssize_t isn_batch_find(EngineState* eng, const Segment* seg, int64_t now) noexcept nogil:
    """Where isns and ts_offsets have this segment's, -1 nowhere. They are worked out when the first SYN asks,
    for the LANES segments from it on."""
    cdef Py_ssize_t at = seg - eng.batch - eng.numbered
    if likely(0 <= at < eng.numbered_n):
        return at
    return isn_batch_compute(eng, seg, now)


cdef inline uint32_t ts_offset_for(EngineState* eng, const Segment* seg, Py_ssize_t numbers) noexcept nogil:
    if not seg.opts & OPT_TS or eng.knobs.tcp_timestamps != 1:
        return 0
    return eng.ts_offsets[numbers] if numbers >= 0 else isn_ts_offset(&eng.isn, seg.dst, seg.src)
