"""Engines as hosts of a simulation: processes of SimPy or tasks of asyncio wait for connections.

A `Network` carries segments between hosts after a delay; a `Host` is one `Engine`, with one pending wake-up.
What is due at the same time reaches an engine as one batch, and so do the calls of an application.
Not here: bytes (lengths only), links with queues. Invariant: time is integer nanoseconds, and only the
simulator moves it. SimPy is imported by `simpy_network` alone (`pip install tcpcore[simpy]`).
"""

import asyncio
import selectors
from collections import deque
from ipaddress import IPv4Address

import numpy as np

from tcpcore import Cause, Config, Engine, EventKind, join

__all__ = ["Connection", "Host", "Listener", "Network", "VirtualLoop", "asyncio_network", "run",
           "simpy_network"]

_EVENTS = ("established", "readable", "eof", "writable", "closed", "lost")
_ESTABLISHED, _READABLE, _EOF, _WRITABLE, _LOST = (
    int(EventKind[name.upper()]) for name in ("established", "readable", "eof", "writable", "lost"))


class Network:
    """Hosts that hear each other after `delay` ns.

    `lost(rows)` says which segments of an array never arrive, as a bool array. `clock` is the simulator:
    ``now()`` (int ns), ``at(when, call)``, ``waitable()``, ``resolve(waitable, value)`` and
    ``reject(waitable, error)``; `simpy_network` and `asyncio_network` make one. `segments`, `wakeups` and
    `steps` count the segments delivered, the wake-ups of engines for their timers, and the waits of
    applications that ended.
    """

    def __init__(self, clock, delay, lost=None):
        self.clock, self.delay, self.lost = clock, int(delay), lost
        self.segments = self.wakeups = self.steps = 0
        self._hosts, self._under_way = {}, {}

    def host(self, addr, **knobs):
        """A new host with this address; `knobs` are those of `Config`, with ``auto_read=False``."""
        host = Host(self, Config(local_addr=addr, auto_read=False, events=_EVENTS, **knobs))
        self._hosts[int(IPv4Address(addr))] = host
        return host

    def carry(self, rows):
        """Segments leave now: they arrive `delay` ns later, with all others that arrive then."""
        if self.lost is not None and len(rows):
            rows = rows[~self.lost(rows)]
        if not len(rows):
            return
        when = self.clock.now() + self.delay
        parts = self._under_way.get(when)
        if parts is None:
            parts = self._under_way[when] = []
            self.clock.at(when, self._arrive)
        parts.append(rows)

    def _arrive(self):
        parts = self._under_way.pop(self.clock.now())
        rows = parts[0] if len(parts) == 1 else join(parts)
        to = rows["dst"]
        for addr, host in self._hosts.items():
            mine = rows[to == addr]
            if len(mine):
                self.segments += len(mine)
                host._receive(mine)


class Host:
    """One engine in a network. Calls of the same time are collected and made together, one call a kind."""

    def __init__(self, network, config):
        self.network, self.clock = network, network.clock
        self.addr, self.engine = config.local_addr, Engine(config)
        self._connections, self._listeners = {}, {}
        self._opens, self._calls, self._readers = [], {}, []
        self._flushing, self._wake_at = False, None

    # -- the application

    def listen(self, port, backlog=None):
        """A `Listener` on this port."""
        number = self.engine.listen(self.addr, port, backlog)
        listener = self._listeners[number] = Listener(self, number)
        return listener

    def connect(self, dst, port):
        """Wait for a `Connection` to `dst`; ConnectionError if there will be none."""
        waitable = self.clock.waitable()
        self._opens.append((int(IPv4Address(dst)), port, waitable))
        self._soon()
        return waitable

    def _call(self, name, handle, nbytes=0):
        self._calls.setdefault(name, []).append((handle, nbytes))
        self._soon()

    def _read(self, connection):
        self._readers.append(connection)
        self._soon()

    def _soon(self):
        if not self._flushing:
            self._flushing = True
            self.clock.at(self.clock.now(), self._flush)

    # -- the engine

    def _flush(self):
        """All calls of this time: connect, recv, send, shutdown, close, abort."""
        self._flushing = False
        now, engine, carry = self.clock.now(), self.engine, self.network.carry
        opens, self._opens = self._opens, []
        readers, self._readers = self._readers, []
        calls, self._calls = self._calls, {}
        if opens:
            dst, ports, waitables = zip(*opens, strict=True)
            handles, rows = engine.connect(np.array(dst, np.uint32), np.array(ports), now)
            for handle, waitable in zip(handles.tolist(), waitables, strict=True):
                if handle:
                    self._connections[handle] = Connection(self, handle, waitable)
                else:
                    self._end(waitable, None, ConnectionError("no port or no block"))
            carry(rows)
        if readers:
            taken, rows = engine.recv(np.array([one.handle for one in readers], np.uint64), None, now)
            carry(rows)
            for one, nbytes in zip(readers, taken.tolist(), strict=True):
                one._took(nbytes)
        for name in ("send", "shutdown", "close", "abort"):
            if name in calls:
                handles, nbytes = zip(*calls[name], strict=True)
                args = (np.array(nbytes, np.uint32),) if name == "send" else ()
                carry(getattr(engine, name)(np.array(handles, np.uint64), *args, now))
        self._after()

    def _receive(self, rows):
        self.network.carry(self.engine.receive(rows, self.clock.now()))
        self._after()

    def _wake(self):
        now = self.clock.now()
        if now == self._wake_at:
            self._wake_at = None
            self.network.wakeups += 1
            self.network.carry(self.engine.advance(now))
            self._after()

    def _after(self):
        """Events to whoever waits for them, and the one wake-up to the next deadline."""
        for handle, _, listener, kind, cause, _ in self.engine.events().tolist():
            connection = self._connections.get(handle)
            if kind == _ESTABLISHED and listener:
                self._connections[handle] = Connection(self, handle, None, listener)
                self._listeners[listener]._ready += 1
                self._listeners[listener]._serve()
            elif connection is not None:
                connection._heard(kind, cause)
        due = self.engine.next_timer()
        if due is not None and (self._wake_at is None or due < self._wake_at):
            self._wake_at = due
            self.clock.at(due, self._wake)

    def _end(self, waitable, value, error=None):
        self.network.steps += 1
        if error is None:
            self.clock.resolve(waitable, value)
        else:
            self.clock.reject(waitable, error)


class Listener:
    """A port of a host. An application waits for its connections with `accept`."""

    def __init__(self, host, number):
        self.host, self.number = host, number
        self._ready, self._waiting = 0, deque()

    def accept(self):
        """Wait for the next `Connection`."""
        waitable = self.host.clock.waitable()
        self._waiting.append(waitable)
        self._serve()
        return waitable

    def _serve(self):
        n = min(self._ready, len(self._waiting))
        if n:
            self._ready -= n
            for handle in self.host.engine.accept(self.number, n).tolist():
                connection = self.host._connections[handle]
                connection._queued_for = None
                if connection._ended:
                    del self.host._connections[handle]
                self.host._end(self._waiting.popleft(), connection)


class Connection:
    """What an application holds: lengths in and out. `error` is the cause's name once it is lost."""

    __slots__ = ("error", "handle", "host", "_drain", "_ended", "_eof", "_opening", "_queued", "_queued_for",
                 "_reader")

    def __init__(self, host, handle, opening, queued_for=None):
        self.host, self.handle, self.error = host, handle, None
        self._opening, self._reader, self._drain = opening, None, []
        self._queued_for = queued_for                 # listener, until it is accepted
        self._ended = self._eof = self._queued = False

    def send(self, nbytes):
        """Queue so many bytes."""
        if nbytes:
            self._queued = True
            self.host._call("send", self.handle, nbytes)

    def recv(self):
        """Wait for text: all bytes that are unread, or 0 at the peer's FIN."""
        if self._reader is not None:
            raise RuntimeError("recv: another process waits for this connection")
        self._reader = self.host.clock.waitable()
        self.host._read(self)
        return self._reader

    def drained(self):
        """Wait until all that was sent is acknowledged."""
        waitable = self.host.clock.waitable()
        self._drain.append(waitable)
        if self.error is not None:
            self._fail()
        elif not self._queued:
            self._release()
        return waitable

    def shutdown(self):
        """No more from here; the peer may go on."""
        self.host._call("shutdown", self.handle)

    def close(self):
        """The application goes away."""
        self.host._call("close", self.handle)

    def abort(self):
        """Reset."""
        self.host._call("abort", self.handle)

    def _took(self, nbytes):
        reader = self._reader
        if reader is None:
            return
        if nbytes or self._eof:
            self._reader = None
            self.host._end(reader, nbytes)
        elif self.error is not None:
            self._fail()

    def _heard(self, kind, cause):
        if kind == _ESTABLISHED:
            opening, self._opening = self._opening, None
            self.host._end(opening, self)
        elif kind == _READABLE or kind == _EOF:
            self._eof |= kind == _EOF
            if self._reader is not None:
                self.host._read(self)
        elif kind == _WRITABLE:
            self._queued = False
            self._release()
        else:
            self._ended = True
            if self._queued_for is None:
                del self.host._connections[self.handle]
            if kind == _LOST:
                self.error = Cause(cause).name
                if self._opening is not None:         # nobody has it: nobody else will let it go
                    self.close()
                self._fail()
            else:
                self._release()

    def _release(self):
        drain, self._drain = self._drain, []
        for waitable in drain:
            self.host._end(waitable, None)

    def _fail(self):
        waiting = [one for one in (self._opening, self._reader, *self._drain) if one is not None]
        self._opening, self._reader, self._drain = None, None, []
        for waitable in waiting:
            self.host._end(waitable, None, ConnectionError(self.error))


# -- SimPy


class _SimPyClock:
    def __init__(self, env):
        if env.now != int(env.now):
            raise ValueError(f"env: expected a time in whole ns, got {env.now!r}")
        self._env = env

    def now(self):
        return int(self._env.now)

    def at(self, when, call):
        self._env.timeout(when - self.now()).callbacks.append(lambda _: call())

    def waitable(self):
        return self._env.event()

    def resolve(self, waitable, value):
        waitable.succeed(value)

    def reject(self, waitable, error):
        waitable.fail(error)


def simpy_network(env, delay, lost=None):
    """A `Network` whose waits are events of this `simpy.Environment`, which counts integer ns."""
    import simpy

    if not isinstance(env, simpy.Environment):
        raise TypeError(f"env: expected a simpy.Environment, got {type(env).__name__}")
    return Network(_SimPyClock(env), delay, lost)


# -- asyncio


class _NoSleep(selectors.DefaultSelector):
    """A selector that moves the loop's clock where others sleep."""

    loop = None

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("every task waits, and nothing is due any more")
        self.loop._now += max(0, round(timeout * 1e9))
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` is virtual and that never sleeps; exact to the ns for 40 days."""

    def __init__(self):
        self._now = 0
        selector = _NoSleep()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 0.5e-9               # what is due 1 ns later is not due yet

    def time(self):
        return self._now / 1e9

    def now(self):
        """Virtual time in ns."""
        return self._now


class _AsyncioClock:
    def __init__(self, loop):
        if not isinstance(loop, VirtualLoop):
            raise TypeError(f"expected a running VirtualLoop, got {type(loop).__name__}")
        self._loop, self.now, self.waitable = loop, loop.now, loop.create_future

    def at(self, when, call):
        if when == self._loop.now():
            self._loop.call_soon(call)
        else:
            self._loop.call_at(when / 1e9, call)

    def resolve(self, waitable, value):
        if not waitable.done():                       # else its task was cancelled
            waitable.set_result(value)

    def reject(self, waitable, error):
        if not waitable.done():
            waitable.set_exception(error)


def asyncio_network(delay, lost=None):
    """A `Network` whose waits are futures of the running `VirtualLoop`."""
    return Network(_AsyncioClock(asyncio.get_running_loop()), delay, lost)


def run(main):
    """`asyncio.run` on a `VirtualLoop`: what the coroutine `main` returns."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
