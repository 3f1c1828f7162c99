"""Reference implementation of the simulator's applications (docs/simulation.md, sections 3, 4 and 6)."""

from collections import Counter

from tcpcore import Cause, EventKind, State
from tests.reference.draws import (
    ARRIVALS,
    CONNECTIONS,
    HALF_CLOSE,
    TRIES,
    below,
    draw,
    log_of,
    stream,
    unit,
    unit_above_zero,
    word,
)

AFTER_FIN = (State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK, State.TIME_WAIT)
BY_RESET = (Cause.ConnectRefused, Cause.ResetByPeer)


class Histogram:
    def __init__(self):
        self.values = []

    def figures(self):
        """(n, min, max, sum, {lowest of a bucket: count})"""
        buckets = Counter((v >> s) << s for v in self.values for s in [max(0, v.bit_length() - 8)])
        total = 0.0
        for value in self.values:
            total += value
        least, most = (min(self.values), max(self.values)) if self.values else (None, None)
        return len(self.values), least, most, total, dict(buckets)


class Load:
    """What is known of a load as it goes."""

    def __init__(self, facts, number, scenario, replicate):
        self.facts, self.number = facts, number
        self.keys = [
            stream(scenario.seed, replicate, what, number) for what in (ARRIVALS, CONNECTIONS, TRIES)
        ]
        self.half_key = stream(scenario.seed, replicate, HALF_CLOSE, number)
        self.stop = scenario.run.duration_ns
        self.closes = scenario.server.closes
        idle = facts.speaks == "nobody"
        self.request = 0 if idle else facts.request
        self.response = 0 if idle else facts.response
        once = facts.speaks == "server" and not self.request
        self.requests = 1 if once else facts.requests_per_connection
        self.begun = self.close_number = self.reconnects = 0
        self.area = 0.0
        self.due = None if facts.concurrency else self.next_arrival()
        self.count, self.warming = Counter(), Counter()
        self.served_so_far = self.half_closed = self.half_queued = self.half_read = self.old_taken = 0
        self.addresses, self.ports = {}, {}  # by number of the connection
        self.refused = Counter()
        self.first_refusal = None
        self.connect, self.served_after = Histogram(), Histogram()

    def more(self, now):
        """A closed loop's next connection may begin."""
        return self.begun < (self.facts.count if self.facts.count is not None else 2**62) and now < self.stop

    def next_arrival(self):
        facts = self.facts
        if facts.count is not None and self.begun >= facts.count:
            return None
        if facts.times_ns:
            at = facts.times_ns[self.begun] if self.begun < len(facts.times_ns) else None
        elif any(rate == float("inf") for _, rate in facts.shape):
            at = 0
        else:
            if facts.arrivals == "poisson":
                self.area -= log_of(unit_above_zero(word(self.keys[0], self.begun)))
            else:
                self.area = float(self.begun)
            at = time_of_area(facts.shape, self.area)
        return facts.start_ns + at if at is not None and facts.start_ns + at < self.stop else None

    def draw_word(self, n, what):
        return word(self.keys[1], 4 * n + what)

    def hold(self, n):
        return draw(self.facts.hold, self.draw_word(n, 0), n)

    def try_time(self, attempt):
        tries = self.facts.tries
        wait = float(tries.backoff_ns)
        for _ in range(attempt.tries - 1):
            wait *= tries.factor
        return int(
            wait * (1.0 - tries.jitter * unit(word(self.keys[2], 64 * attempt.number + attempt.tries))) + 0.5
        )


def time_of_area(shape, area):
    """S3.2: the last moment at which the integral of the rate is not above `area`, in ns; None: never."""
    points, total = [], 0.0
    for k, (at, rate) in enumerate(shape):
        total += (at - shape[k - 1][0]) * (rate + shape[k - 1][1]) / 2e9 if k else 0.0
        points.append((float(at), rate / 1e9, total))
    i = max((k for k, point in enumerate(points) if point[2] <= area), default=0)
    at, rate, before = points[i]
    rest = area - before
    if i + 1 < len(points):
        slope = (points[i + 1][1] - rate) / (points[i + 1][0] - at)
        if rest > 0.0:
            at += 2.0 * rest / (rate + max(0.0, rate * rate + 2.0 * slope * rest) ** 0.5)
    elif rate > 0.0:
        at += rest / rate
    else:
        return None
    return int(at + 0.5) if at < 4e18 else None


class Attempt:
    def __init__(self, load, now):
        self.load, self.begun, self.touched = load, now, now
        self.number = self.tries = 0
        self.client = self.server = 0  # handles
        self.client_host = self.server_host = self.destination = self.address = None
        self.connected = self.established = None
        self.client_start = self.server_start = 0
        self.sent = self.heard = self.said = self.answered = 0
        self.closes = "client"
        self.reconnects_at = None  # S9.4
        self.cause = 0
        self.settled = False
        for name in ("was_connected", "served", "client_done", "server_done", "accepted", "refused", "reset",
                     "gave_up", "slow", "due", "half", "shut", "old"):  # fmt: skip
            setattr(self, name, False)


class Clients:
    """Section 3. `world` is the event loop."""

    def __init__(self, world):
        self.world = world

    # -- opening

    def begin(self, load, number=None, address=None, destination=None):
        """An arrival, or with `number` a client that connects again from an address to a destination."""
        world, n = self.world, load.begun if number is None else number
        a = Attempt(load, world.now)
        scenario = world.scenario
        hosts, destinations = scenario.client.hosts, scenario.client.destinations
        host, a.destination = n % hosts, n // hosts % destinations
        if load.facts.arrivals == "poisson":
            host = below(load.draw_word(n, 1), hosts)
            a.destination = below(load.draw_word(n, 2), destinations)
        a.number = n
        a.address = world.first_client + host
        first = world.again(load)
        if first is not None and n in first.addresses:
            a.address = first.addresses[n]
        load.addresses[n] = a.address
        if number is not None:
            a.address, a.destination = address, destination
        a.client_host = world.client_of(a.address)
        who, closes = unit(load.draw_word(n, 3)), load.closes
        if closes.turns:
            a.closes = ("client", "server", "both")[n % 3]
        elif who < closes.server:
            a.closes = "server"
        elif who < closes.server + closes.reset:
            a.closes = "reset"
        elif who < closes.server + closes.reset + closes.both:
            a.closes = "both"
        a.half = a.closes != "both" and unit(word(load.half_key, n)) < load.facts.half_close
        load.begun += number is None
        world.count_of(a)["attempted"] += 1
        world.attempts.append(a)
        if load.facts.patience_ns:
            world.plan(world.now + load.facts.patience_ns, self.patience_ends, a)
        self.connect(a)

    def connect(self, a):
        """One try."""
        world, host, load = self.world, a.client_host, a.load
        first = world.again(load)
        port = first.ports.get(a.number) if first is not None else None  # None: any
        conns, out = host.engine.connect(
            world.first_server + a.destination, world.port, world.now, src=a.address, sport=port
        )
        if load.facts.syn_data:
            out["payload_len"] = load.facts.syn_data
        world.send(host, out)
        a.tries += 1
        world.count_of(a)["tries"] += 1
        conn = int(conns[0])
        if conn:
            world.bind(a, conn)
            load.ports[a.number] = int(host.block(conn)["lport"])
        if load.facts.tries.count:
            world.plan(world.now + load.try_time(a), self.try_ends, a, a.tries)
        if not conn:
            host.hear()
            place = next(i for i, event in enumerate(host.heard) if event["kind"] == EventKind.REFUSED)
            a.cause = int(host.heard.pop(place)["cause"])
            a.client = 0
            if load.first_refusal is None:
                load.first_refusal = world.now
            self.failed_try(a, "refused")

    def failed_try(self, a, why):
        setattr(a, why, True)
        if a.tries >= a.load.facts.tries.count:
            self.let_go(a)

    def arrive(self, load):
        while load.due is not None and load.due <= self.world.now:
            self.begin(load)
            load.due = load.next_arrival()
        if load.due is not None:
            self.world.plan(load.due, self.arrive, load)

    def next_user(self, load):
        if load.more(self.world.now):
            self.begin(load)

    def reconnect(self, load, address, destination):
        """S9.4."""
        if self.world.now < load.stop:
            load.reconnects += 1
            self.begin(load, 2**40 + load.reconnects - 1, address, destination)

    # -- ending

    def let_go(self, a):
        if a.client_done:
            return
        a.client_done = True
        load = a.load
        if a.reconnects_at is not None and a.reset:
            if load.facts.concurrency:
                self.world.plan(a.reconnects_at, self.next_user, load)
            else:
                self.world.plan(a.reconnects_at, self.reconnect, load, a.address, a.destination)
        elif load.facts.concurrency and load.more(self.world.now):
            self.world.plan(self.world.now, self.next_user, load)
        self.world.perhaps_settle(a)

    def closes(self, a):
        if a.client_done:
            return
        if a.client:
            engine = a.client_host.engine
            call = engine.abort if a.closes == "reset" and a.due else engine.close
            self.world.send(a.client_host, call([a.client], self.world.now))
        self.let_go(a)

    def complete(self, a):
        load, speaks = a.load, a.load.facts.speaks
        if speaks == "client" and load.request:
            return a.sent >= load.requests and (not load.response or a.answered >= load.requests)
        return speaks != "server" or not load.response or a.answered >= load.requests

    def may_close(self, a):
        if not a.due or a.client_done or a.shut:
            return
        if a.closes == "server":
            self.world.application.may_close(a)
        elif self.complete(a):
            if a.half and a.was_connected:
                self.shuts(a)
                return
            if a.closes == "both" and a.server and a.accepted:
                self.world.application.closes(a)
            self.closes(a)

    def shuts(self, a):
        """S3.19."""
        a.shut = True
        a.load.half_closed += 1
        if a.client:
            self.world.send(a.client_host, a.client_host.engine.shutdown([a.client], self.world.now))

    def hears_fin(self, a, conn):
        """S3.12, S3.18, S3.19."""
        load, host, world = a.load, a.client_host, self.world
        if a.shut and a.closes != "server":
            load.half_read += (int(host.block(conn)["rcv_nxt"]) - int(a.client_start) - 1) % 2**32
        else:
            if a.half and a.closes == "server" and load.facts.half_close_bytes:
                load.half_queued += load.facts.half_close_bytes
                world.send(host, host.engine.send([conn], [load.facts.half_close_bytes], world.now))
            if load.facts.close_delay_ns:
                world.plan(world.now + load.facts.close_delay_ns, self.closes, a)
                return
        world.send(host, host.engine.close([conn], world.now))
        self.let_go(a)

    # -- talking

    def request(self, a):
        a.sent += 1
        a.touched = self.world.now
        if a.client and a.load.request:
            out = a.client_host.engine.send([a.client], [a.load.request], self.world.now)
            self.world.send(a.client_host, out)

    def plan_request(self, a):
        """S3.9."""
        if a.sent < a.load.requests:
            after = int(float(a.load.hold(a.number)) * a.sent / a.load.requests)
            self.world.plan(a.connected + after, self.request_due, a)

    def connected(self, a):
        world, load = self.world, a.load
        a.was_connected, a.refused, a.reset = True, False, False
        a.connected = world.now
        world.count_of(a)["connected"] += 1
        if a.begun >= world.warmup:
            load.connect.values.append(world.now - a.begun)
        a.client_start = a.client_host.block(a.client)["rcv_nxt"]
        if load.facts.close_at_ns is not None:
            gap = 1e9 / load.facts.close_rate if load.facts.close_rate else 0.0
            over = load.facts.close_at_ns + int(load.close_number * gap + 0.5)
            load.close_number += 1
        else:
            over = world.now + load.hold(a.number)
        world.plan(over, self.hold_over, a)
        if load.facts.idle_timeout_ns:
            a.touched = world.now
            world.plan(world.now + load.facts.idle_timeout_ns, self.idle, a)
        if load.facts.speaks == "client" and load.request and load.requests:
            self.request(a)
            if not load.response:
                self.plan_request(a)

    def reads(self, a):
        """S3.7, S3.8, S4.6."""
        load = a.load
        count = a.client_host.bytes_of(a.client, a.client_start)
        if not load.response or a.client_done or count is None:
            return
        a.touched = self.world.now
        new = count // load.response - a.answered
        if new <= 0:
            return
        self.world.count_of(a)["requests"] += new
        a.answered += new
        if load.request and load.facts.speaks == "server":
            while a.sent < min(a.answered, load.requests):
                self.request(a)
        elif load.request and a.answered >= a.sent:
            self.plan_request(a)
        self.may_close(a)

    def hears(self, host, event):
        conn, kind = int(event["conn"]), event["kind"]
        a = host.attempts.get(conn & 0xFFFFFFFF)
        if a is None or a.client != conn or a.client_host is not host:
            return
        if kind == EventKind.ESTABLISHED and not a.client_done:
            self.connected(a)
        elif kind == EventKind.READABLE:
            self.reads(a)
        elif kind == EventKind.EOF:
            self.reads(a)
            if not a.client_done:
                self.hears_fin(a, conn)
        elif kind == EventKind.LOST and not a.client_done:
            self.world.send(host, host.engine.close([conn], self.world.now))
            why = "reset" if event["cause"] in BY_RESET else "gave_up"
            if a.was_connected:
                setattr(a, why, True)
                self.let_go(a)
            else:
                a.client = 0
                a.cause = 0
                self.failed_try(a, why)

    # -- plans

    def hold_over(self, a):
        a.due = True
        self.may_close(a)

    def request_due(self, a):
        if a.client_done:
            return
        self.request(a)
        if not a.load.response:
            self.plan_request(a)
            self.may_close(a)

    def try_ends(self, a, number):
        if a.client_done or number != a.tries or a.was_connected:
            return
        if a.tries >= a.load.facts.tries.count:
            a.gave_up = a.gave_up or not (a.refused or a.reset)
            self.closes(a)
            return
        if a.client:
            self.world.send(a.client_host, a.client_host.engine.close([a.client], self.world.now))
            a.client = 0
        a.refused = a.reset = a.gave_up = False
        self.connect(a)

    def patience_ends(self, a):
        if not a.client_done and not a.served:
            a.gave_up = True
            self.closes(a)

    def idle(self, a):
        if a.client_done:
            return
        over = a.touched + a.load.facts.idle_timeout_ns
        if self.world.now >= over:
            self.closes(a)
        else:
            self.world.plan(over, self.idle, a)


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
