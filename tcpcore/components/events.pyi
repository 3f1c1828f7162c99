from collections.abc import Iterable
from enum import IntEnum

from tcpcore.records.layouts import EVENT as EVENT

class EventKind(IntEnum):
    OPENED = 1
    ESTABLISHED = 2
    ACCEPTED = 3
    CLOSED = 4
    LOST = 5
    REFUSED = 6
    TIME_WAIT = 7
    READABLE = 8
    EOF = 9
    WRITABLE = 10

def event_mask(kinds: Iterable[str]) -> int: ...
