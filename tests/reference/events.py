"""Reference implementation of events: the queue as a list, and when a connection tells which."""

import numpy as np

from tcpcore import EVENT, Cause, EventKind, State

#: What one segment may have told of its connection, in this order.
EDGES = [EventKind.ESTABLISHED, EventKind.READABLE, EventKind.EOF, EventKind.WRITABLE, EventKind.TIME_WAIT]
REPEATING = {EventKind.READABLE, EventKind.WRITABLE}


class ReferenceEvents:
    def __init__(self, kinds, bound):
        self.kinds, self.bound = set(kinds), bound
        self.queue, self.lost = [], 0

    def tell(self, *event):
        if event[3] not in self.kinds:
            return
        if len(self.queue) < self.bound:
            self.queue.append(event)
        else:
            self.lost += 1

    def drain(self):
        drained, self.queue = self.queue, []
        return drained


class Telling:
    """A mixin of `ReferenceEngine`: what it tells of connections. Source: docs/semantics.md section 12.

    What one segment means to a connection is noted while it is judged and told afterwards, or at the end of
    the connection, in the order of EDGES. Needs `self.moment`: what time it is, or was when a timer expired.
    """

    def subscribe(self, names):
        self.queue = ReferenceEvents({EventKind[name.upper()] for name in names}, 1 << 20)
        self.repeats = set()              # (handle, kind) of this call, of those that may repeat

    def begin_call(self):
        self.repeats.clear()

    def note(self, conn, kind):
        conn.noted.add(kind)

    def tell_noted(self, conn):
        for kind in EDGES:
            if kind in conn.noted and (conn.handle, kind) not in self.repeats:
                self.tell(kind, conn)
                if kind in REPEATING:
                    self.repeats.add((conn.handle, kind))
        conn.noted.clear()

    def tell(self, kind, conn, cause=None):
        state = State.CLOSED if kind in (EventKind.CLOSED, EventKind.LOST) else conn.state
        self.queue.tell(conn.handle, self.moment, conn.listener, kind, Cause[cause] if cause else 0, state)

    def tell_refused(self, cause, listener):
        self.queue.tell(0, self.moment, listener, EventKind.REFUSED, Cause[cause], State.CLOSED)

    def events(self):
        return np.array(self.queue.drain(), EVENT)


def merged(events):
    """Events of several calls as one call would have told them: READABLE and WRITABLE once."""
    once, seen = [], set()
    for event in events:
        key = event[0], event[3]
        if event[3] not in REPEATING or key not in seen:
            once.append(event)
        seen.add(key)
    return once
