"""Handshakes under loss: how likely one completes with the kernel's resends, and when.

The schedules are those of docs/semantics.md: R5.14 to R5.20 for the SYN, R3.13 to R3.19 for the SYN-ACK, R4.4
to R4.6 for a SYN that meets its half-open entry. Losses are independent, the queues have room, a round trip
is shorter than the first time-out. The chances are computed event by event, so they are exact under these
assumptions; nothing is simulated. Times in the schedules are ms, results seconds.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from loadgen.scenario.model import Link, Tries
from tcpcore import Config

_NONE = (-1, 0)  # no half-open entry
#: The longest interval between SYN-ACKs of Linux.
SYN_ACK_MAX_MS = 120_000


@dataclass(frozen=True)
class Losses:
    """Chance of each segment of a handshake to be lost."""

    syn: float = 0.0
    syn_ack: float = 0.0
    third_ack: float = 0.0


def losses_of(link: Link) -> Losses:
    """Those of a link without bursts: what "all" says adds to what the kind says."""
    every = link.loss.get("all", 0.0)
    return Losses(*(min(1.0, every + link.loss.get(kind, 0.0)) for kind in ("syn", "syn-ack", "third-ack")))


def syn_times(client: Config) -> tuple[list[int], int]:
    """When connect() sends its SYN, and when it gives up, in ms from the first.

    Linux: 0 1 2 3 4 5 7 11 19 35 67, 131: the first `tcp_syn_linear_timeouts` do not double.
    """
    linear, retries = client.tcp_syn_linear_timeouts, client.tcp_syn_retries
    model = sum(min(client.rto_initial_ms << k, client.tcp_rto_max_ms) for k in range(retries + 1))
    sent, at, interval = [0], 0, min(client.rto_initial_ms, client.tcp_rto_max_ms)
    while True:
        at += interval
        resends = len(sent) - 1
        timed_out = client.retries_rule == "time" and resends > 0 and at >= model
        if resends >= retries + linear or timed_out:
            break
        sent.append(at)
        doubled = client.rto_initial_ms << max(0, resends + 1 - linear)
        interval = min(doubled + client.rto_slop_ms, client.tcp_rto_max_ms)
    if client.keepinit_ms is not None and client.keepinit_ms < at:
        return [time for time in sent if time < client.keepinit_ms], client.keepinit_ms
    return sent, at


def connect_latency(
    client: Config, server: Config, losses: Losses, rtt: float = 0.0, until: float | None = None
) -> list[tuple[float, float]]:
    """When connect() returns: (seconds, probability), in the order of time.

    The probabilities sum to that of success. Steps are those of the schedules: 1 s apart at first on Linux.
    `until`: the application gives up after so many seconds.

    Parameters
    ----------
    client, server : Config
    losses : Losses
    rtt : float
        Seconds, shorter than the first time-out.
    """
    sent, end = syn_times(client)
    if until is not None:
        end = min(end, round(until * 1000))
    connected: dict[int, float] = defaultdict(float)
    waiting = {_NONE: 1.0}
    for at in sent:
        if at >= end:
            break
        waiting = _timers(server, losses, waiting, at, connected)
        waiting = _syn_arrives(server, losses, waiting, at, connected)
    last = end - round(rtt * 1000)
    _timers(server, losses, waiting, last - 1, connected)
    return [(at / 1000 + rtt, chance) for at, chance in sorted(connected.items()) if at < last]


def success(
    client: Config, server: Config, losses: Losses, rtt: float = 0.0, tries: Tries | None = None
) -> float:
    """P(connected), with the kernel's resends and, if given, the application's tries on new ports."""
    if tries is None or tries.count == 0:
        return sum(chance for _, chance in connect_latency(client, server, losses, rtt))
    failed = 1.0
    for k in range(tries.count):
        patience = tries.backoff_ns / 1e9 * tries.factor**k
        failed *= 1 - sum(chance for _, chance in connect_latency(client, server, losses, rtt, patience))
    return 1 - failed


def first_try(losses: Losses, quiet: float = 1.0) -> float:
    """P(no segment of the handshake has to be sent twice).

    quiet: share of the clients that send nothing before the first SYN-ACK time-out. The data or the FIN of
    the others does what a lost third ACK would have done; that it is lost, too, is left out.
    """
    return (1 - losses.syn) * (1 - losses.syn_ack) * (1 - quiet * losses.third_ack)


def syn_needed(losses: Losses, k: int) -> float:
    """P(more than k SYNs are needed) without resends by the server: (1 - (1 - p)(1 - q))**k.

    An upper bound with them.
    """
    return (1 - (1 - losses.syn) * (1 - losses.syn_ack)) ** k


# -- event by event: half-open entries as (timer in ms, resends), each with its chance -----------------------

Entries = dict[tuple[int, int], float]


def _timers(
    server: Config, losses: Losses, waiting: Entries, until: int, connected: dict[int, float]
) -> Entries:
    """SYN-ACK timers up to a moment; what arrives goes to `connected`."""
    left: Entries = defaultdict(float)
    for (at, n), chance in waiting.items():
        while 0 <= at <= until:
            if n >= server.tcp_synack_retries:
                at, n = _NONE
                break
            connected[at] += chance * (1 - losses.syn_ack)
            chance *= losses.syn_ack
            n += 1
            at += _interval(server, n)
        left[at, n] += chance
    return left


def _syn_arrives(
    server: Config, losses: Losses, waiting: Entries, at: int, connected: dict[int, float]
) -> Entries:
    """A SYN: lost, or it makes or meets an entry and is answered."""
    left: Entries = defaultdict(float)
    for (timer, n), chance in waiting.items():
        arrives = chance * (1 - losses.syn)
        left[timer, n] += chance * losses.syn
        connected[at] += arrives * (1 - losses.syn_ack)
        if server.tcp_syncookies == 2:
            entry = _NONE
        elif timer < 0 or server.dup_syn_restarts:
            entry = (at + _interval(server, 0), 0)
        else:
            entry = (at + _interval(server, n), n)
        left[entry] += arrives * losses.syn_ack
    return left


def _interval(server: Config, n: int) -> int:
    """After n resends, R3.18 and R9.18."""
    if n == 0:
        return min(server.rto_initial_ms, server.tcp_rto_max_ms)
    most = SYN_ACK_MAX_MS if server.half_open_rules == "linux" else server.tcp_rto_max_ms
    return min((server.rto_initial_ms << n) + server.rto_slop_ms, most)
