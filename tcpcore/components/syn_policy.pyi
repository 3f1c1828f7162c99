from collections.abc import Iterable

POLICIES: dict[str, int]

def verdict(
    policy: str,
    *,
    backlog: int = 0,
    half_open: int = 0,
    tcp_syncookies: int = 0,
    tcp_max_syn_backlog: int = 4096,
    accept_full: bool = False,
    bucket_full: bool = False,
    paused: bool = False,
    proven: bool = False,
    accept_full_drops_syn: bool = True,
) -> int: ...
def synack_retries(policy: str, retries: int, *, backlog: int, half_open: int, young: int) -> int: ...
def accept_room(limit: int, half_more: bool) -> int: ...
def pauses(overflows: Iterable[int]) -> list[int]: ...
