"""What is measured, a section of the table per name, in the order of the table.

A section is imported when it is wanted: `benchmarks.compare` runs some of them in other revisions, in which
modules that the others import may be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from benchmarks.sections.run import Lines, Run

#: Name of the section -> module of this package, function in it.
SECTIONS = {
    "server": ("ends", "servers"),
    "ends": ("ends", "ends"),
    "pair": ("pairs", "pairs"),
    "flood": ("flood", "floods"),
    "calls": ("calls", "calls"),
    "threads": ("threads", "threads"),
    "simpy": ("adapters", "balancer"),
    "loadgen": ("workloads", "workloads"),
    "simulator": ("simulator", "simulator"),
    "references": ("references", "references"),
    "peers": ("references", "peers"),
    "yardsticks": ("run", "yardsticks"),
}


def section(name: str) -> Callable[[Run], Lines]:
    """The function that measures a section and yields its lines."""
    module, function = SECTIONS[name]
    measure: Callable[[Run], Lines] = getattr(import_module(f"benchmarks.sections.{module}"), function)
    return measure
