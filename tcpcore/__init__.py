"""A TCP connection-state engine in virtual time: RFC 9293 for millions of connections at once.

`Engine` runs them, `Config` has the knobs, SEGMENT arrays go in and out. The other names are the dtypes of
what the engine answers, the numbers in them (`State`, `Flag`, `Option`, `Cause`, `EventKind`), and functions
for arrays of segments and of handles. Compiled callers cimport this package, or include tcpcore.h out of
`get_include()`.
"""

import sys
from pathlib import Path
from typing import Final

try:
    from tcpcore.c_api import _C_API as _C_API
except ModuleNotFoundError:
    if not Path(__file__).parents[1].joinpath("setup.py").exists():
        raise
    raise ImportError(
        f"tcpcore in {Path(__file__).parents[1]} is not compiled for Python "
        f'{sys.version_info[0]}.{sys.version_info[1]}: run "make build" there, or start from another '
        "folder to use an installed one",
        name="tcpcore",
    ) from None
from tcpcore.c_api import engine_capsule
from tcpcore.components.events import EventKind
from tcpcore.config import Config
from tcpcore.engine import Engine
from tcpcore.group import EngineGroup
from tcpcore.records.counters import Cause
from tcpcore.records.handle import slots_of
from tcpcore.records.info import ROOM
from tcpcore.records.layouts import BLOCK, EVENT, INFO, OP, SEGMENT
from tcpcore.records.op import OpKind
from tcpcore.records.printing import format_segments
from tcpcore.records.segment import Flag, Option, join, segments
from tcpcore.records.tcb import State
from tcpcore.sysctl import SysctlLine, sysctl_lines

__version__ = "0.1.0"

__all__ = [
    "BLOCK",
    "EVENT",
    "INFO",
    "OP",
    "ROOM",
    "SEGMENT",
    "TIME_EXCEEDED",
    "Cause",
    "Config",
    "Engine",
    "EngineGroup",
    "EventKind",
    "Flag",
    "OpKind",
    "Option",
    "State",
    "SysctlLine",
    "engine_capsule",
    "format_segments",
    "get_include",
    "join",
    "segments",
    "slots_of",
    "sysctl_lines",
]


#: For `code` of `Engine.unreachable`: ICMP time exceeded in transit (RFC 792), 256 * type + code.
TIME_EXCEEDED: Final = 256 * 11


def get_include() -> str:
    """The folder of tcpcore.h, for the include path of a C or C++ compiler."""
    return str(Path(__file__).parent / "include")
