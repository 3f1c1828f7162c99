"""Hashing the initial sequence numbers of a stretch of segments or of active opens ahead.

Not the numbers themselves: components/isn has the formulas.
"""

from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, tuple_first, tuple_last
from tcpcore.records.segment cimport ACK, SYN
from tcpcore.components.isn cimport isn_hashes, isn_many
from tcpcore.loops.pipeline cimport least


cdef bint many_syns(const Segment* segs, Py_ssize_t n) noexcept nogil:
    """Whether at least a quarter of the next segments are SYNs: then hashing all of them is cheaper."""
    cdef Py_ssize_t i, syns = 0, look = least(n, SIPHASH_BATCH // 4)
    for i in range(look):
        syns += segs[i].flags & (SYN | ACK) == SYN
    return 4 * syns >= look


cdef Py_ssize_t stretch_from(const EngineState* eng, const Segment* seg, Py_ssize_t first) noexcept nogil:
    """How many segments from this one on are to be hashed at once, 0 for none; those before `first` have
    been, or were passed over."""
    cdef Py_ssize_t at = seg - eng.batch, n
    if eng.batch == NULL or at < first or at >= eng.batch_n:
        return 0
    n = least(eng.batch_n - at, SIPHASH_BATCH)
    return n if many_syns(seg, n) else 0


cdef Py_ssize_t isn_batch_compute(EngineState* eng, const Segment* seg, int64_t now) noexcept nogil:
    """isn_batch_find where the stretch that begins with this segment has not been hashed; 0 or -1."""
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef Py_ssize_t n = stretch_from(eng, seg, eng.isn_first), i
    if n == 0:
        return -1
    for i in range(n):
        first[i] = tuple_first(seg[i].src, seg[i].dst)
        last[i] = tuple_last(seg[i].sport, seg[i].dport)
    isn_batch_fill(eng, first, last, n, now, 0)
    eng.isn_first = seg - eng.batch
    eng.isn_count = n
    return 0


cdef void isn_batch_fill(EngineState* eng, const uint64_t* first, const uint64_t* last, Py_ssize_t n,
                         int64_t now, Py_ssize_t at) noexcept nogil:
    """Fill isns and ts_offsets from index `at` on for n <= SIPHASH_BATCH 4-tuples, where they are hashes."""
    eng.isn_shift = 0
    if isn_hashes(&eng.isn) or eng.knobs.tcp_timestamps == 1:
        isn_many(&eng.isn, first, last, n, now, eng.isns + at if isn_hashes(&eng.isn) else NULL,
                 eng.ts_offsets + at if eng.knobs.tcp_timestamps == 1 else NULL)
