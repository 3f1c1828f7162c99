# What becomes of a SYN when half-open entries fill a host, and how often a SYN-ACK may be sent
# again: the policies of RFC 4987 3, a small function for each question and policy. It sees
# numbers only; listeners, the order book of entries and the entries are other organs'.
#
#   policy         no room, cookies off     no room, cookies on    resends of an entry
#   linux          refuse                   cookie                 fewer above half, two at least
#   drop-new       refuse                   cookie                 tcp_synack_retries
#   evict-oldest   the oldest goes          cookie                 tcp_synack_retries
#   evict-random   any one goes             cookie                 tcp_synack_retries
#   short-timer    refuse                   cookie                 fewer above half, none when full
#   freebsd        bucket's oldest goes     cookies only, paused   tcp_synack_retries
#
# No room: B + 1 entries of a listener with backlog B; under freebsd a bucket with 30, whosever.
# linux asks for fewer by the counts that a burst of timers found, see policy_burst.
# tcp_syncookies=2 keeps no entry under any policy. A full accept queue refuses before all this.
# Another policy is a name in SynqPolicy and sysctl, a line here, and a branch where it differs.
# Sources: RFC 4987 3; recordings of Linux 6.18; the published behaviour of FreeBSD 14.
from libc.stdint cimport int64_t, uint8_t, uint32_t

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
    # who stands in one queue of the order book
    EVICT_NEVER = 0             # nobody: this policy never asks for a victim
    EVICT_PER_LISTENER = 1        # a listener's entries
    EVICT_PER_BUCKET = 2          # those that a keyed hash puts together

cdef struct Pressure:
    # what a policy may want to know
    uint32_t backlog          # effective
    uint32_t half_open        # entries of this listener
    uint32_t young            # of those: SYN-ACK never resent
    bint accept_full
    bint bucket_full          # asked of the book where it has buckets
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

cdef struct Pause:
    int64_t until             # ns
    uint32_t doublings        # of the last pause

cdef Verdict policy_admit(const Pressure* pressure, const Knobs* knobs) noexcept nogil
cdef uint8_t policy_synack_retries(const Pressure* pressure, const Knobs* knobs) noexcept nogil
cdef uint32_t policy_burst(const Knobs* knobs, int64_t now) noexcept nogil
cdef HalfOpenRoom policy_half_open_room(uint32_t backlog, uint32_t cache, const Knobs* knobs) noexcept nogil
cdef uint32_t policy_accept_room(uint32_t limit, const Knobs* knobs) noexcept nogil
cdef EvictionScope policy_eviction_scope(const Knobs* knobs) noexcept nogil

cdef void pause_init(Pause* pause) noexcept nogil
cdef void pause_begin(Pause* pause, int64_t now) noexcept nogil


cdef inline bint policy_has_room(const Knobs* knobs) noexcept nogil:
    """Where there is no order book, a queue that is not full admits, whatever else it looks like."""
    return knobs.tcp_syncookies == 1


cdef inline bint policy_pauses(const Knobs* knobs) noexcept nogil:
    """Entries may be dropped all at once, and are to come back as cookies."""
    return knobs.synq_policy == SYNQ_FREEBSD and knobs.tcp_syncookies == 1
