from collections.abc import Callable
from typing import Any, Self, SupportsIndex, final

from typing_extensions import Buffer

from tcpcore.config import Config
from tcpcore.config import live_values as live_values
from tcpcore.engine import _Calls
from tcpcore.knobs import UNLIMITED as UNLIMITED
from tcpcore.snapshot import open_snapshot as open_snapshot

def member_config(config: Config, n: int, i: int) -> Config: ...
@final
class EngineGroup(_Calls):
    def __new__(
        cls,
        n: SupportsIndex,
        config: Config | None = None,
        *,
        threads: SupportsIndex | None = None,
        **knobs: Any,
    ) -> Self: ...
    @property
    def members(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @staticmethod
    def restore(blob: Buffer, *, threads: SupportsIndex | None = None) -> EngineGroup: ...
    def __reduce__(self) -> tuple[Callable[[Buffer], EngineGroup], tuple[bytes]]: ...
