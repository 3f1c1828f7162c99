"""The engine: Python's face of `eng`.

Everything here is the border: arguments are checked once, before any state changes and before
the GIL goes; then one call into the kernel does the whole batch.
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
from tcpcore.records.knobs cimport (
    ACCEPT_LINUX, ACCEPT_RFC, ACCEPT_TRIM, HALF_OPEN_LINUX, HALF_OPEN_RFC, HALF_OPEN_SYNCACHE,
    PAWS_ANSWER_ALL, PAWS_ANSWER_TEXT, PAWS_SPARE_ACKS, SYN_TEXT_CLIENT, SYN_TEXT_DROPPED, SYN_TEXT_KEPT,
    TIME_WAIT_FREEBSD, TIME_WAIT_LINUX, TIME_WAIT_RFC, Knobs,
)
from tcpcore.records.segment cimport OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, Segment
from tcpcore.records.tcb cimport B_COLD, LISTEN, N_STATES, TICK_NS, TIME_WAIT, Cold, Tcb
from tcpcore.components.events cimport EVENTS_BOUND, events_drain, events_init
from tcpcore.components.isn cimport ISN_RANDOM, ISN_RFC6528, ISN_RFC793, isn_init
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, Listener, accept_queue_length, listener_at, listener_open,
)
from tcpcore.components.ports cimport (
    PORTS_DOUBLE_HASH, PORTS_HASH, PORTS_LINUX, PORTS_RANDOM, PORTS_RANDOM_INCREMENTS, PORTS_RANDOM_RETRY,
    ports_init,
)
from tcpcore.components.syn_policy cimport policy_accept_room
from tcpcore.components.syncookie cimport COOKIE_FREEBSD, COOKIE_LINUX, cookie_init
from tcpcore.components.timer_wheel cimport wheel_next, wheel_start
from tcpcore.loops.core cimport (
    CALL_ABORT, CALL_CLOSE, CALL_RECV, CALL_SEND, CALL_SHUTDOWN, KEY_COOKIES, KEY_ISN, KEY_PORTS, Call,
    EngineState, accept_one, advance_to, bytes_queued, call_batch, close_listener, connect_batch,
    full_tick, lookup_handle, receive_batch, resolve_handle, rows_due_with, state_bytes, state_free,
    state_init,
)
from tcpcore.loops.invariants cimport check_invariants

from tcpcore.records.tcb import BLOCK
from tcpcore.records.counters import CAUSE_NAMES, MIB_NAMES
from tcpcore.components.events import event_mask
from tcpcore.components.syn_policy import POLICIES as _SYNQ_POLICIES
from tcpcore.records.segment import SEGMENT, as_segments, to_address, to_uint
from tcpcore.sysctl import Config

cdef enum:
    FIRST_ROWS = 1024         # advance() without out=: first guess at the rows
    MAX_QUEUED = 1 << 30      # bytes unacknowledged and queued: half the number space is for the window test

#: One row per handle of Engine.info: addresses of nothing, only what RFC 9293 3.10.6 STATUS would tell.
#: ``error`` is an errno; ``deadline`` is the next timer in ns, 0 for none.
INFO = np.dtype([
    ("state", "u1"), ("retries", "u1"), ("error", "u2"), ("listener", "u4"), ("snd_una", "u4"),
    ("snd_nxt", "u4"), ("rcv_nxt", "u4"), ("unread", "u4"), ("deadline", "i8"),
])

_LAST_NOW = 2**62      # 146 years of ns: every deadline after it still fits
_COOKIE_RULES = {"linux": COOKIE_LINUX, "freebsd": COOKIE_FREEBSD}
_ACCEPTANCE = {"linux": ACCEPT_LINUX, "rfc": ACCEPT_RFC, "trim": ACCEPT_TRIM}
_HALF_OPEN_RULES = {"linux": HALF_OPEN_LINUX, "rfc": HALF_OPEN_RFC, "syncache": HALF_OPEN_SYNCACHE}
_TIME_WAIT_RULES = {"linux": TIME_WAIT_LINUX, "rfc": TIME_WAIT_RFC, "freebsd": TIME_WAIT_FREEBSD}
_PAWS_RULES = {"spare-acks": PAWS_SPARE_ACKS, "all": PAWS_ANSWER_ALL, "text": PAWS_ANSWER_TEXT}
_SYN_TEXT = {"dropped": SYN_TEXT_DROPPED, "kept": SYN_TEXT_KEPT, "client": SYN_TEXT_CLIENT}
_ISN_RULES = {"rfc6528": ISN_RFC6528, "rfc793": ISN_RFC793, "random": ISN_RANDOM}
_PORT_RULES = {
    "linux": PORTS_LINUX, "random": PORTS_RANDOM, "random-retry": PORTS_RANDOM_RETRY, "hash": PORTS_HASH,
    "double-hash": PORTS_DOUBLE_HASH, "random-increments": PORTS_RANDOM_INCREMENTS,
}


cdef void fill_knobs(Knobs* knobs, config) except *:
    """The Config as the kernel reads it."""
    knobs.synq_policy = _SYNQ_POLICIES[config.synq_policy]
    knobs.accept_full_drops_syn = config.accept_full_drops_syn
    knobs.accept_half_more = config.accept_queue_rule == "half-more"
    knobs.dup_syn_restarts = config.dup_syn_restarts
    knobs.tcp_syncookies = config.tcp_syncookies
    knobs.tcp_abort_on_overflow = config.tcp_abort_on_overflow
    knobs.tcp_max_syn_backlog = config.tcp_max_syn_backlog
    knobs.tcp_max_tw_buckets = config.tcp_max_tw_buckets
    knobs.tcp_synack_retries = config.tcp_synack_retries
    knobs.tcp_syn_retries = config.tcp_syn_retries
    knobs.tcp_syn_linear_timeouts = config.tcp_syn_linear_timeouts
    knobs.tcp_retries2 = config.tcp_retries2
    knobs.tcp_orphan_retries = config.tcp_orphan_retries
    knobs.rto_min_rule = config.rto_min_rule == "rto"
    knobs.rto_initial = config.rto_initial_ms
    knobs.rto_slop = config.rto_slop_ms
    knobs.rto_min_us = config.tcp_rto_min_us
    knobs.rto_max = config.tcp_rto_max_ms
    knobs.keepinit = config.keepinit_ms or 0
    knobs.fin_timeout = config.tcp_fin_timeout * 1000
    knobs.time_wait = config.time_wait_ms
    knobs.tcp_rfc1337 = config.tcp_rfc1337
    knobs.tcp_tw_reuse = config.tcp_tw_reuse
    knobs.tcp_tw_reuse_delay = config.tcp_tw_reuse_delay
    knobs.tcp_invalid_ratelimit = config.tcp_invalid_ratelimit
    knobs.tcp_challenge_ack_limit = config.tcp_challenge_ack_limit
    knobs.insecure_rst = config.insecure_rst
    knobs.insecure_syn = config.insecure_syn
    knobs.drop_synfin = config.drop_synfin
    knobs.blackhole = config.blackhole
    knobs.tcp_timestamps = config.tcp_timestamps
    knobs.tcp_window_scaling = config.tcp_window_scaling
    knobs.tcp_sack = config.tcp_sack
    knobs.rcv_wscale = config.rcv_wscale
    knobs.rcv_wscale_min = config.rcv_wscale_min
    knobs.mss = config.mss
    knobs.rcv_buf = config.window()
    knobs.rcv_buf_stamped = config.window(stamped=True)
    knobs.rcv_buf_whole = config.rcv_buf
    knobs.window_rounding = ("none", "mss-down", "mss-up").index(config.window_rounding)
    knobs.delack = config.delack_ms
    knobs.auto_read = config.auto_read
    knobs.acceptance = _ACCEPTANCE[config.acceptance]
    linux = config.acceptance == "linux"        # eight behaviours, knobs of their own next
    knobs.paws_tolerance_ticks = linux
    knobs.paws_ignores_old_acks = linux
    knobs.ts_recent_needs_good_ack = linux
    knobs.rst_seq_in_window = not linux
    knobs.fin_fills_buffer = linux
    knobs.fin_acked_at_once = linux
    knobs.flagless_dropped = linux
    knobs.fin_freezes_window = linux
    knobs.half_open_rules = _HALF_OPEN_RULES[config.half_open_rules]
    knobs.time_wait_rules = _TIME_WAIT_RULES[config.time_wait_rules]
    knobs.paws_rule = _PAWS_RULES[config.paws_answers]
    knobs.syn_text = _SYN_TEXT[config.syn_text]
    knobs.ack_range_793 = config.ack_range == "rfc793"
    knobs.tsecr_checked = config.tsecr_checked
    knobs.tolerate_missing_ts = config.tolerate_missing_ts
    knobs.window_by_buffer = config.window_by_buffer
    knobs.ack_repeats_control = config.ack_repeats_control
    knobs.seq_within_window = config.seq_within_window
    knobs.abort_rst_has_ack = config.abort_rst_has_ack
    knobs.crossed_syn_restarts = config.crossed_syn_restarts
    knobs.listen_answers_synack = config.listen_answers_synack
    knobs.bad_ack_ends_half_open = config.bad_ack_ends_half_open
    knobs.listen_drops_synfin = config.listen_drops_synfin
    knobs.early_syn_resend = config.early_syn_resend_ms
    knobs.retries_by_count = config.retries_rule == "count"
    knobs.epipe_in_close_wait = config.epipe_in_close_wait
    knobs.rst_before_fin = config.rst_before_fin
    knobs.refused_in_syn_received = config.refused_in_syn_received
    knobs.wrong_ack_first = config.wrong_ack_first
    knobs.unlisten_forgets = config.unlisten_forgets
    knobs.orphan_fin_wait_2_brief = config.orphan_fin_wait_2_brief
    knobs.shutdown_waits = config.shutdown_waits
    knobs.text_over_fin_resets = config.text_over_fin_resets
    knobs.time_wait_outlives = config.time_wait_outlives
    knobs.persist_restarts = config.persist_restarts
    knobs.ack_of_iss_opens = config.ack_of_iss_opens


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
    cdef _Memory memory = _Memory.__new__(_Memory)
    memory.owner = owner
    memory.base = base
    memory.nbytes = count * dtype.itemsize
    return np.frombuffer(memory, dtype)


cdef uintptr_t _address(array, bint writable) except? 0:
    """Where a contiguous array's bytes are; the array must outlive the use."""
    cdef Py_buffer view
    cdef uintptr_t base
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE | (PyBUF_WRITABLE if writable else 0))
    base = <uintptr_t>view.buf
    PyBuffer_Release(&view)
    return base


def _whole(value, name, low, high):
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


def _handles(conns):
    """Handles as a contiguous uint64 vector."""
    array = np.asarray(conns)
    if array.dtype != np.uint64:
        array = np.asarray(to_uint(conns, "conns", 64))
    return np.ascontiguousarray(np.atleast_1d(array).ravel())


def _together(n, fields, bint spread=True):
    """The named arrays broadcast to one vector length; n, when given, is that length. Unless they are to be
    spread, scalars may come back as vectors of one."""
    shapes = {name: np.shape(value) for name, value in fields.items()}
    lengths = {shape for shape in shapes.values() if shape}
    if n is None and len(lengths) == 1 and len(length := lengths.pop()) == 1:
        # the common case, spared numpy's general one: scalars and vectors of one length
        return [np.ascontiguousarray(value) if shapes[name] else np.full(length if spread else 1, value)
                for name, value in fields.items()]
    try:
        shape = np.broadcast_shapes(*shapes.values(), () if n is None else (n,))
    except ValueError:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{'n, ' if n is not None else ''}{', '.join(fields)}: "
                         f"expected shapes that broadcast, got {told}"
                         + (f", n {n}" if n is not None else "")) from None
    if n is not None and int(np.prod(shape)) != n:
        raise ValueError(f"n: expected the common length {int(np.prod(shape))}, got {n}")
    return [np.ascontiguousarray(np.broadcast_to(value, shape).ravel()) for value in fields.values()]


def _unicast(array, name):
    """MUST-46: no connection to this-host, multicast or broadcast addresses."""
    wrong = np.subtract(array, np.uint32(1)) >= 0xDFFFFFFF
    if np.any(wrong):
        bad = np.asarray(array)[wrong]
        raise ValueError(f"{name}: expected unicast addresses, got {bad.flat[0]:#010x}")
    return array


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
        """BLOCK[capacity]: the connections themselves, read-only and not copied; half-open ones too."""
        # built at each access: an engine that kept the view, which keeps the engine, would never die
        return _array(self, self.eng.pool.blocks, self.config.capacity, BLOCK)

    # --- border helpers --------------------------------------------------------------------

    cdef int64_t enter(self, now) except -1:
        """Check the clock and keep other threads out. Whoever enters must leave()."""
        cdef int64_t at = _whole(now, "now", 0, _LAST_NOW)
        if at < self.now:
            raise ValueError(f"now: expected at least {self.now} (the clock never goes back), got {at}")
        if self.busy:
            raise RuntimeError("another thread is inside this engine")
        self.busy = True
        self.now = at
        if self.eng.wheel.live == 0:
            # deadlines are kept as distances from the wheel's clock: do not let it fall behind
            wheel_start(&self.eng.wheel, at // TICK_NS)
        return at

    cdef void leave(self) noexcept:
        self.busy = False

    cdef EngineState* idle(self) except NULL:
        """The kernel, for a look at it while no other thread is inside."""
        if self.busy:
            raise RuntimeError("another thread is inside this engine")
        return self.eng

    cdef rows(self, out, Py_ssize_t need, what):
        """The SEGMENT array to write to: `out` when it is good for `need` rows, else a new one."""
        self.idle()
        if out is None:
            return np.empty(need, SEGMENT)
        as_segments(out, "out")
        if not out.flags.writeable:
            raise ValueError("out: expected a writable array, got a read-only one")
        if len(out) < need:
            raise ValueError(f"out: expected at least {need} rows ({what}), got {len(out)}")
        return out

    cdef Listener* listener(self, id) except NULL:
        cdef Listener* fields
        number = _whole(id, "listener", 0, 2**63 - 1)
        if 0 < number <= self.eng.listeners.fresh:
            fields = listener_at(&self.eng.listeners, number)
            if fields.state == LISTENER_OPEN:
                return fields
        raise ValueError(f"listener: expected the id of an open listener, got {number}")

    # --- 3.10.1 OPEN -------------------------------------------------------------------------

    def listen(self, addr, port, backlog=None, *, auto_accept=False, auto_close=False, rcv_buf=None):
        """Passive OPEN (RFC 9293 3.10.1).

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
            Listener id.

        Raises
        ------
        OSError
            EADDRINUSE: somebody listens there. ENFILE: all 65535 ids are in use.
        """
        address = to_address(addr, "addr")
        if np.ndim(address):
            raise TypeError(f"addr: expected one address, got shape {np.shape(address)}")
        port = _whole(port, "port", 1, 65535)
        limit = self.config.somaxconn
        if backlog is not None:
            limit = min(limit, _whole(backlog, "backlog", 0, 2**63 - 1))
        size = 0 if rcv_buf is None else _whole(rcv_buf, "rcv_buf", 1, 65535 << 14)
        self.idle()
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
        self.eng.counts[LISTEN] += 1
        return id

    def unlisten(self, listener, now, out=None):
        """CLOSE of a LISTEN (RFC 9293 3.10.4): unaccepted connections are reset.

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
        """Active OPEN (RFC 9293 3.10.1) of one or many connections.

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
        cdef Py_ssize_t count, written, i
        cdef Segment* rows
        cdef uint64_t* handles
        cdef ConnectArgs wanted
        cdef int64_t at
        fields = {
            "dst": _unicast(to_address(dst, "dst"), "dst"),
            "dport": to_uint(dport, "dport", 16),
            "src": self.local_addr if src is None else _unicast(to_address(src, "src"), "src"),
            "sport": np.int32(-1) if sport is None else to_uint(sport, "sport", 16).astype(np.int32),
            "isn": np.int64(-1) if isn is None else to_uint(isn, "isn", 32).astype(np.int64),
            "rcv_buf": np.uint32(0) if rcv_buf is None else self.buffers(rcv_buf),
        }
        for name in ("dport", "sport"):
            if not np.all(fields[name]):
                raise ValueError(f"{name}: expected 1 .. 65535, got 0")
        columns = _together(None if n is None else _whole(n, "n", 0, 2**63 - 1), fields, spread=False)
        count = max(len(column) for column in columns) if all(len(column) for column in columns) else 0
        for i in range(6):
            wanted.steps[i] = 1 if len(columns[i]) == count else 0
        out = self.rows(out, count, "one per connection")
        conns = np.zeros(count, np.uint64)
        rows = <Segment*>_address(out, True)
        handles = <uint64_t*>_address(conns, True)
        wanted.dst = <const uint32_t*>_address(columns[0], False)
        wanted.dport = <const uint16_t*>_address(columns[1], False)
        wanted.src = <const uint32_t*>_address(columns[2], False)
        wanted.sport = <const int32_t*>_address(columns[3], False)
        wanted.isn = <const int64_t*>_address(columns[4], False)
        wanted.rcv_buf = <const uint32_t*>_address(columns[5], False)
        at = self.enter(now)
        with nogil:
            written = connect_batch(self.eng, &wanted, count, at, handles, rows)
        self.leave()
        return conns, out[:written]

    cdef buffers(self, rcv_buf):
        """Receive buffers as the windows they give."""
        wanted = to_uint(rcv_buf, "rcv_buf", 32)
        if np.size(wanted) and (np.min(wanted) == 0 or np.max(wanted) > 65535 << 14):
            raise ValueError(f"rcv_buf: expected 1 .. {65535 << 14}, "
                             f"got {np.min(wanted)} .. {np.max(wanted)}")
        sizes, which = np.unique(wanted, return_inverse=True)
        windows = np.array([self.config.window(int(size)) for size in sizes], np.uint32)
        return windows[which].reshape(np.shape(wanted))

    def accept(self, listener, limit=None):
        """Unaccepted connections of a listener, oldest first, whatever state they are in by now.

        `limit` bounds their number. Returns uint64[k]; they are held until `close` or `abort`.
        """
        cdef Listener* fields = self.listener(listener)
        cdef Py_ssize_t i, count = accept_queue_length(fields)
        cdef uint16_t id = listener
        if limit is not None:
            count = min(count, _whole(limit, "limit", 0, 2**63 - 1))
        self.enter(self.now)
        conns = np.zeros(count, np.uint64)
        cdef uint64_t[::1] handles = conns
        for i in range(count):
            handles[i] = accept_one(self.eng, id, self.now)
        self.leave()
        return conns

    # --- 3.10.2 - 3.10.5 -----------------------------------------------------------------------

    cdef call(self, Call what, conns, now, out, taken=None, amounts=None):
        """One call on each handle in order; at most one row each, but for SEND."""
        cdef Py_ssize_t count, written, need
        cdef uint64_t* handles
        cdef uint32_t* bytes_in = NULL
        cdef uint32_t* bytes_out = NULL
        cdef Segment* rows
        cdef int64_t at
        conns = _handles(conns)
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
            # only now it matters whether a handle comes more than once
            known, which = np.unique(conns, return_inverse=True)
            for handle, size in zip(known, np.bincount(which, amounts)):
                most = max(most, bytes_queued(self.eng, handle) + <uint64_t>size)
        if most > MAX_QUEUED:
            raise ValueError(f"nbytes: expected at most {MAX_QUEUED} bytes queued and unacknowledged "
                             f"per connection, got {most}")
        return need

    def send(self, conns, nbytes, now, out=None):
        """SEND (RFC 9293 3.10.2): queue `nbytes` (lengths; scalar or one per handle), send what may go.

        Closed senders are ignored, stale handles counted. Returns SEGMENT[m].
        """
        return self.call(CALL_SEND, conns, now, out, None, to_uint(nbytes, "nbytes", 32))

    def recv(self, conns, nbytes, now, out=None):
        """RECEIVE (RFC 9293 3.10.3): take up to `nbytes` (None: all) out of each receive buffer.

        Returns
        -------
        taken : uint32[n]
        rows : SEGMENT[m]
            The window updates that makes due.
        """
        conns = _handles(conns)
        taken = np.zeros(len(conns), np.uint32)
        amounts = np.uint32(0xFFFFFFFF) if nbytes is None else to_uint(nbytes, "nbytes", 32)
        return taken, self.call(CALL_RECV, conns, now, out, taken, amounts)

    def shutdown(self, conns, now, out=None):
        """CLOSE as the RFC means it (3.10.4): half-close, a FIN after queued data. Returns SEGMENT[m]."""
        return self.call(CALL_SHUTDOWN, conns, now, out)

    def close(self, conns, now, out=None):
        """The application goes away: FIN, later data gets RST, FIN-WAIT-2 is bounded. Returns SEGMENT[m]."""
        return self.call(CALL_CLOSE, conns, now, out)

    def abort(self, conns, now, out=None):
        """ABORT (RFC 9293 3.10.5): RST. Returns SEGMENT[m]."""
        return self.call(CALL_ABORT, conns, now, out)

    # --- 3.10.7, 3.10.8 --------------------------------------------------------------------------

    def receive(self, segs, now, out=None):
        """SEGMENT ARRIVES (RFC 9293 3.10.7) for each of `segs`, in order.

        Parameters
        ----------
        segs : SEGMENT[n]
            Any bytes at all: a bad segment gets a verdict and a counter, never an exception.
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

        With ``out=`` it fills `out` and stops there: ``next_timer() <= now`` says there is more.
        Returns SEGMENT[m].
        """
        cdef Segment* rows
        cdef Py_ssize_t written = 0, room
        cdef int64_t at
        if out is not None:
            out = self.rows(out, 1, "to get on")
            rows = <Segment*>_address(out, True)
            room = len(out)
            at = self.enter(now)
            with nogil:
                written = advance_to(self.eng, at, rows, room)
            self.leave()
            return out[:written]
        out = self.rows(None, FIRST_ROWS, "")
        at = self.enter(now)
        try:
            while True:
                rows = <Segment*>_address(out, True)
                room = len(out)
                with nogil:
                    written += advance_to(self.eng, at, rows + written, room - written)
                if written < room:
                    return out[:written]
                wider = np.empty(2 * room, SEGMENT)
                wider.view(np.uint8)[:room * sizeof(Segment)] = out.view(np.uint8)
                out = wider
        finally:
            self.leave()

    def next_timer(self):
        """The next deadline in absolute ns, or None. Never later than the earliest live one."""
        cdef int64_t tick = wheel_next(&self.idle().wheel)
        return None if tick < 0 else tick * TICK_NS

    # --- 3.10.6 STATUS and the rest of the view ----------------------------------------------------

    def lookup(self, raddr, rport, laddr, lport):
        """Handles by 4-tuple (scalars or arrays, broadcast), 0 where none. Listeners are not found."""
        arrays = _together(None, {
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
        cdef EngineState* eng = self.idle()
        for i in range(len(conns)):
            handles[i] = lookup_handle(eng, raddrs[i], rports[i], laddrs[i], lports[i])
        return conns

    def info(self, conns):
        """STATUS (RFC 9293 3.10.6): INFO[n], one row per handle, zeros (CLOSED) for a stale one.

        Reading ``error`` (as SO_ERROR) does not clear it.
        """
        cdef Py_ssize_t i
        cdef uint32_t ref
        cdef Tcb* tcb
        cdef Cold* cold
        self.idle()
        conns = _handles(conns)
        cdef const uint64_t[::1] handles = conns
        told = np.zeros(len(conns), INFO)
        for i in range(len(conns)):
            ref = resolve_handle(self.eng, handles[i])
            if ref == 0:
                continue
            tcb = &self.eng.pool.blocks[ref - 1]
            cold = &self.eng.pool.colds[ref - 1]
            told[i] = (tcb.state, tcb.retries, cold.error if tcb.bits & B_COLD else 0, tcb.listener,
                       tcb.snd_una, tcb.snd_nxt, tcb.rcv_nxt, cold.unread if tcb.bits & B_COLD else 0,
                       full_tick(self.eng, tcb.deadline) * TICK_NS if tcb.timer else 0)
        return told

    def state_counts(self):
        """Connections by state, uint64[11] indexed by `State`; LISTEN counts listeners, CLOSED is 0."""
        cdef Py_ssize_t i
        self.idle()
        counts = np.zeros(N_STATES, np.uint64)
        for i in range(N_STATES):
            counts[i] = self.eng.counts[i]
        return counts

    def gauges(self):
        """What there is now: counts, and the touched bytes of every array (asked of the kernel: slow)."""
        cdef EngineState* eng = self.idle()
        total = state_bytes(eng)
        used = eng.pool.used
        return {
            "half_open": eng.half_open,
            "accept_queue": eng.queued,
            "time_wait": eng.counts[TIME_WAIT],
            "orphans": eng.orphans,
            "held_dead": eng.held_dead,
            "blocks_used": used,
            "bytes_total": total,
            "bytes_per_connection": total / used if used else 0.0,
        }

    @property
    def counters(self):
        """Counts since the start, by name; CurrEstab is a gauge under its MIB name."""
        cdef Py_ssize_t i
        self.idle()
        told = {MIB_NAMES[i]: self.eng.counters.mib[i] for i in range(N_MIB)}
        told["CurrEstab"] = self.eng.counts[4] + self.eng.counts[7]
        told["EventsLost"] = self.eng.events.lost
        return told

    @property
    def causes(self):
        """Refused and lost connections, each under exactly one cause."""
        cdef Py_ssize_t i
        self.idle()
        return {CAUSE_NAMES[i]: self.eng.counters.causes[i] for i in range(1, N_CAUSES)}

    def events(self):
        """EVENT[k]: what happened since the last call, of the kinds ``Config(events=...)`` subscribed to."""
        return events_drain(&self.idle().events)

    @property
    def _predicting(self):
        # off: the law judges every segment and call itself; tests compare the two
        return self.eng.predicting

    @_predicting.setter
    def _predicting(self, bint on):
        self.eng.predicting = on

    @property
    def _predicted(self):
        return self.eng.predicted

    def check(self):
        """Walk every invariant; a list of what is wrong, empty when sound. Slow and complete."""
        return check_invariants(self.idle())
