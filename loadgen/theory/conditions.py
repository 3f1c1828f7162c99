"""What a closed form assumes, tested on the scenario: each is a sentence and whether it holds here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadgen.scenario.model import Scenario
from loadgen.sim.outcome import Outcome
from loadgen.theory import ports, queues
from loadgen.theory.stays import CLIENT, SERVER, round_trip
from tcpcore import Config

Condition = tuple[str, bool]

NEVER: Final = 1e-6  # a share that no run of ours would show


def poisson(scenario: Scenario) -> Condition:
    """Open loops with exponential gaps."""
    open_loops = all(
        load.arrivals == "poisson" and not load.times_ns and not load.concurrency for load in scenario.load
    )
    return "arrivals are a Poisson process", open_loops


def constant(scenario: Scenario) -> Condition:
    """One rate from beginning to end."""
    return "the rate is constant", ports.total_rate(scenario) is not None


def no_loss(scenario: Scenario) -> Condition:
    """Of any kind of segment."""
    link = scenario.link
    cut = any(event.do == "partition" for event in scenario.event)
    return "nothing is lost", not (any(link.loss.values()) or link.burst.enter or cut)


def no_bursts(scenario: Scenario) -> Condition:
    """Losses do not depend on each other."""
    cut = any(event.do == "partition" for event in scenario.event)
    return "losses are independent", not (scenario.link.burst.enter or cut)


def no_events(scenario: Scenario) -> Condition:
    """Nothing is changed within the run."""
    return "nothing happens to server or link", not scenario.event


def no_flood(scenario: Scenario) -> Condition:
    """Clients only."""
    return "no flood", not any(flood.rate for flood in scenario.flood)


def accepted_at_once(scenario: Scenario) -> Condition:
    """The application is never late."""
    accept = scenario.server.accept
    stalls = accept.stall_ns and accept.stall_every_ns
    return "connections are accepted at once", accept.time.is_zero and not stalls


def not_impatient(scenario: Scenario) -> Condition:
    """No application closes early."""
    early = any(load.patience_ns or load.idle_timeout_ns for load in scenario.load)
    return "no patience or idle time-out ends a connection", not early


def one_try(scenario: Scenario) -> Condition:
    """Whom connect() refuses stays away."""
    return "who is refused does not come again", all(load.tries.count <= 1 for load in scenario.load)


def one_syn(scenario: Scenario, client: Config, loss: float) -> Condition:
    """No SYN is sent twice: the application gives up before, or none is refused."""
    first = client.rto_initial_ms * 1_000_000
    once = all(load.tries.count == 1 and load.tries.backoff_ns <= first for load in scenario.load)
    return "a refused SYN is not sent again", once or loss < NEVER


def had_ports(outcomes: Sequence[Outcome]) -> Condition:
    """Seen, not computed: no connect was refused on the client's side."""
    refused = sum(sum(load.refused.values()) for outcome in outcomes for load in outcome.loads)
    return "every connect found a port", refused == 0


def short_round_trip(scenario: Scenario, client: Config, server: Config) -> Condition:
    """Below the first time-out."""
    first = min(client.rto_initial_ms, server.rto_initial_ms) / 1000
    return "a round trip is shorter than the first time-out", round_trip(scenario) < first


def no_cap(scenario: Scenario, client: Config, server: Config, side: str) -> Condition:
    """tcp_max_tw_buckets is out of reach."""
    load, buckets = ports.time_wait_load(scenario, client, server, side)
    holds = load is not None and (buckets > 10 * load or queues.erlang_b(buckets, load) < NEVER)
    return "tcp_max_tw_buckets is not reached", holds


def no_reuse(scenario: Scenario, client: Config, server: Config) -> Condition:
    """TIME_WAIT lasts to its end."""
    return "no port in TIME_WAIT is taken over", not ports.reuses(scenario, client, server)


def closers(scenario: Scenario) -> list[str]:
    """The sides that enter TIME_WAIT."""
    closes = scenario.server.closes
    found = [CLIENT] if closes.server + closes.reset < 1 else []
    return [*found, SERVER] if closes.server > 0 else found


def long_enough(holds: bool, what: str) -> Condition:
    """The run shows more than its beginning."""
    return f"the run is longer than {what}", bool(holds)


def complete(outcomes: Sequence[Outcome]) -> Condition:
    """No replicate was cut short."""
    return "no run was cut short", not any(outcome.partial for outcome in outcomes)
