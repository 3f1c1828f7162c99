"""EphemeralPorts: ports of a range under a rule, one search at a time. BoundPortCounts: who binds one."""

import numpy as np

cimport cython
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uintptr_t

from tcpcore.components.bound_ports cimport (
    BoundPorts, bound_add, bound_at, bound_bytes, bound_chosen, bound_count, bound_free, bound_place,
    bound_remove,
)
from tcpcore.components.ports cimport (
    PortRule, Ports, PortSearch, ports_begin, ports_bytes, ports_candidate, ports_check, ports_count,
    BAR_LISTENED, BAR_RESERVED, ports_after_silence, ports_bar, ports_bound, ports_free, ports_full,
    ports_given_up, ports_init, ports_left_out, ports_odd_full, ports_released, ports_speculate, ports_taken,
)


@cython.final
cdef class EphemeralPorts:
    """Ports `low` .. `high` under a rule (0 is Linux's, 1 to 5 RFC 6056's)."""

    cdef Ports ports

    def __cinit__(self, int rule, uint16_t low, uint16_t high, uint64_t k0=0, uint64_t k1=0):
        if not 0 <= rule <= 5 or not 1 <= low <= high:
            raise ValueError(f"rule, low, high: expected 0 .. 5, 1 <= low <= high, got {rule}, {low}, {high}")
        if not ports_init(&self.ports, <PortRule>rule, low, high, k0, k1):
            raise MemoryError("ports: no memory")

    def __dealloc__(self):
        ports_free(&self.ports)

    def begin(self, uint32_t laddr, uint32_t raddr, uint16_t rport, bint reuse=False, int64_t tick=0):
        """Start a search; False when it can find nothing."""
        cdef PortSearch* search = self.ports.searches
        search.laddr, search.raddr, search.rport = laddr, raddr, rport
        ports_speculate(&self.ports, 1)
        return ports_begin(&self.ports, search, reuse, tick)

    def candidates(self, n=None):
        """The first n candidates of the search (uint16), all when None."""
        out = np.empty(self.ports.size if n is None else min(n, self.ports.size), np.uint16)
        cdef uint16_t* port = <uint16_t*><uintptr_t>out.ctypes.data
        cdef uint32_t i
        for i in range(<uint32_t>out.size):
            port[i] = ports_candidate(&self.ports, self.ports.searches, i)
        return out

    def taken(self, uint32_t i):
        """Candidate i of the search is taken."""
        if i >= self.ports.size:
            raise ValueError(f"i: expected 0 .. {self.ports.size - 1}, got {i}")
        return ports_taken(&self.ports, self.ports.searches, i,
                           ports_candidate(&self.ports, self.ports.searches, i))

    def bar(self, uint16_t lport, bint reserved, bint on):
        """Give this port to nobody, or again; nobody may have it."""
        return ports_bar(&self.ports, lport, BAR_RESERVED if reserved else BAR_LISTENED, on)

    def left_out(self):
        """(the port that the search leaves out if its parity has that one left, else 0; others taken)."""
        return (ports_left_out(&self.ports, self.ports.searches, 0),
                ports_odd_full(&self.ports, self.ports.searches, 0))

    def bound(self, uint32_t laddr, uint32_t raddr, uint16_t rport, uint16_t lport):
        """A connection has this port without a search; whether it is counted."""
        return ports_bound(&self.ports, laddr, raddr, rport, lport)

    def after_silence(self, int64_t followed, int64_t tick):
        """The first call after days; `followed`: the tick of the one before."""
        ports_after_silence(&self.ports, followed, tick)

    def full(self, int64_t retry):
        """The search has failed; no counted port can be given up before tick `retry`."""
        ports_full(&self.ports, self.ports.searches, retry)

    def given_up(self, uint32_t laddr, uint32_t raddr, uint16_t rport, int64_t tick):
        """A counted port can be given up from this tick on."""
        ports_given_up(&self.ports, laddr, raddr, rport, tick)

    def released(self, uint32_t laddr, uint32_t raddr, uint16_t rport, uint16_t lport):
        if self.count(laddr, raddr, rport) == 0:
            raise ValueError("released: nothing is taken towards this destination")
        ports_released(&self.ports, laddr, raddr, rport, lport)

    def count(self, uint32_t laddr, uint32_t raddr, uint16_t rport):
        """Ports taken towards a destination."""
        return ports_count(&self.ports, laddr, raddr, rport)

    @property
    def first(self):
        """Candidates of the search before this one are known to be taken."""
        return self.ports.searches[0].first

    @property
    def size(self):
        """Ports the rule uses."""
        return self.ports.size

    @property
    def span(self):
        """Ports of the range that searches may give, barred ones included."""
        return self.ports.span

    @property
    def nbytes(self):
        return ports_bytes(&self.ports)

    def check(self):
        return ports_check(&self.ports)


@cython.final
cdef class BoundPortCounts:
    """How many connections bind each port of an address, and how many have it from a search."""

    cdef BoundPorts bound

    def __dealloc__(self):
        bound_free(&self.bound)

    def add(self, uint32_t laddr, uint16_t lport, bint chosen):
        bound_add(&self.bound, laddr, lport, chosen, lport & 1)

    def remove(self, uint32_t laddr, uint16_t lport, bint chosen):
        bound_remove(&self.bound, laddr, lport, chosen, lport & 1)

    def count(self, uint32_t laddr, uint16_t lport):
        """Connections that bind it; of port 0, ports of this address that are bound."""
        return bound_count(&self.bound, laddr, lport)

    def chosen(self, uint32_t laddr, uint16_t lport):
        """Connections that have it from a search; of port 0, odd ports of this address that are bound."""
        return bound_chosen(&self.bound, laddr, lport)

    @property
    def nbytes(self):
        return bound_bytes(&self.bound)

    def check(self):
        """Entries that cannot be found, or are not counted."""
        places = range(self.bound.ports.mask + 1 if self.nbytes else 0)
        used = [i for i in places if bound_at(&self.bound, i).bound + bound_at(&self.bound, i).chosen]
        return len(used) == self.bound.n and all(
            i == bound_place(&self.bound, bound_at(&self.bound, i).laddr, bound_at(&self.bound, i).lport)
            for i in used)
