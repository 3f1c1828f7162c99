"""What a line of a sysctl file does, knob by knob: by the sizes of queues and by closed forms.

A knob without a rule here is left to the simulation. Sources: ip-sysctl.rst; docs/theory.md for the forms.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Final

from loadgen.host.verdicts import ACTS, CANNOT, Row, View
from loadgen.scenario import hosts, knobs
from loadgen.scenario.hosts import Resolved
from loadgen.scenario.model import Client, Closes, Scenario
from loadgen.theory import ports, queues
from tcpcore import Config

_S: Final = 1e9
_RARELY: Final = 1e-3  # chance that a stall loses anything
_QUEUES: Final = ("accept_queue", "half_open")
_PORTS: Final = ("ip_local_port_range", "ip_local_reserved_ports", "tcp_tw_reuse", "tcp_tw_reuse_delay")


def judge(row: Row, view: View) -> None:
    """Set kind, text, letters and figures, where that can be told without a simulation."""
    names = list(row.line.knobs)
    if all(getattr(view.without.server, name) == getattr(view.with_it.server, name) for name in names):
        row.kind, row.text = CANNOT, "nothing: the host has that value"
        return
    for name in names:
        rule = _RULES.get(name)
        if rule is not None:
            rule(row, view)
            return
    if all(knobs.side_of(name) == knobs.CLIENT for name in names):
        row.kind, row.text = (
            CANNOT,
            "acts on connections that the host opens, of which this scenario has none",
        )


def _places(row: Row, view: View) -> None:
    """somaxconn and tcp_max_syn_backlog: do the queues have more or fewer places?"""
    before, after = _sizes(view.without), _sizes(view.with_it)
    row.figures["places"] = (before["half_open"], after["half_open"])
    changed = [name for name in _QUEUES if before[name] != after[name]]
    if changed:
        row.kind, row.letters = ACTS, "F"
        row.text = "; ".join(
            f"{name.replace('_', '-')} places {before[name]:,} -> {after[name]:,}" for name in changed
        )
        return
    knob = next(iter(row.line.knobs))
    limits = [one for one in view.with_it.limits if one["name"] in _QUEUES]
    why = next((text for one in limits for text in one["shadowed"] if text.startswith(f"{knob} ")), "")
    row.kind, row.text = CANNOT, f"nothing: {why.partition(': ')[2] or 'another limit leaves fewer places'}"


def _sizes(resolved: Resolved) -> dict[str, int]:
    return {one["name"]: int(one["value"]) for one in resolved.limits if one["name"] in _QUEUES}


def _fin_timeout(row: Row, view: View) -> None:
    """Little's law of connections in FIN_WAIT_2 whose peer never closes: an upper bound."""
    before, after = view.without.server.tcp_fin_timeout, view.with_it.server.tcp_fin_timeout
    lasts = f"TIME_WAIT stays {view.with_it.server.time_wait_ms / 1000:g} s"
    share = view.scenario.server.closes.server
    rate = ports.total_rate(view.scenario)
    if not share or not rate:
        row.kind, row.text = CANNOT, f"nothing: no FIN_WAIT_2 where the clients close first; {lasts}"
        return
    most = rate * share * before, rate * share * after
    row.kind, row.letters = ACTS, "F"
    row.figures["orphans"] = most
    row.text = f"orphaned FIN_WAIT_2, if no peer closes, {most[0]:,.0f} -> {most[1]:,.0f}; {lasts}"


def _time_wait_cap(row: Row, view: View) -> None:
    """tcp_max_tw_buckets: Erlang B of the closes that keep no entry."""
    first, second = (_overflow(view.scenario, one) for one in (view.without, view.with_it))
    if first is None or second is None:
        if not view.scenario.server.closes.server:
            row.kind, row.text = CANNOT, "nothing: the server never closes first, so it has no TIME_WAIT"
        return  # without a constant rate it is simulated
    (wanted, before), (_, after) = first, second
    row.figures["time_wait_overflow"] = (before, after)
    row.letters = "F"
    if max(before, after) < 1e-9:
        row.kind, row.text = CANNOT, f"nothing: {wanted:,.0f} TIME_WAIT are wanted, below both"
        return
    row.kind = ACTS
    row.text = (
        f"{wanted:,.0f} TIME_WAIT wanted; closes that keep none {100 * before:.3g} -> {100 * after:.3g} %"
    )


def _overflow(scenario: Scenario, resolved: Resolved) -> tuple[float, float] | None:
    wanted, buckets = ports.time_wait_load(scenario, resolved.client, resolved.server, knobs.SERVER)
    if not wanted:
        return None
    return wanted, queues.erlang_b(buckets, wanted)


def _outgoing(row: Row, view: View) -> None:
    """Ports of the host as one that connects and closes first: what they sustain per destination."""
    scenario = dataclasses.replace(
        view.scenario,
        client=Client(first_addr=view.scenario.client.first_addr),
        server=dataclasses.replace(view.scenario.server, closes=Closes()),
    )
    rates = [_sustained(scenario, one.server) for one in (view.without, view.with_it)]
    if not math.isfinite(max(rates)):
        return
    row.figures["outgoing_rate"] = (rates[0], rates[1])
    row.letters = "F"
    same = math.isclose(rates[0], rates[1])
    row.kind = CANNOT if same else ACTS
    row.text = "outgoing limit per destination " + (f"stays {_rate(rates[0])}" if same else
                                                    f"{_rate(rates[0])} -> {_rate(rates[1])}")  # fmt: skip
    if same and "tcp_tw_reuse" in row.line.knobs:
        host = view.with_it.server
        row.text += (": 2 reuses ports on loopback only" if host.tcp_tw_reuse == 2 else
                     ": reuse needs tcp_timestamps" if not host.tcp_timestamps else "")  # fmt: skip


def _sustained(scenario: Scenario, host: Config) -> float:
    """Ports are taken over where they may be, and over the TIME_WAIT cap none waits: the better of both."""
    others = (host, host.replace(tcp_tw_reuse=0))
    return max(ports.sustainable_rate(scenario, one, one) or 0.0 for one in others)


def _rate(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}/s"


_RULES: Final[Mapping[str, Callable[[Row, View], None]]] = {
    "somaxconn": _places,
    "tcp_max_syn_backlog": _places,
    "tcp_fin_timeout": _fin_timeout,
    "tcp_max_tw_buckets": _time_wait_cap,
    **dict.fromkeys(_PORTS, _outgoing),
}


def missing(scenario: Scenario) -> str:
    """What loses connections although the file is applied and no sysctl can mend: the backlog of listen()."""
    limits = {one["name"]: one for one in hosts.resolve(scenario).limits}
    if limits["accept_queue"]["set_by"] != "backlog":
        return ""
    accept, rate = scenario.server.accept, ports.total_rate(scenario)
    now = f"listen() asks for {scenario.server.listen.backlog:,}"
    if not accept.stall_ns or not rate:
        return f"The accept queue overflows, and its limit is not in the file: {now}."
    each = rate / scenario.server.listen.listeners
    places = queues.places_for_stall(each, accept.stall_ns / _S, _RARELY)
    asked = (1 << (places - 1).bit_length()) - 1 if places > 1 else 1
    return f"The line you need is not in the file: listen(..., {asked}); {now}."
