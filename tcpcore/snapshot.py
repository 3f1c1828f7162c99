"""The frame of a snapshot: what it is, whose it is, and whether it is whole.

The state itself is written and read by `loops/snapshot`; here are the header, the Config and the checksum. A
layout is a hash of every record and name whose place in the state counts, so that a state is never read by a
build that lays it out otherwise, even if `VERSION` was forgotten.

    magic 8 | version 2 | byte order 1 | members - 1 | config length 4 | state length 8 | layout 16
    checksum 16 | config (TOML, UTF-8) | state

A group's snapshot has a magic of its own, and in its state a part for each member. The checksum is BLAKE2b of
all bytes but its own: it finds damage, it proves no origin.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import tomllib
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpcore.config import DECLARED, Config
from tcpcore.records.counters import CAUSE_NAMES, MIB_NAMES
from tcpcore.records.layouts import BLOCK, COLD, EVENT
from tcpcore.records.tcb import State

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["CHECKSUM_AT", "VERSION", "checksum", "open_snapshot", "start_of"]

MAGIC: Final = {"Engine": b"TCPCORE\x1a", "EngineGroup": b"TCPGRP\x1a\x1a"}
#: Changes with what is in a state; a snapshot of another version is refused.
VERSION: Final = 4

_HEADER: Final = struct.Struct("<8sHBBIQ16s")
_DIGEST: Final = 16
CHECKSUM_AT: Final = _HEADER.size
_START: Final = CHECKSUM_AT + _DIGEST
_ORDERS: Final = {"little": 1, "big": 2}


def _digest(*parts: Buffer) -> bytes:
    hash = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        hash.update(part)
    return hash.digest()


def _fields(dtype: np.dtype[np.void]) -> list[tuple[str, str, int]]:
    """Name, type and place of each field."""
    assert dtype.fields is not None
    return [(name, kind.str, place) for name, (kind, place, *_) in dtype.fields.items()]


_LAYOUT: Final = _digest(
    repr([
        [(dtype.itemsize, _fields(dtype)) for dtype in (BLOCK, COLD, EVENT)],
        list(State.__members__), list(MIB_NAMES), list(CAUSE_NAMES), list(DECLARED),
    ]).encode()
)  # fmt: skip


def start_of(config: Config, size: int, members: int = 0) -> bytes:
    """Header and Config of a snapshot whose state has `size` bytes, the checksum still zeros.

    It is that of a group unless `members` is 0.
    """
    text = config.to_toml().encode()
    order = _ORDERS[sys.byteorder]
    magic = MAGIC["EngineGroup" if members else "Engine"]
    head = _HEADER.pack(magic, VERSION, order, members - 1 if members else 0, len(text), size, _LAYOUT)
    return head + bytes(_DIGEST) + text


def checksum(blob: bytes) -> bytes:
    """The checksum of a snapshot, to be put at `CHECKSUM_AT`."""
    view = memoryview(blob)
    return _digest(view[:CHECKSUM_AT], view[_START:])


def _read_config(text: bytes) -> Config:
    """The Config of a snapshot, which names every knob."""
    try:
        config = Config(**tomllib.loads(text.decode()))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"blob: expected a Config, got an error: {error}") from error
    if config.to_toml().encode() != text:
        raise ValueError("blob: expected every knob of its Config, got others")
    return config


def open_snapshot(blob: Buffer, kind: str = "Engine") -> tuple[Config, bytes, int, int]:
    """The Config of a snapshot, its bytes, where in them its state begins, and the number of its members.

    `kind`: Engine, which is one member, or EngineGroup. Nobody else can write to the bytes.

    Raises
    ------
    TypeError, ValueError
        As `Engine.restore`.
    """
    if type(blob) is not bytes:
        try:
            blob = bytes(memoryview(blob))
        except TypeError:
            raise TypeError(f"blob: expected a bytes-like object, got {type(blob).__name__}") from None
    if blob[: len(MAGIC[kind])] != MAGIC[kind]:
        raise ValueError(f"blob: expected a snapshot of a tcpcore.{kind}, got other bytes")
    if len(blob) < _START:
        raise ValueError(f"blob: expected a whole snapshot, got {len(blob)} bytes of it")
    _, version, order, others, n_config, n_state, layout = _HEADER.unpack_from(blob)
    if version != VERSION:
        raise ValueError(f"blob: expected a snapshot of version {VERSION}, got version {version}")
    if order != _ORDERS[sys.byteorder]:
        raise ValueError(f"blob: expected a snapshot of a {sys.byteorder}-endian machine, got another")
    if len(blob) != _START + n_config + n_state:
        raise ValueError(f"blob: expected {_START + n_config + n_state} bytes, got {len(blob)}: "
                         "truncated, or followed by something else")  # fmt: skip
    if blob[CHECKSUM_AT:_START] != checksum(blob):
        raise ValueError("blob: expected its checksum to be right, got another: the bytes were damaged")
    if layout != _LAYOUT:
        raise ValueError("blob: expected the records of this build of tcpcore, got those of another")
    return _read_config(blob[_START : _START + n_config]), blob, _START + n_config, others + 1
