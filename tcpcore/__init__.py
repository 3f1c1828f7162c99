"""A TCP connection-state engine in virtual time: RFC 9293 for millions of connections at once.

`Engine` runs them, `Config` has the knobs, SEGMENT arrays go in and out.
"""

from tcpcore.components.events import EVENT, EventKind
from tcpcore.config import Config
from tcpcore.engine import INFO, Engine
from tcpcore.records.segment import SEGMENT, Flag, Option, format_segments, segments
from tcpcore.records.tcb import BLOCK, State

__version__ = "0.1.0"

__all__ = [
    "BLOCK",
    "EVENT",
    "INFO",
    "SEGMENT",
    "Config",
    "Engine",
    "EventKind",
    "Flag",
    "Option",
    "State",
    "format_segments",
    "segments",
]
