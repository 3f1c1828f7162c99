"""The names of counters and causes, from the enums in counters.pxd.

The counts themselves are in the engine (`Engine.counters`, `Engine.causes`).
"""

from enum import IntEnum


cdef dict _members(enum, end):
    """The members of a C enum by name, without the one that says how many there are."""
    return {name: int(value) for name, value in enum.__members__.items() if value < end}


Cause = IntEnum("Cause", {
    "NONE" if name == "NoCause" else name.removeprefix("Cause"): value
    for name, value in _members(CauseCode, N_CAUSES).items()
}, module=__name__)
Cause.__doc__ = """Why a connection was refused or lost, the values of ``EVENT['cause']``.

NONE stands for neither; the other names are the keys of ``Engine.causes``.
"""

#: Counter names in the order of their index.
MIB_NAMES = tuple(_members(Mib, N_MIB))
#: Cause names in the order of their index; index 0, no cause, is left out of reports.
CAUSE_NAMES = tuple(Cause.__members__)
