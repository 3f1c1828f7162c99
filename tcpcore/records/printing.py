"""Segments as lines of text, as tcpdump prints them."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tcpcore.records.segment import Flag, Option, as_segments

# In tcpdump's order.
_LETTERS: Final = (
    (Flag.SYN, "S"),
    (Flag.FIN, "F"),
    (Flag.RST, "R"),
    (Flag.PSH, "P"),
    (Flag.URG, "U"),
    (Flag.ECE, "E"),
    (Flag.CWR, "W"),
    (Flag.ACK, "."),
)


def _options(row: Any) -> str:
    opts = int(row["opts"])
    words = []
    if opts & Option.MSS:
        words.append(f"mss {row['mss']}")
    if opts & Option.SACK_OK:
        words.append("sackOK")
    if opts & Option.TS:
        words.append(f"TS val {row['tsval']} ecr {row['tsecr']}")
    if opts & Option.WSCALE:
        words.append(f"wscale {row['wscale']}")
    return f", options [{','.join(words)}]" if words else ""


def _line(row: Any) -> str:
    bits, seq, length = int(row["flags"]), int(row["seq"]), int(row["payload_len"])
    flags = "".join(letter for bit, letter in _LETTERS if bits & bit) or "none"
    src, dst = ipaddress.IPv4Address(int(row["src"])), ipaddress.IPv4Address(int(row["dst"]))
    numbers = f"{seq}:{(seq + length) & 0xFFFFFFFF}" if length else f"{seq}"
    ack = f", ack {row['ack']}" if bits & Flag.ACK else ""
    return (
        f"{src}.{row['sport']} > {dst}.{row['dport']}: Flags [{flags}], seq {numbers}{ack}, "
        f"win {row['wnd']}{_options(row)}, length {length}"
    )


def format_segments(segs: npt.NDArray[np.void] | np.void) -> str:
    """`segs` (SEGMENT[n]) as tcpdump-like lines, one per segment, absolute numbers."""
    return "\n".join(_line(row) for row in as_segments(np.atleast_1d(segs)))
