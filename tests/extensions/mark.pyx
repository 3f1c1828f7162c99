"""An engine's busy mark, set and taken away as another thread would at the worst moment."""

from tcpcore.loops.guard cimport ENTERED, guard_enter_now, guard_leave
from tcpcore.engine cimport state_of


def hold(engine):
    """Mark it busy. Whether it was free."""
    return guard_enter_now(state_of(engine)) == ENTERED


def free(engine):
    """Take the mark away."""
    guard_leave(state_of(engine))
