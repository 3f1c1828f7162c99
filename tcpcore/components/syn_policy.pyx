"""The SYN-queue policies: admission, eviction, number of SYN-ACK resends, and FreeBSD's pause.

They decide and change nothing: entries are counted by listeners, ordered by syn_eviction, refused and ended
by the event loop. Table of policies and sources: syn_policy.pxd.
"""


from tcpcore.records.knobs cimport (
    ACCEPT_QUEUE_ONE_MORE, SYNQ_EVICT_OLDEST, SYNQ_EVICT_RANDOM, SYNQ_LINUX, SYNQ_SHORT_TIMER,
)

cdef enum:
    PRUNE_ABOVE = 8           # Linux: queues this short are never pruned
    PRUNED_RETRIES = 2        # Linux: no entry is dropped before this many
    BURST_NS = 256_000_000    # Linux, HZ=250: a slot of its timer wheel 4 to 16 s ahead, 64 jiffies
    PAUSE_S = 15              # FreeBSD: as long as a key of its cookies is used


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
    if pressure.accept_full and (knobs.accept_full_drops_syn == 1
                                 or (knobs.accept_full_drops_syn == 2 and pressure.young > 1)):
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


# ---- how often is a SYN-ACK resent?

cdef uint8_t pruned_linux(const Pressure* pressure, const Knobs* knobs) noexcept nogil:
    """Resends under Linux's pruning (reqsk_timer_handler, inet_connection_sock.c).

    In a queue more than half full, the threshold falls by one for each doubling of the young entries that
    still fits into the queue, down to two: the fewer young ones, the more of the queue is held by peers
    that do not answer, and the sooner these go."""
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


cdef uint64_t policy_burst(const Knobs* knobs, int64_t now) noexcept nogil:
    """The number of the burst in which an entry's timer fires, 0 none.

    The entries of one burst are judged by the queue as the first of them found it, less those that their
    timers have ended since. Linux's timer wheel is coarse where SYN-ACK timers are long: all entries of one
    slot fire at its end, one after the other, and no SYN comes between them to take a freed place. Our
    deadlines are exact, and under a flood each would be followed by a newcomer: the queue would look
    younger from entry to entry, and fewer entries would be pruned than the recordings of Linux show.
    """
    return <uint64_t>(now // BURST_NS) + 1 if knobs.synq_policy == SYNQ_LINUX else 0


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
    """Which eviction queues the policy needs: none unless it will ask for victims."""
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
    """No pause, and none that a first overflow would prolong."""
    pause.doublings = 0
    pause.until = -pause_length(pause)


cdef void pause_begin(Pause* pause, int64_t now) noexcept nogil:
    """15 s; twice the last one when that has been over for no longer than it took: the same attack."""
    if now < pause.until + pause_length(pause):
        pause.doublings += pause.doublings < MAX_DOUBLINGS
    else:
        pause.doublings = 0
    pause.until = now + pause_length(pause)
