"""How long a connection blocks its port, and what follows: sustainable rate, first refusal, share refused.

A port is counted per client address and destination (S1.5), so `hosts` times `destinations` tuples share the
load evenly. Source of the forms: Little's law and Erlang B with the ports as places (`queues.erlang_b`),
which assumes Poisson arrivals of which those refused do not come again, and asks for the mean time only.
Nothing is lost on the path, and accept is at once. Times in seconds, rates per second, over all hosts and
destinations.
"""

from __future__ import annotations

import math
from typing import Final

from loadgen.scenario.model import Scenario
from loadgen.theory import queues
from loadgen.theory.special import poisson_cdf
from loadgen.theory.stays import CLIENT, NS, RESET, SERVER, Part, constant_rate, mean_rate, parts, round_trip
from tcpcore import Config

_SPREADS: Final = 10  # standard deviations of the time at which ports run out
_STEPS: Final = 200  # of the integral over it


def tuples_of(scenario: Scenario) -> int:
    """Pairs of client address and destination, each with all the ports."""
    return scenario.client.hosts * scenario.client.destinations


def blocking_time(scenario: Scenario, client: Config, server: Config) -> float | None:
    """Mean time for which a connection keeps its port from the next one; None without a load.

    The client closes: handshake, hold, close (a round trip each) and TIME_WAIT, or `tcp_tw_reuse_delay` of it
    where `reuses`. The server closes: handshake, hold, then the FIN's half and the last ACK's whole round
    trip. A reset frees the port at once. Loads count by their rates.
    """
    weighed = _weighed(scenario)
    if not weighed:
        return None
    return sum(
        share * (active(scenario, part) + lingers(scenario, client, server, part)) for part, share in weighed
    )


def cycles(scenario: Scenario, client: Config, server: Config) -> tuple[int, float] | None:
    """Whole blocking times within the run, and how long one is; None without a constant rate, or under two.

    Ports are taken and come back in turn, and connects are refused at the end of each turn. So a share
    refused means something over whole turns only.
    """
    stay, duration = blocking_time(scenario, client, server), scenario.run.duration_ns / NS
    if not total_rate(scenario) or not stay or duration < 2 * stay:
        return None
    return math.floor(duration / stay), stay


def cycles_end(scenario: Scenario, client: Config, server: Config) -> int | None:
    """When the last of them ends, ns."""
    found = cycles(scenario, client, server)
    return None if found is None else min(round(found[0] * found[1] * NS), scenario.run.duration_ns)


def active(scenario: Scenario, part: Part) -> float:
    """Time from connect() to the end of the exchange, TIME_WAIT left out."""
    rounds = {CLIENT: 2.0, SERVER: 2.5, RESET: 1.0}[part.closer]
    return rounds * round_trip(scenario) + part.hold.mean


def lingers(scenario: Scenario, client: Config, server: Config, part: Part) -> float:
    """Time for which the client's TIME_WAIT blocks the port."""
    if part.closer != CLIENT:
        return 0.0
    whole = client.time_wait_ms / 1000
    return min(whole, client.tcp_tw_reuse_delay / 1000) if reuses(scenario, client, server) else whole


def reuses(scenario: Scenario, client: Config, server: Config) -> bool:
    """connect() takes over ports in TIME_WAIT (R10.35): needs timestamps on both ends."""
    addresses = (scenario.client.first_addr, scenario.server.listen.addr)
    loopback = all(address.startswith("127.") for address in addresses)
    allowed = client.tcp_tw_reuse == 1 or (client.tcp_tw_reuse == 2 and loopback)
    return allowed and bool(client.tcp_timestamps) and bool(server.tcp_timestamps)


def sustainable_rate(scenario: Scenario, client: Config, server: Config) -> float | None:
    """Connections per second for which the ports last: ports x hosts x destinations / blocking time.

    More last where a client's tcp_max_tw_buckets M is below its ports: who is over the cap leaves TIME_WAIT
    at once, so M ports wait and the others turn over. Infinite if nothing takes any time; None without a
    load.
    """
    stay = blocking_time(scenario, client, server)
    if stay is None:
        return None
    ports = client.ports() * scenario.client.destinations
    rate = ports / stay if stay else math.inf
    if ports > client.tcp_max_tw_buckets and not reuses(scenario, client, server):
        busy = sum(share * active(scenario, part) for part, share in _weighed(scenario))
        rate = max(rate, (ports - client.tcp_max_tw_buckets) / busy if busy else math.inf)
    return rate * scenario.client.hosts


def rate_for(scenario: Scenario, client: Config, server: Config, loss: float) -> float | None:
    """Largest rate at which at most `loss` of the connects are refused, by Erlang B."""
    stay = blocking_time(scenario, client, server)
    if not stay:
        return None
    return queues.load_for(client.ports(), loss) / stay * tuples_of(scenario)


def refused_share(scenario: Scenario, client: Config, server: Config) -> float | None:
    """Share of connects that find no port, by Erlang B; None unless the rate is constant."""
    rate, stay = total_rate(scenario), blocking_time(scenario, client, server)
    if rate is None or stay is None:
        return None
    return queues.erlang_b(client.ports(), rate * stay / tuples_of(scenario))


def first_refusal(scenario: Scenario, client: Config, server: Config) -> float | None:
    """Expected time of the first connect that finds no port, from the start of the run.

    None unless the rate is constant and above what lasts: below, a refusal comes by chance only. Paced
    arrivals go to the tuples in turn, and ports x tuples of them fit. Poisson ones are drawn, so the first
    tuple to run out does it earlier than the mean: E = integral of P(no tuple has had more than its ports),
    which is the Poisson distribution function to the power of the tuples.
    """
    rate, stay = total_rate(scenario), blocking_time(scenario, client, server)
    if not rate or stay is None:
        return None
    ports, tuples = client.ports(), tuples_of(scenario)
    if rate / tuples * stay <= ports:
        return None
    if all(load.arrivals == "paced" for load in scenario.load):
        return ports * tuples / rate
    each = rate / tuples
    low = max(0.0, ports - _SPREADS * math.sqrt(ports)) / each
    high = (ports + _SPREADS * (math.sqrt(ports) + 1)) / each
    step = (high - low) / _STEPS
    values = [poisson_cdf(each * (low + k * step), ports) ** tuples for k in range(_STEPS + 1)]
    return low + step * (math.fsum(values) - (values[0] + values[-1]) / 2)


def total_rate(scenario: Scenario) -> float | None:
    """Arrivals per second of all loads, None unless each has a constant rate."""
    rates = [constant_rate(load) for load in scenario.load]
    known = [rate for rate in rates if rate is not None]
    return math.fsum(known) if rates and len(known) == len(rates) else None


def hosts_for(ports: int, rate: float, stay: float, loss: float) -> int:
    """Fewest tuples (client hosts, or gateways) at which Erlang B refuses at most `loss`."""
    return queues.fewest(
        lambda n: n > 0 and queues.erlang_b(ports, rate * stay / n) <= loss, rate * stay / ports
    )


def time_wait_overflow(scenario: Scenario, client: Config, server: Config) -> dict[str, float]:
    """Share of the closes on each side that keep no TIME_WAIT entry: Erlang B with tcp_max_tw_buckets places.

    By side; a side that enters no TIME_WAIT, or has no cap that could act, is left out. The cap is that of
    each client host, and shared evenly by the server's listeners (S1.3).
    """
    found = {}
    for side in (CLIENT, SERVER):
        load, buckets = time_wait_load(scenario, client, server, side)
        if load is not None and load > 0 and buckets < 2**31 - 1:
            found[side] = queues.erlang_b(buckets, load)
    return found


def time_wait_load(
    scenario: Scenario, client: Config, server: Config, side: str
) -> tuple[float | None, int]:
    """Erlangs in TIME_WAIT of one client host, or one of the server's listeners, and its cap."""
    config, n = (
        (client, scenario.client.hosts) if side == CLIENT else (server, scenario.server.listen.listeners)
    )
    buckets = config.tcp_max_tw_buckets if side == CLIENT else config.tcp_max_tw_buckets // n
    rate = total_rate(scenario)
    if rate is None:
        return None, buckets
    share = math.fsum(share for part, share in _weighed(scenario) if part.closer == side)
    return rate * share * config.time_wait_ms / 1000 / n, buckets


def search_cost_random(ports: int, taken: int) -> float:
    """Mean number of ports a search looks at that draws them at random and none twice: (P + 1) / (P - n + 1).

    For n of P taken, whichever they are; 1 / (1 - n / P) for many ports. `port_selection` "random-retry".
    """
    return (ports + 1) / (ports - taken + 1)


def search_cost_linear(ports: int, taken: int) -> float:
    """Mean number of ports that a search one by one looks at: (1 + 1 / (1 - n / P)**2) / 2.

    Knuth 6.4, linear probing. Holds while ports fill up at random starts. Too high in churn, where ports come
    free in the order in which they were taken: at 80 % taken 11.4 were measured instead of 13, at 95 % 98.5
    instead of 200.
    """
    return 0.5 * (1 + 1 / (1 - taken / ports) ** 2)


def _weighed(scenario: Scenario) -> list[tuple[Part, float]]:
    """Each part with its share of all connections; loads count alike where rates say nothing."""
    rates = {load.name: mean_rate(scenario, load) for load in scenario.load}
    total = math.fsum(rates.values())
    if not math.isfinite(total) or total <= 0:
        rates, total = dict.fromkeys(rates, 1.0), float(len(rates))
    return [(part, part.share * rates[part.load.name] / total) for part in parts(scenario)]
