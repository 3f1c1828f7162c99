# Initial sequence numbers and timestamp offsets, worked out for a stretch of a batch at once.
#
# SipHash over many messages in vector lanes costs a fraction of one message at a time, but only where most of
# the segments are SYNs: so the first SYN of a batch that asks has the stretch that begins with it hashed.
# The values are those of isn_make and isn_ts_offset; where nothing was hashed ahead, those are asked.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from tcpcore.base.prefetch cimport likely
from tcpcore.records.segment cimport OPT_TS, Segment
from tcpcore.components.isn cimport isn_ts_offset
from tcpcore.loops.state cimport EngineState

cdef Py_ssize_t stretch_from(const EngineState* eng, const Segment* seg, Py_ssize_t first) noexcept nogil
cdef Py_ssize_t isn_batch_compute(EngineState* eng, const Segment* seg, int64_t now) noexcept nogil
cdef void isn_batch_fill(EngineState* eng, const uint64_t* first, const uint64_t* last, Py_ssize_t n,
                         int64_t now, Py_ssize_t at) noexcept nogil


cdef inline Py_ssize_t isn_batch_find(EngineState* eng, const Segment* seg, int64_t now) noexcept nogil:
    """Index of this segment's numbers in isns and ts_offsets, computed now if need be; -1 for none."""
    cdef Py_ssize_t at = seg - eng.batch - eng.isn_first
    if likely(0 <= at < eng.isn_count):
        return at
    return isn_batch_compute(eng, seg, now)


cdef inline uint32_t ts_offset_for(EngineState* eng, const Segment* seg, Py_ssize_t numbers) noexcept nogil:
    """The timestamp offset for who sent this SYN (or the ACK of a cookie), 0 without the option."""
    if not seg.opts & OPT_TS or eng.knobs.tcp_timestamps != 1:
        return 0
    if numbers >= 0:
        return eng.ts_offsets[numbers]
    return isn_ts_offset(&eng.isn, seg.dst, seg.dport, seg.src, seg.sport)
