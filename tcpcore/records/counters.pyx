"""Names of every counter and cause; the numbers live in the engine."""


cdef _members(enum, sentinel):
    return [name for name, value in enum.__members__.items() if value < sentinel]


#: Counter names in the order of their index.
MIB_NAMES = tuple(_members(Mib, N_MIB))
#: Cause names in the order of their index; index 0, no cause, is left out of reports.
CAUSE_NAMES = tuple(name.removeprefix("Cause") for name in _members(Cause, N_CAUSES))
