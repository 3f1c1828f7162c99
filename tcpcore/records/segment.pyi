from collections.abc import Iterable
from enum import IntFlag
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tcpcore.records.integers import Addresses
from tcpcore.records.layouts import SEGMENT as SEGMENT

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

def segments(n: int | np.integer[Any] = 1, **fields: Addresses) -> _Segments: ...
def as_vector(
    array: npt.NDArray[Any], dtype: np.dtype[Any], what: str, name: str, writable: bool = False
) -> npt.NDArray[Any]: ...
def as_segments(array: _Segments, name: str = "segs", writable: bool = False) -> _Segments: ...
def join(parts: Iterable[_Segments]) -> _Segments: ...
