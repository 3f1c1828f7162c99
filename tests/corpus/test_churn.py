"""Steady churn at a Linux 6.18 kernel under its default sysctls, and the same played by loadgen.

The recording is `tests.live.churn`'s: 20 connects a second from 512 ports for 130 s, each closed at once. A
TIME_WAIT of the kernel ends with its slot of the timer wheel, which 60 s ahead is 512 jiffies wide at HZ=250:
up to 2.048 s late and never early (kernel/time/timer.c). So a TIME_WAIT of 60 s and one of 62.048 s have the
recording between them.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from loadgen import Scenario, run

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "churn.json").read_text())
ABOUT, CASES = RECORDED["about"], RECORDED["cases"]
RATE, SECONDS = ABOUT["rate"], ABOUT["seconds"]
EARLIEST, LATEST = 60_000, 62_048                # ms

SCENARIO = """
seed = {seed}
[client]
destinations = {destinations}
[client.knobs]
ip_local_port_range = {ports}
time_wait_ms = {time_wait}
{sysctl}
[server]
closes = "{closer}"
[[load]]
arrivals = "paced"
rate = "{rate}/s"
request = 0
[link]
rtt = "1ms"
[run]
duration = "{seconds}s"
series = "1s"
"""


def churn(case, time_wait, seed=0, **sysctl):
    """What loadgen says of a recorded case."""
    sysctl = {**case["sysctl"], **sysctl}
    return run(Scenario.from_toml(SCENARIO.format(
        seed=seed, destinations=case["destinations"], ports=ABOUT["ports"], time_wait=time_wait,
        sysctl="\n".join(f"{name} = {value}" for name, value in sysctl.items()), closer=case["closer"],
        rate=RATE, seconds=SECONDS))).to_dict()


def opened(result):
    """Connects that found a port, up to the end of each second."""
    return np.array(result["series"]["load"]["load.connected"][1:])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_as_many_connects_find_a_port_as_at_the_kernel(case):
    kernel = np.cumsum(case["opened"])
    short, long = (opened(churn(case, time_wait)) for time_wait in (EARLIEST, LATEST))
    assert np.all(kernel <= short + 1)
    assert np.all(kernel >= long - 1)
    assert kernel[-1] + sum(case["refused"]) == RATE * SECONDS


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_counters_are_the_kernel_s(case):
    ours, kernel = churn(case, LATEST)["counters"]["client"], case["counters"]
    assert ours["TW"] == kernel["TW"]
    assert ours["TCPTimeWaitOverflow"] == kernel["TCPTimeWaitOverflow"]
    # Which port is tried is chance: with tcp_tw_reuse one in TIME_WAIT as well as a free one.
    assert abs(ours["TWRecycled"] - kernel["TWRecycled"]) <= 3 * np.sqrt(RATE * SECONDS / 4)
    assert (ours["TWRecycled"] == 0) == (kernel["TWRecycled"] == 0)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_as_many_are_in_time_wait_as_at_the_kernel(case):
    short, long = (np.array(churn(case, time_wait)["series"]["client"]["TIME_WAIT"])[::ABOUT["sample"]]
                   for time_wait in (EARLIEST, LATEST))
    kernel = np.array(case["time_wait"])
    low, high = (which(short, long)[:len(kernel)] for which in (np.minimum, np.maximum))
    late = RATE * (LATEST - EARLIEST) / 1000     # connects in the time a slot may be late
    assert np.all(kernel >= low - late)
    assert np.all(kernel <= high + late)


@pytest.mark.parametrize(("name", "changed"), [
    ("default", {"tcp_tw_reuse": 1}),
    ("tcp_tw_reuse", {"tcp_tw_reuse": 0}),
    ("tcp_tw_reuse, no timestamps", {"tcp_timestamps": 1}),
    ("tcp_max_tw_buckets", {"tcp_max_tw_buckets": 110}),
])  # fmt: skip
def test_another_setting_would_be_told(name, changed):
    case = CASES[name]
    ours = churn(case, LATEST, **changed)
    overflow = ours["counters"]["client"]["TCPTimeWaitOverflow"]
    off = np.abs(opened(ours) - np.cumsum(case["opened"])).max()
    assert off > RATE or overflow != case["counters"]["TCPTimeWaitOverflow"]
