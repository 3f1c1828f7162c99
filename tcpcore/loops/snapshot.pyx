"""The state of an engine as bytes: what a new engine of the same Config needs to go on like this one.

Each part is a function that measures, writes and reads the same fields (base/stream), so that they cannot
disagree. Not in it: what follows from the Config (knobs, keys, sizes), what can be made again from the rest
(buckets, hash tables, bitmaps), and the scratch space of a batch. The header is tcpcore/snapshot.py's.
Invariant: equal states give equal bytes; bytes that are no state give a reason, and are never followed.
"""

from libc.string cimport memset
from libc.stdint cimport int64_t, uint8_t

from tcpcore.base.prefetch cimport PREDICTION
from tcpcore.base.stream cimport (
    STREAM_MEASURE, STREAM_READ, STREAM_WRITE, Stream, StreamMode, is_reading, stream_bytes, stream_fails,
    stream_i64, stream_u8, stream_u32, stream_u64,
)
from tcpcore.records.counters cimport Counters
from tcpcore.records.tcb cimport N_STATES, TICK_NS
from tcpcore.components.syn_policy cimport MAX_DOUBLINGS
from tcpcore.loops.invariants cimport check_between
from tcpcore.loops.snapshot_queues cimport (
    stream_eviction, stream_events, stream_listeners, stream_ports,
)
from tcpcore.loops.snapshot_records cimport stream_flows, stream_pool, stream_ranges
from tcpcore.loops.snapshot_timers cimport stream_wheel

cdef enum:
    REASONS = 3               # so many broken invariants are told


cdef inline int64_t last_time() noexcept nogil:
    """No call has a later time; a pause that begins then still ends within 63 bits."""
    return <int64_t>1 << 62


cdef void stream_scalars(Stream* stream, EngineState* eng) noexcept nogil:
    """The clock, counts, draws and limits: the fields of EngineState itself, and one of Isn."""
    cdef uint8_t predicting = eng.predicting
    stream_i64(stream, &eng.now)
    stream_bytes(stream, eng.counts, N_STATES * sizeof(eng.counts[0]))
    stream_u64(stream, &eng.half_open)
    stream_u64(stream, &eng.accept_queued)
    stream_u32(stream, &eng.last_listener)
    stream_u64(stream, &eng.held_dead)
    stream_u64(stream, &eng.orphans)
    stream_u64(stream, &eng.time_wait_like)
    stream_u64(stream, &eng.lingering)
    stream_i64(stream, &eng.followed)
    stream_i64(stream, &eng.challenge_second)
    stream_u32(stream, &eng.challenge_left)
    stream_i64(stream, &eng.pause.until)
    stream_u32(stream, &eng.pause.doublings)
    stream_u64(stream, &eng.draws)
    stream_u64(stream, &eng.isn.drawn)
    stream_u8(stream, &predicting)
    stream_u64(stream, &eng.predicted)
    stream_bytes(stream, &eng.counters, sizeof(Counters))
    if not is_reading(stream):
        return
    eng.predicting = predicting != 0 and PREDICTION
    if not 0 <= eng.now <= last_time() or not 0 <= eng.followed <= eng.now // TICK_NS:
        stream_fails(stream, "a time that no call can have", 0)
    if (not -last_time() <= eng.pause.until <= last_time() + last_time() // 2
            or eng.pause.doublings > MAX_DOUBLINGS):
        stream_fails(stream, "a pause of the syncache that is out of range", 0)


cdef void stream_state(Stream* stream, EngineState* eng) noexcept nogil:
    """Every part, in an order in which each can be checked against what was read before."""
    stream_scalars(stream, eng)
    stream_pool(stream, eng)
    stream_ranges(stream, eng)
    stream_flows(stream, eng)
    stream_wheel(stream, eng)
    stream_listeners(stream, eng)
    stream_eviction(stream, eng)
    stream_ports(stream, eng)
    stream_events(stream, eng)
    if is_reading(stream) and eng.last_listener > eng.listeners.fresh:
        stream_fails(stream, "a SYN for a listener that there is not", eng.last_listener)


cdef Stream start_stream(StreamMode mode, char* at, size_t n) noexcept nogil:
    cdef Stream stream
    memset(&stream, 0, sizeof(Stream))
    stream.mode = mode
    stream.at = at
    stream.left = n
    return stream


cdef size_t snapshot_size(EngineState* eng) noexcept nogil:
    """Bytes that snapshot_write will write; nothing is changed."""
    cdef Stream stream = start_stream(STREAM_MEASURE, NULL, 0)
    stream_state(&stream, eng)
    return stream.size


cdef bint snapshot_write(EngineState* eng, char* at) noexcept nogil:
    """Write the state; False when memory for it is refused. Nothing is changed."""
    cdef Stream stream = start_stream(STREAM_WRITE, at, 0)
    stream_state(&stream, eng)
    return stream.fault == NULL


cdef object snapshot_read(EngineState* eng, const char* at, size_t n):
    """Read a state into a new engine of the same Config. None, or in words why these bytes are none: then the
    engine can only be thrown away."""
    cdef Stream stream = start_stream(STREAM_READ, <char*>at, n)
    with nogil:
        stream_state(&stream, eng)
    if stream.fault == NULL and stream.left:
        stream_fails(&stream, "more bytes than it has fields", stream.left)
    if stream.fault != NULL:
        return f"{stream.fault.decode('ascii')} ({stream.where})"
    faults = check_between(eng)
    return "; ".join(faults[:REASONS]) if faults else None
