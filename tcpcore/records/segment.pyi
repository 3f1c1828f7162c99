from collections.abc import Iterable, Sequence
from enum import IntFlag
from ipaddress import IPv4Address
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

_Integers: TypeAlias = int | np.integer[Any] | Sequence[int] | npt.NDArray[np.integer[Any]]
_Addresses: TypeAlias = str | IPv4Address | _Integers
_Segments: TypeAlias = npt.NDArray[np.void]

class Flag(IntFlag):
    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16
    URG = 32
    ECE = 64
    CWR = 128

class Option(IntFlag):
    MSS = 1
    WSCALE = 2
    SACK_OK = 4
    TS = 8

SEGMENT: np.dtype[np.void]

def to_address(value: _Addresses, name: str = "address") -> np.uint32 | npt.NDArray[np.uint32]: ...
def to_uint(
    value: _Integers, name: str, bits: Literal[8, 16, 32, 64]
) -> np.unsignedinteger[Any] | npt.NDArray[np.unsignedinteger[Any]]: ...
def segments(n: int | np.integer[Any] = 1, **fields: _Addresses) -> _Segments: ...
def as_vector(
    array: npt.NDArray[Any], dtype: np.dtype[Any], what: str, name: str, writable: bool = False
) -> npt.NDArray[Any]: ...
def as_segments(array: _Segments, name: str = "segs", writable: bool = False) -> _Segments: ...
def join(parts: Iterable[_Segments]) -> _Segments: ...
def format_segments(segs: _Segments | np.void) -> str: ...
