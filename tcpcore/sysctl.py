"""A Linux host's own settings: what of the output of `sysctl -a` are knobs.

Every knob that carries Linux's name is read; other keys are told apart and left alone. The values are checked
by `Config`, which was here once: `from tcpcore.sysctl import Config` still works.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tcpcore.config import DECLARED, FREEBSD, STRICT, Config
from tcpcore.knob_types import UnknownKnob, wrong
from tcpcore.knobs import EVENTS, UNLIMITED

__all__ = ["EVENTS", "FREEBSD", "STRICT", "UNLIMITED", "Config", "UnknownKnob", "parse"]

#: Linux's name in full -> the knob.
_KNOB_OF: Final[Mapping[str, str]] = {
    ("net.core." if name == "somaxconn" else "net.ipv4.") + name: name
    for name in DECLARED
    if name.startswith("tcp_") or name in ("somaxconn", "ip_local_port_range")
}


def parse(text: str) -> tuple[dict[str, Any], list[str]]:
    """The knobs that the text sets, not yet checked, and the keys that are none; the last of several counts.

    Raises
    ------
    TypeError, ValueError
        No text, text without a single setting, or a knob whose value is no number.
    """
    if not isinstance(text, str):
        raise wrong(TypeError, "text", "the output of sysctl -a", text)
    found: dict[str, Any] = {}
    unknown: list[str] = []
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if not equals or key.lstrip().startswith(("#", ";")):
            continue
        key = key.strip().removeprefix("-")
        name = _KNOB_OF.get(key)
        if name is None:
            unknown.append(key)
        else:
            found[name] = _numbers(name, value)
    if text.strip() and not found and not unknown:
        raise wrong(ValueError, "text", "lines like 'net.ipv4.tcp_syncookies = 1'", text.strip()[:60])
    return found, unknown


def _numbers(name: str, text: str) -> int | tuple[int, ...]:
    try:
        numbers = tuple(int(word) for word in text.split())
    except ValueError:
        numbers = ()
    if name == "ip_local_port_range":
        return numbers
    if len(numbers) != 1:
        raise wrong(ValueError, name, "an integer", text.strip())
    return numbers[0]
