"""Sockets of a host: the listeners of `ss -ltn`, each with its backlog, and the sums of `ss -s`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from loadgen.host.lines import Text

_HEADER: Final = re.compile(r"(Netid\s+)?State\s+Recv-Q\s+Send-Q\s+Local Address:Port\s.*")
_SUMMARY: Final = re.compile(r"TCP:\s+(\d+) \((.*)\)?")
_PART: Final = re.compile(r"(estab|closed|orphaned|timewait) (\d+)(?:/\d+)?")


@dataclass(frozen=True)
class Listener:
    """A socket that listens: `queued` connections wait for accept(), `backlog` may, and one more."""

    address: str
    port: int
    queued: int
    backlog: int

    @property
    def loopback(self) -> bool:
        return self.address.startswith("127.") or self.address in ("[::1]", "::1", "localhost")


def is_listeners(text: Text) -> bool:
    return any(_HEADER.match(line) for _, line in [*text.numbered()][:1])


def listeners(text: Text) -> tuple[Listener, ...]:
    """Those of `ss -ltn`. Raises Mistake with file and line."""
    found = []
    for number, line in text.numbered():
        words = line.split()
        if _HEADER.match(line):
            continue
        if words[0] in ("tcp", "udp", "mptcp"):
            words = words[1:]
        address, colon, port = words[3].rpartition(":") if len(words) > 4 else ("", "", "")
        if not colon or not port.isdecimal() or not words[1].isdecimal() or not words[2].isdecimal():
            raise text.wrong(
                number, "a socket: state, two queues, ADDRESS:PORT (numbers, ss -n) and the peer"
            )
        if words[0] == "LISTEN":
            found.append(Listener(address.partition("%")[0], int(port), int(words[1]), int(words[2])))
    return tuple(found)


def is_summary(text: Text) -> bool:
    lines = [line for _, line in text.numbered()][:3]
    return bool(lines) and lines[0].startswith("Total:") and len(lines) > 1


def summary(text: Text) -> dict[str, int]:
    """`estab`, `orphaned` and `timewait` of `ss -s`. Raises Mistake with file and line."""
    for number, line in text.numbered():
        if found := _SUMMARY.match(line):
            parts = {name: int(value) for name, value in _PART.findall(found[2])}
            if not {"estab", "timewait"} <= set(parts) or not line.rstrip().endswith(")"):
                raise text.wrong(number, "TCP: N (estab N, closed N, orphaned N, timewait N)")
            return parts
    raise text.wrong(len(text.lines) + 1, "a line TCP: N (estab N, ...)")
