"""The path between the clients and the server: what becomes of a segment that was sent.

Delay, loss (independent, or in bursts by Gilbert and Elliott's two states), a second copy, jitter,
reordering and a late copy, each drawn for each segment from the stream of its direction whether or not it
applies (S5.1 to S5.3), so that one impairment does not move another's draws. A perfect link of constant
delay draws nothing.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from tcpcore cimport (
    ACK, ESTABLISHED, FIN, FIN_WAIT_1, FIN_WAIT_2, FourTuple, OPT_TS, RST, SYN, engine_close,
    engine_lookup,
)
from loadgen.sim.attempts cimport block_of, block_u4, client_host, collect
from loadgen.sim.draw cimport DRAWS_OF_SEGMENT, hit, draw_time, unit, word
from loadgen.sim.hosts cimport host_changed, host_timer
from loadgen.sim.inbox cimport inbox_add, inbox_add_many
from loadgen.sim.world cimport (
    BATCH, CLIENT, ENGINE_FAILED, FIRST_LAST_ACK, Host, K_ACK, K_DATA, K_FIN, K_LAST_ACK, K_RST, K_SYN,
    K_SYN_ACK, K_THIRD_ACK, Link, NO_MEMORY, NOBODY, SERVER,
)


cdef Kind kind_of(const Segment* seg, int answered) noexcept nogil:
    """S5.2. `answered`: the flags of the segment that it answers, -1 if it answers none."""
    if seg.flags & RST:
        return K_RST
    if seg.flags & SYN:
        return K_SYN_ACK if seg.flags & ACK else K_SYN
    if seg.flags & FIN:
        return K_FIN
    if seg.payload_len:
        return K_DATA
    if answered >= 0 and answered & SYN and answered & ACK:
        return K_THIRD_ACK
    if answered >= 0 and answered & FIN:
        return K_LAST_ACK
    return K_ACK


cdef inline uint32_t receiver_of(Sim* sim, int end, const Segment* seg) noexcept nogil:
    """The host that a segment of this end reaches, NOBODY if no host has the address."""
    cdef uint64_t key
    if end == CLIENT:
        if sim.servers == 1:
            return 0
        key = word(sim.spread_key, <uint64_t>seg.src << 32 | seg.dst)
        return <uint32_t>(word(key, <uint64_t>seg.sport << 16 | seg.dport) % sim.servers)
    return client_host(sim, seg.dst)


cdef inline void deliver(Sim* sim, uint32_t host, const Segment* seg, int64_t at) noexcept nogil:
    if not inbox_add(&sim.hosts[host].inbox, at, sim.link.order, seg):
        sim.failed = NO_MEMORY
    sim.link.order += 1
    if at < sim.hosts[host].key:
        host_changed(sim, host)


cdef void reflect(Sim* sim, const Segment* seg, int64_t now) noexcept nogil:
    """A host whose address was stolen answers what it gets from the server with RST (RFC 9293 3.10.7.1)."""
    cdef Segment rst = seg[0]
    cdef bint any = False
    cdef uint32_t i
    for i in range(sim.floods_n):
        any = any or seg.dst - sim.floods[i].nets[0] < sim.floods[i].reflect
    sim.link.backscatter += 1
    sim.link.backscatter_kind[<int>kind_of(seg, -1)] += 1
    if not any or seg.flags & RST:
        return
    rst.src, rst.dst = seg.dst, seg.src
    rst.sport, rst.dport = seg.dport, seg.sport
    rst.seq = seg.ack if seg.flags & ACK else 0
    rst.ack = 0 if seg.flags & ACK else seg.seq + seg.payload_len + (1 if seg.flags & SYN else 0)
    rst.flags = RST if seg.flags & ACK else RST | ACK
    rst.opts = 0
    rst.wnd = 0
    rst.payload_len = 0
    i = receiver_of(sim, CLIENT, &rst)
    deliver(sim, i, &rst, now + 2 * sim.link.half)


cdef void send_impaired(Sim* sim, int end, const Segment* seg, int64_t now, int answered) noexcept nogil:
    """One segment over a link that does more than delay it by a constant."""
    cdef Link* link = &sim.link
    cdef int kind = kind_of(seg, answered)
    cdef uint64_t i = link.sent[end] * DRAWS_OF_SEGMENT, key = link.keys[end]
    cdef int64_t delay = draw_time(&link.rtt, word(key, i), link.sent[end]) // 2
    cdef uint32_t host = receiver_of(sim, end, seg)
    cdef bint lost = hit(word(key, i + 1), link.loss[kind])
    cdef bint bad = link.bad[end]
    link.sent[end] += 1
    link.sent_kind[end][kind] += 1
    if link.burst_enter > 0.0:
        link.bad[end] = not hit(word(key, i + 6), link.burst_leave) if bad \
            else hit(word(key, i + 6), link.burst_enter)
        lost = lost or (link.bad[end] and hit(word(key, i + 7), link.burst_loss))
    if link.last_ack > 0.0 and kind == K_LAST_ACK and answered & FIRST_LAST_ACK:
        lost = lost or hit(word(link.last_ack_keys[end], link.last_acks[end]), link.last_ack)
        link.last_acks[end] += 1
    if lost or now < link.cut_until:
        link.lost_kind[end][kind] += 1
        return
    if host == NOBODY:
        reflect(sim, seg, now)
        return
    if link.jitter > 0:
        delay += <int64_t>(unit(word(key, i + 3)) * <double>link.jitter)
    if hit(word(key, i + 4), link.reorder):
        link.reordered += 1
        delay += link.reorder_after
    link.longest = delay if delay > link.longest else link.longest
    deliver(sim, host, seg, now + delay)
    if hit(word(key, i + 2), link.duplicate[kind]):
        link.duplicated += 1
        link.duplicated_of[end] += 1
        deliver(sim, host, seg, now + delay + link.duplicate_after)
    if hit(word(key, i + 5), link.late_share):
        link.late += 1
        deliver(sim, host, seg, now + link.late_after)


cdef void link_send(Sim* sim, int end, const Segment* segs, Py_ssize_t n, int64_t now,
                    int answered) noexcept nogil:
    """Send n segments, in order, at this time.

    answered: the flags of the one segment that they answer, -1 if there is none or it does not matter.
    """
    cdef Py_ssize_t i, first = 0
    cdef uint32_t host
    cdef int64_t at = now + sim.link.half
    if not sim.link.constant:
        for i in range(n):
            send_impaired(sim, end, &segs[i], now, answered)
        return
    sim.link.sent[end] += n
    while first < n:                                  # as many as go to one host
        host = receiver_of(sim, end, &segs[first])
        i = first + 1
        if host == NOBODY:
            reflect(sim, &segs[first], now)
        else:
            while i < n and receiver_of(sim, end, &segs[i]) == host:
                i += 1
            if not inbox_add_many(&sim.hosts[host].inbox, at, sim.link.order, &segs[first], i - first):
                sim.failed = NO_MEMORY
            sim.link.order += i - first
            if at < sim.hosts[host].key:
                host_changed(sim, host)
        first = i


cdef void link_emitted(Sim* sim, uint32_t host, Py_ssize_t n) noexcept nogil:
    """A call on a host's engine wrote n rows to sim.out, or gave a code: send them, and look at its timer."""
    if n < 0:
        sim.failed = ENGINE_FAILED
        return
    link_send(sim, sim.hosts[host].end, sim.out, n, sim.now, -1)
    host_timer(sim, host)


cdef void closes_flush(Sim* sim) noexcept nogil:
    """Make the closes that were put together: one call for those of one host."""
    cdef Py_ssize_t n = sim.closing_n
    if n > 0:
        sim.closing_n = 0
        link_emitted(sim, sim.closing_host, engine_close(
            sim.hosts[sim.closing_host].engine, sim.closing, n, sim.now, sim.out, 2 * BATCH))
        collect(sim, sim.closing_host)                # what it has ended is out of its port


cdef void close_later(Sim* sim, uint32_t host, uint64_t conn) noexcept nogil:
    """close() at this instant, after those asked for before."""
    if sim.closing_n == sim.batch or (sim.closing_n > 0 and sim.closing_host != host):
        closes_flush(sim)
    sim.closing_host = host
    sim.closing[sim.closing_n] = conn
    sim.closing_n += 1


cdef void link_old(Sim* sim, uint32_t number, const Segment* seg) noexcept nogil:
    """Text is about to reach a host: count it if it is of an older connection than the one that is there.

    It is the present one's if it lies in what that one's peer has sent. By its numbers it can be taken if it
    is in the window and its ACK is acceptable (RFC 5961 5); with timestamps PAWS drops it (RFC 7323 5).
    """
    cdef Host* host = &sim.hosts[number]
    cdef Segment back = seg[0]
    cdef FourTuple here, there
    cdef uint64_t mine = 0, theirs = 0
    cdef const uint8_t* block
    cdef const uint8_t* peer
    cdef uint32_t other, first, una, reach, ack
    back.src, back.dst, back.sport, back.dport = seg.dst, seg.src, seg.dport, seg.sport
    other = receiver_of(sim, host.end, &back)
    if other == NOBODY:
        return
    here.raddr, here.laddr, here.rport, here.lport = seg.src, seg.dst, seg.sport, seg.dport
    there.raddr, there.laddr, there.rport, there.lport = seg.dst, seg.src, seg.dport, seg.sport
    engine_lookup(host.engine, &here, 1, &mine)
    engine_lookup(sim.hosts[other].engine, &there, 1, &theirs)
    if mine == 0 or theirs == 0:
        return
    block, peer = block_of(host, mine), block_of(&sim.hosts[other], theirs)
    first = block_u4(peer, sim.at_iss) + 1
    if seg.seq - first < block_u4(peer, sim.at_snd_nxt) - first:
        return
    if block[sim.at_state] not in (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2):
        return
    sim.link.old_reached += 1
    una = block_u4(block, sim.at_snd_una)
    reach = una - block_u4(block, sim.at_iss) - (host.end == SERVER)
    reach = min(reach, block_u4(block, sim.at_snd_wnd))
    if sim.link.any_old_ack[host.end]:
        reach = 1 << 31
    ack = seg.ack - una + reach
    if (not seg.opts & OPT_TS
            and <uint32_t>(seg.seq + seg.payload_len - 1 - block_u4(block, sim.at_rcv_nxt))
            < <uint64_t>sim.link.windows[host.end]
            and ack <= <uint32_t>(block_u4(block, sim.at_snd_nxt) - una + reach)):
        sim.link.old_accepted += 1


cdef void link_spoofed(Sim* sim, const Segment* seg) noexcept nogil:
    """A segment of a flood arrives: its rate is that at the server, so no link is in between."""
    deliver(sim, receiver_of(sim, CLIENT, seg), seg, sim.now)
