"""Values of single keys that have a notation of their own, both ways.

Each `read_` function takes what TOML, a command line or Python gives and returns one value per field; each
`write_` function undoes it exactly. The keys that use them are in `tables`. All raise Mistake.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Any, Final

from loadgen.scenario.errors import Mistake, hint, shown
from loadgen.scenario.model import Closes
from loadgen.scenario.numbers import (
    read_number,
    read_rate,
    read_share,
    read_time,
    write_number,
    write_rate,
    write_share,
    write_time,
)
from loadgen.scenario.traces import Folder, find, read_trace
from loadgen.scenario.values import Distribution, format_distribution, parse_distribution
from loadgen.units import UnitError, parse_duration, parse_quantity
from tcpcore import Config

NONE: Final = "none"
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
TESTS: Final = (">=", "<=", "==", "!=", ">", "<")
#: What an event may do, and what follows the colon.
EVENTS: Final[Mapping[str, str]] = {
    "reset-all": "", "unlisten": "", "listen": "", "stall": "TIME", "partition": "TIME", "knob": "NAME=VALUE",
}  # fmt: skip


def word(words: tuple[str, ...]) -> Callable[[Any], str]:
    """A reader of one of these."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value.strip() not in words:
            near = hint(value, words) if isinstance(value, str) else ""
            raise Mistake(f"expected {' or '.join(words)}, got {shown(value)}{near}")
        return value.strip()

    return read


def text(value: Any) -> str:
    """A line of text."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 1000:
        raise Mistake(f"expected a line of text, got {shown(value)}")
    return value


def name(value: Any) -> str:
    """The name of a load or a flood, a word that paths and metrics can hold."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise Mistake(f"expected a name of letters, digits, _ and -, got {shown(value)}")
    return value


def address(value: Any) -> str:
    """An IPv4 address."""
    try:
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return str(IPv4Address(value))
    except ValueError:
        pass
    raise Mistake(f"expected an IPv4 address, got {shown(value)}")


def or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader that also takes `none`."""
    return lambda value: None if value is None or value == NONE else read(value)


def written_or_none(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Its writer."""
    return lambda value: NONE if value is None else write(value)


def file_name(value: Any, folder: Folder) -> str:
    """A file, by the name under which the working folder has it."""
    if not isinstance(value, (str, os.PathLike)):
        raise Mistake(f"expected the name of a file, got {shown(value)}")
    return str(find(os.fspath(value), folder))


def profile(value: Any, folder: Folder) -> str:
    """A profile by its name, or the file of one."""
    profiles = ("linux", "freebsd", "strict")
    if isinstance(value, (str, os.PathLike)) and str(value).endswith(".toml"):
        return file_name(value, folder)
    if value not in profiles:
        near = hint(value, profiles) if isinstance(value, str) else ""
        raise Mistake(f"expected {', '.join(profiles)} or a profile's .toml, got {shown(value)}{near}")
    return str(value)


def kernel(value: Any) -> str | None:
    """The version of a Linux, as `Config.linux` takes it."""
    if value is None or value == NONE:
        return None
    try:
        Config.linux(value)
    except (TypeError, ValueError) as error:
        raise Mistake(str(error).partition(": ")[2]) from None
    return str(value).strip()


def distribution(value: Any, folder: Folder) -> Distribution:
    """A distribution; the file of a trace by the name under which the working folder has it."""
    if isinstance(value, str) and value.strip().startswith("trace:"):
        value = f"trace:{find(value.strip()[6:].strip(), folder)}"
    return parse_distribution(value)


def write_distribution(value: Distribution) -> str | list[str]:
    return format_distribution(value)


def arrivals(value: Any, folder: Folder) -> tuple[str, tuple[int, ...]]:
    """`poisson`, `paced`, or a trace with its times: of a file, or a list of them."""
    if isinstance(value, (list, tuple)):
        times = tuple(read_time(one) for one in value)
        if not times or list(times) != sorted(times):
            raise Mistake("expected times that rise, at least one")
        return "trace:", times
    if isinstance(value, str) and value.strip().startswith("trace:"):
        found = str(find(value.strip()[6:].strip(), folder))
        return f"trace:{found}", read_trace(found, rising=True)
    words = ("poisson", "paced")
    if value not in words:
        near = hint(value, (*words, "trace:FILE.csv")) if isinstance(value, str) else ""
        raise Mistake(f"expected poisson, paced or trace:FILE.csv, got {shown(value)}{near}")
    return str(value), ()


def write_arrivals(kind: str, times: tuple[int, ...]) -> Any:
    return [write_time(time) for time in times] if kind == "trace:" else kind


def shape(value: Any) -> tuple[tuple[int, float], ...]:
    """Points of time and rate, as a list of pairs or as `0s 3k/s, 60s 12k/s`."""
    expected = 'points such as [["0s", "3k/s"], ["60s", "12k/s"]]'
    if isinstance(value, str):
        value = [point.split() for point in value.split(",")]
    if not isinstance(value, (list, tuple)) or not value:
        raise Mistake(f"expected {expected}, got {shown(value)}")
    points: list[tuple[int, float]] = []
    for point in value:
        if not isinstance(point, (list, tuple)) or len(point) != 2:
            raise Mistake(f"expected {expected}, got the point {shown(point)}")
        points.append((read_time(point[0]), read_rate(point[1])))
    return tuple(points)


def write_shape(points: tuple[tuple[int, float], ...]) -> Any:
    if is_constant(points):
        return None  # `rate` says it
    return [[write_time(time), write_rate(rate)] for time, rate in points]


def is_constant(points: tuple[tuple[int, float], ...]) -> bool:
    """One rate from the beginning on."""
    return len(points) == 1 and points[0][0] == 0


def write_constant(points: tuple[tuple[int, float], ...]) -> Any:
    return write_rate(points[0][1]) if is_constant(points) else None


def stall(value: Any) -> tuple[int, int]:
    """`250ms/2s`: for how long, and how often; `none`."""
    if value == NONE or value == 0:
        return 0, 0
    length, slash, period = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash:
        raise Mistake(f"expected LENGTH/PERIOD such as 250ms/2s, got {shown(value)}")
    return read_time(length), read_time(period)


def write_stall(length: int, period: int) -> str:
    return f"{write_time(length)}/{write_time(period)}" if length or period else NONE


def backoff(value: Any) -> tuple[int, float]:
    """`1s*2`: how long the first try may take, and how much longer each next one; `1s` alone doubles."""
    if not isinstance(value, str):
        return read_time(value), 2.0
    wait, star, factor = value.partition("*")
    return read_time(wait), read_number(factor.strip()) if star else 2.0


def write_backoff(wait: int, factor: float) -> str:
    return f"{write_time(wait)}*{write_number(factor)}"


def during(value: Any) -> tuple[int, int | None]:
    """From when until when: two times, the second of them `end` where it is that of the run."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise Mistake(f'expected two times such as ["30s", "90s"] or ["30s", "end"], got {shown(value)}')
    return read_time(value[0]), None if value[1] in ("end", None) else read_time(value[1])


def write_during(start: int, stop: int | None) -> list[str]:
    return [write_time(start), "end" if stop is None else write_time(stop)]


def action(value: Any) -> tuple[str, int, str]:
    """`reset-all`, `stall:400ms`, `knob:NAME=VALUE`: what, for how long, which knob."""
    kind, colon, rest = value.strip().partition(":") if isinstance(value, str) else ("", "", "")
    kind, rest = kind.strip(), rest.strip()
    expected = ", ".join(name + (f":{more}" if more else "") for name, more in EVENTS.items())
    if kind not in EVENTS:
        raise Mistake(f"expected {expected}, got {shown(value)}{hint(kind, EVENTS)}")
    more = EVENTS[kind]
    if bool(more) != bool(colon):
        raise Mistake(f"expected {kind}{f':{more}' if more else ' alone'}, got {shown(value)}")
    return kind, read_time(rest) if more == "TIME" else 0, rest if more == "NAME=VALUE" else ""


def write_action(kind: str, for_ns: int, knob: str) -> str:
    more = {"TIME": write_time(for_ns), "NAME=VALUE": knob}.get(EVENTS.get(kind, ""), "")
    return f"{kind}:{more}" if more else kind


def bound(value: Any) -> tuple[str, float]:
    """`>= 0.999`: how a metric is compared, and with what (a time: ns)."""
    expected = "a comparison such as '>= 0.999', '<= 1%' or '< 50ms'"
    stripped = value.strip() if isinstance(value, str) else ""
    test = next((test for test in TESTS if stripped.startswith(test)), None)
    if test is None:
        raise Mistake(f"expected {expected}, got {shown(value)}")
    number = stripped[len(test) :].strip()
    try:
        quantity, is_time = parse_quantity(number)
        return test, float(parse_duration(number)) if is_time else quantity
    except UnitError as error:
        raise Mistake(str(error)) from None


def write_bound(test: str, number: float) -> str:
    return f"{test} {write_number(number)}"


def closes(value: Any) -> tuple[float, float, float, bool]:
    """`client`, `server`, `both`, `turns`, `mix:0.3` (that share by the server), `reset:0.01`."""
    expected = "client, server, both, turns, mix:SHARE or reset:SHARE"
    kind, colon, share = value.strip().partition(":") if isinstance(value, str) else ("", "", "")
    words = ("client", "server", "both", "turns", "mix", "reset")
    if kind not in words or bool(colon) != (kind in ("mix", "reset")):
        raise Mistake(f"expected {expected}, got {shown(value)}{hint(kind, words) if kind else ''}")
    if not colon:
        return float(kind == "server"), 0.0, float(kind == "both"), kind == "turns"
    return (read_share(share), 0.0, 0.0, False) if kind == "mix" else (0.0, read_share(share), 0.0, False)


def write_closes(closes: Closes) -> str | None:
    """None where several happen: then it is a table."""
    server, reset = closes.server, closes.reset
    if closes.turns:
        return "turns"
    if (server > 0) + (reset > 0) + (closes.both > 0) > 1 or 0 < closes.both < 1:
        return None
    if closes.both:
        return "both"
    if reset:
        return f"reset:{write_share(reset)}"
    return "client" if not server else "server" if server == 1 else f"mix:{write_share(server)}"
