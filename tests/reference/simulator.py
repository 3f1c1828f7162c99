"""Reference implementation of the simulator's event loop: docs/simulation.md, one engine call at a time.

The engines are made by loadgen.sim.build; all else is here, in simulator_applications, simulator_server,
simulator_link and draws.
"""

import heapq
from ipaddress import IPv4Address
from itertools import count

import numpy as np

from loadgen.sim.build import build
from loadgen.theory.warmup import warmup_of
from tcpcore import Cause, Flag, State
from tests.reference.draws import ACCEPT, RECONNECT, stream, unit, word
from tests.reference.simulator_applications import AFTER_FIN, Clients, Load
from tests.reference.simulator_link import FIRST_LAST_ACK, Flood, Link
from tests.reference.simulator_server import Acceptor, Application

GAUGES = ("half_open", "accept_queue", "time_wait", "orphans", "held_dead", "blocks_used")
#: Of a load.
COUNTS = (
    "attempted", "served", "ghost", "gave_up", "reset", "pending", "connected",
    "first_try", "tries", "requests",
)  # fmt: skip
CLOSING = ("half_closed", "half_queued", "half_read", "old_taken")
HOUR = 3600 * 10**9


class Host:
    """One engine, what is on its way to it, and whose its connections are."""

    def __init__(self, engine, end):
        self.engine, self.end = engine, end
        self.inbox = []  # heap of (time, order of sending, segment)
        self.heard = []  # events not heard of yet
        self.attempts = {}  # slot: attempt
        self.acceptors = {}  # listener: Acceptor

    def next(self):
        times = [self.engine.next_timer(), self.inbox[0][0] if self.inbox else None]
        return min((at for at in times if at is not None), default=None)

    def hear(self):
        self.heard.extend(self.engine.events())

    def block(self, conn):
        return self.engine.blocks[conn & 0xFFFFFFFF]

    def bytes_of(self, conn, start):
        """What has come on a connection, the FIN not counted; None if it has ended (S4.6)."""
        info = self.engine.info([conn])[0]
        if info["state"] == State.CLOSED:
            return None
        return (int(info["rcv_nxt"]) - int(start)) % 2**32 - (info["state"] in AFTER_FIN)


class Level:
    """How much there is of something, the most there was, and since when and how long it was full."""

    def __init__(self, places=0):
        self.now, self.places = 0, places
        self.restart(0)

    def restart(self, at):
        self.most, self.first, self.since, self.full = 0, None, None, 0
        self.set(self.now, at)

    def set(self, n, at):
        self.now, self.most = n, max(self.most, n)
        if self.places and n >= self.places:
            self.since = at if self.since is None else self.since
            self.first = at if self.first is None else self.first
        elif self.since is not None:
            self.full += at - self.since
            self.since = None

    def lasted(self, now):
        return self.full + (now - self.since if self.since is not None else 0)


class Total:
    """How much of something all engines have together, and the most at the end of an instant."""

    def __init__(self):
        self.now = 0
        self.restart(0)

    def restart(self, at):
        self.before, self.at = 0, at

    def set(self, n, at):
        if at != self.at:
            self.before, self.at = max(self.before, self.now), at
        self.now = n

    @property
    def most(self):
        return max(self.before, self.now)


class World:
    def __init__(self, scenario, server, client, replicate):
        self.scenario, self.replicate = scenario, replicate
        self.warmup = warmup_of(scenario, server, client)
        made = build(scenario, server, client, replicate)
        self.servers = [Host(engine, "server") for engine in made.servers]
        self.clients = [Host(engine, "client") for engine in made.clients]
        self.hosts = [*self.servers, *self.clients]
        self.now = 0
        self.first_rto = client.rto_initial_ms * 10**6
        self.first_client = int(IPv4Address(scenario.client.first_addr))
        self.first_server = int(IPv4Address(scenario.server.listen.addr))
        self.port = scenario.server.listen.port
        accept = scenario.server.accept
        stalls = accept.stall_every_ns or any(event.do == "stall" for event in scenario.event)
        self.at_once = accept.time.family == "const" and accept.time.a == 0 and not stalls
        late = any(load.close_delay_ns or load.half_close for load in scenario.load)
        self.closes_at_once = self.at_once and not late
        self.stuck = 0
        self.attempts = []
        self.before = {}  # what the warm-up counted
        self.plans = []
        self.order, self.plan_order = count(), count()
        self.segments = 0
        self.application, self.client = Application(self), Clients(self)
        self.acceptors = []
        for i, (number, listener) in enumerate(made.listeners):
            key = stream(scenario.seed, replicate, ACCEPT, i)
            acceptor = Acceptor(self.servers[number], listener, key, accept.workers)
            self.acceptors.append(acceptor)
            acceptor.host.acceptors[listener] = acceptor
            room = acceptor.host.engine.room(listener)
            acceptor.half_open, acceptor.accepting = Level(room["half_open_max"]), Level(room["accept_max"])
        self.levels = {name: Total() for name in ("ports_in_use", "server.half_open", "server.accept_queue")}
        self.link = Link(self, scenario, replicate)
        self.loads = [Load(facts, i, scenario, replicate) for i, facts in enumerate(scenario.load)]
        for load in self.loads:
            for _ in range(load.facts.concurrency):
                self.plan(load.facts.start_ns, self.client.next_user, load)
            if load.due is not None:
                self.plan(load.due, self.client.arrive, load)
        self.floods = [Flood(facts, i, scenario, replicate) for i, facts in enumerate(scenario.flood)]
        for flood in self.floods:
            if flood.due() is not None:
                self.plan(flood.due(), self.flood_due, flood)

    # -- what the applications ask for

    def client_of(self, address):
        """S1.5, S1.6."""
        i = address - self.first_client
        if not 0 <= i < self.scenario.client.hosts:
            return None
        return self.clients[i] if len(self.clients) > 1 else self.clients[0]

    def plan(self, at, what, *arguments):
        heapq.heappush(self.plans, (max(at, self.now), next(self.plan_order), what, arguments))

    def look(self):
        """After each call: ask the engines how full everything is (S7.6)."""
        gauges = [host.engine.gauges() for host in self.clients]
        ports = sum(one["blocks_used"] - one["held_dead"] for one in gauges)
        self.levels["ports_in_use"].set(ports, self.now)
        gauges = [host.engine.gauges() for host in self.servers]
        self.levels["server.accept_queue"].set(sum(one["accept_queue"] for one in gauges), self.now)
        entries = sum(one["half_open"] for one in gauges)
        for acceptor in self.acceptors:
            room = None if acceptor.listener is None else acceptor.host.engine.room(acceptor.listener)
            acceptor.half_open.set(room["half_open"] if room else 0, self.now)
            acceptor.accepting.set(room["accept"] if room else 0, self.now)
        if not any(host.engine.config.unlisten_forgets for host in self.servers):
            entries = sum(acceptor.half_open.now for acceptor in self.acceptors)  # not those of closed ones
        self.levels["server.half_open"].set(entries, self.now)

    def full(self):
        found = {}
        for queue, of in (("half_open", "half_open"), ("accept_queue", "accepting")):
            levels = [getattr(acceptor, of) for acceptor in self.acceptors]
            firsts = [level.first for level in levels if level.first is not None]
            found[queue] = (min(firsts, default=None), max(level.lasted(self.now) for level in levels))
        return found

    def send(self, host, segs, answered=0):
        self.look()
        self.link.send(host.end, segs, answered)

    def deliver(self, host, seg, at):
        heapq.heappush(host.inbox, (at, next(self.order), seg.copy()))

    # -- attempts

    def again(self, load):
        """The load whose addresses and ports it has once more (S3.21)."""
        return next((one for one in self.loads if one.facts.name == load.facts.again), None)

    def bind(self, a, conn):
        """The client's engine gave this handle to the attempt; who had its slot before is over."""
        host, slot = a.client_host, conn & 0xFFFFFFFF
        other = host.attempts.get(slot)
        if other is not None and other is not a and other.client and other.client_host is host \
                and other.client & 0xFFFFFFFF == slot:  # fmt: skip
            if other.server and not other.server_done:
                other.client = 0
            else:
                self.settle(other)
        host.attempts[slot] = a
        a.client = conn

    def count_of(self, a):
        """S7.3."""
        return a.load.count if a.begun >= self.warmup else a.load.warming

    def perhaps_settle(self, a):
        if a.client_done and (a.server_done or (not a.server and (not a.client or not a.was_connected))):
            self.settle(a)

    def settle(self, a):
        """S6.1 to S6.5: the first that holds."""
        if a.settled:
            return
        a.settled = True
        a.client = a.server = 0
        self.attempts.remove(a)
        if a.load is None:
            return
        figures = self.count_of(a)
        ended = a.client_done and a.server_done
        if a.served:
            figures["served"] += 1
        elif a.refused:
            figures["refused"] += 1
            if a.begun >= self.warmup:
                a.load.refused[Cause(a.cause).name] += 1
        elif a.reset:
            figures["reset"] += 1
        elif a.gave_up:
            figures["gave_up"] += 1
        elif a.was_connected and (ended or self.now - a.connected >= 2 * self.link.longest):
            figures["ghost"] += 1
        else:
            figures["pending"] += 1

    # -- time

    def next(self):
        times = [host.next() for host in self.hosts] + [plan[0] for plan in self.plans[:1]]
        return min((at for at in times if at is not None), default=None)

    def round(self):
        """S2.2 to S2.5; False if there was nothing to do."""
        due = [host for host in self.hosts if host.next() is not None and host.next() <= self.now]
        sent_before = next(self.order)
        for host in due:
            timer = host.engine.next_timer()
            if timer is not None and timer <= self.now:
                self.send(host, host.engine.advance(self.now))
        for host in due:
            while host.inbox and host.inbox[0][0] <= self.now and host.inbox[0][1] < sent_before:
                seg = heapq.heappop(host.inbox)[2]
                self.segments += 1
                self.receive(host, seg)
        for host in due:
            self.hear(host)
        planned = False
        while self.plans and self.plans[0][0] <= self.now:
            planned = True
            _, _, what, arguments = heapq.heappop(self.plans)
            if not getattr(arguments[0], "settled", False):
                what(*arguments)
        return bool(due) or planned

    def receive(self, host, seg):
        """One segment, and what S5.6 asks of it."""
        flags, answered = int(seg["flags"]), int(seg["flags"])
        engine = host.engine
        (conn,) = engine.lookup(seg["src"], seg["sport"], seg["dst"], seg["dport"]).tolist()
        state = engine.info([conn])[0]["state"] if conn else State.CLOSED
        out = engine.receive(seg.reshape(1), self.now)
        after = engine.info([conn])[0]["state"] if conn else State.CLOSED
        if flags & Flag.RST:
            self.stuck += state in (State.LAST_ACK, State.CLOSING) and after == State.CLOSED
        elif flags & Flag.FIN and state in (State.FIN_WAIT_1, State.FIN_WAIT_2):
            if host.end == "client" or after != State.CLOSING:
                answered |= FIRST_LAST_ACK
        self.send(host, out, answered)

    def hear(self, host):
        host.hear()
        while host.heard:
            event = host.heard.pop(0)
            (self.application if host.end == "server" else self.client).hears(host, event)
            host.hear()

    def flood_due(self, flood):
        """Section 8."""
        while flood.due() is not None and flood.due() <= self.now:
            dst = self.first_server + flood.sent % self.scenario.client.destinations
            seg = flood.segment(dst, self.port)
            host = self.servers[self.link.server_of(seg["src"], seg["dst"], seg["sport"], seg["dport"])]
            self.deliver(host, seg, self.now)
        if flood.due() is not None:
            self.plan(flood.due(), self.flood_due, flood)

    def play(self, until):
        while (at := self.next()) is not None and at <= until:
            self.now = at
            while self.round():
                pass
        return at

    def counted(self):
        """All that only rises."""
        ends = (("client", self.clients), ("server", self.servers))
        return {
            "floods": {i: flood.sent for i, flood in enumerate(self.floods)},
            "link": self.link.counters(),
            **{(end, what): total(hosts, what) for end, hosts in ends for what in ("counters", "causes")},
        }

    def measure(self):
        """S7.3: the warm-up is over."""
        self.before = self.counted()
        for acceptor in self.acceptors:
            acceptor.half_open.restart(self.now + 1)
            acceptor.accepting.restart(self.now + 1)
        for level in self.levels.values():
            level.restart(self.now + 1)

    # -- events of the scenario (section 9)

    def happen(self, event, number):
        if event.do == "partition":
            self.link.cut_until = max(self.link.cut_until, self.now + event.for_ns)
        elif event.do == "stall":
            for acceptor in self.acceptors:
                acceptor.stalled_until = max(acceptor.stalled_until, self.now + event.for_ns)
                self.plan(self.now + event.for_ns, self.application.stall_ends, acceptor)
        elif event.do == "unlisten":
            self.unlisten()
        elif event.do == "listen":
            self.listen()
        elif event.do == "reset-all":
            self.reset_all(event.reconnect_within_ns, number)
        elif event.do == "knob":
            self.set_knobs(event.knob)

    def listen(self):
        """S9.6."""
        listen = self.scenario.server.listen
        for i, acceptor in enumerate(self.acceptors):
            if acceptor.listener is None:
                address = self.first_server + i % self.scenario.client.destinations
                acceptor.listener = acceptor.host.engine.listen(
                    address, listen.port, listen.backlog, auto_accept=self.at_once,
                    auto_close=self.closes_at_once
                )
                acceptor.host.acceptors[acceptor.listener] = acceptor

    def unlisten(self):
        """S9.5."""
        for acceptor in self.acceptors:
            if acceptor.listener is not None:
                listener, acceptor.listener = acceptor.listener, None
                self.send(acceptor.host, acceptor.host.engine.unlisten(listener, self.now))
            acceptor.queued = 0
        for a in list(self.attempts):
            if a.server and not a.server_done and not a.accepted:
                a.server_done = True
                self.perhaps_settle(a)

    def reset_all(self, within, number):
        """S9.3, S9.4."""
        for acceptor in self.acceptors:
            if acceptor.queued:
                acceptor.host.engine.accept(acceptor.listener, acceptor.queued)
                acceptor.queued = 0
                self.look()
        theirs = [a for a in self.attempts if a.server and not a.server_done]
        theirs.sort(key=lambda a: (self.servers.index(a.server_host), a.server & 0xFFFFFFFF))
        for a in theirs:
            if within is not None and a.load is not None:
                key = stream(self.scenario.seed, self.replicate, RECONNECT, number)
                share = unit(word(word(key, a.load.number), a.number))
                a.reconnects_at = self.now + int(share * within)
            self.send(a.server_host, a.server_host.engine.abort([a.server], self.now))
            a.server_done = True
            self.perhaps_settle(a)

    def set_knobs(self, text):
        """S9.7, S1.3."""
        path, _, value = text.partition("=")
        side, _, name = path.rpartition(".")
        n = len(self.servers)
        for i, host in enumerate(self.servers if side in ("", "server", "both") else ()):
            part = int(value)
            if name == "tcp_max_tw_buckets":
                part = part // n + (i < part % n)
            elif name == "tcp_challenge_ack_limit" and 0 < part < 2**31 - 1:
                part = max(1, part // n + (i < part % n))
            host.engine.set_knobs(**{name: part})
        shared = len(self.clients) < self.scenario.client.hosts
        if side in ("client", "both") and not (shared and name == "tcp_max_tw_buckets"):
            for host in self.clients:
                host.engine.set_knobs(**{name: int(value)})


class Series:
    def __init__(self, world):
        self.world, self.rows, self.peaks = world, [], {}

    def sample(self):
        world, row = self.world, {"time.time_ns": self.world.now}
        if self.rows and self.rows[-1]["time.time_ns"] == world.now:
            return
        for end, hosts in (("client", world.clients), ("server", world.servers)):
            for state in State:
                row[f"{end}.{state.name}"] = sum(int(host.engine.state_counts()[state]) for host in hosts)
            for name in GAUGES:
                row[f"{end}.{name}"] = value = sum(host.engine.gauges()[name] for host in hosts)
                if world.now >= world.warmup:
                    self.peaks[f"{end}.{name}"] = max(self.peaks.get(f"{end}.{name}", 0), value)
        for load in world.loads:
            for what in ("attempted", "connected"):
                row[f"load.{load.facts.name}.{what}"] = load.count[what] + load.warming[what]
            row[f"load.{load.facts.name}.served"] = load.served_so_far
        self.rows.append(row)

    def columns(self):
        return {name: [row[name] for row in self.rows] for name in self.rows[0]}


def total(hosts, what):
    figures = {}
    for host in hosts:
        for name, value in getattr(host.engine, what).items():
            figures[name] = figures.get(name, 0) + value
    return figures


def simulate(scenario, server, client, replicate=0):
    """Play a scenario; (figures of the outcome, the world)."""
    world = World(scenario, server, client, replicate)
    series, run = Series(world), scenario.run
    points = set(range(0, run.duration_ns + 1, run.series_ns)) if run.series_ns else set()
    points.add(run.duration_ns)
    over = {world.warmup - 1} if world.warmup else set()
    happen = {event.at_ns for event in scenario.event if event.at_ns <= run.duration_ns}
    for at in sorted(points | over | happen):
        world.play(at)
        world.now = at
        for number, event in enumerate(scenario.event):
            if event.at_ns == at:
                world.happen(event, number)
        if at in over:
            world.measure()
        if at in points:
            series.sample()
    for load in world.loads:
        load.stop = min(load.stop, world.now)
    at, following = run.duration_ns, 0
    while run.drain and following is not None and at < run.duration_ns + HOUR:
        at = min(at + (run.series_ns or HOUR), run.duration_ns + HOUR)
        following = world.play(at)
        if following is not None:
            world.now = at
            series.sample()
    series.sample()
    for a in list(world.attempts):
        world.settle(a)
    return figures_of(world, series), world


def figures_of(world, series):
    ends = {"client": world.clients, "server": world.servers}
    gauges = {
        end: {name: sum(h.engine.gauges()[name] for h in hosts) for name in GAUGES}
        for end, hosts in ends.items()
    }
    peaks = dict(series.peaks)
    counted = {
        name: {key: n if key == "CurrEstab" else n - world.before.get(name, {}).get(key, 0)
               for key, n in counts.items()}
        for name, counts in world.counted().items()
    }  # fmt: skip
    peaks |= {name: level.most for name, level in world.levels.items()}
    if len(world.acceptors) == 1:
        one = world.acceptors[0]
        peaks |= {"server.half_open": one.half_open.most, "server.accept_queue": one.accepting.most}
    return {
        "now": world.now,
        "segments": world.segments,
        "stuck": world.stuck,
        "loads": [
            {name: load.count[name] for name in COUNTS}
            | {name: getattr(load, name) for name in CLOSING}
            | {"refused": dict(load.refused), "first_refusal": load.first_refusal}
            | {"in_warmup": load.warming["attempted"]}
            | {"connect": load.connect.figures(), "served_after": load.served_after.figures()}
            for load in world.loads
        ],
        "floods": list(counted["floods"].values()),
        "link": counted["link"],
        "counters": {end: counted[end, "counters"] for end in ends},
        "causes": {end: counted[end, "causes"] for end in ends},
        "states": {
            end: np.sum([host.engine.state_counts() for host in hosts], axis=0).tolist()
            for end, hosts in ends.items()
        },
        "gauges": gauges,
        "peaks": peaks,
        "full": world.full(),
        "accept_wait": world.application.accept_wait.figures(),
        "series": series.columns(),
    }
