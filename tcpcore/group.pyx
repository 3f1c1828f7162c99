"""EngineGroup: several engines behind one address, with the calls of one.

It builds the members, each an engine of its own with a part of the capacity. Arguments are checked by an
Engine whose work the members do (loops/host); segments are divided among them by loops/spread, on threads.
Invariant: nobody else has a member, and the threads are at rest between calls.
"""

import os

cimport cython
from libc.stdint cimport uint64_t

from tcpcore.base.siphash cimport derive_key
from tcpcore.loops.spread cimport MAX_MEMBERS
from tcpcore.border cimport integer
from tcpcore.engine cimport change_config, group_engine, read_state
from tcpcore.border cimport integer
from tcpcore.engine cimport change_config, group_engine, read_state

from tcpcore.config import Config, live_values
from tcpcore.knobs import UNLIMITED
from tcpcore.snapshot import open_snapshot

cdef enum:
    KEY_MEMBER = 128          # purpose of derive_key: the seed of the first member

_BUSY = "the engine is busy: a call is under way in another thread or further up the stack"


cdef share(whole, n, i):
    """Part i of a number that is divided evenly among n."""
    return whole // n + (i < whole % n)


def member_config(config, n, i):
    """The Config of member i of n: it has its part of limits that a host has once, and a seed of its own.

    Of ``tcp_challenge_ack_limit`` each has 1 at least, as 0 is no limit, and one bucket of the syncache.
    """
    cdef uint64_t seed = config.seed
    knobs = {"capacity": share(config.capacity, n, i), "seed": derive_key(seed, KEY_MEMBER + <uint64_t>i),
             "syncache_hashsize": max(1, share(config.syncache_hashsize, n, i))}
    if config.tcp_max_tw_buckets != UNLIMITED:
        knobs["tcp_max_tw_buckets"] = share(config.tcp_max_tw_buckets, n, i)
    if config.tcp_challenge_ack_limit not in (0, UNLIMITED):
        knobs["tcp_challenge_ack_limit"] = max(1, share(config.tcp_challenge_ack_limit, n, i))
    return config.replace(**knobs)


cdef int threads_for(threads, int n) except -1:
    """How many threads a group of n uses: what the caller says, by default one a CPU; n at most."""
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(threads, n)
    return min(integer(threads, "threads", 1, 2**63 - 1), n)


@cython.final
cdef class EngineGroup:
    """Several engines behind one address, as sockets with SO_REUSEPORT or one receive queue a core.

    It has the calls of `Engine`, whose documentation holds for it but for what is said here. Every connection
    belongs to the member that a keyed hash of its 4-tuple names. `receive` and `advance` have the members run
    side by side on threads, without the GIL; all answers come in an order that depends on the number of
    members and not on that of the threads.

    Parameters
    ----------
    n : int
        Members, 1 .. 256.
    config : Config, optional
        The knobs of the host; ``Config.linux()`` by default. ``capacity`` is that of the group, n at least.
    threads : int, optional
        Threads to use, the caller's among them; by default one for each CPU, and never more than `n`.
    **knobs
        Single knobs over `config`.

    Notes
    -----
    What a host has once is divided evenly among the members: ``capacity``, ``tcp_max_tw_buckets``,
    ``tcp_challenge_ack_limit`` (1 for each at least), and the buckets of FreeBSD's syncache. So one member
    may be full while another is not. A listener's two queues and its backlog are each member's own, as on a
    host where n processes listen with SO_REUSEPORT. Ephemeral ports are chosen for all members together.
    Handles and `blocks` count the slots member after member. Each member has a seed of its own, out of the
    Config's.

    Raises
    ------
    TypeError, ValueError, RuntimeError, MemoryError
        As `Engine`.
    """

    cdef object host          # the Engine whose work the members do
    cdef readonly int members
    cdef readonly int threads

    def __cinit__(self, n, config=None, *, threads=None, **knobs):
        members = integer(n, "n", 1, MAX_MEMBERS)
        used = threads_for(threads, members)
        if config is None:
            config = Config(**knobs)
        elif not isinstance(config, Config):
            raise TypeError(f"config: expected a Config, got {type(config).__name__}")
        elif knobs:
            config = config.replace(**knobs)
        if config.capacity < members:
            raise ValueError(f"capacity: expected {members} at least, one for each member, "
                             f"got {config.capacity}")
        self.members = members
        self.threads = used
        parts = [member_config(config, members, i) for i in range(members)]
        buckets = [part.syncache_hashsize for part in parts]
        self.host = group_engine(config, parts, buckets, used)

    cdef engine(self):
        """The Engine that checks arguments; the garbage collector shows a group before it has one."""
        if self.host is None:
            raise RuntimeError(_BUSY)
        return self.host

    def __repr__(self):
        if self.host is None:
            return "<tcpcore.EngineGroup, incomplete>"
        return f"<tcpcore.EngineGroup of {self.members}, {repr(self.host).partition(' ')[2]}"

    @property
    def config(self):
        """The Config of the group."""
        return None if self.host is None else self.host.config

    @property
    def blocks(self):
        """The TCBs, BLOCK[capacity], member after member; as ``Engine.blocks``."""
        return self.engine().blocks

    def listen(self, addr, port, backlog=None, *, auto_accept=False, auto_close=False, rcv_buf=None,
               keepalive=False, user_timeout_ms=None, defer_accept=None, reuse_addr=None):
        """Listen on an address and port in every member, under one id; as `Engine.listen`.

        Each member has both queues, with this backlog.
        """
        return self.engine().listen(addr, port, backlog, auto_accept=auto_accept, auto_close=auto_close,
                                    rcv_buf=rcv_buf, keepalive=keepalive, user_timeout_ms=user_timeout_ms,
                                    defer_accept=defer_accept, reuse_addr=reuse_addr)

    def unlisten(self, listener, now, out=None):
        """Stop listening in every member; the resets come member after member; as `Engine.unlisten`."""
        return self.engine().unlisten(listener, now, out)

    def connect(self, dst, dport, now, *, src=None, sport=None, n=None, isn=None, rcv_buf=None,
                keepalive=False, user_timeout_ms=None, reuse_addr=None, out=None):
        """Open connections, each in the member that its 4-tuple belongs to; as `Engine.connect`.

        Where that member has no block left, the handle is 0, whatever the others have.
        """
        return self.engine().connect(dst, dport, now, src=src, sport=sport, n=n, isn=isn, rcv_buf=rcv_buf,
                                     keepalive=keepalive, user_timeout_ms=user_timeout_ms,
                                     reuse_addr=reuse_addr, out=out)

    def accept(self, listener, limit=None):
        """Take unaccepted connections, member after member, of each the oldest first; as `Engine.accept`."""
        return self.engine().accept(listener, limit)

    def send(self, conns, nbytes, now, out=None):
        """Queue text and send what may go, in the order of the handles; as `Engine.send`."""
        return self.engine().send(conns, nbytes, now, out)

    def recv(self, conns, nbytes, now, out=None):
        """Take text out of receive buffers, in the order of the handles; as `Engine.recv`."""
        return self.engine().recv(conns, nbytes, now, out)

    def shutdown(self, conns, now, out=None):
        """Half-close connections, in the order of the handles; as `Engine.shutdown`."""
        return self.engine().shutdown(conns, now, out)

    def close(self, conns, now, out=None, *, linger_s=None):
        """Close and let go of connections, in the order of the handles; as `Engine.close`."""
        return self.engine().close(conns, now, out, linger_s=linger_s)

    def abort(self, conns, now, out=None):
        """Reset connections and let go of them, in the order of the handles; as `Engine.abort`."""
        return self.engine().abort(conns, now, out)

    def unreachable(self, conns, now, code=1, out=None):
        """Tell connections of an ICMP message, in their order; as `Engine.unreachable`."""
        return self.engine().unreachable(conns, now, code, out)

    def receive(self, segs, now, out=None):
        """Take in segments: the answers of each stand where one engine would have them; as `Engine.receive`.

        Members run on threads where there are more than 256 rows.
        """
        return self.engine().receive(segs, now, out)

    def advance(self, now, out=None):
        """Fire every timer due at or before `now`, the members side by side on threads; as `Engine.advance`.

        The rows come in turns: in each, member after member gives up to 1/n of 16384 rows or of the space
        left in `out`, its own in order.
        """
        return self.engine().advance(now, out)

    def play(self, ops, until, *, out=None, at_out=None):
        """Do a timed batch, timers of all members in the order of their deadlines; as `Engine.play`.

        Without threads. A batch stops before the row for which `out` may have no space, and how many rows
        the timers up to it write is known only when those of all members have fired, by deadline: a member
        cannot run ahead, as what it did cannot be taken back. CONNECT and ACCEPT ask all members besides. At
        one deadline timers fire member after member. ACCEPT takes the oldest of the first that has one.
        """
        return self.engine().play(ops, until, out=out, at_out=at_out)

    def set_knobs(self, **knobs):
        """Change knobs of all members, of limits that a host has once their parts; as `Engine.set_knobs`."""
        change_config(self.engine(), live_values(knobs),
                      lambda config: [member_config(config, self.members, i) for i in range(self.members)])

    def next_timer(self):
        """A time in ns, never later than the earliest deadline of any member; as `Engine.next_timer`."""
        return self.engine().next_timer()

    def lookup(self, raddr, rport, laddr, lport):
        """Handles of connections by 4-tuple, 0 where there is none; as `Engine.lookup`."""
        return self.engine().lookup(raddr, rport, laddr, lport)

    def info(self, conns):
        """Status of connections, INFO[n]; as `Engine.info`."""
        return self.engine().info(conns)

    def room(self, listener):
        """Places of a listener's queues, those of all members together; ``backlog`` is that of each.

        One member's queue may be full while others are not; as `Engine.room`.
        """
        return self.engine().room(listener)

    def state_counts(self):
        """Connections by state, uint64[11]; a listener counts once; as `Engine.state_counts`."""
        return self.engine().state_counts()

    def gauges(self, bint sizes=True):
        """Counts of what there is now in all members; as `Engine.gauges`."""
        return self.engine().gauges(sizes)

    @property
    def counters(self):
        """Counts since the start of all members; as ``Engine.counters``."""
        return self.engine().counters

    @property
    def causes(self):
        """Refused and lost connections of all members by cause; as ``Engine.causes``."""
        return self.engine().causes

    def events(self):
        """Events since the last call by time, at one time member after member; as `Engine.events`."""
        return self.engine().events()

    def check(self):
        """Check every invariant of all members, and between them: a list of what is wrong. Slow."""
        return self.engine().check()

    def snapshot(self):
        """The whole group as bytes, from which `restore` makes one that goes on bit for bit.

        The number of threads is not in it. As `Engine.snapshot`.
        """
        return self.engine().snapshot()

    @staticmethod
    def restore(blob, *, threads=None):
        """A group that goes on where the one of this snapshot was; as `Engine.restore`.

        `threads` is as in the constructor.
        """
        config, blob, first, n = open_snapshot(blob, "EngineGroup")
        group = EngineGroup(n, config, threads=threads)
        read_state((<EngineGroup>group).host, blob, first)
        return group

    def __reduce__(self):
        return EngineGroup.restore, (self.snapshot(),)

    def _member_of(self, raddr, rport, laddr, lport):
        # the member that a 4-tuple belongs to, for tests
        return self.engine()._member_of(raddr, rport, laddr, lport)

    @property
    def _port_looks(self):
        # ports that the searches of all members have looked at, for tests
        return self.engine()._port_looks
