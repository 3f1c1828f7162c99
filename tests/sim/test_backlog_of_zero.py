"""A backlog of 0 behind a slow application: overflows as an engine driven by hand counts them.

The loop below shares nothing with the simulator but the engine: a heap of (time, what), one segment a call.
A place of the queue and a worker are all there is, so who comes meanwhile is refused twice: a SYN at a full
queue is dropped, and so is the third ACK of a cookie, whose silent client then believes that it is connected.
Each of these is one ListenOverflows; a client that speaks is refused a third time, with its data.
"""

import heapq
from itertools import count

import pytest

from loadgen.scenario.model import Accept, Client, Link, Listen, Load, Run, Scenario, Server
from loadgen.scenario.values import Distribution
from loadgen.sim import simulate
from tcpcore import Config, Engine

MS, S = 10**6, 10**9
SERVER, CLIENT, PORT = "10.0.0.1", "10.1.0.0", 443
GAP, RTT, BUSY, ARRIVALS, END = 5 * MS, 10 * MS, 20 * MS, 400, 9 * S
COUNTERS = ("ListenOverflows", "ListenDrops", "PassiveOpens", "SyncookiesSent", "SyncookiesRecv", "InSegs")


def by_hand(backlog, cookies, request, segments_first=True):
    """What the server counted. Of one instant segments come before what was planned (S2.2), or after it."""
    server = Engine(Config.linux(capacity=2000, seed=1, local_addr=SERVER, tcp_syncookies=cookies))
    client = Engine(Config.linux(capacity=2000, seed=2, local_addr=CLIENT, events=("established",)))
    listener, order, heap, served = server.listen(SERVER, PORT, backlog), count(), [], 0
    busy_until = -1

    def post(at, what, *args):
        heapq.heappush(heap, (at, segments_first and what != "arrive", next(order), what, args))

    def carry(segs, to, now):
        for seg in segs:
            post(now + RTT // 2, "arrive", to, seg.copy())

    for n in range(ARRIVALS):
        post(n * GAP, "connect")
    while True:
        timers = [engine.next_timer() for engine in (server, client)]
        now = min([at for at in timers if at is not None] + [one[0] for one in heap[:1]], default=END + 1)
        if now > END:
            return {name: server.counters[name] for name in COUNTERS} | {"served": served}
        for engine, other in ((server, client), (client, server)):
            if engine.next_timer() is not None and engine.next_timer() <= now:
                carry(engine.advance(now), other, now)
        while heap and heap[0][0] <= now and heap[0][3] == "arrive":
            *_, (to, seg) = heapq.heappop(heap)
            carry(to.receive(seg.reshape(1), now), client if to is server else server, now)
        for event in client.events():
            if request:
                carry(client.send([event["conn"]], request, now), server, now)
        if busy_until <= now and len(server.accept(listener, 1)):
            served, busy_until = served + 1, now + BUSY
            post(busy_until, "free")
        while heap and heap[0][0] <= now and heap[0][3] != "arrive":
            if heapq.heappop(heap)[3] == "connect":
                carry(client.connect(SERVER, PORT, now)[1], server, now)


def simulated(backlog, cookies, request):
    outcome = simulate(
        Scenario(
            load=(
                Load(
                    arrivals="paced", shape=((0, S / GAP),), count=ARRIVALS,
                    hold=Distribution("const", 3600.0 * S), request=request, response=0,
                    speaks="client" if request else "nobody",
                ),
            ),
            client=Client(hosts=1),
            server=Server(
                listen=Listen(backlog=backlog), accept=Accept(Distribution("const", float(BUSY))),
                knobs={"tcp_syncookies": cookies},
            ),
            link=Link(rtt=Distribution("const", float(RTT))),
            run=Run(END, warmup_ns=0),
        )
    )  # fmt: skip
    counted = outcome.counters["server"]
    served = counted["PassiveOpens"] - int(outcome.gauges["server"]["accept_queue"])
    return {name: counted[name] for name in COUNTERS} | {"served": served}


@pytest.mark.parametrize("request_bytes", [0, 600], ids=["silent", "speaking"])
@pytest.mark.parametrize("cookies", [0, 1])
@pytest.mark.parametrize("backlog", [0, 8])
def test_overflows_are_those_of_an_engine_driven_by_hand(backlog, cookies, request_bytes):
    hand = by_hand(backlog, cookies, request_bytes)
    assert simulated(backlog, cookies, request_bytes) == hand
    assert hand["ListenDrops"] >= hand["ListenOverflows"] > 200


def test_the_order_within_an_instant_is_what_two_counts_differ_by():
    """All times are multiples of 5 ms: a place that is free after the segments of an instant is too late.

    The code before scenarios looked at a tick's segments and at its application in another order, which is
    a tenth of these overflows here and more elsewhere. S2.2 says which; that is what is pinned.
    """
    assert by_hand(0, 1, 0)["ListenOverflows"] == simulated(0, 1, 0)["ListenOverflows"] == 626
    assert by_hand(0, 1, 0, segments_first=False)["ListenOverflows"] == 571
