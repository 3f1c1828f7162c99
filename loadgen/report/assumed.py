"""What a result supposes and what no result has: sentences for a reader who has not seen the scenario.

They are made of the scenario's own settings. A is the letter of what the user assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.report import words
from loadgen.report.result import Result
from loadgen.scenario.model import WORKLOAD, Load, Scenario
from loadgen.scenario.numbers import write_share, write_time
from loadgen.scenario.values import Distribution, format_distribution

#: What the simulator has no part for.
NEVER: Final = (
    "bytes per second, congestion control, CPU, NIC queues, TLS",
    "conntrack tables, UDP and QUIC, how a load balancer's hash spreads its clients",
)


def assumptions(result: Result) -> list[str]:
    """Those of the result, then the scenario's."""
    return list(dict.fromkeys([*result.assumptions, *_of_scenario(result.scenario)]))


def not_modelled(result: Result) -> list[str]:
    """What this result names, then what no result has."""
    return list(dict.fromkeys([*result.not_modelled, *NEVER]))


def question(result: Result) -> str:
    """As it was asked, else what a run always answers."""
    if result.question:
        return result.question
    seconds = max((one["virtual_ns"] for one in result.replicates), default=result.scenario.run.duration_ns)
    n = result.outcomes["attempted"] // max(len(result.replicates), 1)
    where = f" of {result.scenario.name}" if result.scenario.name else ""
    who = words.plural(n, "client") if n else "the server's queues"
    return f"What becomes of {who} in {words.time(seconds)}{where}?"


def _of_scenario(scenario: Scenario) -> Iterator[str]:
    for load in scenario.load:
        if load.arrivals != WORKLOAD:
            yield _load(load, len(scenario.load) > 1)
    for flood in scenario.flood:
        yield f"{flood.name}: {words.rate(flood.rate)} spoofed {flood.kind} segments from {flood.sources}"
    accept = scenario.server.accept
    workers = words.plural(accept.workers, "worker")
    takes = "no time" if _is_zero(accept.time) else f"{_said(accept.time)} each"
    stall = ""
    if accept.stall_ns:
        stall = f", and stands still {write_time(accept.stall_ns)} every {write_time(accept.stall_every_ns)}"
    yield f"the server accepts with {workers}, {takes}{stall}"
    yield _link(scenario)
    client = scenario.client
    if client.hosts > 1 or client.destinations > 1:
        yield (
            f"clients are spread evenly over {words.plural(client.hosts, 'host')} and "
            f"{words.plural(client.destinations, 'server address', 'server addresses')}"
        )


def _load(load: Load, several: bool) -> str:
    name = f"{load.name}: " if several else ""
    if load.concurrency:
        come = f"{load.concurrency:,} users in a closed loop: a slow server is asked less"
    elif load.times_ns:
        come = f"clients come at the {len(load.times_ns):,} times of a trace"
    else:
        rates = [rate for _, rate in load.shape]
        low, high = words.rate(min(rates)), words.rate(max(rates))
        span = low if low == high else f"{low} to {high}"
        come = f"clients come at {span} ({load.arrivals}), whatever the server does"
    hold = "close at once" if _is_zero(load.hold) else f"stay for {_said(load.hold)}"
    count = load.tries.count
    tries = f"{count} tries of the application" if count else "the kernel resends the SYN"
    return f"{name}{come}; they {hold}; {load.speaks} speaks first; {tries}"


def _link(scenario: Scenario) -> str:
    link = scenario.link
    rtt = "no delay" if _is_zero(link.rtt) else f"round trip {_said(link.rtt)}"
    lost = ", ".join(f"{kind} {write_share(share)}" for kind, share in link.loss.items() if share)
    return f"link: {rtt}, {f'loss {lost}' if lost else 'no loss'}"


def _is_zero(one: Distribution) -> bool:
    return one == Distribution("const", 0.0)


def _said(one: Distribution) -> str:
    text = format_distribution(one)
    return text if isinstance(text, str) else f"one of {len(text)} recorded times"


def shortened(texts: Sequence[str], most: int = 8) -> list[str]:
    """The first few, and how many more."""
    more = len(texts) - most
    return [*texts[:most], f"and {more:,} more"] if more > 0 else list(texts)
