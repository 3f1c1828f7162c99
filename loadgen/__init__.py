"""loadgen: TCP clients, servers and the queues between them, simulated on tcpcore engines in virtual time.

    import loadgen
    scenario = loadgen.Scenario.from_toml("web.toml")
    result = loadgen.run(scenario.replace({"server.listen.backlog": 1023}), seed=7)
    result["success_ratio"], result.series["time_wait"]
    loadgen.compare(loadgen.run(scenario), result)

    scenario -> sim (one event loop) -> report
                 |-> theory (closed forms beside the figures)

Two kinds of time, never mixed: *wall* (how fast the simulation is) and *virtual* (what the clients see).
Every random choice depends on (seed, replicate) only. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from loadgen.api import Study, compare, run, sweep
    from loadgen.comparing.comparison import Comparison
    from loadgen.report.result import Result
    from loadgen.scenario.errors import ScenarioError
    from loadgen.scenario.model import Client, Event, Flood, Link, Load, Run, Scenario, Server, Threshold

__all__ = [
    "Client", "Comparison", "Event", "Flood", "Link", "Load", "Result", "Run", "Scenario", "ScenarioError",
    "Server", "Study", "Threshold", "compare", "run", "sweep",
]  # fmt: skip

_MODULES: Final = {
    "loadgen.api": ("Study", "compare", "run", "sweep"),
    "loadgen.comparing.comparison": ("Comparison",),
    "loadgen.report.result": ("Result",),
    "loadgen.scenario.errors": ("ScenarioError",),
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
