"""`simulate`: plays one replicate of a scenario and says what it came to.

The compiled loop plays whole stretches of virtual time; here are their ends: the points of the series, the
scenario's events, the end of the run, and the wish of somebody to stop.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadgen.scenario import hosts
from loadgen.scenario.model import Event, Scenario
from loadgen.sim.build import Plan, build, is_watched, open_listeners, rooms_of, set_knobs
from loadgen.sim.outcome import FloodOutcome, Full, Histogram, LoadOutcome, Outcome
from loadgen.sim.series import GAUGES, Series, gauges_of, states_of
from loadgen.sim.simulator import Simulator, reconnect_key
from loadgen.sim.watching import Watching, crowds, said_of_crowds
from loadgen.sim.workload import Player, Workload, facts_of
from loadgen.theory.warmup import warmup_of
from tcpcore import Cause, Config, Engine

INSTANTS: Final = 1 << 14  # played before somebody is asked whether to go on
LONGEST_DRAIN_NS: Final = 3600 * 10**9
LEVELS: Final = frozenset({"CurrEstab"})  # counters that are none: there are so many now

Progress = Callable[[int, int], None]
Stop = Callable[[], bool]


class CapacityReached(RuntimeError):
    """An engine of the simulator was too small (S1.9)."""


def summed(engines: list[Engine], what: str) -> dict[str, int]:
    """Counters or causes of all engines of a side."""
    total: Counter[str] = Counter()
    for engine in engines:
        total.update(getattr(engine, what))
    return {name: total[name] for name in getattr(engines[0], what)}


@dataclass
class Counted:
    """Everything that only rises, at one moment."""

    counters: dict[str, dict[str, int]]  # client, server, link
    causes: dict[str, dict[str, int]]
    floods: list[int]

    @classmethod
    def now(cls, plan: Plan, simulator: Simulator, floods: int) -> Counted:
        """Up to this moment."""
        sides = {"client": plan.clients, "server": plan.servers}
        return cls(
            {side: summed(engines, "counters") for side, engines in sides.items()}
            | {"link": simulator.link()},
            {side: summed(engines, "causes") for side, engines in sides.items()},
            [simulator.flood_sent(number) for number in range(floods)],
        )

    def since(self, before: Counted | None) -> Counted:
        """What has been counted since then."""
        if before is None:
            return self
        return Counted(
            {side: _less(counts, before.counters[side]) for side, counts in self.counters.items()},
            {side: _less(counts, before.causes[side]) for side, counts in self.causes.items()},
            [n - of for n, of in zip(self.floods, before.floods, strict=True)],
        )


def _less(counts: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: n if name in LEVELS else n - before.get(name, 0) for name, n in counts.items()}


class Replay:
    """One replicate under way."""

    def __init__(
        self,
        scenario: Scenario,
        plan: Plan,
        progress: Progress | None,
        stop: Stop | None,
        player: Player | None = None,
    ) -> None:
        self.scenario = scenario
        self.player = player
        self.plan = plan
        self.simulator = Simulator(plan.servers, plan.clients, plan.listeners, plan.facts)
        self.series = Series(plan, [load.name for load in scenario.load])
        self._progress = progress
        self._stop = stop
        self._listeners = list(plan.listeners)
        self.stopped = False
        self.look_at_places()
        self.watching: Watching | None = None
        if is_watched(scenario):
            number, listener = plan.listeners[0]
            self.watching = Watching(plan.servers[number], listener, scenario.run.duration_ns)
        self.not_started = [(0, True)] * len(scenario.load)  # and whether that is exact
        self.warmup: int = plan.facts["warmup"]
        self.ports_at: tuple[int, int, int] | None = None
        self.warmed: Counted | None = None  # what was counted in the warm-up

    def play_until(self, until: int) -> int | None:
        """Play up to a time. When something happens next, None if nothing will."""
        while not self.asked_to_stop():
            if self.player is not None:
                following = self.play_workload(self.player, until)
            else:
                following = self.simulator.run(until, INSTANTS)
            if following is None or following > until:
                return following
            if self._progress is not None:
                self._progress(self.simulator.now, self.scenario.run.duration_ns)
        return None

    def play_workload(self, player: Player, until: int) -> int | None:
        """Play up to the next instant of which the workload hears, or for which it has asked (S11.2)."""
        wanted = player.next()
        following = self.simulator.run(int(min(until, wanted)), INSTANTS)
        if wanted <= until and (following is None or following > wanted):
            self.simulator.at(int(wanted))
        player.play(self.simulator)
        following, wanted = self.simulator.run(-1), player.next()  # which plays nothing
        soonest = wanted if following is None else min(following, wanted)
        return None if soonest == math.inf else int(soonest)

    def look_at_places(self) -> None:
        """How long the queues are now."""
        self.simulator.places(*rooms_of(self.plan.servers, self._listeners))

    def asked_to_stop(self) -> bool:
        """Whether somebody wants the run to end here."""
        self.stopped = self.stopped or (self._stop is not None and self._stop())
        return self.stopped

    def play(self) -> None:
        """All of it."""
        run = self.scenario.run
        events = sorted(enumerate(self.scenario.event), key=lambda e: (e[1].at_ns, e[0]))
        ends = {run.duration_ns, *(event.at_ns for _, event in events if event.at_ns <= run.duration_ns)}
        points = set(range(0, run.duration_ns + 1, run.series_ns)) if run.series_ns else set()
        ends |= {self.warmup - 1} if self.warmup else set()
        ends |= {self.plan.facts["ports_at"]} - {None}
        looks = set(self.watching.ends(run.duration_ns)) if self.watching is not None else set()
        for at in sorted(ends | points | looks):
            self.play_until(at)
            if self.stopped:
                break
            self.simulator.at(at)
            for number, event in events:
                if event.at_ns == at:
                    self.happen(event, number)
                    self.look_at_places()
            if at == self.warmup - 1:
                self.measure()
            if at == self.plan.facts["ports_at"]:
                self.ports_at = (at, *self.simulator.refused)
            if at in points or at == run.duration_ns:
                self.series.sample(at, self.simulator)
            if self.watching is not None and at in looks:
                self.watching.look(at, self.simulator)
            if self._progress is not None:
                self._progress(at, run.duration_ns)
        if self.stopped:
            self.not_started = [self.simulator.not_started(i) for i in range(len(self.scenario.load))]
        self.simulator.stop_loads()
        if run.drain and not self.stopped:
            self.drain(run.duration_ns, run.series_ns)
        if self.stopped and self.warmup and self.warmed is None:
            self.measure()
        self.series.sample(self.simulator.now, self.simulator)
        if self.watching is not None and self.stopped:
            self.watching.look(self.simulator.now, self.simulator)
        self.simulator.settle()

    def count(self) -> Counted:
        """Everything up to now."""
        return Counted.now(self.plan, self.simulator, len(self.scenario.flood))

    def measure(self) -> None:
        """The warm-up is over (S7.3): what follows is counted from here on."""
        self.warmed = self.count()
        self.simulator.forget_peaks()

    def drain(self, begin: int, step: int) -> None:
        """S7.2: until nothing will happen any more, at most an hour."""
        at = begin
        while not self.stopped and at < begin + LONGEST_DRAIN_NS:
            at = min(at + step, begin + LONGEST_DRAIN_NS) if step else begin + LONGEST_DRAIN_NS
            if self.play_until(at) is None:
                return
            self.simulator.at(at)
            self.series.sample(at, self.simulator)

    def happen(self, event: Event, number: int) -> None:
        """A scenario event (after all else of its instant): section 9."""
        now = event.at_ns
        if event.do == "reset-all":
            key = reconnect_key(self.scenario.seed, self.plan.facts["replicate"], number)
            self.simulator.abort_all(key, event.reconnect_within_ns)
        elif event.do == "stall":
            self.simulator.stall(now + event.for_ns)
        elif event.do == "partition":
            self.simulator.cut(now + event.for_ns)
        elif event.do == "unlisten":
            self.unlisten(now)
        elif event.do == "listen":
            self.listen_again()
        elif event.do == "knob":
            self.turn_knob(event)
        else:
            raise ValueError(f"event.do: the simulator cannot do {event.do!r}")

    def unlisten(self, now: int) -> None:
        """Close all listeners, if they are open."""
        for number, listener in self._listeners:
            self.simulator.sent(number, self.plan.servers[number].unlisten(listener, now))
        self._listeners = []
        self.simulator.unlistened()

    def listen_again(self) -> None:
        """Open the listeners, if they are closed, in the order in which they were opened at first."""
        if not self._listeners:
            self._listeners = open_listeners(self.scenario, self.plan.servers)
            self.simulator.listens(self._listeners)

    def turn_knob(self, event: Event) -> None:
        """Change a knob of the hosts at one end or both."""
        for end, values in hosts.changed(event).items():
            engines = self.plan.servers if end == "server" else self.plan.clients
            set_knobs(self.scenario, engines, end == "server", values)


def histogram(parts: tuple[object, ...]) -> Histogram:
    """Of what Simulator gives."""
    lowest, highest, counts, least, most, total = parts
    return Histogram(lowest, highest, counts, least, most, total)  # type: ignore[arg-type]


def simulate(
    scenario: Scenario,
    replicate: int = 0,
    *,
    server: Config | None = None,
    client: Config | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    workload: Workload | None = None,
) -> Outcome:
    """Play one replicate.

    server, client: the hosts' settings, those of the scenario's profiles and knobs by default.
    `progress(now, end)` is called now and then, `stop()` as often: True ends the run, and its outcome says
    `partial`. `workload` plays the load of arrivals "workload".
    """
    began = time.perf_counter()
    server = server or hosts.config(scenario.server, "server")
    client = client or hosts.config(scenario.client, "client")
    player = None
    if workload is not None:
        player = Player(workload, scenario, replicate)
        scenario = player.scenario
    plan = build(scenario, server, client, replicate, warmup_of(scenario, server, client))
    if player is not None:
        facts_of(plan.facts, player.load)
    replay = Replay(scenario, plan, progress, stop, player)
    replay.play()
    outcome = outcome_of(replay, scenario, replicate, time.perf_counter() - began)
    if scenario.run.honest_bursts and scenario.load and outcome.watched is not None and not outcome.partial:
        show_crowds(outcome, plan, scenario, replicate, server, client, stop)
    return outcome


def show_crowds(
    outcome: Outcome,
    plan: Plan,
    scenario: Scenario,
    replicate: int,
    server: Config,
    client: Config,
    stop: Stop | None,
) -> None:
    """S10.4: what the detector of floods says of honest crowds at the same listener."""
    number, listener = plan.listeners[0]
    backlog = int(plan.servers[number].room(listener)["backlog"])
    crowded = crowds(scenario, outcome.watched, backlog, replicate)
    played = simulate(crowded, replicate, server=server, client=client, stop=stop)
    if not played.partial:
        bursts = scenario.run.honest_bursts
        outcome.watched.bursts = said_of_crowds(played.watched, crowded, bursts, replicate)


def outcome_of(replay: Replay, scenario: Scenario, replicate: int, wall_s: float) -> Outcome:
    """The figures of a replicate that has been played."""
    plan, simulator = replay.plan, replay.simulator
    sides = {"client": plan.clients, "server": plan.servers}
    whole = replay.count()
    counted = whole.since(replay.warmed)
    for side in sides:
        lost, missing = whole.counters[side].get("EventsLost"), whole.causes[side].get("BlocksExhausted")
        if lost:
            raise CapacityReached(f"{lost} events of the {side} were lost: too much happens at one instant")
        if missing:
            raise CapacityReached(f"the simulator's {side} ran out of blocks {missing} times")
    gauges = {side: gauges_of(engines) for side, engines in sides.items()}
    return Outcome(
        seed=scenario.seed,
        replicate=replicate,
        virtual_ns=simulator.now,
        partial=replay.stopped,
        loads=[load_outcome(replay, number, load.name) for number, load in enumerate(scenario.load)],
        floods=[FloodOutcome(flood.name, n) for flood, n in zip(scenario.flood, counted.floods, strict=True)],
        counters=counted.counters,
        causes=counted.causes,
        states={side: states_of(engines) for side, engines in sides.items()},
        gauges={side: {name: float(one[name]) for name in GAUGES} for side, one in gauges.items()},
        peaks={**replay.series.peaks, **simulator.peaks},
        full={queue: Full(*found) for queue, found in simulator.full().items()},
        accept_wait=histogram(simulator.accept_wait),
        series=replay.series.columns(),
        left={side: one["blocks_used"] for side, one in gauges.items()},
        engine_bytes={
            side: sum(int(engine.gauges()["bytes_total"]) for engine in engines)
            for side, engines in sides.items()
        },
        wall_s=wall_s,
        segments=simulator.segments,
        warmup_ns=replay.warmup,
        warmup_counters={} if replay.warmed is None else replay.warmed.counters,
        stuck=simulator.closing()[0],
        copies=simulator.closing()[1],
        areas=replay.series.areas(),
        ports_at=replay.ports_at,
        watched=None if replay.watching is None else replay.watching.told(simulator, scenario),
    )


def load_outcome(replay: Replay, number: int, name: str) -> LoadOutcome:
    """What became of a load's connections."""
    figures = replay.simulator.load(number)
    not_started, exact = replay.not_started[number]
    return LoadOutcome(
        name=name,
        attempted=figures["attempted"] + not_started,
        served=figures["served"],
        ghost=figures["ghost"],
        refused={Cause(code).name: count for code, count in figures["refused"].items()},
        gave_up=figures["gave_up"],
        reset=figures["reset"],
        pending=figures["pending"],
        not_started=not_started,
        connected=figures["connected"],
        first_try=figures["first_try"],
        tries=figures["tries"],
        requests=figures["requests"],
        first_refusal_ns=figures["first_refusal"],
        in_flight=figures["in_flight"],
        half_closed=figures["half_close"][0],
        half_queued=figures["half_close"][1],
        half_read=figures["half_close"][2],
        old_taken=figures["old_taken"],
        connect=histogram(figures["connect"]),
        served_after=histogram(figures["served_after"]),
        in_warmup=figures["in_warmup"],
        not_started_exact=exact,
    )

