from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from tcpcore.records.segment import SEGMENT as SEGMENT

class OpKind(IntEnum):
    SEGMENT = 1
    CONNECT = 2
    ACCEPT = 3
    SEND = 4
    RECV = 5
    SHUTDOWN = 6
    CLOSE = 7
    ABORT = 8

OP: np.dtype[np.void]

def as_vector(
    array: npt.NDArray[Any], dtype: np.dtype[Any], what: str, name: str
) -> npt.NDArray[Any]: ...
