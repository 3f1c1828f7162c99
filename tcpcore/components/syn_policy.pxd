# What becomes of a SYN when half-open entries fill a host, and how often a SYN-ACK may be sent again: the
# policies of RFC 4987 3, a small function for each question and policy. It sees numbers only: entries are
# counted by listeners, ordered by syn_eviction and ended by the event loop.
#
#   policy         no room, cookies off     no room, cookies on    resends of an entry
#   linux          refuse                   cookie                 fewer above half, two at least
#   drop-new       refuse                   cookie                 tcp_synack_retries
#   evict-oldest   the oldest goes          cookie                 tcp_synack_retries
#   evict-random   a random one             cookie                 tcp_synack_retries
#   short-timer    refuse                   cookie                 fewer above half, none when full
#   freebsd        bucket's oldest goes     cookies only, paused   tcp_synack_retries
#
# No room: B + 1 entries of a listener with backlog B; under freebsd a bucket with 30 entries of any
# listeners. linux resends less often by the counts that a burst of timers found, see policy_burst.
# tcp_syncookies=2 keeps no entry under any policy. A full accept queue refuses before all this. Another
# policy is a name in SynqPolicy and sysctl, a line here, and a branch where it differs.
# Sources: RFC 4987 3; recordings of Linux 6.18; the published behaviour of FreeBSD 14.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from tcpcore.records.knobs cimport SYNQ_FREEBSD, Knobs

cdef enum Verdict:
    ADMIT = 0                 # keep a half-open entry
    ADMIT_COOKIE = 1          # answer, and keep nothing
    REFUSE_ACCEPT_FULL = 2
    REFUSE_QUEUE_FULL = 3
    REFUSE_RESERVE = 4        # Linux: the last quarter is for proven peers
    EVICT_OLDEST = 5          # end the oldest entry, then keep this one
    EVICT_RANDOM = 6
    PAUSE = 7                 # FreeBSD: end all, and answer this one and those to come by cookies

cdef enum EvictionScope:
    # which entries share an eviction queue
    EVICT_NEVER = 0           # there is none: this policy never asks for a victim
    EVICT_PER_LISTENER = 1    # those of a listener
    EVICT_PER_BUCKET = 2      # those that a keyed hash puts together

cdef struct Pressure:
    # what a policy may want to know
    uint32_t backlog          # effective
    uint32_t half_open        # entries of this listener
    uint32_t young            # of those: SYN-ACK never resent
    bint accept_full
    bint bucket_full          # EVICT_PER_BUCKET: the bucket of this peer
    bint paused
    bint proven               # this peer has completed a connection before

cdef enum RoomLimit:
    # what decides how many half-open entries a listener may have
    ROOM_BACKLOG = 0
    ROOM_RESERVE = 1          # Linux without cookies: tcp_max_syn_backlog, its last quarter left out
    ROOM_SYNCACHE = 2         # FreeBSD: a cache for all listeners
    ROOM_COOKIES = 3          # tcp_syncookies=2: there are no entries

cdef struct HalfOpenRoom:
    uint32_t places           # so many half-open entries, at most
    RoomLimit limit

cdef enum:
    MAX_DOUBLINGS = 6         # FreeBSD: 16 minutes

cdef struct Pause:
    int64_t until             # ns
    uint32_t doublings        # of the last pause

cdef Verdict policy_admit(const Pressure* pressure, const Knobs* knobs) noexcept nogil
cdef uint8_t policy_synack_retries(const Pressure* pressure, const Knobs* knobs) noexcept nogil
cdef uint64_t policy_burst(const Knobs* knobs, int64_t now) noexcept nogil
cdef HalfOpenRoom policy_half_open_room(uint32_t backlog, uint32_t cache, const Knobs* knobs) noexcept nogil
cdef uint32_t policy_accept_room(uint32_t limit, const Knobs* knobs) noexcept nogil
cdef EvictionScope policy_eviction_scope(const Knobs* knobs) noexcept nogil

cdef void pause_init(Pause* pause) noexcept nogil
cdef void pause_begin(Pause* pause, int64_t now) noexcept nogil


cdef inline bint policy_has_room(const Knobs* knobs) noexcept nogil:
    """A listener's queue that is not full admits every SYN, whatever the rest of the pressure.

    Asked where there are no eviction queues."""
    return knobs.tcp_syncookies == 1


cdef inline bint policy_refuses(const Knobs* knobs) noexcept nogil:
    """A listener's queue that is full refuses every SYN, as long as the accept queue is not.

    Asked where there are no eviction queues."""
    return knobs.tcp_syncookies == 0


cdef inline bint policy_pauses(const Knobs* knobs) noexcept nogil:
    """An overflow drops all entries at once and begins a pause, in which SYNs are answered by cookies."""
    return knobs.synq_policy == SYNQ_FREEBSD and knobs.tcp_syncookies == 1
