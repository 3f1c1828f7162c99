"""Batches divided among several engines by the keyed hash of the 4-tuple, and their answers put together.

It knows no TCP: what a row means is its member's business. A round divides up to ROUND_ROWS rows in four
steps, each of independent items that threads may take: hash and count a part, copy a part to the members, run
a member, copy the answers of a part. Invariant: a member sees its rows in the order of the batch, and each
row's answers are where they would be if rows were handled one by one.
"""

from tcpcore.base.siphash cimport derive_key, siphash13_tuple
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, siphash13_many, tuple_first, tuple_last
from tcpcore.base.workers cimport workers_free, workers_init, workers_run
from tcpcore.components.events cimport events_begin_call
from tcpcore.loops.advance cimport advance_to
from tcpcore.loops.receive cimport receive_marked

cdef enum:
    SERIAL_ROWS = 256         # fewer rows than these are not worth a thread
    KEY_SPREAD = 64           # purpose of derive_key; those of an engine are lower

cdef struct Round:
    # what the items of one round share
    Spread* group
    const Segment* segs
    uint32_t n
    uint32_t parts
    int64_t now
    Segment* rows
    Py_ssize_t share          # of an advance: rows that each member may write


cdef void spread_init(Spread* group, uint64_t seed, int threads) noexcept nogil:
    """Prepare to divide among group.n members with up to `threads` threads, the caller's among them."""
    group.k0 = derive_key(seed, KEY_SPREAD)
    group.k1 = derive_key(seed, KEY_SPREAD + 1)
    workers_init(&group.workers, threads)


cdef void spread_free(Spread* group) noexcept nogil:
    """End the threads."""
    workers_free(&group.workers)


cdef inline uint32_t member_of(const Spread* group, uint64_t hash) noexcept nogil:
    """Member that a hash falls to: its upper half, scaled."""
    return <uint32_t>((hash >> 32) * group.n >> 32)


cdef uint32_t spread_member(const Spread* group, uint32_t raddr, uint16_t rport, uint32_t laddr,
                            uint16_t lport) noexcept nogil:
    """Member that a 4-tuple belongs to."""
    return member_of(group, siphash13_tuple(group.k0, group.k1, raddr, rport, laddr, lport))


# ---- one round of receive

cdef inline uint32_t part_end(const Round* round, uint32_t part) noexcept nogil:
    return min((part + 1) * PART_ROWS, round.n)


cdef void hash_part(void* argument, Py_ssize_t part) noexcept nogil:
    """Find the member of each row of a part, and count them by member."""
    cdef Round* round = <Round*>argument
    cdef Spread* group = round.group
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef uint64_t hashes[SIPHASH_BATCH]
    cdef uint32_t counts[MAX_MEMBERS]
    cdef uint32_t at = part * PART_ROWS, end = part_end(round, part), i, m, some
    cdef const Segment* seg
    for m in range(group.n):
        counts[m] = 0
    while at < end:
        some = min(end - at, <uint32_t>SIPHASH_BATCH)
        for i in range(some):
            seg = &round.segs[at + i]
            first[i] = tuple_first(seg.src, seg.dst)
            last[i] = tuple_last(seg.sport, seg.dport)
        siphash13_many(group.k0, group.k1, first, last, hashes, some)
        for i in range(some):
            m = member_of(group, hashes[i])
            group.member[at + i] = <uint16_t>m
            counts[m] += 1
        at += some
    for m in range(group.n):
        group.start[m * round.parts + part] = counts[m]


cdef void place_parts(Round* round) noexcept nogil:
    """Make places of the counts: member after member, and in each the parts in order."""
    cdef Spread* group = round.group
    cdef uint32_t i, count, places = 0
    for i in range(group.n * round.parts):
        count = group.start[i]
        group.start[i] = places
        places += count
    group.start[group.n * round.parts] = places


cdef void copy_part(void* argument, Py_ssize_t part) noexcept nogil:
    """Copy each row of a part to its place."""
    cdef Round* round = <Round*>argument
    cdef Spread* group = round.group
    cdef uint32_t next[MAX_MEMBERS]
    cdef uint32_t i, m
    for m in range(group.n):
        next[m] = group.start[m * round.parts + part]
    for i in range(part * PART_ROWS, part_end(round, part)):
        m = group.member[i]
        group.place[i] = <uint16_t>next[m]
        group.divided[next[m]] = round.segs[i]
        next[m] += 1


cdef void run_member(void* argument, Py_ssize_t m) noexcept nogil:
    """Let a member receive its rows, and count the answers of each part."""
    cdef Round* round = <Round*>argument
    cdef Spread* group = round.group
    cdef uint32_t* start = &group.start[m * round.parts]
    cdef uint32_t first = start[0], end = start[round.parts], part, place, count
    receive_marked(group.members[m], group.divided + first, end - first, round.now,
                   group.answers + 2 * first, group.marks + first)
    for part in range(round.parts):
        count = 0
        for place in range(start[part], start[part + 1]):
            count += group.marks[place]
        group.answered[m * round.parts + part] = count


cdef uint32_t place_answers(Round* round) noexcept nogil:
    """Find where the answers of each part go, and where those of each member to it are. Returns their sum."""
    cdef Spread* group = round.group
    cdef uint32_t part, m, read, total = 0
    for part in range(round.parts):
        group.written[part] = total
        for m in range(group.n):
            total += group.answered[m * round.parts + part]
    for m in range(group.n):
        read = 2 * group.start[m * round.parts]
        for part in range(round.parts):
            group.start[m * round.parts + part] = read
            read += group.answered[m * round.parts + part]
    return total


cdef void merge_part(void* argument, Py_ssize_t part) noexcept nogil:
    """Copy the answers of each row of a part, in the order of the rows."""
    cdef Round* round = <Round*>argument
    cdef Spread* group = round.group
    cdef uint32_t next[MAX_MEMBERS]
    cdef Segment* row = round.rows + group.written[part]
    cdef uint32_t i, m, count
    for m in range(group.n):
        next[m] = group.start[m * round.parts + part]
    for i in range(part * PART_ROWS, part_end(round, part)):
        count = group.marks[group.place[i]]
        m = group.member[i]
        while count:
            row[0] = group.answers[next[m]]
            next[m] += 1
            row += 1
            count -= 1


cdef uint32_t receive_round(Round* round) noexcept nogil:
    """Receive the rows of one round. Returns the rows written."""
    cdef Workers* workers = &round.group.workers
    cdef uint32_t written
    workers_run(workers, hash_part, round, round.parts)
    place_parts(round)
    workers_run(workers, copy_part, round, round.parts)
    workers_run(workers, run_member, round, round.group.n)
    written = place_answers(round)
    workers_run(workers, merge_part, round, round.parts)
    return written


cdef Py_ssize_t spread_receive(Spread* group, const Segment* segs, Py_ssize_t n, int64_t now,
                               Segment* rows) noexcept nogil:
    """SEGMENT ARRIVES for each in order; rows has room for 2 n. Returns the rows written."""
    cdef Round round
    cdef Py_ssize_t i, done = 0, written = 0
    cdef uint32_t m
    cdef uint8_t mark
    for m in range(group.n):
        events_begin_call(&group.members[m].events)
    if n <= SERIAL_ROWS:
        for i in range(n):
            written += receive_marked(
                group.members[spread_member(group, segs[i].src, segs[i].sport, segs[i].dst, segs[i].dport)],
                segs + i, 1, now, rows + written, &mark)
        return written
    round.group = group
    round.now = now
    while done < n:
        round.segs = segs + done
        round.n = <uint32_t>min(n - done, <Py_ssize_t>ROUND_ROWS)
        round.parts = (round.n + PART_ROWS - 1) // PART_ROWS
        round.rows = rows + written
        written += receive_round(&round)
        done += round.n
    return written


# ---- advance

cdef void advance_member(void* argument, Py_ssize_t m) noexcept nogil:
    """Let a member fire what is due, up to its share of rows."""
    cdef Round* round = <Round*>argument
    round.group.start[m] = <uint32_t>advance_to(round.group.members[m], round.now,
                                                round.group.answers + m * round.share, round.share)


cdef Py_ssize_t spread_advance(Spread* group, int64_t now, Segment* rows, Py_ssize_t room) noexcept nogil:
    """Fire what is due at or before now, while `rows` has room. Returns the rows written.

    Members take turns: each writes at most as many rows as all can, until none has more.
    """
    cdef Round round
    cdef Py_ssize_t written = 0, i
    cdef uint32_t m
    cdef bint more = True
    round.group = group
    round.now = now
    while more and room - written >= group.n:
        round.share = min(room - written, <Py_ssize_t>(2 * ROUND_ROWS)) // group.n
        workers_run(&group.workers, advance_member, &round, group.n)
        more = False
        for m in range(group.n):
            for i in range(group.start[m]):
                rows[written + i] = group.answers[m * round.share + i]
            written += group.start[m]
            more = more or group.start[m] == round.share
    for m in range(group.n):
        if more and written < room:
            written += advance_to(group.members[m], now, rows + written, room - written)
    return written
