# Memory as a sequence of bytes and back: one function describes the fields of a record, and a pass over it
# measures them, writes them or reads them. Inline functions only.
#
# What is read was written by anybody. A field that is not there reads as zeros and is a fault; whoever knows
# what a number may be adds faults of its own. The first one is kept, in words, with the number of the record
# it is about. Numbers are in the byte order and size of this machine: the header says which (snapshot.py).
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum StreamMode:
    STREAM_MEASURE = 0
    STREAM_WRITE = 1
    STREAM_READ = 2

cdef struct Stream:
    StreamMode mode
    char* at                  # the next byte to be written or read
    size_t size               # bytes measured, written or read so far
    size_t left               # bytes still to be read
    const char* fault         # what is wrong, NULL nothing
    uint64_t where            # the record that it is about


cdef inline bint is_reading(const Stream* stream) noexcept nogil:
    """What is read must be checked, and what is not in the stream be made again."""
    return stream.mode == STREAM_READ


cdef inline bint stream_fails(Stream* stream, const char* fault, uint64_t where) noexcept nogil:
    """Note a fault, if there was none; True, so that a check may return it."""
    if stream.fault == NULL:
        stream.fault = fault
        stream.where = where
    return True


cdef inline void stream_bytes(Stream* stream, void* field, size_t n) noexcept nogil:
    """The next n bytes are this field."""
    if n == 0:
        return                                # of an array that was never made
    if stream.mode == STREAM_WRITE:
        memcpy(stream.at, field, n)
    elif stream.mode == STREAM_READ:
        if stream.fault != NULL or n > stream.left:
            stream_fails(stream, "it ends too early", stream.size)
            memset(field, 0, n)
            return
        memcpy(field, stream.at, n)
        stream.left -= n
    if stream.mode != STREAM_MEASURE:
        stream.at += n
    stream.size += n


cdef inline void stream_u8(Stream* stream, uint8_t* field) noexcept nogil:
    stream_bytes(stream, field, sizeof(uint8_t))


cdef inline void stream_u32(Stream* stream, uint32_t* field) noexcept nogil:
    stream_bytes(stream, field, sizeof(uint32_t))


cdef inline void stream_u64(Stream* stream, uint64_t* field) noexcept nogil:
    stream_bytes(stream, field, sizeof(uint64_t))


cdef inline void stream_i64(Stream* stream, int64_t* field) noexcept nogil:
    stream_bytes(stream, field, sizeof(int64_t))


cdef inline bint stream_count(Stream* stream, uint32_t* n, uint32_t most, size_t record,
                              const char* fault) noexcept nogil:
    """A number of records that follow, `record` bytes each or more. False, and it is 0, when there cannot be
    so many: no memory is taken for them."""
    stream_u32(stream, n)
    if is_reading(stream) and (stream.fault != NULL or n[0] > most or n[0] > stream.left // record):
        stream_fails(stream, fault, n[0])
        n[0] = 0
        return False
    return True
