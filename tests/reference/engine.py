"""The reference engine: the same public calls over dictionaries, lists and one object per connection.

Written from docs/semantics.md, RFC 9293 and recordings of a kernel, never from the engine's code; kept so
simple that it can be checked by reading. What depends on a key cannot be reproduced independently: the ISN of
RFC 6528, the timestamp offset and the random part of the challenge limit are callables here, `sport=None`
takes the first free port, and a differential test avoids all of them (``isn="rfc793"``, ``tcp_timestamps=2``,
explicit ports, no challenge limit). Not here: blocks, snapshots, `out=`, SYN cookies.

`connection` has the records, `arrival` SEGMENT ARRIVES, `data` what is sent and the timers, `events` what is
told.
"""

import errno
import ipaddress
import zlib

import numpy as np

from tcpcore import SEGMENT, Config, EventKind, OpKind, State
from tests.reference.arrival import Arrival, ask
from tests.reference.closing import Closing
from tests.reference.connection import (
    CLOSED_BY_US,
    CURRENT,
    MS,
    RST,
    SENDERS,
    SPACE,
    Connection,
    Listener,
    Segment,
    add,
    as_rows,
    model,
    tick,
)
from tests.reference.data import ALL, FIN_WAIT_2, Sending
from tests.reference.events import Telling
from tests.reference.giving_up import GivingUp
from tests.reference.icmp import Icmp

INFO = np.dtype([("state", "u1"), ("error", "i4"), ("snd_una", "u4"), ("snd_nxt", "u4"), ("rcv_nxt", "u4"),
                 ("unread", "u4"), ("retries", "u1"), ("listener", "i8")])
#: Where abort tells the peer (RFC 9293 3.10.5).
TOLD_BY_ABORT = {State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.FIN_WAIT_2}

#: advance() stops when it has emitted so many.
ADVANCE_ROWS = 2**20


def address(value):
    return int(ipaddress.IPv4Address(value)) if isinstance(value, str) else int(value)


def addresses(values):
    return np.asarray(address(values) if isinstance(values, str) else values, dtype=np.int64)


def handles(conns):
    return [int(conn) for conn in np.atleast_1d(np.asarray(conns, dtype=np.uint64))]


class ReferenceEngine(Arrival, Closing, Icmp, Sending, GivingUp, Telling):
    def __init__(self, config=None, *, isn=None, ts_offset=None, draw=None, **knobs):
        self.config = Config(**knobs) if config is None else config.replace(**knobs)
        self.clock = self.moment = 0
        self.subscribe(self.config.events)
        self.slots = {}                # slot -> Connection, CLOSED but held ones too
        self.flows = {}                # (laddr, lport, raddr, rport) -> Connection
        self.listeners = {}            # id -> Listener
        self.freed = []                # slots, the last freed is taken first
        self.fresh = 0                 # slots from here on were never used
        self.generations = {}          # slot -> owners so far
        self.next_listener = 1
        self.order = 0                 # of arming
        self.rows = []
        self.counted = {}
        self.caused = {}
        self.challenge_second = None
        self.challenges_left = 0
        self.isn_of = isn or zlib.crc32
        self.ts_offset_of = ts_offset or zlib.crc32
        self.draw = draw or (lambda limit: 0)

    # -- counting, sending ---------------------------------------------------------------------

    def count(self, name, n=1):
        if n:
            self.counted[name] = self.counted.get(name, 0) + n

    def cause(self, name):
        self.caused[name] = self.caused.get(name, 0) + 1

    def refuse(self, name, listener=0):
        """A connection that never got a block."""
        self.cause(name)
        self.tell_refused(name, listener)

    def emit(self, **row):
        self.count("OutSegs")
        if row["flags"] & RST:
            self.count("OutRsts")
        self.rows.append(row)

    def sent(self):
        rows, self.rows = self.rows, []
        return as_rows(rows)

    def at(self, now):
        if now < self.clock:
            raise ValueError(f"now: expected at least {self.clock}, got {now}")
        self.clock = self.moment = int(now)
        return self.clock

    @property
    def counters(self):
        return {**self.counted, "CurrEstab": self.current()}

    @property
    def causes(self):
        return dict(self.caused)

    # -- blocks ------------------------------------------------------------------------------------

    def room(self):
        return len(self.slots) < self.config.capacity

    def take_block(self, laddr, lport, raddr, rport, rcv_buf):
        if not self.room():
            return None
        if self.freed:
            slot = self.freed.pop()
        else:
            slot = self.fresh
            self.fresh += 1
        self.generations[slot] = self.generations.get(slot, 0) + 1
        conn = Connection(slot, self.generations[slot], laddr, lport, raddr, rport, rcv_buf)
        if self.config.tcp_timestamps == 1:
            conn.ts_offset = self.ts_offset_of(repr(conn.flow).encode())
        self.slots[slot] = self.flows[conn.flow] = conn
        return conn

    def die(self, conn, error, cause):
        """Out of the flow table; the block stays while somebody holds it or it waits to be accepted."""
        self.tell_noted(conn)
        self.tell(EventKind.LOST if cause else EventKind.CLOSED, conn, cause)
        if cause:
            self.cause(cause)
        if conn.state in CURRENT:
            self.count("EstabResets")
        conn.state, conn.error = State.CLOSED, error
        conn.half_open = conn.young = conn.in_time_wait_table = False
        conn.main = conn.side = conn.first = conn.entry = None
        conn.ranges, conn.lingers = [], None
        del self.flows[conn.flow]
        if not conn.held and not conn.queued:
            self.free(conn)

    def free(self, conn):
        del self.slots[conn.slot]
        self.freed.append(conn.slot)

    def isn(self, conn, now):
        clock = now // self.config.isn_tick_ns
        secret = 0 if self.config.isn == "rfc793" else self.isn_of(repr(conn.flow).encode())
        return add(clock, secret)

    # -- queues --------------------------------------------------------------------------------------

    def of_listener(self, listener):
        return [conn for conn in self.slots.values() if conn.half_open and conn.listener == listener.number]

    def half_open(self, listener):
        return len(self.of_listener(listener))

    def young(self, listener):
        return sum(conn.young for conn in self.of_listener(listener))

    def time_wait_table(self):
        return sum(conn.in_time_wait_table for conn in self.slots.values())

    def listener_at(self, addr, port):
        for wanted in (addr, 0):
            for listener in self.listeners.values():
                if (listener.addr, listener.port) == (wanted, port):
                    return listener
        return None

    # -- timers --------------------------------------------------------------------------------------

    def arm(self, conn, which, at, kind):
        setattr(conn, which, (at, kind))
        if which == "main" and conn.lingers is not None:
            conn.lingers = max(conn.lingers, tick(self.moment))
        self.requeue(conn, moves=which == "main")

    def disarm(self, conn, which):
        setattr(conn, which, None)
        self.requeue(conn)

    def requeue(self, conn, moves=False):
        """One place in the queue per connection, that of its earlier timer, the side timer on a tie.

        It is a new place, at the end, when another timer takes it or the main timer is armed again.
        """
        timers = [timer for timer in (conn.side, self.main_or_linger(conn)) if timer]
        first = min(timers, key=lambda timer: timer[0], default=None)
        if first != conn.first or moves:
            self.order += 1
            conn.first, conn.entry = first, (first[0], self.order) if first else None

    def first_due(self):
        waiting = [conn for conn in self.slots.values() if conn.entry]
        return min(waiting, key=lambda conn: conn.entry, default=None)

    def main_or_linger(self, conn):
        """A lingering close() returns when the main timer is due, or earlier."""
        if conn.main and conn.lingers is not None:
            return min(conn.main[0], conn.lingers), conn.main[1]
        return conn.main

    def next_timer(self):
        conn = self.first_due()
        return conn.entry[0] * MS if conn else None

    def advance(self, now):
        now = self.at(now)
        while len(self.rows) < ADVANCE_ROWS and (conn := self.first_due()) and conn.entry[0] * MS <= now:
            self.fire(conn, conn.entry[0])
        self.moment = now
        return self.sent()

    def play(self, ops, until):
        """The loop that a timed batch stands for; rows, their times, and the results."""
        said, times, results = [], [], []

        def say(rows, at):
            said.append(rows)
            times.extend([at] * len(rows))

        def advance(now):
            since = self.clock
            while (conn := self.first_due()) and conn.entry[0] * MS <= now:
                at = conn.entry[0] * MS
                self.fire(conn, conn.entry[0])
                say(self.sent(), max(at, since))
            self.at(now)

        for row in ops:
            at, kind, conn, arg = (row[name].item() for name in ("at", "kind", "conn", "arg"))
            advance(at)
            result, rows = 0, None
            if kind == OpKind.SEGMENT:
                rows = self.receive(np.array([row["seg"]], SEGMENT), at)
            elif kind == OpKind.CONNECT:
                seg = row["seg"]
                conns, rows = self.connect(seg["dst"].item(), seg["dport"].item(), at,
                                           src=seg["src"].item() or None, sport=seg["sport"].item() or None)
                result = conns[0].item()
            elif kind == OpKind.ACCEPT:
                self.at(at)
                result = next(iter(self.accept(conn, 1).tolist()), 0)
            elif kind == OpKind.RECV:
                taken, rows = self.recv([conn], None if arg == 2**32 - 1 else arg, at)
                result = taken[0].item()
            elif kind == OpKind.SEND:
                rows = self.send([conn], arg, at)
            else:
                rows = getattr(self, OpKind(kind).name.lower())([conn], at)
            results.append(result)
            say(self.sent() if rows is None else rows, at)
        advance(until)
        return said, times, results

    def fire(self, conn, at):
        which = "side" if conn.side and conn.side[0] <= at else "main"
        kind = getattr(conn, which)[1]
        self.moment = at * MS
        conn.first = conn.entry = None
        if which == "main" and conn.main[0] > at:
            return self.linger_is_over(conn, at * MS)
        setattr(conn, which, None)
        getattr(self, f"{kind}_timer")(conn, at * MS)
        if conn.entry is None:
            self.requeue(conn)

    # -- the calls -------------------------------------------------------------------------------------

    def set_knobs(self, **knobs):
        """Other knobs from the next call on; which ones may change is not checked here."""
        self.config = self.config.replace(**knobs)

    def listen(self, addr, port, backlog=None, *, auto_accept=False, auto_close=False, rcv_buf=None,
               keepalive=False, user_timeout_ms=None, defer_accept=None):
        addr = address(addr)
        if any((other.addr, other.port) == (addr, port) for other in self.listeners.values()):
            raise OSError(errno.EADDRINUSE, "somebody listens there")
        cap = self.config.somaxconn
        number = self.next_listener
        self.next_listener += 1
        self.listeners[number] = Listener(
            number, addr, port, cap if backlog is None else min(backlog, cap), bool(auto_accept),
            bool(auto_close), self.config.rcv_buf if rcv_buf is None else rcv_buf,
            self.timeouts_within(self.config.tcp_defer_accept_s if defer_accept is None else defer_accept),
            keepalive=keepalive, user_timeout_ms=user_timeout_ms)
        return number

    def timeouts_within(self, seconds):
        """How many SYN-ACK timeouts fill this time."""
        first, cap = self.config.rto_initial_ms, self.synack_max()
        return next(n for n in range(256) if model(first, n - 1, cap) * (n > 0) >= 1000 * seconds or n == 255)

    def unlisten(self, listener, now):
        now = self.at(now)
        gone = self.listeners.pop(listener)
        for conn in gone.queue:
            conn.queued = conn.held = False
            if conn.state == State.CLOSED:
                self.free(conn)
                continue
            if conn.state == State.TIME_WAIT and self.config.time_wait_outlives:
                conn.orphan = True
                continue
            if conn.state in TOLD_BY_ABORT:
                self.active_rst(conn, now)
            self.die(conn, 0, "ListenerClosed")
        if self.config.unlisten_forgets:
            for conn in sorted(self.of_listener(gone), key=lambda conn: conn.slot):
                self.drop_half_open(conn, "ListenerClosed", "SynQueueListenerClosed")
        return self.sent()

    def connect(self, dst, dport, now, *, src=None, sport=None, n=None, isn=None, rcv_buf=None,
                keepalive=False, user_timeout_ms=None):
        now = self.at(now)
        src = self.config.local_addr if src is None else src
        wanted = [addresses(src), -1 if sport is None else sport, addresses(dst), dport,
                  -1 if isn is None else isn, self.config.rcv_buf if rcv_buf is None else rcv_buf]
        columns = np.broadcast_arrays(*wanted, np.empty(1 if n is None else n))[:-1]
        conns = [self.open(now, *(int(x) for x in row)) for row in zip(*columns, strict=True)]
        for handle in filter(None, conns):
            ask(self.find(handle), keepalive or self.config.always_keepalive, user_timeout_ms)
        return np.array(conns, dtype=np.uint64), self.sent()

    def open(self, now, laddr, lport, raddr, rport, isn, rcv_buf):
        """3.10.1, one active OPEN; its handle or 0."""
        config = self.config
        if lport < 0:
            low, high = config.ip_local_port_range
            lport = next((p for p in range(low, high + 1) if (laddr, p, raddr, rport) not in self.flows), -1)
            if lport < 0:
                self.count("PortsExhausted")
                self.refuse("PortsExhausted")
                return 0
        iss, took = None, None
        old = self.flows.get((laddr, lport, raddr, rport))
        if old:
            if not (old.state == State.TIME_WAIT and old.ts):
                self.count("AddressInUse")
                self.refuse("AddressInUse")
                return 0
            if self.room() or not old.held:
                iss = add(old.snd_nxt, 65537) or 1
                self.count("TWRecycled")
                self.die(old, 0, None)
                took = old
        if not self.room():
            self.count("BlocksExhausted")
            self.refuse("BlocksExhausted")
            return 0
        conn = self.take_block(laddr, lport, raddr, rport, rcv_buf)
        conn.state, conn.held = State.SYN_SENT, True
        conn.ecn = config.tcp_ecn == 1
        if isn >= 0:
            iss = isn
        conn.iss = self.isn(conn, now) if iss is None else iss
        conn.snd_una = conn.iss
        conn.snd_nxt = conn.snd_end = add(conn.iss, 1)
        conn.syn_at = conn.syn_timed = tick(now)
        conn.first_tsval = self.tsval(conn, now)
        self.tell(EventKind.OPENED, conn)
        self.count("ActiveOpens")
        if took and config.time_wait_rules == "linux" and config.tcp_timestamps:
            conn.ts_recent, conn.ts_recent_at = took.ts_recent, took.ts_recent_at
            conn.took_over = not config.auto_read
            conn.kept_window |= conn.took_over
        self.syn(conn, now)
        self.arm_syn(conn, now, self.syn_interval(0))
        return conn.handle

    def accept(self, listener, limit=None):
        queue = self.listeners[listener].queue
        taken = queue[:limit]
        del queue[:limit]
        for conn in taken:
            conn.queued, conn.held = False, True
            self.tell(EventKind.ACCEPTED, conn)
        return np.array([conn.handle for conn in taken], dtype=np.uint64)

    def living(self, conns, *columns):
        """(connection, arguments ...) of every handle that is not stale; None for a stale one."""
        conns = handles(conns)
        columns = [np.broadcast_to(column, len(conns)) for column in columns]
        for i, handle in enumerate(conns):
            conn = self.find(handle)
            if conn is None:
                self.count("StaleHandles")
            yield conn, *(column[i] for column in columns)

    def find(self, handle):
        conn = self.slots.get(handle % SPACE)
        return conn if conn and conn.handle == handle else None

    def send(self, conns, nbytes, now):
        now = self.at(now)
        for conn, length in self.living(conns, nbytes):
            if conn and not conn.half_open and conn.state in SENDERS and not (conn.fin_queued or conn.shut):
                conn.snd_end = add(conn.snd_end, int(length))
                self.output(conn, now, ALL)
        return self.sent()

    def recv(self, conns, nbytes, now):
        now = self.at(now)
        taken = [self.read(conn, None if n < 0 else int(n), now) if conn and not conn.orphan else 0
                 for conn, n in self.living(conns, -1 if nbytes is None else nbytes)]
        return np.array(taken, dtype=np.uint32), self.sent()

    def shutdown(self, conns, now):
        now = self.at(now)
        for conn, in self.living(conns):
            if conn and conn.state == State.SYN_SENT:
                self.die(conn, errno.ECONNRESET, "ConnectAborted")
            elif conn and conn.state == State.SYN_RECEIVED and self.config.shutdown_waits:
                self.shut_opening(conn, now)
            elif conn and not conn.half_open:
                self.half_close(conn, now)
        return self.sent()

    def half_close(self, conn, now):
        if self.queue_fin(conn):
            self.output(conn, now, room=1)

    def queue_fin(self, conn):
        """3.10.4, the states; whether there is a FIN to send."""
        if conn.state == State.SYN_RECEIVED:
            conn.syn_unacked, conn.ecn = True, False
            if not conn.retries and not conn.no_sample:
                conn.timed = add(conn.iss, 1), conn.syn_timed
        if conn.state in (State.ESTABLISHED, State.SYN_RECEIVED):
            conn.state = State.FIN_WAIT_1
        elif conn.state == State.CLOSE_WAIT:
            conn.state = State.LAST_ACK
        else:
            return False
        conn.fin_queued = True
        return True

    def close(self, conns, now, linger_s=None):
        now = self.at(now)
        seconds = self.config.linger_s if linger_s is None else linger_s
        for conn, one in self.living(conns, -1 if seconds is None else seconds):
            if not conn or conn.half_open or conn.queued or conn.orphan:
                continue
            if one == 0 and not self.forgets(conn):
                self.abort_one(conn, now)
                continue
            before = len(self.rows)
            self.go_away(conn, now)
            if one > 0 and conn.state in CLOSED_BY_US and conn.state != State.FIN_WAIT_2:
                self.linger(conn, now, int(one))
            self.limit_orphans(conn, now, before)
        return self.sent()

    def go_away(self, conn, now):
        """The application lets the connection go."""
        conn.held, conn.orphan = False, True
        if conn.state == State.CLOSED:
            self.free(conn)
        elif conn.state == State.SYN_SENT or self.forgets(conn):
            self.die(conn, 0, "ConnectAborted")
        elif conn.unread and conn.state != State.TIME_WAIT:
            self.count("TCPAbortOnClose")
            self.active_rst(conn, now)
            self.die(conn, 0, "UnreadData")
        elif conn.state == State.FIN_WAIT_2:
            self.start_fin_wait_2(conn, now)
            if self.by_silence:
                self.arm(conn, "main", tick(now) + self.fin_silence, FIN_WAIT_2)
        else:
            self.half_close(conn, now)

    def limit_orphans(self, conn, now, before):
        """One too many is reset, instead of what it sent (rows from `before` on)."""
        orphans = [one for one in self.slots.values() if self.is_orphan(one) and one.state != State.CLOSED
                   and one.state != State.TIME_WAIT and not one.in_time_wait_table]
        if conn in orphans and len(orphans) > self.config.tcp_max_orphans:
            self.count("OutSegs", before - len(self.rows))
            del self.rows[before:]
            self.active_rst(conn, now)
            self.count("TCPAbortOnMemory")
            self.die(conn, 0, "TooManyOrphans")

    def abort(self, conns, now):
        now = self.at(now)
        for conn, in self.living(conns):
            if conn:
                self.abort_one(conn, now)
        return self.sent()

    def abort_one(self, conn, now):
        """3.10.5."""
        if conn.queued:
            return
        conn.held = False
        if conn.state == State.CLOSED:
            return self.free(conn)
        if conn.state == State.TIME_WAIT and self.config.time_wait_outlives:
            conn.orphan = True
            return
        counts = conn.state not in (State.SYN_SENT, State.TIME_WAIT) and not conn.half_open
        if conn.state in TOLD_BY_ABORT or (counts and (conn.unread or self.waiting(conn))):
            self.active_rst(conn, now)
        if counts:
            self.count("TCPAbortOnClose" if conn.unread else "TCPAbortOnData")
        cause = {State.SYN_SENT: "ConnectAborted", State.TIME_WAIT: None}.get(conn.state, "Aborted")
        if conn.half_open:
            self.count("SynQueueAborted")
            cause = "EmbryonicAborted"
        self.die(conn, 0, cause)

    def unreachable(self, conns, now, code=1):
        now = self.at(now)
        for conn, one in self.living(conns, code):
            if conn:
                self.count("InDestUnreachs", int(one) < 256)
                self.hear_unreachable(conn, int(one), now)
        return self.sent()

    def receive(self, segs, now):
        now = self.at(now)
        self.begin_call()
        for row in segs:
            self.count("InSegs")
            self.segment_arrives(Segment(row), now)
            self.end_lingering(now)
        return self.sent()

    # -- looking -----------------------------------------------------------------------------------------

    def lookup(self, raddr, rport, laddr, lport):
        columns = np.broadcast_arrays(addresses(laddr), lport, addresses(raddr), rport, np.empty(1))[:-1]
        found = [self.flows.get(tuple(int(x) for x in row)) for row in zip(*columns, strict=True)]
        return np.array([conn.handle if conn else 0 for conn in found], dtype=np.uint64)

    def info(self, conns):
        conns = handles(conns)
        rows = np.zeros(len(conns), INFO)
        for row, handle in zip(rows, conns, strict=True):
            if conn := self.find(handle):
                for name in INFO.names:
                    row[name] = getattr(conn, name)
                if self.config.unreachable_rules == "freebsd" and conn.state != State.CLOSED:
                    row["error"] = 0
        return rows

    def state_counts(self):
        counts = np.zeros(len(State), dtype=np.uint64)
        for conn in self.slots.values():
            counts[conn.state] += 1
        counts[State.CLOSED], counts[State.LISTEN] = 0, len(self.listeners)
        return counts

    def gauges(self):
        conns = self.slots.values()
        return {
            "half_open": sum(conn.half_open for conn in conns),
            "accept_queue": sum(conn.queued for conn in conns),
            "time_wait": sum(conn.state == State.TIME_WAIT for conn in conns),
            "orphans": sum(self.is_orphan(conn) and conn.state != State.TIME_WAIT for conn in conns),
            "held_dead": sum(conn.state == State.CLOSED for conn in conns),
            "blocks_used": len(conns),
        }

    def check(self):
        """What must hold between the dictionaries; [] when it does."""
        alive = {conn.flow: conn for conn in self.slots.values() if conn.state != State.CLOSED}
        queued = [conn for listener in self.listeners.values() for conn in listener.queue]
        faults = []
        if alive != self.flows:
            faults.append("the flow table is not the living connections")
        if set(self.slots) & set(self.freed) or len(self.slots) + len(self.freed) != self.fresh:
            faults.append("slots used and freed do not add up")
        if sorted(c.slot for c in queued) != sorted(c.slot for c in self.slots.values() if c.queued):
            faults.append("the accept queues are not the queued connections")
        for conn in self.slots.values():
            if conn.state == State.CLOSED and not (conn.held or conn.queued):
                faults.append(f"slot {conn.slot} is CLOSED and nobody's")
            if conn.state == State.TIME_WAIT and not conn.main:
                faults.append(f"slot {conn.slot} never leaves TIME_WAIT")
        return faults
