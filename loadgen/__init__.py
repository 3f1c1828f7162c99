"""loadgen: TCP clients, servers and the queues between them, simulated on tcpcore engines in virtual time.

    import loadgen
    scenario = loadgen.Scenario.from_toml("web.toml")
    scenario = scenario.replace({"server.listen.backlog": 1023})

Two kinds of time, never mixed: *wall* (how fast the simulation is) and *virtual* (what the clients see).
Every random choice depends on (seed, replicate) only. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from loadgen.scenario import ScenarioError
    from loadgen.scenario.model import Client, Event, Flood, Link, Load, Run, Scenario, Server, Threshold

__all__ = [
    "Client", "Event", "Flood", "Link", "Load", "Run", "Scenario", "ScenarioError", "Server", "Threshold",
]  # fmt: skip

_MODULES: Final = {
    "loadgen.scenario": ("ScenarioError",),
    "loadgen.scenario.model": (
        "Client", "Event", "Flood", "Link", "Load", "Run", "Scenario", "Server", "Threshold",
    ),
}  # fmt: skip


def __getattr__(name: str) -> object:
    from importlib import import_module

    for module, names in _MODULES.items():
        if name in names:
            value: object = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'loadgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
