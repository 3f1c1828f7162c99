"""What a short TIME_WAIT risks, in numbers (planner.md Q6).

TIME_WAIT keeps a late segment of an old connection from a new one on the same addresses and ports, and
answers a FIN that comes again because our last ACK was lost (RFC 9293 3.6.1, RFC 1337). How many segments
come too late, how many of those a new incarnation could take, and how often nobody answers the FIN: each
figure is an upper bound and says so. Times in seconds, rates per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from loadgen.scenario.model import Scenario
from loadgen.theory.stays import NS, mean_rate, round_trip
from tcpcore import Config

DAY: Final = 86_400.0
NUMBERS: Final = 2.0**32
WINDOW: Final = 65_535  # bytes, without a scale
MSS: Final = 1460


@dataclass(frozen=True)
class Risk:
    """Of one scenario. Figures are at most, a day or a close.

    late_per_day: data segments that arrive when TIME_WAIT is over. accepted_per_day: of those, what a new
    incarnation could take as its own. clock_bytes: data that a connection may carry before a clocked ISN no
    longer keeps its old segments out; None for random ones. fin_resends: FINs that a peer sends again within
    TIME_WAIT. unanswered_per_close: chance that a peer in LAST_ACK gets no answer to any of them, and is
    reset.
    """

    late_per_day: float
    accepted_per_day: float
    clock_bytes: float | None
    fin_resends: int
    unanswered_per_close: float


def risk(
    scenario: Scenario, client: Config, server: Config, window: int = WINDOW, rto: float | None = None
) -> Risk:
    """Both directions together; the closer is the client, its TIME_WAIT that of its settings.

    Each direction carries the bytes of one load's requests or responses, numbered from the sender's ISN.
    Without `rto` the peer's is what it would be after one sample of the round trip (`first_rto`). The peer of
    the closer is the server: where SACK is on at both ends it sends a loss probe first (`first_probe`).
    """
    time_wait = client.time_wait_ms / 1000
    late = accepted = 0.0
    clocks = []
    for sender, of in ((client, "request"), (server, "response")):
        clock = clock_bytes(sender, time_wait)
        clocks.append(clock)
        for load in scenario.load:
            nbytes = getattr(load, of) * load.requests_per_connection
            per_day = late_per_day(
                mean_rate(scenario, load), nbytes, scenario.link.late_share,
                scenario.link.late_after_ns / NS, time_wait,
            )  # fmt: skip
            late += per_day
            stamped = bool(client.tcp_timestamps and server.tcp_timestamps)
            accepted += accepted_per_day(per_day, window, nbytes, clock, stamped)
    link = scenario.link
    fin_loss, ack_loss = (
        min(1.0, link.loss.get("all", 0.0) + link.loss.get(kind, 0.0)) for kind in ("fin", "last-ack")
    )
    rtt = round_trip(scenario)
    rto = first_rto(server, rtt) if rto is None else rto
    probe = first_probe(server, rtt, rto) if client.tcp_sack else None
    resends = fin_resends(time_wait, rto, probe)
    return Risk(
        late_per_day=late,
        accepted_per_day=accepted,
        clock_bytes=None if None in clocks else min(clock for clock in clocks if clock is not None),
        fin_resends=resends,
        unanswered_per_close=unanswered(fin_loss, ack_loss, resends),
    )


def late_per_day(rate: float, nbytes: float, share: float, after: float, time_wait: float) -> float:
    """Data segments a day of which a copy arrives when TIME_WAIT is over.

    rate x segments a connection x share of copies that come `after` seconds late; none while TIME_WAIT is
    longer than that: it is entered after the segment was sent.
    """
    if after < time_wait:
        return 0.0
    return rate * DAY * math.ceil(nbytes / MSS) * share


def clock_bytes(sender: Config, time_wait: float) -> float | None:
    """Bytes by which the sender's ISN clock has moved when a port can be used again; None without a clock.

    RFC 6528 adds a clock of `isn_tick_ns` to a hash of addresses and ports, so a new incarnation's numbers
    begin time_wait / tick after the old one's. An old segment lies before the new window as long as the old
    connection carried fewer bytes than that. The clock wraps after 2**32 ticks (275 s on Linux).
    """
    return None if sender.isn == "random" else min(time_wait * NS / sender.isn_tick_ns, NUMBERS / 2)


def accepted_per_day(
    late: float, window: int, nbytes: float, clock: float | None, stamped: bool
) -> float:
    """At most so many of the late segments are taken for data of a new incarnation.

    None with timestamps on both ends: PAWS (RFC 7323 5) drops what is older than the last one seen. None with
    a clocked ISN that moved further than the connection's bytes. Else a sequence number falls into the window
    with chance window / 2**32; that the ports must be in use again just then, and the ACK field be acceptable
    (RFC 5961 5), makes it rarer.
    """
    if stamped or (clock is not None and nbytes < clock):
        return 0.0
    return late * window / NUMBERS


def first_rto(config: Config, rtt: float) -> float:
    """RTO after one sample, RFC 6298 2.2: SRTT + 4 RTTVAR = 3 rtt, with the stack's minimum."""
    least = config.tcp_rto_min_us / 1e6
    return rtt + max(2 * rtt, least) if config.rto_min_rule == "variance" else max(3 * rtt, least)


def first_probe(config: Config, rtt: float, rto: float) -> float | None:
    """When a lone FIN is sent again as a loss probe, RFC 8985 7.2; None from a stack that sends none.

    Two round trips, and on top the delay of an ACK, for which Linux takes the least RTO; not after the RTO.
    The RTO begins anew then, and is not backed off.
    """
    if not config.tcp_sack or config.tcp_early_retrans < 3:
        return None
    return min(2 * rtt + config.tcp_rto_min_us / 1e6, rto)


def fin_resends(time_wait: float, rto: float, probe: float | None = None) -> int:
    """FINs that are sent again within TIME_WAIT, the interval doubling: rto (2**n - 1) <= time_wait.

    With a loss probe one more, and the others count from it.
    """
    if rto <= 0 or probe is not None and probe > time_wait:
        return 0
    rest = time_wait - (probe or 0.0)
    return (probe is not None) + math.floor(math.log2(rest / rto + 1))


def unanswered(fin_loss: float, ack_loss: float, resends: int) -> float:
    """Chance that the ACK of a FIN is lost and none of the resent FINs is answered before TIME_WAIT ends.

    q (1 - (1 - p)(1 - q))**n, p and q the losses of a FIN and of its ACK. The peer's next FIN meets a closed
    port and is reset; its data had all arrived. At most: each FIN that arrives restarts TIME_WAIT.
    """
    return ack_loss * (1 - (1 - fin_loss) * (1 - ack_loss)) ** resends

