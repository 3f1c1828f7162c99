"""A simulator of one's own: events on a heap, and engines that say when they want to be called."""

import heapq
import itertools
from ipaddress import IPv4Address

from tcpcore import Config, Engine

MS = 1_000_000


class Loop:
    def __init__(self, delay):
        self.now, self.delay, self.heap, self.order, self.engines = 0, delay, [], itertools.count(), {}

    def host(self, addr, **knobs):
        engine = self.engines[int(IPv4Address(addr))] = Engine(Config.linux(local_addr=addr, **knobs))
        return engine

    def at(self, when, action):
        heapq.heappush(self.heap, (when, next(self.order), action))

    def wire(self, rows):
        for addr, to in self.engines.items():
            if len(mine := rows[rows["dst"] == addr]):
                self.at(self.now + self.delay, lambda to=to, mine=mine: self.wire(to.receive(mine, self.now)))

    def run(self, until):
        """The next thing first, an event of the heap or an engine's timer."""
        while True:
            timers = {engine: engine.next_timer() for engine in self.engines.values()}
            due, engine = min(((t, e) for e, t in timers.items() if t is not None),
                              key=lambda timer: timer[0], default=(until + 1, None))
            if self.heap and self.heap[0][0] <= min(due, until):
                self.now, _, action = heapq.heappop(self.heap)
                action()
            elif due <= until:
                self.now = max(self.now, due)
                self.wire(engine.advance(self.now))
            else:
                self.now = until
                return


loop = Loop(delay=20 * MS)
server, client = loop.host("10.0.0.1"), loop.host("10.0.0.2")
web = server.listen("10.0.0.1", 80)
loop.at(0, lambda: loop.wire(client.connect("10.0.0.1", 80, loop.now, n=100)[1]))
loop.at(100 * MS, lambda: loop.wire(server.close(server.accept(web), loop.now)))
loop.run(1000 * MS)
print(client.counters["ActiveOpens"], "opened,", server.gauges()["orphans"], "await the other FIN")
