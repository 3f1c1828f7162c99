"""Rows about limits: ports, TIME_WAIT buckets, the accept queue, the SYN queue, and handshakes under loss.

Each function yields the questions that the scenario poses; a form whose limit cannot act is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.scenario.model import Load, Scenario
from loadgen.sim.outcome import LoadOutcome, Outcome
from loadgen.theory import conditions, evidence, handshake, ports, queues, syn_queue
from loadgen.theory.conditions import Condition
from loadgen.theory.relaxation import LONG_ENOUGH, accept_places
from loadgen.theory.rows import Question
from loadgen.theory.stays import NS, SERVER, TICK, parts, round_trip
from tcpcore import Config

_LEAVE_TIME_WAIT: Final = ("TCPTimeWaitOverflow", "TW", "TWKilled")
_UNPRUNED: Final = 2  # SYN-ACK resends up to which Linux prunes no entry


# -- ports ------------------------------------------------------------------------------------------------


def of_ports(
    scenario: Scenario, outcomes: Sequence[Outcome], client: Config, server: Config
) -> Iterator[Question]:
    """Share refused and first refusal, over whole blocking times from the beginning of the run."""
    rate, turns = ports.total_rate(scenario), ports.cycles(scenario, client, server)
    if not rate or turns is None:
        return
    cycles, stay = turns
    places, n = client.ports(), ports.tuples_of(scenario)
    load = rate * stay / n
    steady = queues.erlang_b(places, load)
    if steady < conditions.NEVER and load < places:
        return
    first = max(0.0, 1 - places / load)  # all are free at first: what is above the ports is refused
    value = (first + (cycles - 1) * steady) / cycles
    shared = (
        conditions.poisson(scenario),
        conditions.one_try(scenario),
        conditions.no_loss(scenario),
        conditions.no_events(scenario),
        conditions.accepted_at_once(scenario),
        conditions.complete(outcomes),
    )
    inputs = {"ports": places, "tuples": n, "rate_per_s": rate, "blocked_s": stay}
    cluster = min(math.sqrt(places), places / max(1.0, abs(places - load)))
    known = [(float(one.ports_at[2]), float(one.ports_at[1])) for one in outcomes if one.ports_at]
    found = (
        evidence.of_share(known, cluster) if len(known) == len(outcomes) else evidence.nothing("cut short")
    )
    inputs_of_share = inputs | {"cycles": cycles, "steady": steady}
    yield Question("Erlang B, connects refused for want of a port", inputs_of_share, value, found, shared)
    at = ports.first_refusal(scenario, client, server)
    if at is not None:
        seen = [load.first_refusal_ns for one in outcomes for load in one.loads]
        moments = [one / NS for one in seen if one is not None]
        spread = places / (rate / n) ** 2
        yield Question(
            "first connect without a port, s", inputs, at, evidence.of_moments(moments, spread), shared
        )


def of_time_wait_cap(
    scenario: Scenario, outcomes: Sequence[Outcome], client: Config, server: Config
) -> Iterator[Question]:
    """Share of closes that keep no entry, the time in which the table fills included."""
    duration = scenario.run.duration_ns / NS
    for side, steady in ports.time_wait_overflow(scenario, client, server).items():
        load, buckets = ports.time_wait_load(scenario, client, server, side)
        stay = (client if side == "client" else server).time_wait_ms / 1000
        if load is None or steady < conditions.NEVER or duration < 2 * stay:
            continue
        first = max(0.0, 1 - buckets / load)
        value = (first * stay + steady * (duration - stay)) / duration
        pairs = []
        for one in outcomes:
            over, kept, killed = (evidence.counted(one, side, name) for name in _LEAVE_TIME_WAIT)
            pairs.append((float(over), float(over + kept + killed)))
        cluster = min(math.sqrt(max(1, buckets)), buckets / max(1.0, abs(buckets - load)))
        yield Question(
            f"Erlang B, closes without a TIME_WAIT entry, {side}",
            {"buckets": buckets, "erlangs": load, "steady": steady},
            value,
            evidence.of_share(pairs, max(1.0, cluster)),
            (
                conditions.poisson(scenario), conditions.no_loss(scenario), conditions.no_events(scenario),
                conditions.had_ports(outcomes), conditions.no_reuse(scenario, client, server),
                conditions.accepted_at_once(scenario),
            ),
        )  # fmt: skip


# -- the accept queue -------------------------------------------------------------------------------------


def of_accept_queue(
    scenario: Scenario, outcomes: Sequence[Outcome], client: Config, server: Config
) -> Iterator[Question]:
    """M/M/m/K or M/D/1/K: K is the queue and the workers, who take a connection off it and then work."""
    accept, listen = scenario.server.accept, scenario.server.listen
    total = ports.total_rate(scenario)
    if not total or accept.time.is_zero:
        return
    service, waiting = accept.time.mean / NS, accept_places(scenario, server)
    lists = listen.listeners * scenario.client.destinations
    rate, places = total / lists, waiting + accept.workers
    constant = accept.time.family == "const" and accept.workers == 1
    if constant:
        name, form = "M/D/1/K", queues.md1k(places, rate, service)
    else:
        name, form = f"M/M/{accept.workers}/K", queues.mmmk(accept.workers, places, rate, service)
    relaxed = queues.relaxation_time(places, service / accept.workers, rate)
    duration = scenario.run.duration_ns / NS
    shared: tuple[Condition, ...] = (
        conditions.poisson(scenario),
        ("service times are exponential, or constant with one worker", constant or accept.time.family == "exp"),  # noqa: E501
        ("there are no stalls", not (accept.stall_ns and accept.stall_every_ns)),
        ("SYN and third ACK meet the same queue: no round trip, or nobody is refused",
         round_trip(scenario) == 0 or form.refused < conditions.NEVER),
        conditions.one_syn(scenario, client, form.refused),
        conditions.no_loss(scenario),
        conditions.no_flood(scenario),
        conditions.no_events(scenario),
        conditions.had_ports(outcomes),
        conditions.long_enough(duration >= LONG_ENOUGH * relaxed, f"{LONG_ENOUGH} times {relaxed:.3g} s"),
    )  # fmt: skip
    inputs = {"places": places, "rate_per_s": rate, "service_s": service, "busy": form.busy}
    begin = max(10 * relaxed, max(one.warmup_ns for one in outcomes) / NS)
    times, values = evidence.averages(outcomes, "server.accept_queue", begin, duration)
    level = evidence.of_level(times, [one / lists for one in values], relaxed, None)
    yield Question(f"{name}, mean in the accept queue", inputs, form.waiting, level, shared)
    pairs = [_lost(one) for one in outcomes]
    cluster = min(float(places), 1 / max(1e-9, abs(1 - rate * service / accept.workers)))
    yield Question(
        f"{name}, clients refused", inputs, form.refused,
        evidence.of_share(pairs, max(1.0, cluster)),
        (*shared, conditions.not_impatient(scenario)),
    )  # fmt: skip


def _ended(load: LoadOutcome) -> int:
    """Connections of which it is known what became of them."""
    return load.served + load.ghost + sum(load.refused.values()) + load.gave_up + load.reset


def _lost(outcome: Outcome) -> tuple[float, float]:
    """(gave up, ended) of all loads."""
    return (
        float(sum(load.gave_up for load in outcome.loads)),
        float(sum(_ended(load) for load in outcome.loads)),
    )


# -- handshakes under loss --------------------------------------------------------------------------------


def of_handshakes(
    scenario: Scenario, outcomes: Sequence[Outcome], client: Config, server: Config
) -> Iterator[Question]:
    """For each load: connected in the end, connected by the first SYN, nothing sent twice."""
    losses = handshake.losses_of(scenario.link)
    if not (losses.syn or losses.syn_ack or losses.third_ack):
        return
    shared = (
        conditions.no_bursts(scenario),
        conditions.no_flood(scenario),
        conditions.no_events(scenario),
        conditions.accepted_at_once(scenario),
        conditions.had_ports(outcomes),
        conditions.short_round_trip(scenario, client, server),
        conditions.not_impatient(scenario),
    )
    inputs = {"syn_loss": losses.syn, "syn_ack_loss": losses.syn_ack, "third_ack_loss": losses.third_ack}
    for k, load in enumerate(scenario.load):
        seen = [one.loads[k] for one in outcomes]
        yield from _handshakes_of(scenario, load, seen, client, server, shared, inputs)


def _handshakes_of(
    scenario: Scenario, load: Load, seen: Sequence[LoadOutcome], client: Config, server: Config,
    shared: tuple[Condition, ...], inputs: dict[str, float],
) -> Iterator[Question]:  # fmt: skip
    losses, rtt = handshake.losses_of(scenario.link), round_trip(scenario)
    decided = ("every connection was decided", all(not one.pending and not one.not_started for one in seen))
    exact = ("application tries have no jitter", load.tries.count == 0 or not load.tries.jitter)
    value = handshake.success(client, server, losses, rtt, load.tries)
    ended = [(float(one.connected), float(_ended(one))) for one in seen]
    found = evidence.of_share(ended)
    yield Question(f"connected under loss, {load.name}", inputs, value, found, (*shared, decided, exact))
    tries = min(1.0, load.tries.backoff_ns / NS) if load.tries.count else None
    latency = handshake.connect_latency(client, server, losses, rtt, tries)
    split = (rtt + client.rto_initial_ms / 1000) / 2 * NS
    at_once = [(float(one.connect.counts[one.connect.highest < split].sum()), float(one.connect.counts.sum()))
               for one in seen]  # fmt: skip
    quick = latency[0][1] / value if latency and value else 0.0
    yield Question(
        f"connected by the first SYN under loss, {load.name}", inputs, quick, evidence.of_share(at_once),
        (*shared, decided),
    )  # fmt: skip
    speaks = load.speaks == "client" and load.request > 0
    wait = server.rto_initial_ms / 1000
    quiet = 0.0 if speaks else math.fsum(
        part.share * (1.0 if part.closer == SERVER else part.hold.beyond(wait))
        for part in parts(scenario) if part.load is load
    )  # fmt: skip
    first = [(float(one.first_try), float(_ended(one))) for one in seen]
    yield Question(
        f"first try under loss, {load.name}", inputs, handshake.first_try(losses, quiet),
        evidence.of_share(first), (*shared, decided),
    )  # fmt: skip


# -- the SYN queue under a flood --------------------------------------------------------------------------


def of_syn_queue(
    scenario: Scenario, outcomes: Sequence[Outcome], client: Config, server: Config
) -> Iterator[Question]:
    """Half-open entries of a queue that refuses who finds no place: Erlang B's mean, a (1 - B)."""
    floods = [flood for flood in scenario.flood if flood.rate and flood.kind == "syn"]
    clients = ports.total_rate(scenario) if scenario.load else 0.0
    if len(floods) != 1 or clients is None or server.tcp_syncookies:
        return
    if server.synq_policy not in ("linux", "drop-new"):
        return
    flood, backlog = floods[0], scenario.server.listen.backlog
    bound = server.somaxconn if backlog is None else min(backlog, server.somaxconn)
    places = bound + 1
    if server.synq_policy == "linux":
        most = server.tcp_max_syn_backlog
        places = min(places, most - most // 4 + 1)
    life = syn_queue.life(server.tcp_synack_retries, server.rto_initial_ms / 1000)
    load = syn_queue.offered((flood.rate, life), (clients, round_trip(scenario)))
    end = (flood.stop_ns if flood.stop_ns is not None else scenario.run.duration_ns) / NS
    value = queues.erlang_b_mean(places, load)
    ticks = abs(queues.erlang_b_mean(places, load * (1 + TICK / life)) - value)
    start, lives = flood.start_ns / NS, syn_queue.settles(places, load)
    shown = end - start > (lives + 10) * life
    begin = start + (lives if shown else 5) * life
    times, values = evidence.averages(outcomes, "server.half_open", begin, end)
    yield Question(
        "Erlang B, half-open entries",
        {"places": places, "erlangs": load, "life_s": life},
        value,
        evidence.of_level(times, values, life, None),
        (
            ("SYNs are a Poisson process", flood.arrivals == "poisson" and conditions.poisson(scenario)[1]),
            ("spoofed peers are silent", not flood.sources.startswith("reflect")),
            ("no entry is pruned",
             server.synq_policy == "drop-new" or server.tcp_synack_retries <= _UNPRUNED),
            ("one listener", scenario.server.listen.listeners * scenario.client.destinations == 1),
            ("time-outs have no slop", server.rto_slop_ms == 0),
            conditions.one_syn(scenario, client, 0.0 if not scenario.load else 1.0),
            conditions.no_loss(scenario), conditions.no_events(scenario),
            conditions.accepted_at_once(scenario),
            conditions.long_enough(shown, f"{lives + 10:.0f} lives of an entry"),
        ),
        tolerance=ticks + (syn_queue.LEFT * (places - value) if load > places else 0.0),
    )  # fmt: skip
