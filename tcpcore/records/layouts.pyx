"""The numpy dtypes of the records: each derived from its C struct, so that a layout is written down once.

numpy reads the fields from a typed memoryview over one struct. All of them are made in this module, because
each module with such a memoryview carries 75 kB of Cython's code for it. Modules that say what a record means
give it to their callers under the same name.
"""

from tcpcore.records.event cimport Event
from tcpcore.records.info cimport Info
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.op cimport Op
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Cold, Liveness, Tcb, Timestamps

import numpy as np

from tcpcore.records.dtypes import struct_dtype

assert sizeof(Segment) == 40 and sizeof(Op) == 72 and sizeof(Event) == 24
assert sizeof(Tcb) == 64 and sizeof(Cold) == 64 and sizeof(Timestamps) == 16 and sizeof(Liveness) == 40

cdef Segment _segment
cdef Op _op
cdef Tcb _tcb
cdef Cold _cold
cdef Info _info
cdef Event _event
cdef Knobs _knobs

#: One segment, 40 bytes, host byte order, padding left out of the fields.
SEGMENT = struct_dtype(<Segment[:1]>&_segment, sizeof(Segment))

#: One row of ``Engine.play``, 72 bytes: ``at`` in ns, ``kind`` as in OpKind, ``conn`` a handle (ACCEPT: a
#: listener id), ``arg`` bytes (SEND, RECV), ``seg`` a SEGMENT (CONNECT: its dst, dport, src, sport); the call
#: writes ``result``.
OP = struct_dtype(<Op[:1]>&_op, sizeof(Op), seg=SEGMENT)

#: One connection, 64 bytes. Addresses and ports are host-order integers; ``deadline`` counts ticks of
#: 1 ms (``tick_ns`` = 1_000_000): the low 32 bits of the absolute tick, meaningful while ``timer`` is not 0;
#: ``snd_wnd`` is scaled (bytes); ``rtt`` is the first round trip in ticks, 0 when it could not be measured.
BLOCK = struct_dtype(<Tcb[:1]>&_tcb, sizeof(Tcb))

#: The cold line of a TCB, 64 bytes, valid while the TCB has B_COLD. Internal.
COLD = struct_dtype(<Cold[:1]>&_cold, sizeof(Cold))

#: One connection as ``Engine.info`` sees it: ``state`` as in State, ``error`` an errno, 0 for none;
#: ``deadline`` is that of the next timer in absolute ns, 0 for none; ``unread`` in bytes.
INFO = struct_dtype(<Info[:1]>&_info, sizeof(Info))

#: One event, 24 bytes: ``conn`` is the handle, ``at`` ns of virtual time, padding left out of the fields.
EVENT = struct_dtype(<Event[:1]>&_event, sizeof(Event))

#: The struct `Knobs` as a numpy dtype, spare fields included.
KNOBS = np.asarray(<Knobs[:1]>&_knobs).dtype
assert KNOBS.itemsize == sizeof(Knobs)
