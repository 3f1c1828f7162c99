# Everything a run consists of: hosts, loads, attempts, accept loops, floods, the link, and what is recorded.
#
# Plain structs that `loop`, `clients`, `server` and `link` work on without the GIL; `simulator` owns them.
# All times are ns. Names are those of docs/simulation.md, whose rules (S1.1 ...) the modules quote.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tcpcore cimport ConnectRow, Event, Segment, tcp_engine
from loadgen.sim.draw cimport Family
from loadgen.sim.fill cimport Fill, Total
from loadgen.sim.histogram cimport Histo
from loadgen.sim.inbox cimport Inbox
from loadgen.sim.queue cimport Queue

cdef enum:
    KINDS = 8
    BATCH = 4096              # most rows of one engine call
    SERVER = 0                # directions of the link, and ends: the number of the end that sends
    CLIENT = 1
    CAUSES = 64
    NOBODY = 0xFFFFFFFF
    LOOKS = 256               # new entries of a window whose source is kept
    HALF = 0x80000000         # in attempt_of: the slot has a half-open entry (server)
    RESTS = 0x40000000         # in attempt_of: all that is kept is the other end's slot, in the bits below
    FIRST_LAST_ACK = 0x100    # beside flags: the FIN came to an end that had sent its own and waited for it

cdef enum Kind:
    K_SYN
    K_SYN_ACK
    K_THIRD_ACK
    K_DATA
    K_ACK
    K_FIN
    K_LAST_ACK
    K_RST

# One engine. Those of the server come first.
cdef struct Host:
    tcp_engine* engine
    const uint8_t* blocks     # Engine.blocks, rows of BLOCK
    uint32_t* attempt_of      # [capacity] 1 + the attempt in each slot, or a connection at rest, and HALF
    uint32_t* listener_of     # [listener id] accept loop (server)
    Inbox inbox
    Event* heard              # events of this round that the applications have not heard of yet
    size_t heard_n
    size_t heard_allocated
    int64_t timer             # when the next timer may be due, INT64_MAX if none
    int64_t key               # the earlier of that and the inbox: place in the heap of hosts
    uint32_t place
    uint8_t end               # SERVER or CLIENT

# What an attempt has come to.
cdef enum Flags:
    F_CONNECTED = 1           # connect() returned
    F_SERVED = 2
    F_CLIENT_DONE = 4         # the client's application has let go of it
    F_SERVER_DONE = 8         # and the server's
    F_ACCEPTED = 16
    F_REFUSED = 32            # how it ended for the client, one of these or none
    F_RESET = 64
    F_GAVE_UP = 128
    F_SERVER_CLOSES = 256
    F_CLIENT_RESETS = 512
    F_LATE = 1024             # connect() took longer than one initial RTO
    F_DUE = 2048              # connected + hold is over
    F_STRANGER = 4096         # the server's connection of no attempt
    F_BOTH_CLOSE = 8192       # at the same moment
    F_HALF = 16384            # who closes first shuts down its side only
    F_SHUT = 32768            # and has done so
    F_OLD = 65536             # took text that its client has not sent

cdef struct Attempt:
    uint64_t client           # handle of the current try, 0: none
    uint64_t server           # handle, 0: the server has none
    uint64_t number           # in its load
    int64_t begun
    int64_t connected
    int64_t established       # on the server
    int64_t touched           # last time that either application sent or read
    uint32_t client_host
    uint32_t server_host
    uint32_t addr             # the client's
    uint32_t stamp            # grows whenever the place is given to another
    uint32_t client_start     # sequence number of the first byte that each side may send
    uint32_t server_start
    uint32_t sent             # requests sent
    uint32_t heard            # requests read by the server
    uint32_t said             # responses sent
    uint32_t answered         # responses read by the client
    uint32_t flags
    uint32_t next             # 1 + the attempt whose client connected next, or by now another; 0: none has
    uint16_t load
    uint16_t destination
    uint16_t tries
    uint16_t cause            # of a refusal
    uint16_t reset_by         # 1 + the Reset after which its client reconnects, 0: none

# A reset-all whose clients reconnect (S9.4).
cdef struct Reset:
    int64_t at
    int64_t within
    uint64_t key              # of its draws

cdef struct Point:
    double at                 # ns
    double rate               # per ns
    double area               # connections until here

# What has become of some of a load's connections.
cdef struct Tally:
    uint64_t attempted, connected, served, ghost, gave_up, reset, pending, refused, first_try
    uint64_t tried, requests_done
    uint64_t in_flight        # of `pending`: connected
    uint64_t refused_by[CAUSES]

cdef struct Load:
    uint64_t arrivals         # keys of streams
    uint64_t draws
    uint64_t tries_key
    Point* shape
    int points
    const int64_t* trace
    int64_t trace_n
    uint8_t poisson
    uint64_t count            # most connections
    uint32_t concurrency
    int64_t start
    int64_t stop              # no arrival at or after it
    Family hold
    int64_t close_at          # -1: hold decides
    double close_gap          # ns between two closes from close_at on
    uint32_t requests
    uint32_t request
    uint32_t response
    uint8_t speaks            # Speaks
    int64_t idle
    int64_t patience
    int tries
    double backoff
    double factor
    double jitter
    double by_server          # shares
    double by_reset
    double by_both
    bint by_turns             # client, server, both, by number
    int hold_lane             # of the queue
    bint rests                # what is known of its connections while they are held follows from their TCBs
    int64_t close_delay       # of the other application, after the FIN
    int delay_lane
    double half_close         # share
    uint64_t half_key
    uint32_t half_bytes
    uint32_t syn_data
    int again                 # the load whose addresses and ports these use, -1: none
    uint32_t* addrs           # [count] of each connection, where another load uses them again
    uint16_t* ports
    # as it goes
    uint64_t begun            # arrivals so far
    double area               # where the next arrival is
    int64_t due               # its time, INT64_MAX: no more
    uint64_t closes           # of close_at
    uint64_t reconnects       # begun after a reset-all
    # outcomes
    Tally tally[2]            # connections that began after the warm-up, and those that began in it
    uint64_t served_so_far    # of both
    uint64_t half_closed, half_queued, half_read, old_taken
    bint played               # its connections begin, speak and close as a function in Python says
    int64_t first_refusal     # -1: none
    Histo connect             # after the warm-up
    Histo served_after

cdef enum Speaks:
    CLIENT_SPEAKS
    SERVER_SPEAKS
    NOBODY_SPEAKS

# Half-open entries of the server's one engine: how long they stay, and how many of those that came in each
# window were answered or gave way.
cdef struct Watch:
    uint64_t* holder          # [capacity] handle of the entry in each slot
    int64_t* since            # [capacity]
    Histo answered
    Histo unanswered
    int64_t window            # ns
    size_t windows
    uint64_t* added           # [windows] by the window in which the entry came
    uint64_t* answered_of
    uint64_t* evicted_of
    uint32_t sources[LOOKS]   # of the first new entries of this window
    uint32_t sources_n

# An accept loop: one listener with its workers.
cdef struct Acceptor:
    uint32_t host
    int listener              # id
    uint32_t queued           # unaccepted connections
    Fill accepting            # the accept queue, as the engine has it
    Fill half_open            # the half-open entries
    uint32_t idle             # workers that wait for a connection
    uint64_t taken
    uint64_t key              # of its service times
    int64_t stalled_until     # by an event
    bint waits                # T_STALL_ENDS is queued

cdef struct Flood:
    uint64_t key
    uint8_t flags             # of the segments
    uint8_t poisson
    double gap                # ns
    int64_t start
    int64_t stop
    uint32_t* nets            # pairs: first address, number of addresses less one
    double* weights           # rising sums of the shares, one per pair
    int nets_n
    uint32_t reflect          # hosts that answer with RST; 0: nobody answers
    uint64_t count            # most segments
    int64_t on                # with `off`: bursts this long
    int64_t off               # and pauses, 0: none
    uint64_t sent
    double area

cdef struct Link:
    Family rtt
    bint constant             # nothing but a constant delay
    bint by_kind              # what a segment answers must be known
    int64_t half              # of a constant rtt
    double loss[KINDS]
    double duplicate[KINDS]
    int64_t duplicate_after
    double burst_enter, burst_leave, burst_loss
    bint bad[2]               # state of each direction
    double reorder
    int64_t reorder_after
    int64_t jitter
    double late_share
    int64_t late_after
    double last_ack           # share of connections whose first last ACK is lost
    uint64_t last_ack_keys[2]
    uint64_t last_acks[2]     # first ones so far
    uint64_t stuck            # connections that a reset found in LAST-ACK or CLOSING
    int64_t cut_until         # a partition: everything is lost before this time
    uint64_t keys[2]
    uint64_t sent[2]
    uint64_t sent_kind[2][KINDS]
    uint64_t lost_kind[2][KINDS]
    uint64_t duplicated, reordered, late, backscatter
    uint64_t old_reached      # late text that met another connection of its 4-tuple (S5.5)
    uint64_t old_accepted     # and that this connection could take for its own
    int64_t windows[2]        # that the ends offer
    bint any_old_ack[2]       # they take text whatever old ACK it carries (ack_range "rfc793")
    uint64_t duplicated_of[2]
    uint64_t backscatter_kind[KINDS]
    int64_t longest           # delay so far
    uint64_t order            # of the next segment

cdef enum NoteKind:
    N_CONNECTED
    N_READ
    N_ENDED

# What a function in Python is told of a connection of its load.
cdef struct Note:
    uint64_t number           # of the connection
    uint64_t what             # N_READ: bytes read so far; N_ENDED: F_REFUSED, F_RESET, F_GAVE_UP or 0
    int64_t at
    int kind

cdef struct Sim:
    Host* hosts
    uint32_t hosts_n
    uint32_t servers          # of these; the rest are clients
    uint32_t* heap            # hosts by `key`
    uint32_t* busy            # the hosts of this instant
    uint32_t first_addr       # of the clients
    uint32_t addrs
    uint32_t addrs_per_host
    uint32_t server_addr
    uint32_t destinations
    uint16_t port
    uint64_t spread_key
    Attempt* attempts
    uint32_t attempts_n
    uint32_t attempts_allocated
    uint32_t attempts_fresh   # places from here on have never been used
    uint32_t free_attempt     # 1 + the first of a chain of free places, linked by client_host; 0: none
    uint64_t resting          # connections that take no place (attempts.pyx)
    Load* loads
    uint32_t loads_n
    Acceptor* acceptors
    uint32_t acceptors_n
    Family accept_time
    uint32_t workers
    int64_t stall
    int64_t stall_every
    bint at_once              # the engine accepts by itself
    bint closes_at_once       # and answers a FIN
    Watch* watch              # NULL: none
    Flood* floods
    uint32_t floods_n
    Link link
    Queue queue
    int64_t now
    int64_t warmup            # connections that begin before are counted apart (S7.3)
    int64_t first_rto         # of the clients
    Py_ssize_t batch
    Segment* out              # [2 * BATCH]
    ConnectRow* rows          # [BATCH], with `conns` and `who`: connects of one instant
    uint64_t* conns
    uint32_t* who
    uint64_t* closing         # [BATCH] handles of one host that are closed at this instant
    Py_ssize_t closing_n
    uint32_t closing_host
    Histo accept_wait
    Total ports               # pairs of port and destination that connections of the clients have
    Total half_open           # of all listeners
    Total accepting
    uint64_t unanswered[2]    # ends of a side that were reset, or gave up, after their close (S3.17)
    bint syncache             # half-open entries share places: all count for the first listener
    Reset* resets
    uint32_t resets_n
    uint64_t segments         # taken by engines
    uint32_t newest           # 1 + the attempt whose client connected last, 0: none
    uint32_t found            # 1 + the attempt whose connection the server heard of last
    Note* notes               # of this instant
    size_t notes_n
    size_t notes_allocated
    int failed                # Failure
    # offsets in BLOCK, which is public
    uint32_t at_raddr, at_rport, at_lport, at_laddr, at_iss, at_rcv_nxt, at_state, at_generation
    uint32_t at_snd_una, at_snd_nxt, at_snd_wnd

cdef enum Failure:
    SOUND
    NO_MEMORY
    ENGINE_FAILED             # a call gave a code: a fault of ours

# What an item of the queue asks for.
cdef enum Task:
    T_ARRIVAL                 # who: load
    T_CLOSE                   # who: attempt
    T_REQUEST                 # who: attempt
    T_TRY_ENDS                # who: attempt; extra: number of the try
    T_PATIENCE                # who: attempt
    T_IDLE                    # who: attempt
    T_WORKER                  # who: acceptor: one of its workers is free
    T_STALL_ENDS              # who: acceptor
    T_FLOOD                   # who: flood
    T_RECONNECT               # who: load; stamp: the client's address; extra: destination
    T_ANSWER_FIN              # who: attempt; extra 1: its server's end
    T_CLOSE_SLOT              # who: slot of the client's one engine; stamp: its generation
