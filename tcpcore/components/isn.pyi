from typing import Literal

import numpy as np
import numpy.typing as npt

def make(
    rule: Literal["rfc6528", "rfc793", "random"],
    tick_ns: int,
    seed: int,
    laddr: int | str | npt.NDArray[np.integer],
    lport: int | npt.NDArray[np.integer],
    raddr: int | str | npt.NDArray[np.integer],
    rport: int | npt.NDArray[np.integer],
    now: int | npt.NDArray[np.integer],
) -> npt.NDArray[np.uint32]: ...
def ts_offset(
    seed: int,
    laddr: int | str | npt.NDArray[np.integer],
    raddr: int | str | npt.NDArray[np.integer],
) -> npt.NDArray[np.uint32]: ...
def siphash24(k0: int, k1: int, message: bytes) -> int: ...
def derived_key(seed: int, purpose: int) -> int: ...
