"""Bytes of a kernel's objects: /proc/slabinfo of Linux, `vmstat -z` of FreeBSD.

An object's bytes are its share of the pages of a slab: what a cache takes for it, more than its size.
FreeBSD's zones tell a size only. `costs` sums what a connection is made of.
Source: Linux mm/slab_common.c, net/ipv4 (tcp_prot, request_sock_ops, twsk_prot); FreeBSD vmstat(8), uma(9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from loadgen.host.lines import Text
from loadgen.scenario.errors import Mistake

_PAGE: Final = 4096
_SLABINFO: Final = "slabinfo - version: "


@dataclass(frozen=True)
class Cache:
    """Objects of one kind: bytes that one takes, and how many are in use."""

    each: float
    used: int


@dataclass(frozen=True)
class Cost:
    """Bytes of an entry, smallest and largest, and the objects that are in it."""

    low: int
    high: int
    objects: str = ""


def is_slabinfo(text: Text) -> bool:
    return bool(text.lines) and text.lines[0].startswith(_SLABINFO)


def is_zones(text: Text) -> bool:
    lines = [line for _, line in text.numbered()][:1]
    return bool(lines) and lines[0].split()[:4] == ["ITEM", "SIZE", "LIMIT", "USED"]


def read(text: Text) -> dict[str, Cache]:
    """The caches by name. Raises Mistake with file and line."""
    return _slabs(text) if is_slabinfo(text) else _zones(text)


def _slabs(text: Text) -> dict[str, Cache]:
    found = {}
    for number, line in text.numbered():
        if line.startswith(("#", _SLABINFO)):
            continue
        words = line.split()
        what = "a cache: a name, five numbers, ': tunables' and ': slabdata' with three each"
        if len(words) < 16 or words[6:8] != [":", "tunables"]:
            raise text.wrong(number, what)
        used, _, size, per_slab, pages = (text.integer(number, word, what) for word in words[1:6])
        if size < 1 or per_slab < 1 or pages < 1:
            raise text.wrong(number, what)
        found[words[0]] = Cache(pages * _PAGE / per_slab, used)
    return found


def _zones(text: Text) -> dict[str, Cache]:
    found = {}
    for number, line in text.numbered():
        if line.split()[:2] == ["ITEM", "SIZE"]:
            continue
        name, colon, rest = line.rpartition(":")
        words = [word.strip() for word in rest.split(",")]
        if not colon or len(words) < 4:
            raise text.wrong(number, "a zone: NAME: SIZE, LIMIT, USED, FREE, ...")
        size = text.integer(number, words[0], "a zone: NAME: SIZE, LIMIT, USED, ...")
        found[name.strip()] = Cache(size, text.integer(number, words[2], "a zone: NAME: SIZE, LIMIT, USED"))
    return found


# -- of a connection ------------------------------------------------------------------------------

_Parts = tuple[tuple[str, ...], tuple[str, ...]]

#: Kind -> what is always in an entry, and what may be besides. Linux; names without the family.
_LINUX: Final[Mapping[str, _Parts]] = {
    "half_open": (("request_sock_TCP",), ()),
    "established": (("TCP",), ("sock_inode_cache", "filp", "dentry")),
    "time_wait": (("tw_sock_TCP",), ("tcp_bind_bucket", "tcp_bind2_bucket")),
    "orphan": (("TCP",), ("skbuff_fclone_cache", "skbuff_small_head")),
}
_FREEBSD: Final[Mapping[str, _Parts]] = {
    "half_open": (("syncache",), ()),
    "established": (("tcp_inpcb", "tcpcb"), ("socket",)),
    "time_wait": (("tcp_inpcb", "tcpcb"), ()),  # since 14; before, it had a record of its own
    "orphan": (("tcp_inpcb", "tcpcb"), ("socket",)),
}
_OLDER: Final = {"tcp_inpcb": "inpcb", "socket": "sockets"}
#: Caches that Linux merges with others of their size, where they then stand under another's name: their size
#: on x86-64, where the file does not have them.
_MERGED: Final = {"tcp_bind_bucket": 128, "tcp_bind2_bucket": 128, "skbuff_fclone_cache": 512,
                  "skbuff_small_head": 704}  # fmt: skip


def costs(caches: Mapping[str, Cache], name: str) -> dict[str, Cost]:
    """Kind -> bytes of an entry. Raises Mistake where the file has not the caches of TCP."""
    linux = "TCP" in caches and "tw_sock_TCP" in caches
    if not linux and not any(zone in caches for zone in ("syncache", "tcp_inpcb", "tcpcb")):
        raise Mistake(f"{name}: expected the caches of TCP (TCP, tw_sock_TCP, request_sock_TCP, or FreeBSD's "
                      "syncache, tcp_inpcb)")  # fmt: skip
    if not linux:
        zones = dict(_FREEBSD)
        if "tcptw" in caches:
            zones["time_wait"] = (("tcp_inpcb", "tcptw"), ())
        return _known_costs(caches, zones, "")
    six = "TCPv6" in caches and caches["TCPv6"].used > caches["TCP"].used  # a socket on [::] has these
    return _known_costs(caches, _LINUX, "v6" if six else "")


def _known_costs(caches: Mapping[str, Cache], kinds: Mapping[str, _Parts], family: str) -> dict[str, Cost]:
    found = {kind: _cost(caches, *parts, family) for kind, parts in kinds.items()}
    return {kind: cost for kind, cost in found.items() if cost.low}


def _cost(caches: Mapping[str, Cache], always: tuple[str, ...], also: tuple[str, ...], family: str) -> Cost:
    names = [_known(caches, name, family) for name in always]
    there = [found for found in names if found]
    low = sum(each for _, each in there)
    more = [found for found in (_known(caches, name, family) for name in also) if found]
    high = low + sum(each for _, each in more)
    return Cost(round(low), round(high), " + ".join(found for found, _ in [*there, *more]))


def _known(caches: Mapping[str, Cache], name: str, family: str) -> tuple[str, float] | None:
    for known in (name + family, name, _OLDER.get(name, "")):
        if known in caches:
            return known, caches[known].each
    return (name, float(_MERGED[name])) if name in _MERGED else None
