"""The SYN-queue policies: admission, eviction, patience, and FreeBSD's pause.

Not where entries are counted (backlog) or ordered (synq), nor what becomes of a refused SYN (engine).
Sources: see policy.pxd.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memset

from tcpcore.records.knobs cimport (
    ACCEPT_QUEUE_ONE_MORE, SYNQ_DROP_NEW, SYNQ_EVICT_OLDEST, SYNQ_EVICT_RANDOM, SYNQ_LINUX,
    SYNQ_SHORT_TIMER,
)

cdef enum:
    PRUNE_ABOVE = 8           # Linux: queues this short are never pruned
    PRUNED_RETRIES = 2        # Linux: no entry dies before this many
    BURST_NS = 256_000_000    # Linux, HZ=250: a slot of its timer wheel 4 to 16 s ahead, 64 jiffies
    PAUSE_S = 15              # FreeBSD: as long as a key of its cookies is used
    MAX_DOUBLINGS = 6         # FreeBSD: 16 minutes


# ---- may a SYN have an entry?

cdef inline uint32_t unreserved(const Knobs* knobs) noexcept nogil:
    """Entries that a Linux listener without cookies has when it begins to refuse who is not proven: the first
    number that leaves less than a quarter of tcp_max_syn_backlog."""
    return knobs.tcp_max_syn_backlog - (knobs.tcp_max_syn_backlog >> 2) + 1


cdef Verdict admit_linux(const Pressure* pressure, const Knobs* knobs) noexcept nogil:
    """Cookies when the queue is full; without cookies its last quarter is kept for proven peers."""
    if pressure.half_open > pressure.backlog:
        return ADMIT_COOKIE if knobs.tcp_syncookies else REFUSE_QUEUE_FULL
    if not knobs.tcp_syncookies and not pressure.proven and pressure.half_open >= unreserved(knobs):
        return REFUSE_RESERVE
    return ADMIT


cdef Verdict admit_or(Verdict otherwise, const Pressure* pressure, const Knobs* knobs) noexcept nogil:
    """Cookies when the queue is full, and without cookies something else: drop-new (RFC 4987 3.2) and
    short-timer (3.3) refuse, evict-oldest (3.4) and evict-random find a victim."""
    if pressure.half_open <= pressure.backlog:
        return ADMIT
    return ADMIT_COOKIE if knobs.tcp_syncookies else otherwise


cdef Verdict admit_freebsd(const Pressure* pressure, const Knobs* knobs) noexcept nogil:
    """The bucket counts, not the backlog (RFC 4987 3.5). With cookies its overflow pauses the whole cache."""
    if pressure.paused:
        return ADMIT_COOKIE
    if not pressure.bucket_full:
        return ADMIT
    return PAUSE if knobs.tcp_syncookies else EVICT_OLDEST


cdef Verdict policy_admit(const Pressure* pressure, const Knobs* knobs) noexcept nogil:
    """What to do with a SYN."""
    if pressure.accept_full and knobs.accept_full_drops_syn:
        return REFUSE_ACCEPT_FULL
    if knobs.tcp_syncookies == 2:
        return ADMIT_COOKIE
    if knobs.synq_policy == SYNQ_LINUX:
        return admit_linux(pressure, knobs)
    if knobs.synq_policy == SYNQ_EVICT_OLDEST:
        return admit_or(EVICT_OLDEST, pressure, knobs)
    if knobs.synq_policy == SYNQ_EVICT_RANDOM:
        return admit_or(EVICT_RANDOM, pressure, knobs)
    if knobs.synq_policy == SYNQ_FREEBSD:
        return admit_freebsd(pressure, knobs)
    return admit_or(REFUSE_QUEUE_FULL, pressure, knobs)


# ---- how long may an entry stay?

cdef uint8_t pruned_linux(const Pressure* pressure, const Knobs* knobs) noexcept nogil:
    """More than half full: a retry less each time that the young, doubled again, fit; down to two."""
    cdef uint8_t retries = knobs.tcp_synack_retries
    cdef uint64_t queued = pressure.half_open, young = 2 * <uint64_t>pressure.young
    if 2 * queued > (pressure.backlog if pressure.backlog > PRUNE_ABOVE else PRUNE_ABOVE):
        while retries > PRUNED_RETRIES and queued >= young:
            retries -= 1
            young *= 2
    return retries


cdef uint8_t cut_short(const Pressure* pressure, const Knobs* knobs) noexcept nogil:
    """More than half full: as many retries as the free places are of that half, none when full
    (RFC 4987 3.3)."""
    cdef uint64_t room = <uint64_t>pressure.backlog + 1, queued = pressure.half_open
    if 2 * queued <= room:
        return knobs.tcp_synack_retries
    if queued >= room:
        return 0
    return <uint8_t>(knobs.tcp_synack_retries * 2 * (room - queued) // room)


cdef uint8_t policy_synack_retries(const Pressure* pressure, const Knobs* knobs) noexcept nogil:
    """How many SYN-ACK resends an entry of this listener may have, as of now; asked when its timer fires."""
    if knobs.synq_policy == SYNQ_LINUX:
        return pruned_linux(pressure, knobs)
    if knobs.synq_policy == SYNQ_SHORT_TIMER:
        return cut_short(pressure, knobs)
    return knobs.tcp_synack_retries


cdef uint32_t policy_burst(const Knobs* knobs, int64_t now) noexcept nogil:
    """The number of the burst in which an entry's timer fires, 0 none: the entries of one burst are judged by
    the queue as the first of them found it, less those that have gone by their timer since.

    Linux's wheel is coarse where SYN-ACK timers are long. All entries of one slot fire at its end, one after
    the other, and no SYN comes between them to take a freed place. Our deadlines are exact, and under a flood
    each would be followed by a newcomer: a queue of the old would look younger from entry to entry, and fewer
    would be pruned than were seen to be.
    """
    return <uint32_t>(now // BURST_NS) + 1 if knobs.synq_policy == SYNQ_LINUX else 0


# ---- what else a policy brings with it

cdef HalfOpenRoom policy_half_open_room(uint32_t backlog, uint32_t cache, const Knobs* knobs) noexcept nogil:
    """How many half-open entries policy_admit lets a listener with this backlog have, and what sets that.

    It is the number of entries at which a SYN is refused, answered by a cookie or let in by an eviction. A
    full accept queue refuses SYNs at any number of entries and is left out here, and so is a SYN that reopens
    a TIME-WAIT, which a full queue does not refuse. `cache`: entries that FreeBSD's buckets hold together.
    """
    cdef HalfOpenRoom room
    room.places = backlog + 1
    room.limit = ROOM_BACKLOG
    if knobs.tcp_syncookies == 2:
        room.places = 0
        room.limit = ROOM_COOKIES
    elif knobs.synq_policy == SYNQ_FREEBSD:
        room.places = cache
        room.limit = ROOM_SYNCACHE
    elif knobs.synq_policy == SYNQ_LINUX and not knobs.tcp_syncookies and unreserved(knobs) < room.places:
        room.places = unreserved(knobs)
        room.limit = ROOM_RESERVE
    return room


cdef uint32_t policy_accept_room(uint32_t limit, const Knobs* knobs) noexcept nogil:
    """How many connections may wait for accept() at a listener with this backlog; one may always."""
    if knobs.accept_queue_rule == ACCEPT_QUEUE_ONE_MORE:
        return limit + 1
    return limit + limit // 2 if limit else 1


cdef EvictionScope policy_eviction_scope(const Knobs* knobs) noexcept nogil:
    """Which order book it needs: none unless it will ask for victims."""
    if knobs.synq_policy == SYNQ_FREEBSD and knobs.tcp_syncookies != 2:
        return EVICT_PER_BUCKET
    if (knobs.synq_policy == SYNQ_EVICT_OLDEST or knobs.synq_policy == SYNQ_EVICT_RANDOM) and (
            not knobs.tcp_syncookies):
        return EVICT_PER_LISTENER
    return EVICT_NEVER


# ---- FreeBSD's pause

cdef inline int64_t pause_length(const Pause* pause) noexcept nogil:
    return <int64_t>PAUSE_S * 1_000_000_000 << pause.doublings


cdef void pause_init(Pause* pause) noexcept nogil:
    """There has been none lately."""
    pause.doublings = 0
    pause.until = -pause_length(pause)


cdef void pause_begin(Pause* pause, int64_t now) noexcept nogil:
    """15 s; twice the last one when that has been over for no longer than it took: the same attack."""
    if now < pause.until + pause_length(pause):
        pause.doublings += pause.doublings < MAX_DOUBLINGS
    else:
        pause.doublings = 0
    pause.until = now + pause_length(pause)


# ---- Python face: for tests

POLICIES = {
    "linux": SYNQ_LINUX, "drop-new": SYNQ_DROP_NEW, "evict-oldest": SYNQ_EVICT_OLDEST,
    "evict-random": SYNQ_EVICT_RANDOM, "short-timer": SYNQ_SHORT_TIMER, "freebsd": SYNQ_FREEBSD,
}


def verdict(policy, *, uint32_t backlog=0, uint32_t half_open=0, uint8_t tcp_syncookies=0,
            uint32_t tcp_max_syn_backlog=4096, bint accept_full=False, bint bucket_full=False,
            bint paused=False, bint proven=False, bint accept_full_drops_syn=True):
    """The `Verdict` number for a SYN."""
    cdef Knobs knobs
    cdef Pressure pressure
    memset(&knobs, 0, sizeof(Knobs))
    knobs.synq_policy = POLICIES[policy]
    knobs.accept_full_drops_syn = accept_full_drops_syn
    knobs.tcp_syncookies = tcp_syncookies
    knobs.tcp_max_syn_backlog = tcp_max_syn_backlog
    pressure.backlog = backlog
    pressure.half_open = half_open
    pressure.young = half_open
    pressure.accept_full = accept_full
    pressure.bucket_full = bucket_full
    pressure.paused = paused
    pressure.proven = proven
    return <int>policy_admit(&pressure, &knobs)


def synack_retries(policy, uint8_t retries, *, uint32_t backlog, uint32_t half_open, uint32_t young):
    """Resends an entry may have where ``tcp_synack_retries`` is `retries`."""
    cdef Knobs knobs
    cdef Pressure pressure
    memset(&knobs, 0, sizeof(Knobs))
    memset(&pressure, 0, sizeof(Pressure))
    knobs.synq_policy = POLICIES[policy]
    knobs.tcp_synack_retries = retries
    pressure.backlog = backlog
    pressure.half_open = half_open
    pressure.young = young
    return policy_synack_retries(&pressure, &knobs)


def accept_room(uint32_t limit, bint half_more):
    """How many may wait for accept() at a listener with this backlog."""
    cdef Knobs knobs
    memset(&knobs, 0, sizeof(Knobs))
    knobs.accept_queue_rule = half_more
    return policy_accept_room(limit, &knobs)


def pauses(overflows):
    """The pauses that begin at these times (ns, rising): when each is over. An overflow meanwhile is none."""
    cdef Pause pause
    cdef int64_t at
    cdef list ends = []
    pause_init(&pause)
    for when in overflows:
        at = when
        if at >= pause.until:
            pause_begin(&pause, at)
            ends.append(pause.until)
    return ends
