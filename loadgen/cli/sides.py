"""Which side a knob given with -o belongs to.

`-o KNOB=VALUE` is the server's, `client.KNOB` the clients', `both.KNOB` both's. A knob that cannot act on
the side for which it is given would be taken and change nothing: that is a usage error which names the right
side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from loadgen.scenario import knobs

_SIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "": (knobs.SERVER,),
    "server": (knobs.SERVER,),
    "client": (knobs.CLIENT,),
    "both": (knobs.SERVER, knobs.CLIENT),
}


def place(name: str) -> list[str]:
    """`places`, and for a knob without a side that acts on one alone, that one."""
    alone = name if knobs.is_knob(name) else ""
    return [f"client.knobs.{name}"] if alone and knobs.side_of(name) == knobs.CLIENT else places(name)


def places(name: str) -> list[str]:
    """The places of the scenario that `-o NAME=` sets when NAME is a knob, with its side or without.

    None where it is no knob. Raises a usage error for a knob that cannot act there.
    """
    side, _, knob = name.rpartition(".")
    if side not in _SIDES or not (knobs.is_knob(knob) or side == "both"):
        return []
    right = knobs.side_of(knob)
    if right not in (knobs.BOTH, side or knobs.SERVER):
        prefix, does = ("client.", "connects") if right == knobs.CLIENT else ("", "listens")
        raise click.BadParameter(
            f"{name}: acts on the side that {does}: write -o {prefix}{knob}=...", param_hint="'-o'"
        )
    return [f"{one}.knobs.{knob}" for one in _SIDES[side]]
