"""Engine, the public Python class: it checks arguments and calls the batch loops.

Arguments are checked once, before any state changes and before the GIL is released; then one call into
`loops` does the whole batch without Python. No TCP rule is here. Source: RFC 9293 3.9.1 and 3.10.1 to 3.10.6
for the calls.
"""

import errno
import operator
import os

import numpy as np

cimport cython
from cpython.buffer cimport (PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release,
                             PyObject_GetBuffer)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from tcpcore.base.siphash cimport derive_key
from tcpcore.records.connect_args cimport ConnectArgs
from tcpcore.records.counters cimport N_CAUSES, N_MIB
from tcpcore.records.info cimport Info
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, Segment
from tcpcore.records.tcb cimport (
    B_COLD, CLOSE_WAIT, ESTABLISHED, LISTEN, N_STATES, TICK_NS, TIME_WAIT, Cold, Tcb,
)
from tcpcore.components.events cimport EVENTS_BOUND, events_drain, events_init
from tcpcore.components.isn cimport ISN_RANDOM, ISN_RFC6528, ISN_RFC793, isn_init
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, Listener, accept_queue_length, listener_at, listener_open,
)
from tcpcore.components.ports cimport (
    PORTS_DOUBLE_HASH, PORTS_HASH, PORTS_LINUX, PORTS_RANDOM, PORTS_RANDOM_INCREMENTS, PORTS_RANDOM_RETRY,
    ports_init,
)
from tcpcore.components.syn_eviction cimport SYNCACHE_BUCKETS, SYNCACHE_BUCKET_LIMIT
from tcpcore.components.syn_policy cimport (
    ROOM_COOKIES, ROOM_RESERVE, ROOM_SYNCACHE, HalfOpenRoom, policy_accept_room, policy_half_open_room,
)
from tcpcore.components.syncookie cimport COOKIE_FREEBSD, COOKIE_LINUX, cookie_init
from tcpcore.components.timer_wheel cimport wheel_next, wheel_tick
from tcpcore.loops.advance cimport advance_to
from tcpcore.loops.calls cimport (
    CALL_ABORT, CALL_CLOSE, CALL_RECV, CALL_SEND, CALL_SHUTDOWN, Call, accept_one, bytes_queued,
    call_batch, close_listener, rows_due_with,
)
from tcpcore.loops.connect cimport connect_batch
from tcpcore.loops.invariants cimport check_invariants
from tcpcore.loops.receive cimport receive_batch
from tcpcore.loops.silence cimport follow_clock
from tcpcore.loops.state cimport (
    KEY_COOKIES, KEY_ISN, KEY_PORTS, EngineState, lookup_handle, resolve_handle, state_bytes, state_free,
    state_init,
)

from tcpcore.records.tcb import BLOCK
from tcpcore.records.counters import CAUSE_NAMES, MIB_NAMES
from tcpcore.records.handle import as_handles
from tcpcore.records.info import INFO, ROOM
from tcpcore.components.events import event_mask
from tcpcore.records.segment import SEGMENT, as_segments, to_address, to_uint
from tcpcore.config import Config, engine_value

cdef enum:
    FIRST_ROWS = 1024         # advance() without out=: first guess at the rows
    MAX_QUEUED = 1 << 30      # bytes unacknowledged and queued: half the number space is for the window test
    MAX_RCV_BUF = 65535 << 14     # bytes: the largest window that a header can tell

_LAST_NOW = 2**62      # 146 years of ns: every deadline after it still fits
_HALF_OPEN_SET_BY = {
    ROOM_RESERVE: "tcp_max_syn_backlog", ROOM_SYNCACHE: "syncache", ROOM_COOKIES: "tcp_syncookies",
}
_COOKIE_RULES = {"linux": COOKIE_LINUX, "freebsd": COOKIE_FREEBSD}
_ISN_RULES = {"rfc6528": ISN_RFC6528, "rfc793": ISN_RFC793, "random": ISN_RANDOM}
_PORT_RULES = {
    "linux": PORTS_LINUX, "random": PORTS_RANDOM, "random-retry": PORTS_RANDOM_RETRY, "hash": PORTS_HASH,
    "double-hash": PORTS_DOUBLE_HASH, "random-increments": PORTS_RANDOM_INCREMENTS,
}


cdef void fill_knobs(Knobs* knobs, config) except *:
    """The Config as the TCP state machine and the components read it: each field by its name."""
    record = np.asarray(<Knobs[:1]>knobs)
    for name in record.dtype.names:
        record[name] = engine_value(config, name)


cdef uint8_t offers(config) except *:
    """OptBits of the SYN options this host agrees to."""
    return (OPT_MSS | (OPT_WSCALE if config.tcp_window_scaling else 0)
            | (OPT_SACK_OK if config.tcp_sack else 0) | (OPT_TS if config.tcp_timestamps else 0))


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


cdef uintptr_t _address(array, bint writable) except? 0:
    """Address of a contiguous array's bytes; the array must outlive its use."""
    cdef Py_buffer view
    cdef uintptr_t base
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE | (PyBUF_WRITABLE if writable else 0))
    base = <uintptr_t>view.buf
    PyBuffer_Release(&view)
    return base


def _integer(value, name, low, high):
    """`value` as an int of low .. high; TypeError or ValueError naming it."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    value = number
    if not low <= value <= high:
        raise ValueError(f"{name}: expected {low} .. {high}, got {value}")
    return value


def _broadcast(n, fields, bint scalars_too=True):
    """The named arrays as vectors of one length, in order; that length is `n` unless n is None.

    Without `scalars_too` a scalar may stay a vector of one element.
    """
    shapes = {name: np.shape(value) for name, value in fields.items()}
    lengths = {shape for shape in shapes.values() if shape}
    if n is None and len(lengths) == 1 and len(length := lengths.pop()) == 1:
        # the common case, scalars and vectors of one length, without numpy's general and slow way
        return [np.ascontiguousarray(value) if shapes[name] else np.full(length if scalars_too else 1, value)
                for name, value in fields.items()]
    try:
        shape = np.broadcast_shapes(*shapes.values(), () if n is None else (n,))
    except ValueError:
        got = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{'n, ' if n is not None else ''}{', '.join(fields)}: "
                         f"expected shapes that broadcast, got {got}"
                         + (f", n {n}" if n is not None else "")) from None
    if n is not None and int(np.prod(shape)) != n:
        raise ValueError(f"n: expected the common length {int(np.prod(shape))}, got {n}")
    return [np.ascontiguousarray(np.broadcast_to(value, shape).ravel()) for value in fields.values()]


def _unicast(array, name):
    """`array` if all its addresses are unicast; ValueError naming it otherwise (RFC 9293 MUST-46)."""
    wrong = np.subtract(array, np.uint32(1)) >= 0xDFFFFFFF
    if np.any(wrong):
        bad = np.asarray(array)[wrong]
        raise ValueError(f"{name}: expected unicast addresses, got {bad.flat[0]:#010x}")
    return array


cdef void _fill_connect_args(ConnectArgs* args, list columns, Py_ssize_t count) except *:
    """Point `args` at the columns, which must outlive it; a column of one element is for all `count` rows."""
    cdef Py_ssize_t i
    for i in range(6):
        args.steps[i] = 1 if len(columns[i]) == count else 0
    args.dst = <const uint32_t*>_address(columns[0], False)
    args.dport = <const uint16_t*>_address(columns[1], False)
    args.src = <const uint32_t*>_address(columns[2], False)
    args.sport = <const int32_t*>_address(columns[3], False)
    args.isn = <const int64_t*>_address(columns[4], False)
    args.rcv_buf = <const uint32_t*>_address(columns[5], False)


cdef void _fill_info(Info* info, const EngineState* eng, uint64_t conn) noexcept nogil:
    """STATUS of one connection; `info`, all zeros, stays so for a stale handle."""
    cdef uint32_t ref = resolve_handle(eng, conn)
    cdef const Tcb* tcb
    cdef const Cold* cold
    if ref == 0:
        return
    tcb = &eng.pool.blocks[ref - 1]
    info.state = tcb.state
    info.retries = tcb.retries
    info.listener = tcb.listener
    info.snd_una = tcb.snd_una
    info.snd_nxt = tcb.snd_nxt
    info.rcv_nxt = tcb.rcv_nxt
    if tcb.bits & B_COLD:
        cold = &eng.pool.colds[ref - 1]
        info.error = cold.error
        info.unread = cold.unread
    if tcb.timer:
        info.deadline = wheel_tick(&eng.wheel, tcb) * TICK_NS


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
    handles (generation << 32 | slot). Every method that emits takes ``out=``, a SEGMENT array that does not
    overlap the input, and then returns a view of it. Source: RFC 9293 3.9.1 (the calls), 3.10.

    Raises
    ------
    TypeError, ValueError
        Bad arguments; the message names the argument, the state is untouched.
    RuntimeError
        Another thread is inside this engine.
    MemoryError
        The address space for `capacity` blocks is refused.
    """

    cdef EngineState* eng
    cdef int64_t now
    cdef bint busy
    cdef readonly object config
    cdef object local_addr

    def __cinit__(self, config=None, **knobs):
        if config is None:
            config = Config(**knobs)
        elif not isinstance(config, Config):
            raise TypeError(f"config: expected a Config, got {type(config).__name__}")
        elif knobs:
            config = config.replace(**knobs)
        self.config = config
        self.local_addr = _unicast(to_address(config.local_addr), "local_addr")
        self.eng = <EngineState*>calloc(1, sizeof(EngineState))
        if self.eng == NULL:
            raise MemoryError("engine")
        self.eng.pool.capacity = config.capacity
        fill_knobs(&self.eng.knobs, config)
        if not state_init(self.eng, config.seed):
            raise MemoryError(f"capacity: no address space for {config.capacity} blocks")
        isn_init(&self.eng.isn, _ISN_RULES[config.isn], config.isn_tick_ns, derive_key(config.seed, KEY_ISN),
                 derive_key(config.seed, KEY_ISN + 1))
        cookie_init(&self.eng.cookies, _COOKIE_RULES[config.cookie_encoding], config.mss, offers(config),
                    derive_key(config.seed, KEY_COOKIES), derive_key(config.seed, KEY_COOKIES + 1))
        low, high = config.ip_local_port_range
        if not ports_init(&self.eng.ports, _PORT_RULES[config.port_selection], low, high,
                          derive_key(config.seed, KEY_PORTS), derive_key(config.seed, KEY_PORTS + 1)):
            raise MemoryError("ports")
        events_init(&self.eng.events, event_mask(config.events), EVENTS_BOUND)

    def __dealloc__(self):
        if self.eng != NULL:
            state_free(self.eng)
            free(self.eng)

    def __repr__(self):
        used = self.eng.pool.used
        return f"<tcpcore.Engine {used} of {self.config.capacity} blocks, now {self.now} ns>"

    @property
    def blocks(self):
        """The TCBs themselves, BLOCK[capacity], read-only and not copied, half-open entries included."""
        # built at each access: an engine that kept the view, which keeps the engine, would never die
        return _array(self, self.eng.pool.blocks, self.config.capacity, BLOCK)

    # --- what every method does first -------------------------------------------------------

    cdef int64_t enter(self, now) except -1:
        """Check and set the clock, and keep other threads out until leave() is called."""
        cdef int64_t at = _integer(now, "now", 0, _LAST_NOW)
        if at < self.now:
            raise ValueError(f"now: expected at least {self.now} (the clock never goes back), got {at}")
        if self.busy:
            raise RuntimeError("another thread is inside this engine")
        self.busy = True
        self.now = at
        follow_clock(self.eng, at // TICK_NS)
        return at

    cdef void leave(self) noexcept:
        """Let other threads in again."""
        self.busy = False

    cdef EngineState* state(self) except NULL:
        """The engine's state, to be read or changed while the GIL keeps other threads out."""
        if self.busy:
            raise RuntimeError("another thread is inside this engine")
        return self.eng

    cdef rows(self, out, Py_ssize_t need, what):
        """The SEGMENT array to write to: a new one, or `out` after a check that it takes `need` rows."""
        self.state()
        if out is None:
            return np.empty(need, SEGMENT)
        as_segments(out, "out")
        if not out.flags.writeable:
            raise ValueError("out: expected a writable array, got a read-only one")
        if len(out) < need:
            raise ValueError(f"out: expected at least {need} rows ({what}), got {len(out)}")
        return out

    cdef Listener* listener(self, id) except NULL:
        """The open listener with this id; TypeError or ValueError otherwise."""
        cdef Listener* fields
        number = _integer(id, "listener", 0, 2**63 - 1)
        if 0 < number <= self.eng.listeners.fresh:
            fields = listener_at(&self.eng.listeners, number)
            if fields.state == LISTENER_OPEN:
                return fields
        raise ValueError(f"listener: expected the id of an open listener, got {number}")

    # --- 3.10.1 OPEN -------------------------------------------------------------------------

    def listen(self, addr, port, backlog=None, *, auto_accept=False, auto_close=False, rcv_buf=None):
        """Listen on an address and port: passive OPEN, RFC 9293 3.10.1.

        Parameters
        ----------
        addr : int or str
            Local address; 0 or "0.0.0.0" is any.
        port : int
            1 .. 65535.
        backlog : int, optional
            Effective is min(backlog, somaxconn); None is somaxconn, 0 is legal. Both queues hold one more;
            ``accept_queue_rule`` "half-more" lets half as many again wait for accept, and `synq_policy`
            "freebsd" has one cache of half-open entries for all listeners.
        auto_accept, auto_close : bool
            The application accepts at once; it answers the peer's FIN with FIN+ACK.
        rcv_buf : int, optional
            Receive buffer of its connections in bytes, rounded as ``window_rounding`` says.

        Returns
        -------
        int
            Listener id. `room` says how many places its queues have.

        Raises
        ------
        OSError
            EADDRINUSE: the address and port have a listener. ENFILE: all 65535 ids are in use.
        """
        address = to_address(addr, "addr")
        if np.ndim(address):
            raise TypeError(f"addr: expected one address, got shape {np.shape(address)}")
        port = _integer(port, "port", 1, 65535)
        asked = None if backlog is None else _integer(backlog, "backlog", 0, 2**63 - 1)
        limit = self.config.somaxconn if asked is None else min(self.config.somaxconn, asked)
        size = 0 if rcv_buf is None else _integer(rcv_buf, "rcv_buf", 1, MAX_RCV_BUF)
        self.state()
        id = listener_open(&self.eng.listeners, address, port, limit,
                           policy_accept_room(limit, &self.eng.knobs))
        if id == 0:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        if id < 0:
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
        cdef Listener* fields = listener_at(&self.eng.listeners, id)
        fields.auto_accept = bool(auto_accept)
        fields.auto_close = bool(auto_close)
        fields.rcv_buf = size
        fields.backlog_capped = limit != asked
        self.eng.counts[LISTEN] += 1
        return id

    def unlisten(self, listener, now, out=None):
        """Stop listening and reset unaccepted connections: CLOSE of a LISTEN, RFC 9293 3.10.4.

        Half-open entries send nothing more; a late ACK gets a RST. They disappear at their next timer, or at
        once with ``unlisten_forgets``. Returns SEGMENT[m], at most one row per unaccepted connection.
        """
        cdef Listener* fields = self.listener(listener)
        cdef uint16_t id = listener
        cdef uint32_t written
        cdef Segment* rows
        cdef int64_t at
        out = self.rows(out, accept_queue_length(fields), "one per unaccepted connection")
        rows = <Segment*>_address(out, True)
        at = self.enter(now)
        with nogil:
            written = close_listener(self.eng, id, at, rows)
        self.leave()
        return out[:written]

    def connect(self, dst, dport, now, *, src=None, sport=None, n=None, isn=None, rcv_buf=None, out=None):
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
            How many, where everything else is a scalar.

        Returns
        -------
        conns : uint64[n]
            Handles; 0 where there was no port, no block or the tuple is in use, counted in `causes`.
        rows : SEGMENT[m]
            The SYNs.
        """
        cdef Py_ssize_t count, written
        cdef Segment* rows
        cdef uint64_t* handles
        cdef ConnectArgs args
        cdef int64_t at
        columns = self.connect_columns(dst, dport, src, sport, n, isn, rcv_buf)
        count = max(len(column) for column in columns) if all(len(column) for column in columns) else 0
        _fill_connect_args(&args, columns, count)
        out = self.rows(out, count, "one per connection")
        conns = np.zeros(count, np.uint64)
        rows = <Segment*>_address(out, True)
        handles = <uint64_t*>_address(conns, True)
        at = self.enter(now)
        with nogil:
            written = connect_batch(self.eng, &args, count, at, handles, rows)
        self.leave()
        return conns, out[:written]

    cdef list connect_columns(self, dst, dport, src, sport, n, isn, rcv_buf):
        """The arguments of connect(), checked, in the order and of the types of ConnectArgs."""
        fields = {
            "dst": _unicast(to_address(dst, "dst"), "dst"),
            "dport": to_uint(dport, "dport", 16),
            "src": self.local_addr if src is None else _unicast(to_address(src, "src"), "src"),
            "sport": np.int32(-1) if sport is None else to_uint(sport, "sport", 16).astype(np.int32),
            "isn": np.int64(-1) if isn is None else to_uint(isn, "isn", 32).astype(np.int64),
            "rcv_buf": np.uint32(0) if rcv_buf is None else self.windows_of(rcv_buf),
        }
        for name in ("dport", "sport"):
            if not np.all(fields[name]):
                raise ValueError(f"{name}: expected 1 .. 65535, got 0")
        length = None if n is None else _integer(n, "n", 0, 2**63 - 1)
        return _broadcast(length, fields, scalars_too=False)

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
        cdef Listener* fields = self.listener(listener)
        cdef Py_ssize_t i, count = accept_queue_length(fields)
        cdef uint16_t id = listener
        if limit is not None:
            count = min(count, _integer(limit, "limit", 0, 2**63 - 1))
        self.enter(self.now)
        conns = np.zeros(count, np.uint64)
        cdef uint64_t[::1] handles = conns
        for i in range(count):
            handles[i] = accept_one(self.eng, id, self.now)
        self.leave()
        return conns

    # --- 3.10.2 SEND, 3.10.3 RECEIVE, 3.10.4 CLOSE, 3.10.5 ABORT ---------------------------------

    cdef call(self, Call what, conns, now, out, taken=None, amounts=None):
        """Do one call on each handle in order: at most one row each, except for SEND."""
        cdef Py_ssize_t count, written, need
        cdef uint64_t* handles
        cdef uint32_t* bytes_in = NULL
        cdef uint32_t* bytes_out = NULL
        cdef Segment* rows
        cdef int64_t at
        conns = as_handles(conns)
        count = len(conns)
        if amounts is not None:
            if np.size(amounts) not in (1, count):
                raise ValueError(f"nbytes: expected one number or {count}, got {np.size(amounts)}")
            amounts = amounts.ravel() if np.ndim(amounts) else amounts
            amounts = np.ascontiguousarray(np.broadcast_to(amounts, count))
        need = count if what != CALL_SEND else self.rows_to_send(conns, amounts)
        out = self.rows(out, need, "one per connection" if what != CALL_SEND else "what the windows let go")
        if count == 0:
            self.enter(now)
            self.leave()
            return out[:0]
        rows = <Segment*>_address(out, True)
        handles = <uint64_t*>_address(conns, False)
        if amounts is not None:
            bytes_in = <uint32_t*>_address(amounts, False)
        if taken is not None:
            bytes_out = <uint32_t*>_address(taken, True)
        at = self.enter(now)
        with nogil:
            written = call_batch(self.eng, what, handles, count, bytes_in, bytes_out, at, rows)
        self.leave()
        return out[:written]

    cdef Py_ssize_t rows_to_send(self, conns, amounts) except -1:
        """Rows a SEND emits at most; ValueError where one connection would have over 2**30 bytes queued."""
        cdef const uint64_t[::1] handles = conns
        cdef const uint32_t[::1] sizes = amounts
        cdef Py_ssize_t i, need = 0
        cdef uint64_t most = 0, queued
        for i in range(len(conns)):
            queued = bytes_queued(self.eng, handles[i])
            most = max(most, queued + sizes[i])
            need += rows_due_with(self.eng, handles[i], sizes[i])
        if len(conns) > 1 and most + amounts.sum(dtype=np.uint64) > MAX_QUEUED:
            # over the limit only if a handle is given more than once: add up what each is to send
            known, which = np.unique(conns, return_inverse=True)
            for handle, size in zip(known, np.bincount(which, amounts)):
                most = max(most, bytes_queued(self.eng, handle) + <uint64_t>size)
        if most > MAX_QUEUED:
            raise ValueError(f"nbytes: expected at most {MAX_QUEUED} bytes queued and unacknowledged "
                             f"per connection, got {most}")
        return need

    def send(self, conns, nbytes, now, out=None):
        """Queue `nbytes` of text (scalar or one per handle) and send what may go: SEND, RFC 9293 3.10.2.

        Connections whose sending side is closed are ignored, stale handles counted. Returns SEGMENT[m].
        """
        return self.call(CALL_SEND, conns, now, out, None, to_uint(nbytes, "nbytes", 32))

    def recv(self, conns, nbytes, now, out=None):
        """Take up to `nbytes` (None: all) out of each receive buffer: RECEIVE, RFC 9293 3.10.3.

        Returns
        -------
        taken : uint32[n]
            Bytes, per handle.
        rows : SEGMENT[m]
            The window updates that are due because of it.
        """
        conns = as_handles(conns)
        taken = np.zeros(len(conns), np.uint32)
        amounts = np.uint32(0xFFFFFFFF) if nbytes is None else to_uint(nbytes, "nbytes", 32)
        return taken, self.call(CALL_RECV, conns, now, out, taken, amounts)

    def shutdown(self, conns, now, out=None):
        """Half-close: a FIN after all queued data, CLOSE of RFC 9293 3.10.4. Returns SEGMENT[m]."""
        return self.call(CALL_SHUTDOWN, conns, now, out)

    def close(self, conns, now, out=None):
        """Close and let go of the connections, as close(2) does. Returns SEGMENT[m].

        A FIN is sent after all queued data; data that arrives later is answered by RST; FIN-WAIT-2 ends
        after ``tcp_fin_timeout``.
        """
        return self.call(CALL_CLOSE, conns, now, out)

    def abort(self, conns, now, out=None):
        """Reset the connections and let go of them: ABORT, RFC 9293 3.10.5. Returns SEGMENT[m]."""
        return self.call(CALL_ABORT, conns, now, out)

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
        cdef const Segment* arriving
        cdef Segment* rows
        cdef Py_ssize_t count, written
        cdef int64_t at
        as_segments(segs, "segs")
        count = len(segs)
        if out is not None and count and np.may_share_memory(segs, out):
            raise ValueError("out: expected memory apart from segs, got an overlapping array")
        out = self.rows(out, 2 * count, "two per segment")
        if count == 0:
            self.enter(now)
            self.leave()
            return out[:0]
        arriving = <const Segment*>_address(segs, False)
        rows = <Segment*>_address(out, True)
        at = self.enter(now)
        with nogil:
            written = receive_batch(self.eng, arriving, count, at, rows)
        self.leave()
        return out[:written]

    def advance(self, now, out=None):
        """Fire every timer due at or before `now` (ns), in order, each as if `now` were its deadline.

        With ``out=`` it stops when `out` is full: ``next_timer() <= now`` then says that there is more.
        Returns SEGMENT[m].
        """
        cdef Segment* rows
        cdef Py_ssize_t written = 0, size
        cdef int64_t at
        if out is not None:
            out = self.rows(out, 1, "to get on")
            rows = <Segment*>_address(out, True)
            size = len(out)
            at = self.enter(now)
            with nogil:
                written = advance_to(self.eng, at, rows, size)
            self.leave()
            return out[:written]
        out = self.rows(None, FIRST_ROWS, "")
        at = self.enter(now)
        try:
            while True:
                rows = <Segment*>_address(out, True)
                size = len(out)
                with nogil:
                    written += advance_to(self.eng, at, rows + written, size - written)
                if written < size:
                    return out[:written]
                wider = np.empty(2 * size, SEGMENT)
                wider.view(np.uint8)[:size * sizeof(Segment)] = out.view(np.uint8)
                out = wider
        finally:
            self.leave()

    def next_timer(self):
        """A time in absolute ns, never later than the earliest live deadline; None if no timer runs."""
        cdef int64_t tick = wheel_next(&self.state().wheel)
        return None if tick < 0 else tick * TICK_NS

    # --- 3.10.6 STATUS, and everything else that only looks ----------------------------------------

    def lookup(self, raddr, rport, laddr, lport):
        """Handles of connections by 4-tuple (scalars or arrays, broadcast), 0 where there is none.

        Half-open entries and TIME-WAIT are found, listeners are not.
        """
        arrays = _broadcast(None, {
            "raddr": to_address(raddr, "raddr"), "rport": to_uint(rport, "rport", 16),
            "laddr": to_address(laddr, "laddr"), "lport": to_uint(lport, "lport", 16),
        })
        cdef const uint32_t[::1] raddrs = arrays[0]
        cdef const uint16_t[::1] rports = arrays[1]
        cdef const uint32_t[::1] laddrs = arrays[2]
        cdef const uint16_t[::1] lports = arrays[3]
        cdef Py_ssize_t i
        conns = np.zeros(len(arrays[0]), np.uint64)
        cdef uint64_t[::1] handles = conns
        cdef EngineState* eng = self.state()
        for i in range(len(conns)):
            handles[i] = lookup_handle(eng, raddrs[i], rports[i], laddrs[i], lports[i])
        return conns

    def info(self, conns):
        """Status of connections, INFO[n], one row per handle: STATUS, RFC 9293 3.10.6.

        The row of a stale handle is all zeros (CLOSED). Unlike SO_ERROR, reading ``error`` does not clear it.
        """
        cdef Py_ssize_t i
        cdef Info* infos
        self.state()
        conns = as_handles(conns)
        cdef const uint64_t[::1] handles = conns
        rows = np.zeros(len(conns), INFO)
        infos = <Info*>_address(rows, True)
        for i in range(len(conns)):
            _fill_info(&infos[i], self.eng, handles[i])
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
        cdef EngineState* eng = self.state()
        cdef const Listener* fields = self.listener(listener)
        cdef HalfOpenRoom half_open = policy_half_open_room(
            fields.backlog, SYNCACHE_BUCKETS * SYNCACHE_BUCKET_LIMIT, &eng.knobs)
        backlog_set_by = "somaxconn" if fields.backlog_capped else "backlog"
        row = np.zeros((), ROOM)
        row["half_open"] = eng.half_open if half_open.limit == ROOM_SYNCACHE else fields.half_open
        row["half_open_max"] = half_open.places
        row["half_open_set_by"] = _HALF_OPEN_SET_BY.get(half_open.limit, backlog_set_by)
        row["accept"] = accept_queue_length(fields)
        row["accept_max"] = 0 if fields.auto_accept else fields.accept_room
        row["accept_set_by"] = "auto_accept" if fields.auto_accept else backlog_set_by
        row["backlog"] = fields.backlog
        return row[()]

    def state_counts(self):
        """Connections by state, uint64[11], indexed by State; LISTEN counts listeners, CLOSED is 0."""
        cdef Py_ssize_t i
        self.state()
        counts = np.zeros(N_STATES, np.uint64)
        for i in range(N_STATES):
            counts[i] = self.eng.counts[i]
        return counts

    def gauges(self):
        """Counts of what there is now, and the touched bytes of all arrays, which take a while to find."""
        cdef EngineState* eng = self.state()
        total = state_bytes(eng)
        used = eng.pool.used
        return {
            "half_open": eng.half_open,
            "accept_queue": eng.accept_queued,
            "time_wait": eng.counts[TIME_WAIT],
            "orphans": eng.orphans,
            "held_dead": eng.held_dead,
            "blocks_used": used,
            "bytes_total": total,
            "bytes_per_connection": total / used if used else 0.0,
        }

    @property
    def counters(self):
        """Counts since the start, by name; CurrEstab is the number of connections now, as in the MIB."""
        cdef Py_ssize_t i
        self.state()
        counts = {MIB_NAMES[i]: self.eng.counters.mib[i] for i in range(N_MIB)}
        counts["CurrEstab"] = self.eng.counts[ESTABLISHED] + self.eng.counts[CLOSE_WAIT]
        counts["EventsLost"] = self.eng.events.lost
        return counts

    @property
    def causes(self):
        """Refused and lost connections by cause, each counted once; the names are those of Cause."""
        cdef Py_ssize_t i
        self.state()
        return {CAUSE_NAMES[i]: self.eng.counters.causes[i] for i in range(1, N_CAUSES)}

    def events(self):
        """Events since the last call, EVENT[k], of the kinds that ``Config(events=...)`` subscribed to."""
        return events_drain(&self.state().events)

    @property
    def _predicting(self):
        # off: every segment goes to the state machine, none takes the fast path; tests compare the two
        return self.eng.predicting

    @_predicting.setter
    def _predicting(self, bint on):
        self.eng.predicting = on

    @property
    def _predicted(self):
        return self.eng.predicted

    def check(self):
        """Check every invariant of the engine's memory: a list of what is wrong. Slow and complete."""
        return check_invariants(self.state())
