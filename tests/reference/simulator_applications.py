"""Reference implementation of the simulator's loads and clients (docs/simulation.md, sections 3 and 6)."""

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
