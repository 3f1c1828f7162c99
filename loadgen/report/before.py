"""What `handshake`, `close` and `flood` report under the names that they had before scenarios.

`results` and `config` of their documents keep these names beside those of the metrics; a threshold may still
use an old name, and `METRICS` says what it is called now. Counts are sums over the replicates. Everything
here is computed from the outcomes; nothing else in the package depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from loadgen.report import histograms
from loadgen.scenario.model import Load, Scenario
from loadgen.sim.outcome import Outcome
from tcpcore import Config, Engine

#: The commands that had a document of their own.
KINDS: Final = ("handshake", "close", "flood")

#: Name of a figure before -> its metric now. What stands before a dot stands for all that follow it.
METRICS: Final[Mapping[str, str]] = {
    "handshake_ms.": "connect.",
    "accepted_ms.": "served_after.",
    "peak_half_open": "half_open.peak",
    "time_wait_peak.client": "time_wait.client.peak",
    "time_wait_peak.server": "time_wait.server.peak",
    "blocks_left.": "left.",
    "retransmissions.client": "counters.client.RetransSegs",
    "retransmissions.server": "counters.server.RetransSegs",
    "residence_answered_ms.": "residence.answered.",
    "residence_unanswered_ms.": "residence.unanswered.",
    "entries.added": "counters.server.SynQueueAdded",
    "entries.established": "counters.server.SynQueueEstablished",
    "entries.evicted": "counters.server.SynQueueEvicted",
    "entries.expired": "counters.server.SynQueueExpired",
    "entries.reset": "counters.server.SynQueueReset",
    "refused.syn_queue_full": "causes.server.SynQueueFull",
    "refused.reserve": "causes.server.SynQueueReserve",
    "refused.accept_queue_full": "causes.server.AcceptQueueFull",
    "cookies.sent": "counters.server.SyncookiesSent",
    "cookies.good": "counters.server.SyncookiesRecv",
    "cookies.failed": "counters.server.SyncookiesFailed",
    "cookies.options_lost": "counters.server.SyncookiesLostOptions",
    "cookies.pauses": "counters.server.SynCachePauses",
    "detection.raised_after_ms": "detection.raised_after",
    "detection.begin_error_ms": "detection.begin_error",
    "detection.end_error_ms": "detection.end_error",
}


def metric(name: str) -> str:
    """What a figure is called now; its own name where it was never called otherwise."""
    for old, new in METRICS.items():
        if old.endswith(".") and name.startswith(old):
            return new + name.removeprefix(old)
    return METRICS.get(name, name)


def results(kind: str, scenario: Scenario, outcomes: Sequence[Outcome], server: Config) -> dict[str, Any]:
    """Those that are no plain form of a metric, and those whose meaning is another there."""
    if kind not in KINDS or not outcomes:
        return {}
    loads = [load for outcome in outcomes for load in outcome.loads]
    in_flight = sum(load.in_flight for load in loads)
    attempted = sum(load.attempted - load.not_started for load in loads)
    connected = sum(load.connected for load in loads)
    pending = sum(load.pending for load in loads) - in_flight
    room = room_of(scenario, server)
    backlog = scenario.server.listen.backlog
    found: dict[str, Any] = {
        "attempted": attempted,
        "in_flight": in_flight,
        "pending": pending,
        "failed": attempted - connected - pending,
        "backlog": {
            "effective": room["backlog"],
            "set_by": "--backlog" if backlog == room["backlog"] else "somaxconn",
        },
        "retransmissions": {side: _of(outcomes, side, "RetransSegs") for side in ("client", "server")},
    }
    if any(load.syn_data for load in scenario.load):
        sent = sum(load.syn_data for load in scenario.load) * _of(outcomes, "client", "ActiveOpens")
        found["syn_data"] = {"sent_bytes": sent, "accepted_bytes": _of(outcomes, "server", "BytesReceived")}
    if kind == "close":
        found |= _of_close(scenario, outcomes)
    if kind == "flood":
        found |= _of_flood(scenario, outcomes, room)
    return found


def room_of(scenario: Scenario, server: Config) -> dict[str, int]:
    """The queues of the server's listener, as the engine says (tcpcore.ROOM)."""
    engine = Engine(server.replace(capacity=1))
    room = engine.room(engine.listen(scenario.server.listen.addr, scenario.server.listen.port,
                                     scenario.server.listen.backlog))  # fmt: skip
    return {name: int(room[name]) for name in ("backlog", "half_open_max")}


def _of(outcomes: Sequence[Outcome], side: str, name: str) -> int:
    return sum(int(outcome.counters[side].get(name, 0)) for outcome in outcomes)


def _cause(outcomes: Sequence[Outcome], name: str) -> int:
    return sum(int(outcome.causes["server"].get(name, 0)) for outcome in outcomes)


def _of_close(scenario: Scenario, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    first = scenario.load[0]
    loads = [load for outcome in outcomes for load in outcome.loads]
    empty = not any(any(outcome.left.values()) for outcome in outcomes)
    found: dict[str, Any] = {
        "stuck_last_ack": sum(outcome.stuck for outcome in outcomes),
        "old_segments_accepted": sum(load.old_taken for load in loads),
        "closing_from_ms": None if first.close_at_ns is None else first.close_at_ns / 1e6,
        "time_wait_drained_ms": max(one.virtual_ns for one in outcomes) / 1e6 if empty else None,
    }
    if first.half_close:
        found["half_close"] = {
            "connections": sum(load.half_closed for load in loads),
            "queued_bytes": sum(load.half_queued for load in loads),
            "acknowledged_bytes": sum(load.half_read for load in loads),
        }
    again = {load.name for load in scenario.load if load.again}
    if again:
        second = [load for load in loads if load.name in again]
        found |= {name: sum(getattr(load, name) for load in loads if load.name not in again)
                  for name in ("attempted", "connected", "served")}  # fmt: skip
        found["second_incarnation"] = {
            "refused_at_first": sum(load.tries - load.attempted for load in second),
            "opened": sum(load.connected for load in second),
            "old_segments_arrived": sum(outcome.copies for outcome in outcomes),
        }
    return found


def _of_flood(scenario: Scenario, outcomes: Sequence[Outcome], room: Mapping[str, int]) -> dict[str, Any]:
    floods = scenario.flood
    sent = sum(flood.sent for outcome in outcomes for flood in outcome.floods)
    links = [outcome.counters["link"] for outcome in outcomes]
    scatter = {
        kind: sum(int(link.get(f"outside.{kind}", 0)) for link in links) for kind in ("syn-ack", "rst")
    }
    outside = sum(int(link.get("backscatter", 0)) for link in links)
    full = _cause(outcomes, "SynQueueFull") + _cause(outcomes, "SynQueueReserve")
    cookies = _of(outcomes, "server", "SyncookiesSent")
    evicted = _of(outcomes, "server", "SynQueueEvicted")
    answered = _of(outcomes, "server", "TCPReqQFullDoCookies")
    watched = [outcome.watched for outcome in outcomes if outcome.watched is not None]
    found: dict[str, Any] = {
        "flood": {
            "kind": floods[0].kind if floods else None,
            "sent": sent,
            "sources": _sources(floods[0].sources) if floods else None,
        },
        "half_open": {
            "room": room["half_open_max"],
            # with cookies an eviction is an entry that a pause ended, and no SYN
            "overflows": full + (answered if cookies or answered else evicted),
        },
        "entries": {
            name: _of(outcomes, "server", f"SynQueue{name.title()}")
            for name in ("added", "established", "evicted", "expired", "reset")
        } | {"still_there": sum(int(outcome.gauges["server"]["half_open"]) for outcome in outcomes)},
        "refused": {
            "syn_queue_full": _cause(outcomes, "SynQueueFull"),
            "reserve": _cause(outcomes, "SynQueueReserve"),
            "accept_queue_full": _cause(outcomes, "AcceptQueueFull"),
        },
        "cookies": {
            "sent": cookies,
            "good": _of(outcomes, "server", "SyncookiesRecv"),
            "failed": _of(outcomes, "server", "SyncookiesFailed"),
            "options_lost": _of(outcomes, "server", "SyncookiesLostOptions"),
            "pauses": _of(outcomes, "server", "SynCachePauses"),
        },
        "backscatter": {
            "syn_acks": scatter["syn-ack"],
            "resets": scatter["rst"],
            "per_spoofed": outside / sent if sent else None,
        },
    }  # fmt: skip
    if watched:
        for name in ("answered", "unanswered"):
            found[f"residence_{name}_ms"] = spread_ms(histograms.merge(getattr(one, name) for one in watched))
        found["detection"] = watched[0].detection
    return found


def spread_ms(histogram: Any) -> dict[str, Any]:
    """Count, exact min and max, mean and percentiles in ms."""
    parts = {part: histograms.figure(histogram, part) for part in histograms.FIGURES}
    return {part: value if part == "count" or value is None else value / 1e6 for part, value in parts.items()}


def _sources(text: str) -> str:
    if text == "0.0.0.0/0":
        return "random"
    n = text.count(",") + 1
    return text if n == 1 else f"{n} addresses and networks"


def config(kind: str, scenario: Scenario, server: Config) -> dict[str, Any]:
    """The settings flat, under the names of the options of before; `knobs` are the server's."""
    from dataclasses import fields

    load, link = (scenario.load[0] if scenario.load else None), scenario.link
    knobs = {
        one.name: list(value) if isinstance(value := getattr(server, one.name), tuple) else value
        for one in fields(server)
        if one.name not in ("seed", "events", "local_addr")
    }
    found: dict[str, Any] = {
        "connections": 0 if load is None else load.count,
        "rate_per_s": None if load is None or load.shape[0][1] == math.inf else load.shape[0][1],
        "arrivals": None if load is None else load.arrivals,
        "duration_ms": scenario.run.duration_ns / 1e6,
        "hold_ms": None if load is None else load.hold.mean / 1e6,
        "rtt_ms": link.rtt.mean / 1e6,
        "jitter_ms": link.jitter_ns / 1e6,
        "loss": dict(link.loss),
        "duplicates": dict(link.duplicate),
        "duplicate_delay_ms": link.duplicate_after_ns / 1e6,
        "reorder": link.reorder,
        "reorder_delay_ms": link.reorder_after_ns / 1e6,
        "backlog": scenario.server.listen.backlog,
        "client_addresses": scenario.client.hosts,
        "batch": scenario.run.batch,
        "knobs": knobs,
    }
    if kind == "handshake":
        found["syn_data"] = 0 if load is None else load.syn_data
    if kind == "close" and load is not None:
        found |= _config_of_close(scenario, load)
    if kind == "flood":
        found |= _config_of_flood(scenario, load)
    return found


def _config_of_close(scenario: Scenario, load: Load) -> dict[str, Any]:
    closes = scenario.server.closes
    by = "mix" if closes.turns else "simultaneous" if closes.both else "server" if closes.server else "client"
    return {
        "by": by,
        "close_delay_ms": load.close_delay_ns / 1e6,
        "half_close": load.half_close,
        "half_close_bytes": load.half_close_bytes,
        "data": load.request,
        "last_ack_loss": scenario.link.last_ack_loss,
    }


def _config_of_flood(scenario: Scenario, load: Load | None) -> dict[str, Any]:
    patience = {"patience_ms": None if load is None else load.patience_ns / 1e6}
    accept = {"accept_delay_ms": scenario.server.accept.time.mean / 1e6}
    if not scenario.flood:
        return {"flood_rate_per_s": 0.0, **patience, **accept}
    flood = scenario.flood[0]
    stop = scenario.run.duration_ns if flood.stop_ns is None else flood.stop_ns
    return {
        "kind": flood.kind,
        "flood_rate_per_s": flood.rate,
        "spacing": flood.arrivals,
        "sources": _sources(flood.sources),
        "count": flood.count,
        "flood_from_ms": flood.start_ns / 1e6,
        "flood_until_ms": stop / 1e6,
        "on_ms": flood.on_ns / 1e6,
        "off_ms": flood.off_ns / 1e6,
        **patience,
        **accept,
    }
