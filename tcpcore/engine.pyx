"""Engine, the public Python class: it checks arguments and calls the batch loops.

One call into `loops` does a whole batch without Python. No TCP rule is here. Source: RFC 9293 3.9.1 and
3.10.1 to 3.10.6 for the calls.

Every method keeps this order. (1) Convert and check the arguments: anything may run here, an ``__index__``, a
signal handler, another thread, and may call this engine. (2) Mark it busy, so that all of these are refused.
(3) Count the rows, which depend on its state, and allocate them. (4) Write. (5) Mark it free, also on errors.
Until (4) nothing has changed. Sizes and addresses are read from the buffers after (1): a subclass of ndarray
may say anything about itself, and a plain array may be reshaped while the next argument is converted.

A call of one has a way of its own for (1): if all its arguments are plain scalars it fills a struct on the
stack and runs no code of the caller's; else the general way, which alone raises, converts them all.
"""

import errno
import os

import numpy as np

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

from tcpcore.base.arena cimport arena_map, arena_part
from tcpcore.base.siphash cimport derive_key
from tcpcore.base.span cimport Span, overlap
from tcpcore.records.connect_args cimport TIMEOUT_OF_KNOB, Asked, ConnectArgs
from tcpcore.records.counters cimport N_CAUSES, N_MIB
from tcpcore.records.info cimport Info
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.op cimport Op
from tcpcore.records.scalars cimport is_address, is_uint
from tcpcore.records.segment cimport OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, Segment, is_unicast
from tcpcore.records.tcb cimport CLOSE_WAIT, ESTABLISHED, N_STATES, TICK_NS, TIME_WAIT, Tcb
from tcpcore.tcp.listen cimport timeouts_within
from tcpcore.tcp.receive_window cimport WINDOW_MAX
from tcpcore.components.isn cimport ISN_RANDOM, ISN_RFC6528, ISN_RFC793, isn_init
from tcpcore.components.listeners cimport Listener
from tcpcore.components.ports cimport (
    PORTS_DOUBLE_HASH, PORTS_HASH, PORTS_LINUX, PORTS_RANDOM, PORTS_RANDOM_INCREMENTS, PORTS_RANDOM_RETRY,
    PORTS_SEQUENTIAL,
    BAR_RESERVED, ports_bar, ports_init,
)
from tcpcore.components.syn_policy cimport (
    ROOM_COOKIES, ROOM_RESERVE, ROOM_SYNCACHE, HalfOpenRoom, policy_accept_room, policy_half_open_room,
)
from tcpcore.components.syncookie cimport COOKIE_FREEBSD, COOKIE_LINUX, OPT_ECN, cookie_init
from tcpcore.loops.calls cimport (
    CALL_ABORT, CALL_CLOSE, CALL_RECV, CALL_SEND, CALL_SHUTDOWN, CALL_UNREACHABLE, MAX_QUEUED, Call,
)
from tcpcore.loops.change_knobs cimport change_knobs
from tcpcore.loops.guard cimport (
    ENTERED, ENTRY_BUSY, ENTRY_TIME_BACK, Entry, guard_enter, guard_enter_now, guard_leave, is_busy,
)
from tcpcore.loops.host cimport (
    HostCounts, HostQueues, first_of, group_of, host_accept, host_advance, host_bytes, host_call,
    host_check, host_connect, host_connect_bound, host_counts, host_events, host_free, host_info,
    host_listen, host_listener,
    host_lookup, host_next_timer, host_play, host_port_in_use, host_queues, host_receive, host_rows_of_send,
    host_snapshot_read, host_snapshot_size, host_snapshot_write, host_start, host_unaccepted,
    host_unlisten, members_of,
)
from tcpcore.loops.play cimport (
    PLAY_AMOUNT, PLAY_DPORT, PLAY_DST, PLAY_KIND, PLAY_LEAST, PLAY_LISTENER, PLAY_SOUND, PLAY_SRC,
    PLAY_TIME_BACK, PLAY_TOO_LATE, PLAY_UNTIL, PlayFault, play_check, play_not_reached,
)
from tcpcore.loops.spread cimport Spread, spread_init, spread_member
from tcpcore.loops.state cimport KEY_COOKIES, KEY_ISN, KEY_PORTS, state_init, state_subscribe
from tcpcore.border cimport (
    apart, broadcast, integer, is_handle, rows_given, rows_read, span_of, time_of, unicast,
)

from tcpcore.records.counters import CAUSE_NAMES, MIB_NAMES
from tcpcore.records.handle import as_handles
from tcpcore.records.info import ROOM
from tcpcore.components.events import event_mask
from tcpcore.records.integers import to_address, to_linger, to_uint
from tcpcore.records.segment import as_vector
from tcpcore.config import Config, engine_value, live_values
from tcpcore.records.layouts import BLOCK, INFO, KNOBS, OP, SEGMENT
from tcpcore.snapshot import CHECKSUM_AT, checksum, open_snapshot, start_of

cdef enum:
    FEW_ROWS = 16             # results up to here share memory with the next ones, 640 bytes
    FIRST_ROWS = 1024         # advance() without out=: the next guess at the rows
    ADVANCE_ROWS = 1 << 20    # and their bound, 40 MiB
    MAX_RCV_BUF = WINDOW_MAX  # bytes

_BUSY = "the engine is busy: a call is under way in another thread or further up the stack"
_HALF_OPEN_SET_BY = {
    ROOM_RESERVE: "tcp_max_syn_backlog", ROOM_SYNCACHE: "syncache", ROOM_COOKIES: "tcp_syncookies",
}
_COOKIE_RULES = {"linux": COOKIE_LINUX, "freebsd": COOKIE_FREEBSD}
_ISN_RULES = {"rfc6528": ISN_RFC6528, "rfc793": ISN_RFC793, "random": ISN_RANDOM}
_PORT_RULES = {
    "linux": PORTS_LINUX, "random": PORTS_RANDOM, "random-retry": PORTS_RANDOM_RETRY, "hash": PORTS_HASH,
    "double-hash": PORTS_DOUBLE_HASH, "random-increments": PORTS_RANDOM_INCREMENTS,
    "sequential": PORTS_SEQUENTIAL,
}


cdef void fill_knobs(Knobs* knobs, config) except *:
    """The Config as the TCP state machine and the components read it: each field by its name."""
    record = np.zeros(1, KNOBS)
    for name in KNOBS.names:
        record[name] = engine_value(config, name)
    memcpy(knobs, <const void*><uintptr_t>record.ctypes.data, sizeof(Knobs))


cdef uint8_t offers(config) except *:
    """OptBits of the SYN options this host agrees to."""
    return (OPT_MSS | (OPT_WSCALE if config.tcp_window_scaling else 0)
            | (OPT_SACK_OK if config.tcp_sack else 0) | (OPT_TS if config.tcp_timestamps else 0)
            | (OPT_ECN if config.tcp_ecn else 0))


cdef EngineState* new_state(config, Tcb* blocks, uint32_t buckets) except NULL:
    """The state of an engine of this Config, to be freed by host_free().

    The TCBs are those at `blocks`, new ones where that is NULL; `buckets` of a syncache.
    """
    cdef EngineState* eng
    local_addr = unicast(to_address(config.local_addr), "local_addr")
    eng = <EngineState*>calloc(1, sizeof(EngineState))
    if eng == NULL:
        raise MemoryError("engine")
    try:
        eng.local_addr = local_addr
        eng.pool.capacity = config.capacity
        fill_knobs(&eng.knobs, config)
        if not state_init(eng, config.seed, blocks, buckets):
            raise MemoryError(f"capacity: no address space for {config.capacity} blocks")
        isn_init(&eng.isn, _ISN_RULES[config.isn], config.isn_tick_ns, derive_key(config.seed, KEY_ISN),
                 derive_key(config.seed, KEY_ISN + 1))
        cookie_init(&eng.cookies, _COOKIE_RULES[config.cookie_encoding], config.mss, offers(config),
                    derive_key(config.seed, KEY_COOKIES), derive_key(config.seed, KEY_COOKIES + 1))
        low, high = config.ip_local_port_range
        if not ports_init(&eng.ports, _PORT_RULES[config.port_selection], low, high,
                          derive_key(config.seed, KEY_PORTS), derive_key(config.seed, KEY_PORTS + 1)):
            raise MemoryError("ports")
        for first, last in config.reserved_ranges():
            for port in range(first, last + 1):
                if not ports_bar(&eng.ports, port, BAR_RESERVED, True):
                    raise MemoryError("ports")
        if not state_subscribe(eng, event_mask(config.events)):
            raise MemoryError(f"capacity: no address space for the events of {config.capacity} blocks")
    except BaseException:
        host_free(eng)
        raise
    return eng


@cython.final
cdef class _Memory:
    """Engine memory as a read-only buffer that keeps the engine alive."""

    cdef Engine owner
    cdef void* base
    cdef Py_ssize_t nbytes

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.base, self.nbytes, 1, flags)


cdef _array(Engine owner, void* base, Py_ssize_t count, dtype):
    """`count` records of the engine's memory as a read-only array."""
    cdef _Memory memory = _Memory.__new__(_Memory)
    memory.owner = owner
    memory.base = base
    memory.nbytes = count * dtype.itemsize
    return np.frombuffer(memory, dtype)


cdef object _later = object()              # Engine(_later): its state will come from elsewhere
cdef object _empty = np.empty, _zeros = np.zeros, _frombuffer = np.frombuffer      # C variables: looked up
cdef object _segment = SEGMENT, _info = INFO                                       # in every call
cdef object _uint32 = np.dtype(np.uint32), _uint64 = np.dtype(np.uint64), _int64 = np.dtype(np.int64)


@cython.final
cdef class _FewRows:
    """Memory of a few segments: the results of calls of one are parts of it, each of rows of its own."""

    cdef Segment rows[FEW_ROWS]

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.rows, sizeof(self.rows), 0, flags)


cdef struct OneConnect:
    # the arguments of connect() for one, as ConnectArgs points to them
    uint32_t dst, src, rcv_buf
    uint16_t dport
    int32_t sport
    int64_t isn


cdef void _point_at(ConnectArgs* args, const OneConnect* one) noexcept:
    """The columns of a connect() of one."""
    args.dst, args.dport, args.src = &one.dst, &one.dport, &one.src
    args.sport, args.isn, args.rcv_buf = &one.sport, &one.isn, &one.rcv_buf
    memset(args.steps, 0, sizeof(args.steps))


cdef bint _is_unicast(value, uint32_t* address) except -1:
    """Whether this is one address that connect() takes, which `address` then is."""
    return is_address(value, address) and is_unicast(address[0])


cdef bint _is_port(value, uint64_t* port) except -1:
    return is_uint(value, 0xFFFF, port) and port[0] != 0


cdef object _times(at_out, Py_ssize_t count, int64_t** times):
    """Times that play() writes to: those given, which are long enough, or `count` new ones."""
    cdef Span span
    if at_out is None:
        at_out = _empty(count, _int64)
    span_of(at_out, PyBUF_WRITABLE, &span)
    times[0] = <int64_t*>span.base
    return at_out


cdef Py_ssize_t _fill_connect_args(Engine engine, ConnectArgs* args, list columns) except -1:
    """Point `args` at the columns, which must outlive it. Returns their length.

    A column of one element is for all rows. A column that cannot be used where it lies is replaced by a copy.
    """
    cdef Span spans[6]
    cdef size_t[6] sizes = [4, 2, 4, 4, 8, 4]
    cdef Py_ssize_t i, n, count = 1
    for i in range(6):
        columns[i] = engine.input(columns[i], sizes[i], &spans[i])
    for i in range(6):
        n = spans[i].nbytes // sizes[i]
        args.steps[i] = n != 1
        if n != 1 and count != 1 and n != count:
            raise ValueError("dst, dport, src, sport, isn, rcv_buf: expected one length, "
                             f"got {count} and {n}")
        if n != 1:
            count = n
    args.dst = <const uint32_t*>spans[0].base
    args.dport = <const uint16_t*>spans[1].base
    args.src = <const uint32_t*>spans[2].base
    args.sport = <const int32_t*>spans[3].base
    args.isn = <const int64_t*>spans[4].base
    args.rcv_buf = <const uint32_t*>spans[5].base
    return count


cdef str amount_of(Call what):
    """The name of the argument that says how much."""
    if what == CALL_UNREACHABLE:
        return "code"
    return "linger_s" if what == CALL_CLOSE else "nbytes"


@cython.final
cdef class Engine:
    """A TCP connection-state engine in virtual time.

    Parameters
    ----------
    config : Config, optional
        The knobs; ``Config.linux()`` by default.
    **knobs
        Single knobs over `config`: ``Engine(capacity=1000)``.

    Notes
    -----
    The engine has no clock, no thread and no global state: the caller gives `now` (int nanoseconds, never
    decreasing) to every call that lets something happen. Segments are SEGMENT arrays, connections are uint64
    handles (generation << 32 | slot). Every method that emits takes ``out=``, a SEGMENT array that shares
    memory with no other argument, and then returns a view of it. Arrays are used where they lie: until a call
    returns no other thread may write to them. Source: RFC 9293 3.9.1 (the calls), 3.10.

    Raises
    ------
    TypeError, ValueError
        Bad arguments; the message names the argument, the state is untouched.
    RuntimeError
        The engine is busy: a call is under way in another thread, or further up the stack, when a signal
        handler or a finalizer makes this one. The state is untouched.
    MemoryError
        The address space for `capacity` blocks is refused.
    """

    cdef EngineState* eng
    cdef readonly object config
    cdef object few           # SEGMENT[FEW_ROWS]: what short results are cut out of
    cdef Segment* few_rows    # its memory
    cdef Py_ssize_t few_used  # rows of it that somebody has
    cdef bint is_few          # the call under way writes there

    def __cinit__(self, config=None, **knobs):
        # the garbage collector shows an engine to others before it is complete: without `eng`
        if config is _later:
            return
        if config is None:
            config = Config(**knobs)
        elif not isinstance(config, Config):
            raise TypeError(f"config: expected a Config, got {type(config).__name__}")
        elif knobs:
            config = config.replace(**knobs)
        self.config = config
        self.eng = new_state(config, NULL, config.syncache_hashsize)

    def __dealloc__(self):
        if self.eng != NULL:
            host_free(self.eng)

    def __repr__(self):
        if self.eng == NULL:
            return "<tcpcore.Engine, incomplete>"
        cdef HostCounts counts
        host_counts(self.eng, &counts)
        return (f"<tcpcore.Engine {counts.blocks_used} of {self.eng.pool.capacity} blocks, "
                f"now {self.eng.now} ns>")

    @property
    def blocks(self):
        """The TCBs themselves, BLOCK[capacity], read-only and not copied, half-open entries included."""
        # built at each access: an engine that kept the view, which keeps the engine, would never die
        if self.eng == NULL or self.eng.pool.blocks == NULL:
            raise RuntimeError(_BUSY)
        return _array(self, self.eng.pool.blocks, self.eng.pool.capacity, BLOCK)

    # --- what every method does first -------------------------------------------------------

    cdef int take(self, int64_t at) except -1:
        """Mark the engine busy for a call at this time, which start() then sets; leave() must follow."""
        cdef Entry entry = guard_enter(self.eng, at) if self.eng != NULL else ENTRY_BUSY
        if entry == ENTRY_BUSY:
            raise RuntimeError(_BUSY)
        if entry == ENTRY_TIME_BACK:
            raise ValueError(f"now: expected at least {self.eng.now} (the clock never goes back), got {at}")
        return 0

    cdef int take_now(self) except -1:
        """Mark the engine busy for a call at the time of the last one; leave() must follow."""
        if self.eng == NULL or guard_enter_now(self.eng) != ENTERED:
            raise RuntimeError(_BUSY)
        return 0

    cdef EngineState* look(self) except NULL:
        """The engine's state, marked busy as by take_now(): a compiled caller comes without the GIL."""
        self.take_now()
        return self.eng

    cdef void start(self, int64_t at) noexcept:
        """Set the clock: from here on the call changes the state and does not fail."""
        host_start(self.eng, at)

    cdef void leave(self) noexcept:
        """Let others in again."""
        guard_leave(self.eng)

    cdef EngineState* state(self) except NULL:
        """The state of an engine that is complete and not busy, to be checked only: look() is for more."""
        if self.eng == NULL or is_busy(self.eng):
            raise RuntimeError(_BUSY)
        return self.eng

    cdef input(self, array, size_t align, Span* span):
        """The bytes of a contiguous array that a call reads. Returns the array to be held meanwhile.

        It is a copy where the array is not aligned or a part of `blocks`, which the call changes.
        """
        cdef Span own
        if self.eng == NULL:
            raise RuntimeError(_BUSY)
        own.base = <uintptr_t>self.eng.pool.blocks
        own.nbytes = self.eng.pool.capacity * sizeof(Tcb)
        span_of(array, PyBUF_SIMPLE, span)
        if span.base % align or overlap(span, &own):
            array = array.copy()
            span_of(array, PyBUF_SIMPLE, span)
        return array

    cdef output(self, out, Py_ssize_t need, what, Segment** rows):
        """The rows that a busy engine writes to: a new array, or `out` after a check that it takes `need`."""
        cdef Span span
        if out is None:
            out = _empty(need, _segment)
        span_of(out, PyBUF_WRITABLE, &span)
        if span.nbytes // <Py_ssize_t>sizeof(Segment) < need:
            raise ValueError(f"out: expected at least {need} rows ({what}), "
                             f"got {span.nbytes // <Py_ssize_t>sizeof(Segment)}")
        rows[0] = <Segment*>span.base
        return out

    cdef space(self, out, Py_ssize_t need, what, Segment** rows):
        """The rows that a busy engine writes to, as output(); a short result is cut out of `few`.

        Before leave() kept() must tell where the result is.
        """
        self.is_few = out is None and need <= FEW_ROWS
        if not self.is_few:
            return self.output(out, need, what, rows)
        cdef _FewRows memory
        if self.few is None or need > FEW_ROWS - self.few_used:
            memory = _FewRows.__new__(_FewRows)
            self.few = _frombuffer(memory, _segment)
            self.few_rows = memory.rows
            self.few_used = 0
        rows[0] = self.few_rows + self.few_used
        return self.few

    cdef Py_ssize_t kept(self, Py_ssize_t written) noexcept:
        """The first row of a result of this many rows in the array that space() gave."""
        if not self.is_few:
            return 0
        self.few_used += written
        return self.few_used - written

    cdef Listener* listener(self, number) except NULL:
        """The open listener with this id, to be used as state() is; ValueError if there is none."""
        cdef Listener* fields = host_listener(self.eng, number)
        if fields == NULL:
            raise ValueError(f"listener: expected the id of an open listener, got {number}")
        return fields

    # --- 3.10.1 OPEN -------------------------------------------------------------------------

    def listen(self, addr, port, backlog=None, *, auto_accept=False, auto_close=False, rcv_buf=None,
               keepalive=False, user_timeout_ms=None, defer_accept=None, reuse_addr=None):
        """Listen on an address and port: passive OPEN, RFC 9293 3.10.1.

        Parameters
        ----------
        addr, port : int or str, int
            Local address; 0 or "0.0.0.0" is any. 1 .. 65535.
        backlog : int, optional
            Effective is min(backlog, somaxconn); None is somaxconn, 0 is legal. Both queues hold one more;
            ``accept_queue_rule`` "half-more" lets half as many again wait for accept, and `synq_policy`
            "freebsd" has one cache of half-open entries for all listeners.
        auto_accept, auto_close : bool
            The application accepts at once; it answers the peer's FIN with FIN+ACK.
        rcv_buf : int, optional
            Receive buffer of its connections in bytes, rounded as ``window_rounding`` says.
        keepalive, user_timeout_ms : bool, int, optional
            SO_KEEPALIVE and TCP_USER_TIMEOUT of its connections; None is `tcp_user_timeout_ms`, 0 none.
        defer_accept : int, optional
            TCP_DEFER_ACCEPT, s: for the SYN-ACK timeouts that fill it a bare ACK opens nothing; 0: it does.
        reuse_addr : bool, optional
            SO_REUSEADDR, and whether connections keep it from its port: False, any of this address and port,
            in TIME_WAIT, too; True, those for which `connect` chose it. None: none is looked at.

        Returns
        -------
        int
            Listener id. `room` says how many places its queues have.

        Raises
        ------
        OSError
            EADDRINUSE: the address and port have a listener; `reuse_addr`. ENFILE: all 65535 ids are in use.
        """
        self.state()                  # an engine that is not complete has no config
        address = to_address(addr, "addr")
        if np.ndim(address):
            raise TypeError(f"addr: expected one address, got shape {np.shape(address)}")
        port = integer(port, "port", 1, 65535)
        asked = None if backlog is None else integer(backlog, "backlog", 0, 2**63 - 1)
        size = 0 if rcv_buf is None else integer(rcv_buf, "rcv_buf", 1, MAX_RCV_BUF)
        cdef Asked silent = self.asked_for(keepalive, user_timeout_ms)
        defer = self.config.tcp_defer_accept_s if defer_accept is None else defer_accept
        defer = integer(defer, "defer_accept", 0, 2**30)
        cdef Listener fields
        memset(&fields, 0, sizeof(Listener))
        fields.addr, fields.port = address, port
        fields.auto_accept, fields.auto_close = bool(auto_accept), bool(auto_close)
        fields.rcv_buf = size
        reuse_addr = None if reuse_addr is None else bool(reuse_addr)
        self.take_now()
        try:
            limit = self.config.somaxconn if asked is None else min(self.config.somaxconn, asked)
            fields.backlog, fields.backlog_capped = limit, limit != asked
            fields.defer = timeouts_within(defer, &self.eng.knobs)
            fields.accept_room = policy_accept_room(fields.backlog, &self.eng.knobs)
            return self.listen_as(&fields, &silent, reuse_addr)
        finally:
            self.leave()

    cdef int listen_as(self, const Listener* fields, const Asked* asked, reuse_addr) except 0:
        """A listener with these fields: its id. reuse_addr: a bool or None."""
        cdef int id = 0
        if reuse_addr is None or not host_port_in_use(self.eng, fields.addr, fields.port, reuse_addr):
            id = host_listen(self.eng, fields, asked)
        if id <= 0:
            code = errno.EADDRINUSE if id == 0 else errno.ENFILE
            raise OSError(code, os.strerror(code))
        return id

    def unlisten(self, listener, now, out=None):
        """Stop listening and reset unaccepted connections: CLOSE of a LISTEN, RFC 9293 3.10.4.

        Half-open entries send nothing more; a late ACK gets a RST. They disappear at their next timer, or at
        once with ``unlisten_forgets``. Returns SEGMENT[m], at most one row per unaccepted connection.
        """
        number = integer(listener, "listener", 0, 2**63 - 1)
        cdef int64_t at = time_of(now)
        cdef Py_ssize_t written, first
        cdef uint16_t id
        cdef Segment* rows = NULL
        out = rows_given(out)
        self.take(at)
        try:
            self.listener(number)
            id = number
            need = host_unaccepted(self.eng, id)
            out = self.space(out, need, "one per unaccepted connection", &rows)
            self.start(at)
            with nogil:
                written = host_unlisten(self.eng, id, at, rows)
            first = self.kept(written)
        finally:
            self.leave()
        return out[first:first + written]

    def connect(self, dst, dport, now, *, src=None, sport=None, n=None, isn=None, rcv_buf=None,
                keepalive=False, user_timeout_ms=None, reuse_addr=None, out=None):
        """Open one or many connections: active OPEN, RFC 9293 3.10.1.

        Parameters
        ----------
        dst, dport, src, sport, isn, rcv_buf
            Scalars or arrays, broadcast to one length. `src` is ``Config.local_addr`` by default;
            `sport=None` chooses an ephemeral port (RFC 6056); `isn` forces the initial sequence number;
            `rcv_buf` is in bytes.
        now : int
            ns.
        n : int, optional
            How many, where everything else is a scalar: at most 1,048,576 more than ``capacity``.
        keepalive, user_timeout_ms
            Of all of them, as in `listen`.
        reuse_addr : bool, optional
            bind(2) of each `sport` first, as in `listen`, and as costly. None: only the tuple counts.

        Returns
        -------
        conns : uint64[n]
            Handles; 0 where there was no port, no block or the tuple is in use, counted in `causes`.
        rows : SEGMENT[m]
            The SYNs.
        """
        cdef int64_t at = time_of(now)
        cdef Py_ssize_t count = 1, written, first
        cdef Segment* rows = NULL
        cdef Span handles
        cdef ConnectArgs args
        cdef OneConnect single
        cdef Asked asked = self.asked_for(keepalive, user_timeout_ms)
        cdef bint binds = reuse_addr is not None, reuses = binds and bool(reuse_addr)
        cdef bint one = self.is_one_connect(&single, dst, dport, src, sport, n, isn, rcv_buf)
        cdef list columns = None if one else self.connect_columns(dst, dport, src, sport, n, isn, rcv_buf)
        out = rows_given(out)
        self.take(at)
        try:
            if one:
                _point_at(&args, &single)
            else:
                count = _fill_connect_args(self, &args, columns)
                if out is not None:
                    for name, given, column in zip(("dst", "dport", "src", "sport", "isn", "rcv_buf"),
                                                   (dst, dport, src, sport, isn, rcv_buf), columns):
                        apart(out, name, given, column)
            args.asked = asked
            out = self.space(out, count, "one per connection", &rows)
            conns = _zeros(count, _uint64)
            span_of(conns, PyBUF_WRITABLE, &handles)
            self.start(at)
            with nogil:
                written = (host_connect_bound(self.eng, &args, count, at, reuses, <uint64_t*>handles.base,
                                              rows) if binds
                           else host_connect(self.eng, &args, count, at, <uint64_t*>handles.base, rows))
            first = self.kept(written)
        finally:
            self.leave()
        return conns, out[first:first + written]

    cdef Asked asked_for(self, keepalive, user_timeout_ms) except *:
        """What listen() or connect() asks about a silent peer, checked."""
        cdef Asked asked
        self.state()                  # an engine that is not complete has no config
        asked.keepalive = bool(keepalive) or self.eng.knobs.always_keepalive
        asked.user_timeout_ms = TIMEOUT_OF_KNOB
        asked.given = asked.keepalive or user_timeout_ms is not None
        if user_timeout_ms is not None:
            asked.user_timeout_ms = integer(user_timeout_ms, "user_timeout_ms", 0, 2**30 - 1)
        return asked

    cdef bint is_one_connect(self, OneConnect* one, dst, dport, src, sport, n, isn, rcv_buf) except -1:
        """Whether these are good arguments for one connection, as scalars; `one` then has them."""
        cdef uint64_t number = 0
        self.state()                  # an engine that is not complete has no config
        one.src, one.sport, one.isn, one.rcv_buf = self.eng.local_addr, -1, -1, 0
        if n is not None and not (is_uint(n, 1, &number) and number == 1):
            return False
        if not _is_unicast(dst, &one.dst) or not _is_port(dport, &number):
            return False
        one.dport = <uint16_t>number
        if src is not None and not _is_unicast(src, &one.src):
            return False
        if sport is not None:
            if not _is_port(sport, &number):
                return False
            one.sport = <int32_t>number
        if isn is not None:
            if not is_uint(isn, 0xFFFFFFFF, &number):
                return False
            one.isn = <int64_t>number
        if rcv_buf is not None:
            if not is_uint(rcv_buf, MAX_RCV_BUF, &number) or number == 0:
                return False
            one.rcv_buf = self.config.window(int(rcv_buf))
        return True

    cdef list connect_columns(self, dst, dport, src, sport, n, isn, rcv_buf):
        """The arguments of connect(), checked, in the order and of the types of ConnectArgs."""
        self.state()                  # an engine that is not complete has no config
        fields = {
            "dst": unicast(to_address(dst, "dst"), "dst"),
            "dport": to_uint(dport, "dport", 16),
            "src": np.uint32(self.eng.local_addr) if src is None else unicast(to_address(src, "src"), "src"),
            "sport": np.int32(-1) if sport is None else to_uint(sport, "sport", 16).astype(np.int32),
            "isn": np.int64(-1) if isn is None else to_uint(isn, "isn", 32).astype(np.int64),
            "rcv_buf": np.uint32(0) if rcv_buf is None else self.windows_of(rcv_buf),
        }
        for name in ("dport", "sport"):
            if not np.all(fields[name]):
                raise ValueError(f"{name}: expected 1 .. 65535, got 0")
        length = None if n is None else integer(n, "n", 0, self.config.capacity + 2**20)
        return broadcast(length, fields, scalars_too=False)

    cdef windows_of(self, rcv_buf):
        """The windows that receive buffers of these sizes give, in bytes."""
        wanted = to_uint(rcv_buf, "rcv_buf", 32)
        if np.size(wanted) and (np.min(wanted) == 0 or np.max(wanted) > MAX_RCV_BUF):
            raise ValueError(f"rcv_buf: expected 1 .. {MAX_RCV_BUF}, "
                             f"got {np.min(wanted)} .. {np.max(wanted)}")
        sizes, which = np.unique(wanted, return_inverse=True)
        windows = np.array([self.config.window(int(size)) for size in sizes], np.uint32)
        return windows[which].reshape(np.shape(wanted))

    def accept(self, listener, limit=None):
        """Take unaccepted connections of a listener, oldest first, whatever state they are in by now.

        `limit` bounds their number; None: all. Returns handles, uint64[k]; the application holds these
        connections until `close` or `abort`.
        """
        number = integer(listener, "listener", 0, 2**63 - 1)
        cdef Py_ssize_t most = 2**63 - 1 if limit is None else integer(limit, "limit", 0, 2**63 - 1)
        cdef Py_ssize_t count
        cdef uint16_t id
        cdef Span handles
        self.take_now()
        try:
            self.listener(number)
            id = number
            count = min(host_unaccepted(self.eng, id), most)
            conns = _zeros(count, _uint64)
            span_of(conns, PyBUF_WRITABLE, &handles)
            self.start(self.eng.now)
            host_accept(self.eng, id, <uint64_t*>handles.base, count, self.eng.now)
        finally:
            self.leave()
        return conns

    # --- 3.10.2 SEND, 3.10.3 RECEIVE, 3.10.4 CLOSE, 3.10.5 ABORT ---------------------------------

    cdef call(self, Call what, conns, now, out, nbytes=None):
        """Do one call on each handle in order: at most one row each, except for SEND.

        Returns the rows; for RECEIVE the bytes taken and the rows.
        """
        cdef int64_t at = time_of(now)
        cdef bint sends = what == CALL_SEND, takes = what == CALL_RECV
        cdef bint sized = sends or what == CALL_UNREACHABLE
        cdef str amount_name = amount_of(what)
        said = nbytes
        if what == CALL_CLOSE and nbytes is not None:
            nbytes = to_linger(nbytes)
        cdef Py_ssize_t count, written, need, first
        cdef uint64_t handle, amount = 0
        cdef bint one = is_handle(conns, &handle) and (
            (nbytes is None and not sized) or is_uint(nbytes, 0xFFFFFFFF, &amount))
        cdef uint32_t size = <uint32_t>amount
        cdef Span handles = Span(<uintptr_t>&handle, sizeof(handle)), taken = Span(0, 0)
        cdef Span sizes = Span(<uintptr_t>&size if nbytes is not None else 0, sizeof(size))      # NULL: all
        cdef Segment* rows = NULL
        given, amounts, took = conns, None, None
        if not one:
            conns = as_handles(conns)
            if sized or nbytes is not None:
                amounts = np.ascontiguousarray(to_uint(nbytes, amount_name, 32))
        out = rows_given(out)
        if not one:
            conns = self.input(conns, sizeof(uint64_t), &handles)
        count = handles.nbytes // <Py_ssize_t>sizeof(uint64_t)
        if takes:
            took = _zeros(count, _uint32)
            span_of(took, PyBUF_WRITABLE, &taken)
        self.take(at)
        try:
            if out is not None and (not one or isinstance(conns, np.ndarray)):
                apart(out, "conns", given, conns)
                if amounts is not None:
                    apart(out, amount_name, said, amounts)
            if amounts is not None:
                amounts = self.sizes(amounts, amount_name, count, sends, &sizes)
            need = count
            if sends:
                if not one:
                    # a copy: the count of rows must stay right without the GIL, whoever writes to `conns`
                    conns = conns.copy()
                    span_of(conns, PyBUF_SIMPLE, &handles)
                need = self.rows_to_send(<const uint64_t*>handles.base, <const uint32_t*>sizes.base, count)
            out = self.space(out, need, "what the windows let go" if sends else "one per connection", &rows)
            self.start(at)
            with nogil:
                written = host_call(self.eng, what, <const uint64_t*>handles.base, count,
                                    <const uint32_t*>sizes.base, <uint32_t*>taken.base, at, rows)
            first = self.kept(written)
        finally:
            self.leave()
        rows_of = out[first:first + written]
        return (took, rows_of) if takes else rows_of

    cdef sizes(self, amounts, str name, Py_ssize_t count, bint private, Span* span):
        """The argument of this name, one uint32 for each of `count` handles.

        With `private` nobody else can write to it.
        """
        cdef Span given
        cdef Py_ssize_t i, n
        amounts = self.input(amounts, sizeof(uint32_t), &given)
        n = given.nbytes // <Py_ssize_t>sizeof(uint32_t)
        if n != 1 and n != count:
            raise ValueError(f"{name}: expected one number or {count}, got {n}")
        if n == count and not private:
            span[0] = given
            return amounts
        each = np.empty(count, np.uint32)
        span_of(each, PyBUF_WRITABLE, span)
        for i in range(count):
            (<uint32_t*>span.base)[i] = (<const uint32_t*>given.base)[i if n == count else 0]
        return each

    cdef Py_ssize_t rows_to_send(self, const uint64_t* handles, const uint32_t* nbytes,
                                 Py_ssize_t count) except -1:
        """Rows a SEND emits at most; ValueError where one connection would have over 2**30 bytes queued."""
        cdef uint64_t most
        cdef Py_ssize_t need = host_rows_of_send(self.eng, handles, nbytes, count, &most)
        if need < 0:
            raise MemoryError("nbytes")
        if most > MAX_QUEUED:
            raise ValueError(f"nbytes: expected at most {MAX_QUEUED} bytes queued and unacknowledged "
                             f"per connection, got {most}")
        return need

    def send(self, conns, nbytes, now, out=None):
        """Queue `nbytes` of text (scalar or one per handle) and send what may go: SEND, RFC 9293 3.10.2.

        Connections whose sending side is closed are ignored, stale handles counted. Returns SEGMENT[m].
        """
        return self.call(CALL_SEND, conns, now, out, nbytes)

    def recv(self, conns, nbytes, now, out=None):
        """Take up to `nbytes` (None: all) out of each receive buffer: RECEIVE, RFC 9293 3.10.3.

        Returns
        -------
        taken : uint32[n]
            Bytes, per handle.
        rows : SEGMENT[m]
            The window updates that are due because of it.
        """
        return self.call(CALL_RECV, conns, now, out, nbytes)

    def shutdown(self, conns, now, out=None):
        """Half-close: a FIN after all queued data, CLOSE of RFC 9293 3.10.4. Returns SEGMENT[m]."""
        return self.call(CALL_SHUTDOWN, conns, now, out)

    def close(self, conns, now, out=None, *, linger_s=None):
        """Close and let go of the connections, as close(2) does. Returns SEGMENT[m].

        A FIN is sent after all queued data; data that arrives later is answered by RST; FIN-WAIT-2 ends
        after ``tcp_fin_timeout``.

        linger_s : int or int32[n], s
            SO_LINGER as it stands when close(2) is called; None: the knob of this name. 0 resets, as `abort`
            does. With more the connection is no orphan yet, by ``tcp_orphan_retries``, ``tcp_max_orphans``
            and ``gauges()``, until our FIN is acknowledged or so much time has passed: on a host close(2)
            waits so long, here the call returns at once. -1: without SO_LINGER.
        """
        return self.call(CALL_CLOSE, conns, now, out, linger_s)

    def abort(self, conns, now, out=None):
        """Reset the connections and let go of them: ABORT, RFC 9293 3.10.5. Returns SEGMENT[m]."""
        return self.call(CALL_ABORT, conns, now, out)

    # --- 3.9.2.2 ICMP ----------------------------------------------------------------------------

    def unreachable(self, conns, now, code=1, out=None):
        """Tell connections of an ICMP destination unreachable or time exceeded: RFC 9293 3.9.2.2.

        Parameters
        ----------
        conns : uint64 or uint64[n]
            Handles, half-open entries included (`lookup`).
        now : int
            Nanoseconds.
        code : int or uint32[n]
            Of the message (RFC 792, RFC 1812 5.2.7.1): 0 net, 1 host, 2 protocol, 3 port, 4 (fragmentation
            needed) does nothing, up to 15; or `tcpcore.TIME_EXCEEDED`, of the TTL in transit.

        Returns
        -------
        SEGMENT[m]
            What is resent because the RTO is halved (RFC 6069).

        On Linux every code ends an attempt to connect, net and host end a half-open entry, and no code ends
        a connection: `info` tells the error until the peer is heard again, and should the connection time
        out, it is told instead of ETIMEDOUT. A time exceeded is like a host unreachable, but halves no RTO
        (tcp_v4_err); FreeBSD's ends SYN-SENT at once (tcp_ctlinput). ``unreachable_rules`` has the others.
        The message counts as one about the first number that is not acknowledged. Handles that are stale
        are counted.
        """
        return self.call(CALL_UNREACHABLE, conns, now, out, code)

    # --- 3.10.7 SEGMENT ARRIVES, 3.10.8 timeouts -------------------------------------------------

    def receive(self, segs, now, out=None):
        """Take in segments, in order: SEGMENT ARRIVES, RFC 9293 3.10.7.

        Parameters
        ----------
        segs : SEGMENT[n]
            Any bytes at all: a bad segment is judged and counted and never raises an exception.
        now : int
            ns.
        out : SEGMENT[>= 2 n], optional
            Where the answers go; must not overlap `segs`.

        Returns
        -------
        SEGMENT[m]
            At most two rows per segment; queued data beyond that falls due at `now` (`advance`).
        """
        cdef int64_t at = time_of(now)
        cdef Py_ssize_t count, written, first
        cdef Span arriving
        cdef Segment* rows = NULL
        given, segs = segs, rows_read(segs)
        out = rows_given(out)
        segs = self.input(segs, sizeof(uint32_t), &arriving)
        count = arriving.nbytes // <Py_ssize_t>sizeof(Segment)
        self.take(at)
        try:
            apart(out, "segs", given, segs)
            out = self.space(out, 2 * count, "two per segment", &rows)
            self.start(at)
            with nogil:
                written = host_receive(self.eng, <const Segment*>arriving.base, count, at, rows)
            first = self.kept(written)
        finally:
            self.leave()
        return out[first:first + written]

    def advance(self, now, out=None):
        """Fire every timer due at or before `now` (ns), in order, each as if `now` were its deadline.

        It stops when `out` is full, and without ``out=`` after 2**20 rows (40 MiB) or when there is no memory
        for more: ``next_timer() <= now`` then says that there is more, to be had by the same call again.
        Returns SEGMENT[m].
        """
        cdef int64_t at = time_of(now)
        cdef Py_ssize_t written = 0, room, wider, first
        cdef bint grows = out is None
        cdef Segment* rows = NULL
        cdef Segment* former
        cdef Span span
        out = rows_given(out)
        self.take(at)
        try:
            self.is_few = False
            if grows and self.eng.group != NULL:      # the order of its rows depends on the room
                out, room = self.output(None, FIRST_ROWS, "", &rows), FIRST_ROWS
            else:
                out = self.space(out, 1, "to get on", &rows)
                room = FEW_ROWS - self.few_used
            former_out = out
            if not grows:
                span_of(out, PyBUF_WRITABLE, &span)
                room = span.nbytes // <Py_ssize_t>sizeof(Segment)
            self.start(at)
            while True:
                with nogil:
                    written += host_advance(self.eng, at, rows + written, room - written)
                if written < room or not grows or room == ADVANCE_ROWS:
                    break
                wider = FIRST_ROWS if self.is_few else min(2 * room, <Py_ssize_t>ADVANCE_ROWS)
                former_out, former = out, rows
                try:
                    out = self.output(None, wider, "", &rows)
                except MemoryError:
                    break
                memcpy(rows, former, written * sizeof(Segment))
                room = wider
                self.is_few = False
            first = self.kept(written)
        finally:
            self.leave()
        return out[first:first + written]

    def play(self, ops, until, *, out=None, at_out=None):
        """Do a timed batch: segments that arrive and the application's calls, each at its own time.

        For each row, in order, ``advance(at)`` and then the call that the row is, at ``at``; at last
        ``advance(until)``. docs/semantics.md, section 13, has the details.

        Parameters
        ----------
        ops : OP[n]
            ``at`` (ns) never decreases, and lies between the time of the last call and `until`. ``kind``, an
            OpKind, says what the row is: ``seg`` arrives (SEGMENT); a connection is opened to its dst and
            dport from its src (0: ``Config.local_addr``) and sport (0: an ephemeral port; CONNECT); the
            listener ``conn`` gives one (ACCEPT); or a call on the connection ``conn``, SEND and RECV of
            ``arg`` bytes (0xFFFFFFFF: all there are). ``result`` is written: a handle or 0 (CONNECT, ACCEPT),
            the bytes taken (RECV), 2**64 - 2 (a SEND left out, as over 2**30 bytes would be queued),
            2**64 - 1 (a row that was not reached), else 0.
        until : int
            ns.
        out, at_out : SEGMENT[k], int64[k], optional
            Where rows and times go, at least 2; the shorter one counts, one that is not given is made.

        Returns
        -------
        rows : SEGMENT[m]
            What all this emits, in order. With `out` or `at_out` it stops before what may not fit, else only
            where memory ends. ``play(ops[k:], until)`` goes on, where row k is the first not reached.
        at : int64[m]
            When, in ns, never decreasing: the time of the row of `ops`, or the timer's deadline.
        """
        cdef int64_t end = time_of(until, "until")
        cdef bint grows = out is None and at_out is None
        cdef Py_ssize_t count, room
        cdef Span given
        ops = as_vector(ops, OP, "OP", "ops", writable=True)
        out = rows_given(out)
        at_out = None if at_out is None else as_vector(at_out, _int64, "int64", "at_out", writable=True)
        span_of(ops, PyBUF_WRITABLE, &given)
        count = given.nbytes // <Py_ssize_t>sizeof(Op)
        self.take_now()
        try:
            self.check_play(<const Op*>given.base, count, end)
            room = 2 * count + FIRST_ROWS if grows else self.play_room(ops, out, at_out)
            return self.play_rows(<Op*>given.base, count, end, out, at_out, room, grows)
        finally:
            self.leave()

    cdef play_rows(self, Op* ops, Py_ssize_t count, int64_t until, out, at_out, Py_ssize_t room, bint grows):
        """play() once its arguments are checked: the output, which may grow, and the loop."""
        cdef Py_ssize_t written = 0, reached = 0
        cdef Span spare
        cdef Segment* rows = NULL
        cdef int64_t* times = NULL
        out = self.output(out, room, "to get on", &rows)
        at_out = _times(at_out, room, &times)
        while True:
            with nogil:
                written += host_play(self.eng, ops, count, until, rows + written, times + written,
                                     room - written, &reached)
            if not grows or (reached == count and written < room):
                break
            try:
                wider = self.output(None, 2 * room, "", &rows)
                later = _times(None, 2 * room, &times)
            except MemoryError:
                break
            span_of(out, PyBUF_SIMPLE, &spare)
            memcpy(rows, <const void*>spare.base, written * sizeof(Segment))
            span_of(at_out, PyBUF_SIMPLE, &spare)
            memcpy(times, <const void*>spare.base, written * sizeof(int64_t))
            out, at_out, room = wider, later, 2 * room
        play_not_reached(ops, count, reached)
        return out[:written], at_out[:written]

    cdef int check_play(self, const Op* ops, Py_ssize_t count, int64_t until) except -1:
        """ValueError if a timed batch cannot be done as it is."""
        cdef Py_ssize_t row = 0
        cdef PlayFault fault = play_check(first_of(self.eng), ops, count, until, &row)
        if fault == PLAY_SOUND:
            return 0
        if fault == PLAY_UNTIL:
            raise ValueError(f"until: expected at least {self.eng.now} (the clock never goes back), "
                             f"got {until}")
        if fault == PLAY_TIME_BACK:
            low = self.eng.now if row == 0 else max(<object>ops[row - 1].at, self.eng.now)
            raise ValueError(f"ops[{row}]: expected 'at' of at least {low} (the clock never goes back), "
                             f"got {ops[row].at}")
        expected, got = {
            PLAY_KIND: ("'kind' as in OpKind", ops[row].kind),
            PLAY_TOO_LATE: (f"'at' of at most until, {until}", ops[row].at),
            PLAY_LISTENER: ("'conn' to be the id of an open listener", ops[row].conn),
            PLAY_DST: ("a unicast address as 'dst'", f"{ops[row].seg.dst:#010x}"),
            PLAY_DPORT: ("1 .. 65535 as 'dport'", 0),
            PLAY_SRC: ("0 or a unicast address as 'src'", f"{ops[row].seg.src:#010x}"),
            PLAY_AMOUNT: (f"'arg' of at most {MAX_QUEUED}", ops[row].arg),
        }[fault]
        raise ValueError(f"ops[{row}]: expected {expected}, got {got}")

    cdef Py_ssize_t play_room(self, ops, out, at_out) except -1:
        """The length of play()'s output, of which one part or both are given; ValueError if it overlaps."""
        cdef Span given, rows = Span(0, 0), times
        cdef Py_ssize_t room = <Py_ssize_t>0x7FFFFFFFFFFFFFFF
        span_of(ops, PyBUF_SIMPLE, &given)
        if out is not None:
            span_of(out, PyBUF_SIMPLE, &rows)
            room = rows.nbytes // <Py_ssize_t>sizeof(Segment)
            if overlap(&rows, &given):
                raise ValueError("out: expected memory apart from ops, got an overlapping array")
        if at_out is not None:
            span_of(at_out, PyBUF_SIMPLE, &times)
            room = min(room, times.nbytes // <Py_ssize_t>sizeof(int64_t))
            if overlap(&times, &given):
                raise ValueError("at_out: expected memory apart from ops, got an overlapping array")
            if out is not None and overlap(&times, &rows):
                raise ValueError("at_out: expected memory apart from out, got an overlapping array")
        if room < PLAY_LEAST:
            raise ValueError(f"{'out' if out is not None else 'at_out'}: expected at least {PLAY_LEAST} rows "
                             f"(to get on), got {room}")
        return room

    # --- settings of a host that runs ----------------------------------------------------------------

    def set_knobs(self, **knobs):
        """Change knobs of an engine in use, as ``sysctl -w`` does on a host that runs.

        Parameters
        ----------
        **knobs
            New values by name; those left out stay. The knobs that can change are marked in docs/knobs.md:
            what is read when something happens, but not what sizes memory, makes keys, or is copied into a
            connection or a table when that begins. `config` then has the new values.

        Raises
        ------
        TypeError, ValueError
            No such knob, a bad value, or a knob that is fixed when the engine is created; also
            ``tcp_syncookies`` where `synq_policy` keeps half-open entries in order only without cookies
            ("evict-oldest", "evict-random"), or unless they are always sent ("freebsd"). Nothing has changed.

        Notes
        -----
        It acts from the next call on: on the next segment, timer or open, also of connections that exist.
        Timers that run keep their deadlines. A limit that falls below what there is removes nothing: what
        comes is refused until there is room. ``somaxconn`` is for listeners opened later.
        docs/semantics.md, section 11.
        """
        change_config(self, live_values(knobs), None)

    def next_timer(self):
        """A time in absolute ns, never later than the earliest live deadline; None if no timer runs.

        At or before the time of the last call only if a timer is due by then (`advance` has more to do);
        else after it, and advancing to it moves it on.
        """
        cdef EngineState* eng = self.look()
        cdef int64_t tick = host_next_timer(eng)
        self.leave()
        return None if tick < 0 else tick * TICK_NS

    # --- 3.10.6 STATUS, and everything else that only looks ----------------------------------------

    def lookup(self, raddr, rport, laddr, lport):
        """Handles of connections by 4-tuple (scalars or arrays, broadcast), 0 where there is none.

        Half-open entries and TIME-WAIT are found, listeners are not.
        """
        cdef uint32_t remote = 0, local = 0
        cdef uint64_t remote_port = 0, local_port = 0
        cdef Py_ssize_t i, count
        cdef Span spans[4]
        cdef size_t[4] sizes = [4, 2, 4, 2]
        cdef Span handles
        cdef EngineState* eng
        if (is_address(raddr, &remote) and is_uint(rport, 0xFFFF, &remote_port)
                and is_address(laddr, &local) and is_uint(lport, 0xFFFF, &local_port)):
            conns = _zeros(1, _uint64)
            span_of(conns, PyBUF_WRITABLE, &handles)
            eng = self.look()
            (<uint64_t*>handles.base)[0] = host_lookup(
                eng, remote, <uint16_t>remote_port, local, <uint16_t>local_port)
            self.leave()
            return conns
        arrays = broadcast(None, {
            "raddr": to_address(raddr, "raddr"), "rport": to_uint(rport, "rport", 16),
            "laddr": to_address(laddr, "laddr"), "lport": to_uint(lport, "lport", 16),
        })
        conns = _zeros(len(arrays[0]), _uint64)
        span_of(conns, PyBUF_WRITABLE, &handles)
        count = handles.nbytes // <Py_ssize_t>sizeof(uint64_t)
        for i in range(4):
            arrays[i] = self.input(arrays[i], sizes[i], &spans[i])
            count = min(count, spans[i].nbytes // <Py_ssize_t>sizes[i])
        eng = self.look()
        for i in range(count):
            (<uint64_t*>handles.base)[i] = host_lookup(
                eng, (<const uint32_t*>spans[0].base)[i], (<const uint16_t*>spans[1].base)[i],
                (<const uint32_t*>spans[2].base)[i], (<const uint16_t*>spans[3].base)[i])
        self.leave()
        return conns

    def info(self, conns):
        """Status of connections, INFO[n], one row per handle: STATUS, RFC 9293 3.10.6.

        The row of a stale handle is all zeros (CLOSED). Unlike SO_ERROR, reading ``error`` does not clear it.
        """
        cdef Py_ssize_t i, count
        cdef uint64_t handle
        cdef Span handles = Span(<uintptr_t>&handle, sizeof(handle)), infos
        if is_handle(conns, &handle):
            rows = _frombuffer(bytearray(sizeof(Info)), _info)
            span_of(rows, PyBUF_WRITABLE, &infos)
            host_info(self.look(), handle, <Info*>infos.base)
            self.leave()
            return rows
        conns = self.input(as_handles(conns), sizeof(uint64_t), &handles)
        count = handles.nbytes // <Py_ssize_t>sizeof(uint64_t)
        rows = np.zeros(count, INFO)
        span_of(rows, PyBUF_WRITABLE, &infos)
        cdef EngineState* eng = self.look()
        for i in range(count):
            host_info(eng, (<const uint64_t*>handles.base)[i], &(<Info*>infos.base)[i])
        self.leave()
        return rows

    def room(self, listener):
        """Places of a listener's two queues, how many are taken, and what sets their number.

        Parameters
        ----------
        listener : int
            Id of an open listener.

        Returns
        -------
        ROOM
            One structured row. ``half_open_max`` is the number of half-open entries at which `synq_policy`
            admits the next SYN no longer without a cookie or an eviction; ``half_open_set_by`` is

            - "backlog" or "somaxconn", whichever is the effective backlog: backlog + 1 places;
            - "tcp_max_syn_backlog": policy "linux" with ``tcp_syncookies=0``, whose last quarter is kept for
              proven peers, when that leaves fewer places;
            - "syncache": policy "freebsd", 512 buckets of 30 for all listeners together, and ``half_open``
              counts the entries of all; one full bucket can overflow long before the whole cache is full;
            - "tcp_syncookies": 0 places with ``tcp_syncookies=2``, as there are no entries.

            ``accept_max`` is the number of unaccepted connections at which the accept queue is full,
            ``accept_set_by`` "backlog" or "somaxconn"; 0 and "auto_accept" with ``auto_accept``, where no
            connection ever waits. ``backlog`` is the effective one. All this holds as long as there are free
            blocks (``capacity``), and a SYN that reopens a TIME-WAIT is let in even when the queue is full.

        Raises
        ------
        TypeError, ValueError
            `listener` is not the id of an open listener.
        """
        number = integer(listener, "listener", 0, 2**63 - 1)
        cdef Listener fields                  # a copy: others may change it when leave() has let them in
        cdef HalfOpenRoom half_open
        cdef HostQueues queues
        cdef HostCounts counts
        cdef EngineState* eng = self.look()
        try:
            fields = self.listener(number)[0]
            host_queues(eng, number, &queues)
            host_counts(eng, &counts)
            half_open = policy_half_open_room(fields.backlog, queues.cache, &eng.knobs)
        finally:
            self.leave()
        syncache = half_open.limit == ROOM_SYNCACHE
        backlog_set_by = "somaxconn" if fields.backlog_capped else "backlog"
        row = np.zeros((), ROOM)
        row["half_open"] = counts.half_open if syncache else queues.half_open
        row["half_open_max"] = half_open.places * (1 if syncache else queues.members)
        row["half_open_set_by"] = _HALF_OPEN_SET_BY.get(half_open.limit, backlog_set_by)
        row["accept"] = queues.accept
        row["accept_max"] = 0 if fields.auto_accept else queues.members * fields.accept_room
        row["accept_set_by"] = "auto_accept" if fields.auto_accept else backlog_set_by
        row["backlog"] = fields.backlog
        return row[()]

    def state_counts(self):
        """Connections by state, uint64[11], indexed by State; LISTEN counts listeners, CLOSED is 0."""
        cdef Py_ssize_t i
        cdef Span span
        counts = np.zeros(N_STATES, np.uint64)
        span_of(counts, PyBUF_WRITABLE, &span)
        cdef HostCounts now
        host_counts(self.look(), &now)
        self.leave()
        for i in range(N_STATES):
            (<uint64_t*>span.base)[i] = now.states[i]
        return counts

    def gauges(self, bint sizes=True):
        """Counts of what there is now; with `sizes` the touched bytes of all arrays, which take a while."""
        cdef EngineState* eng = self.look()
        cdef size_t total = host_bytes(eng) if sizes else 0
        cdef HostCounts now
        host_counts(eng, &now)
        self.leave()
        found = {
            "half_open": now.half_open,
            "accept_queue": now.accept_queued,
            "time_wait": now.states[TIME_WAIT],
            "orphans": now.orphans,
            "held_dead": now.held_dead,
            "blocks_used": now.blocks_used,
        }
        if sizes:
            found["bytes_total"] = total
            found["bytes_per_connection"] = <double>total / now.blocks_used if now.blocks_used else 0.0
        return found

    @property
    def counters(self):
        """Counts since the start, by name; CurrEstab is the number of connections now, as in the MIB."""
        cdef Py_ssize_t i
        cdef HostCounts now                                  # a copy: others may change them meanwhile
        host_counts(self.look(), &now)
        self.leave()
        counts = {MIB_NAMES[i]: now.counters.mib[i] for i in range(N_MIB)}
        counts["CurrEstab"] = now.states[ESTABLISHED] + now.states[CLOSE_WAIT]
        counts["EventsLost"] = now.events_lost
        return counts

    @property
    def causes(self):
        """Refused and lost connections by cause, each counted once; the names are those of Cause."""
        cdef Py_ssize_t i
        cdef HostCounts now
        host_counts(self.look(), &now)
        self.leave()
        return {CAUSE_NAMES[i]: now.counters.causes[i] for i in range(1, N_CAUSES)}

    def events(self):
        """Events since the last call, EVENT[k], of the kinds that ``Config(events=...)`` subscribed to."""
        self.take_now()
        try:
            return host_events(self.eng)
        finally:
            self.leave()

    @property
    def _predicting(self):
        # off: every segment goes to the state machine, none takes the fast path; tests compare the two
        return self.state().predicting

    @_predicting.setter
    def _predicting(self, bint on):
        self.state().predicting = on

    @property
    def _predicted(self):
        return self.state().predicted

    def _member_of(self, raddr, rport, laddr, lport):
        # of a group: the member that a 4-tuple belongs to
        return spread_member(group_of(self.state()), raddr, rport, laddr, lport)

    @property
    def _port_looks(self):
        return first_of(self.state()).port_looks

    def check(self):
        """Check every invariant of the engine's memory: a list of what is wrong. Slow and complete."""
        self.take_now()
        try:
            return host_check(self.eng)
        finally:
            self.leave()

    # --- the whole of it, to go on from ------------------------------------------------------------

    def snapshot(self):
        """The whole engine as bytes, from which `restore` makes one that goes on bit for bit like this one.

        What an engine of any capacity takes is what it has used: about 100 bytes for each block that was ever
        in use. ``pickle``, ``copy.copy`` and ``copy.deepcopy`` use it. It holds the Config with the seed,
        which is every key of the engine. Views of `blocks` are not in it.

        Returns
        -------
        bytes
            For the same version of tcpcore on a machine with the same byte order; docs/semantics.md says
            what is in it.
        """
        cdef size_t size
        cdef char* at
        cdef Py_ssize_t first
        cdef bint written
        self.take_now()
        try:
            with nogil:
                size = host_snapshot_size(self.eng)
            head = start_of(self.config, size, members_of(self.eng))
            first = len(head)
            blob = PyBytes_FromStringAndSize(NULL, first + <Py_ssize_t>size)
            at = PyBytes_AS_STRING(blob)
            memcpy(at, PyBytes_AS_STRING(head), first)
            with nogil:
                written = host_snapshot_write(self.eng, at + first)
        finally:
            self.leave()
        if not written:
            raise MemoryError("snapshot")
        proof = checksum(blob)        # put in before anybody else has these bytes
        memcpy(PyBytes_AS_STRING(blob) + <Py_ssize_t>CHECKSUM_AT, PyBytes_AS_STRING(proof), len(proof))
        return blob

    @staticmethod
    def restore(blob):
        """An engine that goes on where the one of this snapshot was.

        Parameters
        ----------
        blob : bytes-like
            What `snapshot` gave; copied if it is not ``bytes``.

        Returns
        -------
        Engine

        Raises
        ------
        TypeError
            `blob` is not bytes-like.
        ValueError
            It is no snapshot, or one of another version, byte order or build; it is damaged, or it says what
            no engine can be. The message says which.
        MemoryError
            The address space for its capacity is refused.
        """
        config, blob, first, _ = open_snapshot(blob)
        engine = Engine(config)
        read_state(engine, blob, first)
        return engine

    def __reduce__(self):
        return Engine.restore, (self.snapshot(),)

cdef EngineState* new_group(config, list parts, list buckets, int threads) except NULL:
    """The state of a group, to be freed by host_free(): what it has of its Config, and its members."""
    cdef EngineState* front = <EngineState*>calloc(1, sizeof(EngineState))
    cdef Spread* group
    if front == NULL:
        raise MemoryError("group")
    try:
        front.local_addr = unicast(to_address(config.local_addr), "local_addr")
        fill_knobs(&front.knobs, config)
        front.pool.capacity = config.capacity
        front.pool.blocks = <Tcb*>arena_map(<size_t>front.pool.capacity * sizeof(Tcb))
        front.group = group = <Spread*>calloc(1, sizeof(Spread))
        if group == NULL or front.pool.blocks == NULL:
            raise MemoryError(f"capacity: no address space for {config.capacity} blocks")
        spread_init(group, config.seed, threads)
        for part, n in zip(parts, buckets):
            arena_part(front.pool.blocks, <size_t>config.capacity * sizeof(Tcb),
                       group.first_slot[group.n] * sizeof(Tcb))
            group.members[group.n] = new_state(part, front.pool.blocks + group.first_slot[group.n], n)
            group.n += 1
            group.first_slot[group.n] = group.first_slot[group.n - 1] + <uint32_t>part.capacity
    except BaseException:
        host_free(front)
        raise
    return front


cdef object group_engine(config, list parts, list buckets, int threads):
    """An Engine whose work is done by members with these Configs and so many buckets of a syncache."""
    cdef Engine engine = Engine.__new__(Engine, _later)
    cdef EngineState* eng = new_group(config, parts, buckets, threads)
    engine.config = config
    engine.eng = eng
    return engine


cdef change_config(object engine, dict values, parts_of):
    """Set checked knobs; of a group, each member gets the Config that parts_of(config) lists for it.

    All members have the same eviction queues, so that the first refuses for all."""
    cdef Engine one = engine
    cdef EngineState* eng = one.look()
    cdef Knobs changed
    cdef uint32_t m
    try:
        config = one.config.replace(**values)
        for m, part in enumerate([config] if parts_of is None else parts_of(config)):
            fill_knobs(&changed, part)
            if not change_knobs(eng if eng.group == NULL else group_of(eng).members[m], &changed):
                raise ValueError(
                    "tcp_syncookies: expected a value that needs the same queues as "
                    f"{one.config.tcp_syncookies} with synq_policy {config.synq_policy!r}, "
                    f"got {config.tcp_syncookies}")
        if eng.group != NULL:
            fill_knobs(&eng.knobs, config)
        one.config = config
    finally:
        one.leave()


cdef object read_state(object engine, bytes blob, Py_ssize_t first):
    """Have a new Engine go on from the state at `first` of a snapshot; ValueError, and it stays busy."""
    (<Engine>engine).take_now()
    wrong = host_snapshot_read((<Engine>engine).eng, PyBytes_AS_STRING(blob) + first, len(blob) - first)
    if wrong is not None:
        raise ValueError(f"blob: expected the state of an engine, got {wrong}")
    (<Engine>engine).leave()


cdef EngineState* state_of(object engine) except NULL:
    """The state of an Engine, for as long as that lives; TypeError for anything else."""
    if not isinstance(engine, Engine):
        raise TypeError(f"engine: expected a tcpcore.Engine, got {type(engine).__name__}")
    if (<Engine>engine).eng == NULL:
        raise RuntimeError(_BUSY)
    if (<Engine>engine).eng.group != NULL:
        raise TypeError("engine: expected a tcpcore.Engine, got that of an EngineGroup")
    return (<Engine>engine).eng
