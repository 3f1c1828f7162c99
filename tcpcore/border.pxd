# What Engine's methods check their arguments with: bytes of arrays, integers, rows of segments.
#
# Invariant: nothing here looks at an engine. An address is read from an array's buffer and holds for as long
# as somebody holds the array and nobody reshapes it: it is read again after the last conversion.
from libc.stdint cimport uint64_t

from tcpcore.base.span cimport Span

cdef span_of(array, int flags, Span* span)
cdef apart(out, name, given, converted)
cdef rows_given(out)
cdef rows_read(segs)
cdef integer(value, name, low, high)
cdef time_of(now, name=*)
cdef is_handle(conns, uint64_t* handle)
cdef broadcast(n, dict fields, bint scalars_too=*)
cdef unicast(array, name)
