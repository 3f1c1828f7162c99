"""Reference implementation of the server's application in the simulator (docs/simulation.md, section 4)."""

from tcpcore import EventKind, State
from tests.reference.draws import draw, word
from tests.reference.simulator_applications import AFTER_FIN, Attempt, Histogram


class Acceptor:
    def __init__(self, host, listener, key, workers):
        self.host, self.listener, self.key, self.idle = host, listener, key, workers
        self.queued = self.taken = 0
        self.stalled_until = 0
        self.waits = False


class Application:
    """The server's (section 4)."""

    def __init__(self, world):
        self.world = world
        self.accept_wait = Histogram()

    def close(self, host, conn):
        self.world.send(host, host.engine.close([conn], self.world.now))

    def closes(self, a):
        if not a.server_done:
            self.close(a.server_host, a.server)
            a.server_done = True
            self.world.perhaps_settle(a)

    def may_close(self, a):
        load = a.load
        if load is None or not (a.closes == "server" and a.due and a.accepted):
            return
        wanted = load.facts.speaks == "client" or (load.facts.speaks == "server" and load.response)
        if wanted and load.request and a.heard < load.requests:
            return
        if load.facts.speaks == "server" and load.response and a.said < load.requests:
            return
        if a.half:
            if not a.shut and not a.server_done:
                a.shut = True
                load.half_closed += 1
                out = a.server_host.engine.shutdown([a.server], self.world.now)
                self.world.send(a.server_host, out)
            return
        self.closes(a)

    def hears_fin(self, a):
        """S3.12, S3.18, S3.19."""
        load, world = a.load, self.world
        if load is None:
            self.closes(a)
            return
        if a.shut and a.closes == "server":
            read = int(a.server_host.block(a.server)["rcv_nxt"]) - int(a.server_start) - 1
            load.half_read += read % 2**32
            self.closes(a)
            return
        if a.half and a.closes != "server" and load.facts.half_close_bytes:
            load.half_queued += load.facts.half_close_bytes
            out = a.server_host.engine.send([a.server], [load.facts.half_close_bytes], world.now)
            world.send(a.server_host, out)
        if load.facts.close_delay_ns:
            world.plan(world.now + load.facts.close_delay_ns, self.fin_answered, a)
        else:
            self.closes(a)

    def fin_answered(self, a):
        if a.server:
            self.closes(a)

    def answer(self, a):
        a.said += 1
        a.touched = self.world.now
        if a.load.response and not a.server_done:
            out = a.server_host.engine.send([a.server], [a.load.response], self.world.now)
            self.world.send(a.server_host, out)

    def served(self, a):
        if not a.served:
            a.served = True
            a.load.served_so_far += 1
            if a.begun >= self.world.warmup:
                a.load.served_after.values.append(self.world.now - a.begun)
            self.world.count_of(a)["first_try"] += a.tries == 1 and not a.slow

    def reads(self, a):
        load = a.load
        if load is None or not a.accepted or a.server_done:
            return
        if not load.request:
            self.reads_old(a)
            return
        count = a.server_host.bytes_of(a.server, a.server_start)
        if count is None or count // load.request <= a.heard:
            return
        a.touched = self.world.now
        a.heard = count // load.request
        self.served(a)
        while a.said < min(load.requests, a.heard + (load.facts.speaks == "server")):
            self.answer(a)
        self.may_close(a)

    def reads_old(self, a):
        """The client of a load that uses ports again says nothing: what comes is of the first connection."""
        if self.world.again(a.load) is None or a.old:
            return
        info = a.server_host.engine.info([a.server])[0]
        if info["state"] not in (State.CLOSED, *AFTER_FIN) and info["rcv_nxt"] != a.server_start % 2**32:
            a.old = True
            a.load.old_taken += 1

    def accepted(self, a):
        a.accepted = True
        a.touched = self.world.now
        if a.begun >= self.world.warmup:
            self.accept_wait.values.append(self.world.now - a.established)
        if a.load is None:
            return
        if a.load.facts.speaks != "client" or not a.load.request:
            self.served(a)
        if a.load.facts.speaks == "server" and a.load.response:
            self.answer(a)
        self.reads(a)
        self.may_close(a)

    # -- the accept queue

    def stalled_until(self, acceptor):
        accept, now, until = self.world.scenario.server.accept, self.world.now, None
        if (
            accept.stall_every_ns
            and now >= accept.stall_every_ns
            and now % accept.stall_every_ns < accept.stall_ns
        ):
            until = now - now % accept.stall_every_ns + accept.stall_ns
        if acceptor.stalled_until > now:
            until = max(until or 0, acceptor.stalled_until)
        return until

    def take(self, acceptor):
        until = self.stalled_until(acceptor)
        if until is not None:
            if not acceptor.waits and acceptor.queued:
                acceptor.waits = True
                self.world.plan(until, self.stall_ends, acceptor)
            return
        while acceptor.queued and acceptor.idle:
            self.take_one(acceptor)
            time = draw(
                self.world.scenario.server.accept.time, word(acceptor.key, acceptor.taken), acceptor.taken
            )
            acceptor.taken += 1
            if time:
                acceptor.idle -= 1
                self.world.plan(self.world.now + time, self.worker_free, acceptor)

    def take_one(self, acceptor):
        host = acceptor.host
        (conn,) = host.engine.accept(acceptor.listener, 1).tolist()
        acceptor.queued -= 1
        self.world.look()
        a = self.attempt_of(host, conn)
        state = host.engine.info([conn])[0]["state"]
        if a is None:
            self.close(host, conn)
        elif state == State.CLOSED:
            self.closes(a)
        else:
            self.accepted(a)
            if state == State.CLOSE_WAIT and not a.server_done:
                self.hears_fin(a)

    def worker_free(self, acceptor):
        acceptor.idle += 1
        self.take(acceptor)

    def stall_ends(self, acceptor):
        acceptor.waits = False
        self.take(acceptor)

    # -- events

    def attempt_of(self, host, conn):
        a = host.attempts.get(conn & 0xFFFFFFFF)
        return a if a is not None and a.server == conn and a.server_host is host else None

    def whose(self, host, conn):
        """The attempt behind a connection that is now established, or a stranger."""
        world, block = self.world, host.block(conn)
        client = world.client_of(int(block["raddr"]))
        a = None
        if client is not None:
            (theirs,) = client.engine.lookup(
                block["laddr"], block["lport"], block["raddr"], block["rport"]
            ).tolist()
            a = client.attempts.get(theirs & 0xFFFFFFFF) if theirs else None
            if a is not None and (a.client != theirs or a.client_host is not client):
                a = None
        if a is None:
            a = Attempt(None, self.world.now)
            a.client_done = True
            world.attempts.append(a)
        else:
            a.server_start = int(client.block(theirs)["iss"]) + 1
        a.server, a.server_host = conn, host
        a.server_done = a.accepted = False
        a.heard = a.said = 0
        other = host.attempts.get(conn & 0xFFFFFFFF)
        if other is not None and other is not a and other.server and other.server_host is host \
                and other.server & 0xFFFFFFFF == conn & 0xFFFFFFFF:  # fmt: skip
            other.server_done = True
            world.perhaps_settle(other)
        host.attempts[conn & 0xFFFFFFFF] = a
        return a

    def hears(self, host, event):
        conn, kind, world = int(event["conn"]), event["kind"], self.world
        if kind == EventKind.ESTABLISHED:
            if event["listener"]:
                self.established(host, event)
            return
        a = self.attempt_of(host, conn)
        if a is None:
            return
        if kind == EventKind.READABLE:
            self.reads(a)
        elif kind in (EventKind.EOF, EventKind.LOST):
            if kind == EventKind.EOF:
                self.reads(a)
            if a.server_done:
                return
            if world.closes_at_once:
                a.server_done = True
                world.perhaps_settle(a)
            elif a.accepted and kind == EventKind.EOF:
                self.hears_fin(a)
            elif a.accepted:
                self.closes(a)

    def established(self, host, event):
        world, conn = self.world, int(event["conn"])
        dead = host.engine.info([conn])[0]["state"] == State.CLOSED
        if world.closes_at_once and dead:
            return
        a = self.whose(host, conn)
        a.established = world.now
        a.slow = a.slow or world.now - a.begun >= world.first_rto
        if world.at_once:
            if dead:
                self.closes(a)
            else:
                self.accepted(a)
            return
        acceptor = host.acceptors[int(event["listener"])]
        acceptor.queued += 1
        self.take(acceptor)
