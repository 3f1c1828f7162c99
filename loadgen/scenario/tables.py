"""The keys of a scenario file, table by table: reading, writing and paths are all made from these.

A key of one field bears the field's name without its unit. docs/scenario-file.md explains every key, and a
test compares it with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from loadgen.scenario import readers as r
from loadgen.scenario.errors import Mistake, shown
from loadgen.scenario.model import KINDS, Closes, Event, Flood, Load, Threshold, Tries
from loadgen.scenario.numbers import (
    count,
    read_flag,
    read_rate,
    read_share,
    read_time,
    write_rate,
    write_share,
    write_time,
)
from loadgen.scenario.schema import Key, Knobs, Node, Part, Rows, Shares, Table, filled

Keys = Mapping[str, Node]

MOST_BACKLOG: Final = 2**31 - 1
MOST_HOSTS: Final = 1 << 20
MOST_BYTES: Final = 2**30  # of one message; sequence numbers go to 2**32
MOST_COUNT: Final = 2**40


def _same(value: Any) -> Any:
    return value


def _key(field: str, read: Callable[[Any], Any], write: Callable[[Any], Any] = _same, *,
         always: bool = False) -> Key:  # fmt: skip
    return Key((field,), lambda value, folder: (read(value),), write, always)


def _pair(fields: tuple[str, ...], read: Callable[[Any], tuple[Any, ...]], write: Callable[..., Any], *,
          always: bool = False) -> Key:  # fmt: skip
    return Key(fields, lambda value, folder: read(value), write, always)


def _time(field: str) -> Key:
    return _key(field, read_time, write_time)


def _law(field: str) -> Key:
    return Key((field,), lambda value, folder: (r.distribution(value, folder),), r.write_distribution)


def _file(field: str) -> Key:
    return Key(
        (field,),
        lambda value, folder: (None if value is None or value == r.NONE else r.file_name(value, folder),),
        r.written_or_none(_same),
    )


_PROFILE: Final = Key(("profile",), lambda value, folder: (r.profile(value, folder),), _same)
_KERNEL: Final = Key(("kernel",), lambda value, folder: (r.kernel(value),), r.written_or_none(_same))


def _schema(value: Any) -> int:
    if value != 1 or isinstance(value, bool):
        raise Mistake(f"expected 1, the version that this program reads, got {shown(value)}")
    return 1


def _closes(value: Any) -> Closes:
    return Closes(*r.closes(value))


def _tries(value: Any) -> Tries:
    """`os`, `3`, `3,1s*2` or `3,1s*2,0.5`."""
    if value == "os":
        return Tries()
    words = [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
    if len(words) > 3 or not words[0]:
        raise Mistake(f"expected os, or COUNT,BACKOFF*FACTOR,JITTER such as 3,1s*2,0.5, got {shown(value)}")
    given = dict(zip(("count", "backoff", "jitter"), words, strict=False))
    tries: Tries = filled(Tries(), TRIES, given, "")
    return tries


def _is_os(value: Tries) -> str | None:
    return "os" if value == Tries() else None


LISTEN: Final[Keys] = {
    "addr": _key("addr", r.address),
    "port": _key("port", count(1, 65535)),
    "backlog": _key("backlog", r.or_none(count(0, MOST_BACKLOG)), r.written_or_none(_same)),
    "listeners": _key("listeners", count(1, 1024)),
}
ACCEPT: Final[Keys] = {
    "time": _law("time"),
    "workers": _key("workers", count(1, 1 << 16)),
    "stall": _pair(("stall_ns", "stall_every_ns"), r.stall, r.write_stall),
}
CLOSES: Final[Keys] = {
    "server": _key("server", read_share, write_share),
    "reset": _key("reset", read_share, write_share),
    "both": _key("both", read_share, write_share),
    "turns": _key("turns", read_flag),
}
SERVER: Final[Keys] = {
    "profile": _PROFILE,
    "kernel": _KERNEL,
    "sysctl": _file("sysctl"),
    "bytes": _file("bytes"),
    "measured": _file("measured"),
    "listen": Table("listen", LISTEN),
    "accept": Table("accept", ACCEPT),
    "closes": Table("closes", CLOSES, _closes, r.write_closes),
    "knobs": Knobs("knobs", "server"),
}
CLIENT: Final[Keys] = {
    "profile": _PROFILE,
    "kernel": _KERNEL,
    "sysctl": _file("sysctl"),
    "hosts": _key("hosts", count(0, MOST_HOSTS)),
    "destinations": _key("destinations", count(1, 1 << 16)),
    "first_addr": _key("first_addr", r.address),
    "knobs": Knobs("knobs", "client"),
}
TRIES: Final[Keys] = {
    "count": _key("count", count(0, 1000)),
    "backoff": _pair(("backoff_ns", "factor"), r.backoff, r.write_backoff),
    "jitter": _key("jitter", read_share, write_share),
}
LOAD: Final[Keys] = {
    "name": _key("name", r.name, always=True),
    "arrivals": Key(("arrivals", "times_ns"), r.arrivals, r.write_arrivals),
    "rate": _key("shape", lambda value: ((0, read_rate(value)),), r.write_constant),
    "shape": _key("shape", r.shape, r.write_shape),
    "count": _key("count", r.or_none(count(1, MOST_COUNT)), r.written_or_none(_same)),
    "concurrency": _key("concurrency", count(0, 2**30)),
    "start": _time("start_ns"),
    "hold": _law("hold"),
    "close_at": _key("close_at_ns", r.or_none(read_time), r.written_or_none(write_time)),
    "close_rate": _key("close_rate", read_rate, write_rate),
    "requests_per_connection": _key("requests_per_connection", count(1, 1 << 20)),
    "request": _key("request", count(0, MOST_BYTES)),
    "response": _key("response", count(0, MOST_BYTES)),
    "speaks": _key("speaks", r.word(("client", "server", "nobody"))),
    "idle_timeout": _time("idle_timeout_ns"),
    "patience": _time("patience_ns"),
    "tries": Table("tries", TRIES, _tries, _is_os),
    "close_delay": _time("close_delay_ns"),
    "half_close": _key("half_close", read_share, write_share),
    "half_close_bytes": _key("half_close_bytes", count(0, MOST_BYTES)),
    "syn_data": _key("syn_data", count(0, 1460)),
    "again": _key("again", r.text),
}
FLOOD: Final[Keys] = {
    "name": _key("name", r.name, always=True),
    "kind": _key("kind", r.word(("syn", "ack", "rst", "fin"))),
    "rate": _key("rate", read_rate, write_rate),
    "arrivals": _key("arrivals", r.word(("paced", "poisson"))),
    "during": _pair(("start_ns", "stop_ns"), r.during, r.write_during),
    "sources": _key("sources", r.text),
    "count": _key("count", r.or_none(count(1, MOST_COUNT)), r.written_or_none(_same)),
    "bursts": _pair(("on_ns", "off_ns"), r.stall, r.write_stall),
}
EVENT: Final[Keys] = {
    "at": Key(("at_ns",), lambda value, folder: (read_time(value),), write_time, always=True),
    "do": _pair(("do", "for_ns", "knob"), r.action, r.write_action, always=True),
    "reconnect_within": _key("reconnect_within_ns", r.or_none(read_time), r.written_or_none(write_time)),
}
BURST: Final[Keys] = {
    "enter": _key("enter", read_share, write_share),
    "leave": _key("leave", read_share, write_share),
    "loss": _key("loss", read_share, write_share),
}
LINK: Final[Keys] = {
    "rtt": _law("rtt"),
    "jitter": _time("jitter_ns"),
    "loss": Shares("loss", KINDS),
    "burst": Table("burst", BURST),
    "duplicate": Shares("duplicate", KINDS),
    "duplicate_after": _time("duplicate_after_ns"),
    "reorder": _key("reorder", read_share, write_share),
    "reorder_after": _time("reorder_after_ns"),
    "last_ack_loss": _key("last_ack_loss", read_share, write_share),
    "late": Part({"after": _time("late_after_ns"), "share": _key("late_share", read_share, write_share)}),
}
RUN: Final[Keys] = {
    "duration": _time("duration_ns"),
    "warmup": _key("warmup_ns", lambda value: None if value in ("auto", None) else read_time(value),
                   lambda ns: "auto" if ns is None else write_time(ns)),
    "seeds": _key("seeds", count(1, 10_000)),
    "series": _key("series_ns", lambda value: 0 if value == r.NONE else read_time(value), write_time),
    "drain": _key("drain", read_flag),
    "batch": _key("batch", count(1, 1 << 20)),
    "honest_bursts": _key("honest_bursts", count(0, 1000)),
}  # fmt: skip
THRESHOLD: Final[Keys] = {
    "metric": _key("metric", r.text, always=True),
    "is": _pair(("test", "bound"), r.bound, r.write_bound, always=True),
    "text": _key("text", r.text),
}
SCENARIO: Final[Keys] = {
    "schema": _key("schema", _schema, always=True),
    "name": _key("name", r.text),
    "seed": _key("seed", count(0, 2**64 - 1)),
    "server": Table("server", SERVER),
    "client": Table("client", CLIENT),
    "load": Rows("load", Load, LOAD),
    "flood": Rows("flood", Flood, FLOOD),
    "event": Rows("event", Event, EVENT),
    "link": Table("link", LINK),
    "run": Table("run", RUN),
    "threshold": Rows("threshold", Threshold, THRESHOLD),
}
