"""A load that a function in Python plays: when connections begin, what their clients send, when they close.

The compiled loop plays everything else (docs/simulation.md, section 11). The function is called once at time
0, and after each instant at which something happened to its connections or for which it asked. What it asks
for happens after all else of its instant, in the order in which it asked: neither batch nor processes change
anything.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.model import WORKLOAD, Scenario
from loadgen.scenario.numbers import read_time
from loadgen.sim.simulator import Simulator

MOST: Final = 1 << 17  # connections of a load that does not say `count`
Time = str | float | None
_CLOSE: Final = 0
_RESET: Final = -1
_MOST_BYTES: Final = 1 << 30


class ClientEvent(NamedTuple):
    """What happened to a connection, as its client's application sees it.

    kind: "connected", "read" (`nbytes` of responses so far), or "ended" (`why`: closed, refused, reset or
    gave up; nothing follows it). conn: as `Clients.connect` returned it. at_ns: when.
    """

    kind: str
    conn: int
    at_ns: int
    nbytes: int = 0
    why: str = ""


class Clients:
    """What a workload function may ask for. Times are texts ("40ms") or seconds; `at_ns` is exact.

    Without a time it is this instant, and a time that is over is this instant, too.

    hosts, destinations: how many client addresses and server addresses there are, numbered from 0.
    now_ns: the time. end_ns: when loads end: no connection begins then or later.
    random: a `random.Random` of this seed and replicate; no other makes a run that can be repeated.
    state: for whatever the function wants to keep; each replicate has its own.
    """

    def __init__(self, scenario: Scenario, replicate: int) -> None:
        self.hosts = scenario.client.hosts
        self.destinations = scenario.client.destinations
        self.end_ns = scenario.run.duration_ns
        self.now_ns = 0
        self.random = random.Random(f"{scenario.seed} {replicate}")
        self.state = SimpleNamespace()
        self._begun = 0
        self._asked = 0
        self._plans: list[tuple[int, int, int, tuple[int, int]]] = []  # (ns, order, connection, what)

    def connect(
        self, client: int = 0, destination: int = 0, *, at: Time = None, at_ns: int | None = None
    ) -> int:
        """A connection begins: its number. Refused ones end; one at or after `end_ns` never begins."""
        if not 0 <= client < self.hosts:
            raise ValueError(f"client: expected 0 .. {self.hosts - 1}, got {client}")
        if not 0 <= destination < self.destinations:
            raise ValueError(f"destination: expected 0 .. {self.destinations - 1}, got {destination}")
        self._begun += 1
        self._plan(at, at_ns, self._begun - 1, (client, destination), begins=True)
        return self._begun - 1

    def send(self, conn: int, nbytes: int, *, at: Time = None, at_ns: int | None = None) -> None:
        """Its client sends so many bytes; the server answers each `request` bytes with `response`."""
        if not 0 < nbytes <= _MOST_BYTES:
            raise ValueError(f"nbytes: expected 1 .. {_MOST_BYTES}, got {nbytes}")
        self._plan(at, at_ns, self._known(conn), (nbytes, 0))

    def close(self, conn: int, *, at: Time = None, at_ns: int | None = None) -> None:
        """Its client closes."""
        self._plan(at, at_ns, self._known(conn), (_CLOSE, 0))

    def reset(self, conn: int, *, at: Time = None, at_ns: int | None = None) -> None:
        """Its client sends a RST."""
        self._plan(at, at_ns, self._known(conn), (_RESET, 0))

    def wake(self, *, at: Time = None, at_ns: int | None = None) -> None:
        """Call the function at this time, whatever happens; without events if nothing does."""
        self._plan(at, at_ns, -1, (0, 0))

    def _known(self, conn: int) -> int:
        if not 0 <= conn < self._begun:
            raise ValueError(f"conn: expected one that connect() returned, got {conn}")
        return conn

    def _plan(
        self, at: Time, at_ns: int | None, conn: int, what: tuple[int, int], begins: bool = False
    ) -> None:
        when = read_time(at) if at is not None else self.now_ns if at_ns is None else at_ns
        self._asked += 1
        kind = (what[0], what[1] if begins else -1)
        heapq.heappush(self._plans, (max(when, self.now_ns), self._asked, conn, kind))


Workload = Callable[[Clients, Sequence[ClientEvent]], None]


class Player:
    """One replicate of a workload: what it has asked for, and what it is told.

    load: the number of the load that it plays. scenario: as `playable` gives it.
    """

    def __init__(self, workload: Workload, scenario: Scenario, replicate: int) -> None:
        self.clients = Clients(scenario, replicate)
        self._workload = workload
        self.load = number_of(scenario)
        self.scenario = playable(scenario)
        self._most = self.scenario.load[self.load].count or MOST
        self._handles: dict[int, int] = {}  # connection: handle
        self._numbers: list[int] = []  # its number in the load: connection
        self._called = False

    def next(self) -> float:
        """When it has asked for something next."""
        if not self._called:
            return 0
        return self.clients._plans[0][0] if self.clients._plans else math.inf

    def play(self, simulator: Simulator) -> None:
        """Everything of this instant, after all else of it (S11.2)."""
        clients = self.clients
        clients.now_ns = simulator.now
        events = self._events(simulator)
        woken = not self._called
        while True:
            while clients._plans and clients._plans[0][0] <= clients.now_ns:
                _, _, conn, what = heapq.heappop(clients._plans)
                woken |= conn < 0
                if conn >= 0:
                    self._act(simulator, conn, what)
            events += self._events(simulator)
            if not events and not woken:
                return
            self._called = True
            self._workload(clients, tuple(events))
            events, woken = [], False

    def _act(self, simulator: Simulator, conn: int, what: tuple[int, int]) -> None:
        first, destination = what
        if destination < 0:
            if conn in self._handles:
                simulator.act(self._handles[conn], first)
            return
        if self.clients.now_ns >= self.clients.end_ns:
            return
        if len(self._numbers) == self._most:
            raise ScenarioError(f"load.{self.load}.count: {self._most:,} connections are more than the most")
        self._numbers.append(conn)
        _, self._handles[conn] = simulator.begin(self.load, first, destination)

    def _events(self, simulator: Simulator) -> list[ClientEvent]:
        found = []
        for number, kind, at, nbytes, why in simulator.notes():
            conn = self._numbers[number]
            if kind == "ended":
                self._handles.pop(conn, None)
            found.append(ClientEvent(kind, conn, at, nbytes, why))
        return found


def number_of(scenario: Scenario) -> int:
    """The load that a workload plays: the one of these arrivals. Raises ScenarioError."""
    found = [number for number, load in enumerate(scenario.load) if load.arrivals == WORKLOAD]
    if len(found) != 1:
        raise ScenarioError(f'load: expected one of arrivals "workload", to be played; got {len(found)}')
    return found[0]


def playable(scenario: Scenario) -> Scenario:
    """The scenario with the most connections that the workload may begin, for what asks for numbers."""
    number = number_of(scenario)
    loads = list(scenario.load)
    load = loads[number]
    if any(one.again == load.name for one in loads):
        raise ScenarioError(f"load.{number}: expected no other load that uses the ports of a workload again")
    loads[number] = dataclasses.replace(
        load, arrivals="paced", shape=((0, math.inf),), count=load.count or MOST
    )
    run = scenario.run
    if run.warmup_ns is None:
        run = dataclasses.replace(run, warmup_ns=0)
    return dataclasses.replace(scenario, load=loads, run=run)


def facts_of(facts: dict[str, Any], number: int) -> None:
    """Change the numbers of a load to those of one that begins nothing by itself."""
    facts["loads"][number] |= {
        "played": True, "count": 0, "close_at": (1 << 63) - 1, "requests": 1 << 30, "close_gap": 0.0,
    }  # fmt: skip
