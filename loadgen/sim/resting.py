"""Whose connections keep no record in the event loop while they are held (attempts.pyx)."""

from __future__ import annotations

from typing import Final

from loadgen.scenario.model import WORKLOAD, Scenario

LONG_HOLD_NS: Final = 1_000_000_000  # of less it is not worth while


def may_rest(scenario: Scenario) -> bool:
    """All that is known of a connection while it is held is in its TCBs: one load whose clients say nothing
    and close after a long time, at one engine of the server."""
    if len(scenario.load) != 1:
        return False
    load, closes = scenario.load[0], scenario.server.closes
    return (
        scenario.server.listen.listeners == 1
        and not scenario.event
        and load.arrivals != WORKLOAD
        and load.hold.mean >= LONG_HOLD_NS
        and all(rate < float("inf") for _, rate in load.shape)
        and (load.speaks == "nobody" or not (load.request or load.response))
        and not (closes.server or closes.reset or closes.both or closes.turns)
        and not (load.concurrency or load.tries.count or load.patience_ns or load.idle_timeout_ns)
        and not (load.close_delay_ns or load.half_close or load.syn_data or load.again)
    )
