# The attempt behind a connection of the server: that of the client whose 4-tuple is the other way round.
#
# What clients send on connecting mostly arrives in the order in which they connected: so the next is tried
# first, and its TCB says whether it is the one. If not it is looked up in the client's engine, which finds
# the same and takes three cache misses.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from tcpcore cimport FourTuple, engine_lookup
from loadgen.sim.attempts cimport (
    block_lives, block_of, block_u2, block_u4, client_attempt, client_host, slot_of,
)
from loadgen.sim.world cimport NOBODY, Attempt, Sim


cdef inline void connected_next(Sim* sim, uint32_t i) noexcept nogil:
    """The client of this attempt has connected."""
    if sim.newest != 0:
        sim.attempts[sim.newest - 1].next = i + 1
    sim.newest = i + 1


cdef inline bint is_peer(const Sim* sim, uint32_t i, const uint8_t* block) noexcept nogil:
    """The client's end of this attempt lives and is the other end of the server's connection."""
    cdef const Attempt* a = &sim.attempts[i]
    cdef const uint8_t* other
    if a.client == 0 or sim.hosts[a.client_host].attempt_of[slot_of(a.client)] != i + 1:
        return False
    other = block_of(&sim.hosts[a.client_host], a.client)
    return (block_lives(other, sim, a.client)
            and block_u4(other, sim.at_laddr) == block_u4(block, sim.at_raddr)
            and block_u4(other, sim.at_raddr) == block_u4(block, sim.at_laddr)
            and block_u2(other, sim.at_lport) == block_u2(block, sim.at_rport)
            and block_u2(other, sim.at_rport) == block_u2(block, sim.at_lport))


cdef inline uint32_t peer_of(Sim* sim, const uint8_t* block) noexcept nogil:
    """The attempt behind the connection of the server with this block, NOBODY if there is none."""
    cdef FourTuple four
    cdef uint64_t client = 0
    cdef uint32_t number, next = sim.attempts[sim.found - 1].next if sim.found != 0 else 0
    if next != 0 and is_peer(sim, next - 1, block):
        return next - 1
    four.raddr, four.laddr = block_u4(block, sim.at_laddr), block_u4(block, sim.at_raddr)
    four.rport, four.lport = block_u2(block, sim.at_lport), block_u2(block, sim.at_rport)
    number = client_host(sim, four.laddr)
    if number == NOBODY or engine_lookup(sim.hosts[number].engine, &four, 1, &client) < 1 or client == 0:
        return <uint32_t>NOBODY
    return client_attempt(sim, number, client)
