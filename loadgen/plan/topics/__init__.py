"""A module for each question of the planner; `ask.Topic` says what such a module has.

A new topic is a module here and its name in `NAMES`. The order is that of the help.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from loadgen.plan.ask import Topic

#: Name on the command line -> module.
NAMES: Final = {
    "backlog": "backlog",
    "accept": "accept",
    "herd": "herd",
    "ports": "ports",
    "time-wait": "time_wait",
    "memory": "memory",
    "flood": "flood",
    "host": "host",
    "all": "everything",
}


def topic(name: str) -> Topic:
    """The topic of that name; raises KeyError."""
    return cast(Topic, import_module(f"loadgen.plan.topics.{NAMES[name]}"))
