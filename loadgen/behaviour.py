"""The version of what is simulated, and the systems of the profiles: what `loadgen --version` says.

It imports nothing, so that the version is there before numpy and the engine are.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BEHAVIOUR", "SYSTEMS"]

#: Goes up when the same scenario and seed give other figures than before; a test keeps the two together.
BEHAVIOUR: Final = 3

#: Profile -> the system that it models.
SYSTEMS: Final = {"linux": "linux-6.18", "freebsd": "freebsd-14", "strict": "strict (RFC 9293)"}
