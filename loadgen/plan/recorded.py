"""What a Linux 6.18 kernel was recorded to do under a SYN flood: the R figures of `plan flood`.

450 honest clients, 50 a second, 20 ms away, with one SYN a try at 0, 1 and 3 s, beside spoofed SYNs at a
constant rate. The same rows are replayed against the engine by the tests, which also keep this table equal to
the recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KERNELS: Final = {"linux": "6.18"}  # profile -> version
CLIENTS: Final = 450
PER_SECOND: Final = 50.0
RTT_S: Final = 0.020
TRIES: Final = 3


@dataclass(frozen=True)
class Flooded:
    """A recorded flood: settings, and the shares of clients connected by the first and by three tries."""

    backlog: int
    tcp_max_syn_backlog: int
    rate: int
    tcp_synack_retries: int
    tcp_syncookies: int
    first_try: float
    three_tries: float


FLOODS: Final = tuple(
    Flooded(*row)
    for row in (
        (64, 1024, 100, 1, 0, 0.211, 0.449), (64, 1024, 100, 1, 1, 1.0, 1.0),
        (64, 1024, 1000, 1, 0, 0.022, 0.062), (64, 1024, 1000, 1, 1, 1.0, 1.0),
        (64, 1024, 10000, 1, 0, 0.0, 0.002), (64, 1024, 10000, 1, 1, 1.0, 1.0),
        (256, 1024, 100, 1, 0, 0.816, 0.987), (256, 1024, 100, 1, 1, 1.0, 1.0),
        (256, 1024, 1000, 1, 0, 0.091, 0.184), (256, 1024, 1000, 0, 0, 0.269, 0.402),
        (256, 1024, 1000, 5, 0, 0.028, 0.079), (256, 1024, 1000, 1, 1, 1.0, 1.0),
        (256, 1024, 1000, 1, 2, 1.0, 1.0), (256, 1024, 10000, 1, 0, 0.009, 0.024),
        (256, 1024, 10000, 1, 1, 1.0, 1.0), (1024, 1024, 100, 1, 0, 1.0, 1.0),
        (1024, 1024, 100, 1, 1, 1.0, 1.0), (1024, 1024, 1000, 1, 0, 0.251, 0.520),
        (1024, 256, 1000, 1, 0, 0.067, 0.149), (1024, 1024, 1000, 5, 0, 0.041, 0.121),
        (1024, 1024, 1000, 1, 1, 1.0, 1.0), (1024, 1024, 10000, 1, 0, 0.029, 0.062),
        (1024, 1024, 10000, 1, 1, 1.0, 1.0), (1024, 1024, 20000, 1, 1, 1.0, 1.0),
        (128, 4096, 100, 5, 1, 1.0, 1.0), (128, 4096, 1000, 5, 1, 1.0, 1.0),
        (511, 4096, 100, 5, 0, 0.483, 0.866), (511, 4096, 100, 5, 1, 1.0, 1.0),
        (511, 4096, 1000, 5, 0, 0.042, 0.141), (511, 4096, 1000, 5, 1, 1.0, 1.0),
    )
)  # fmt: skip


def flood(
    backlog: int, tcp_max_syn_backlog: int, rate: float, tcp_synack_retries: int, tcp_syncookies: int
) -> Flooded | None:
    """The recorded flood with these settings; cookies answer alike whatever the retries."""
    for one in FLOODS:
        same = (one.backlog, one.tcp_max_syn_backlog, one.rate, one.tcp_syncookies) == (
            backlog, tcp_max_syn_backlog, rate, tcp_syncookies,
        )  # fmt: skip
        if same and (one.tcp_synack_retries == tcp_synack_retries or tcp_syncookies):
            return one
    return None
