from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

EVENT: np.dtype[np.void]

class EventKind(IntEnum):
    OPENED = 1
    ESTABLISHED = 2
    ACCEPTED = 3
    CLOSED = 4
    LOST = 5
    REFUSED = 6
    TIME_WAIT = 7

def event_mask(kinds: Iterable[str]) -> int: ...
@final
class EventQueue:
    def __new__(cls, kinds: Iterable[str], bound: int = 1048576) -> Self: ...
    def tell(self, conn: int, at: int, listener: int, kind: int, cause: int, state: int) -> None: ...
    def drain(self) -> npt.NDArray[Any]: ...
    @property
    def lost(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
