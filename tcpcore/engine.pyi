from collections.abc import Callable
from typing import Any, Self, SupportsIndex, TypeAlias, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from tcpcore.config import Config
from tcpcore.records.counters import CAUSE_NAMES as CAUSE_NAMES
from tcpcore.records.counters import MIB_NAMES as MIB_NAMES
from tcpcore.records.handle import as_handles as as_handles
from tcpcore.records.info import ROOM as ROOM
from tcpcore.records.integers import Addresses as _Addresses
from tcpcore.records.integers import Integers as _Integers
from tcpcore.records.layouts import BLOCK as BLOCK
from tcpcore.records.layouts import INFO as INFO
from tcpcore.records.layouts import KNOBS as KNOBS
from tcpcore.records.layouts import OP as OP
from tcpcore.records.layouts import SEGMENT as SEGMENT
from tcpcore.records.segment import _Segments
from tcpcore.records.segment import as_vector as as_vector
from tcpcore.snapshot import CHECKSUM_AT as CHECKSUM_AT
from tcpcore.snapshot import checksum as checksum
from tcpcore.snapshot import open_snapshot as open_snapshot
from tcpcore.snapshot import start_of as start_of

_Handles: TypeAlias = npt.NDArray[np.uint64]

class _Calls:  # what Engine and EngineGroup have in common; in the stubs only
    @property
    def config(self) -> Config: ...
    @property
    def blocks(self) -> npt.NDArray[np.void]: ...
    def listen(
        self,
        addr: _Addresses,
        port: SupportsIndex,
        backlog: SupportsIndex | None = None,
        *,
        auto_accept: bool = False,
        auto_close: bool = False,
        rcv_buf: SupportsIndex | None = None,
        keepalive: bool = False,
        user_timeout_ms: SupportsIndex | None = None,
        defer_accept: SupportsIndex | None = None,
        reuse_addr: bool | None = None,
    ) -> int: ...
    def unlisten(
        self, listener: SupportsIndex, now: SupportsIndex, out: _Segments | None = None
    ) -> _Segments: ...
    def connect(
        self,
        dst: _Addresses,
        dport: _Integers,
        now: SupportsIndex,
        *,
        src: _Addresses | None = None,
        sport: _Integers | None = None,
        n: SupportsIndex | None = None,
        isn: _Integers | None = None,
        rcv_buf: _Integers | None = None,
        keepalive: bool = False,
        user_timeout_ms: SupportsIndex | None = None,
        reuse_addr: bool | None = None,
        out: _Segments | None = None,
    ) -> tuple[_Handles, _Segments]: ...
    def accept(self, listener: SupportsIndex, limit: SupportsIndex | None = None) -> _Handles: ...
    def send(
        self, conns: _Integers, nbytes: _Integers, now: SupportsIndex, out: _Segments | None = None
    ) -> _Segments: ...
    def recv(
        self, conns: _Integers, nbytes: _Integers | None, now: SupportsIndex, out: _Segments | None = None
    ) -> tuple[npt.NDArray[np.uint32], _Segments]: ...
    def shutdown(self, conns: _Integers, now: SupportsIndex, out: _Segments | None = None) -> _Segments: ...
    def close(
        self, conns: _Integers, now: SupportsIndex, out: _Segments | None = None, *,
        linger_s: _Integers | None = None,
    ) -> _Segments: ...
    def abort(self, conns: _Integers, now: SupportsIndex, out: _Segments | None = None) -> _Segments: ...
    def unreachable(
        self, conns: _Integers, now: SupportsIndex, code: _Integers = 1, out: _Segments | None = None
    ) -> _Segments: ...
    def receive(self, segs: _Segments, now: SupportsIndex, out: _Segments | None = None) -> _Segments: ...
    def advance(self, now: SupportsIndex, out: _Segments | None = None) -> _Segments: ...
    def play(
        self,
        ops: npt.NDArray[np.void],
        until: SupportsIndex,
        *,
        out: _Segments | None = None,
        at_out: npt.NDArray[np.int64] | None = None,
    ) -> tuple[_Segments, npt.NDArray[np.int64]]: ...
    def set_knobs(self, **knobs: Any) -> None: ...
    def next_timer(self) -> int | None: ...
    def lookup(
        self, raddr: _Addresses, rport: _Integers, laddr: _Addresses, lport: _Integers
    ) -> _Handles: ...
    def info(self, conns: _Integers) -> npt.NDArray[np.void]: ...
    def room(self, listener: SupportsIndex) -> np.void: ...
    def state_counts(self) -> npt.NDArray[np.uint64]: ...
    def gauges(self, sizes: bool = ...) -> dict[str, int | float]: ...
    @property
    def counters(self) -> dict[str, int]: ...
    @property
    def causes(self) -> dict[str, int]: ...
    def events(self) -> npt.NDArray[np.void]: ...
    def _member_of(self, raddr: int, rport: int, laddr: int, lport: int) -> int: ...
    @property
    def _port_looks(self) -> int: ...
    def check(self) -> list[str]: ...
    def snapshot(self) -> bytes: ...

@final
class Engine(_Calls):
    def __new__(cls, config: Config | None = None, **knobs: Any) -> Self: ...
    _predicting: bool
    @property
    def _predicted(self) -> int: ...
    @staticmethod
    def restore(blob: Buffer) -> Engine: ...
    def __reduce__(self) -> tuple[Callable[[Buffer], Engine], tuple[bytes]]: ...
