"""Arrays of connection handles: checking them, and the slots they name.

A handle is generation << 32 | slot (see handle.pxd). Whether a handle is stale is not known here: that takes
the engine's TCBs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tcpcore.records.integers import Integers, to_uint


def as_handles(conns: Integers) -> npt.NDArray[np.uint64]:
    """`conns` as a contiguous uint64 vector; TypeError or ValueError naming it if they are no handles."""
    array = np.asarray(conns)
    if array.dtype != np.uint64:
        array = np.asarray(to_uint(conns, "conns", 64))
    return array.ravel()


def slots_of(conns: Integers) -> npt.NDArray[np.intp]:
    """The slot of each connection handle, its row in ``Engine.blocks``.

    A handle is ``generation << 32 | slot``; the slot is its low half. Stale handles are not told apart: the
    row of a stale handle belongs to another connection by now, or to none. Handle 0 names no connection, but
    gives slot 0, which is somebody's: leave it out. ``Engine.info`` knows both cases.

    Parameters
    ----------
    conns : uint64[n]
        Handles, or anything that Engine's methods take for them; a scalar counts as a vector of one.

    Returns
    -------
    intp[n]
        For use as ``engine.blocks[slots_of(conns)]``.

    Raises
    ------
    TypeError, ValueError
        `conns` are not integers of 0 .. 2**64 - 1.
    """
    return (as_handles(conns) & np.uint64(0xFFFFFFFF)).astype(np.intp)
