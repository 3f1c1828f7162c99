"""The F figures of the questions equal a computation by hand: sums of plain Python, no code of ours."""

import json
import math
from functools import cache

import pytest

from tests.plan.page import run

PORTS = {  # reference.md: first and last port of the profiles' ranges
    "linux": 60999 - 32768 + 1,
    "freebsd": 65535 - 10000 + 1,
}


def erlang_b(places, load):
    blocked = 1.0
    for k in range(1, places + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


@cache
def poisson_tail(mean, least):
    """P(N >= least), from the upper end of the sum."""
    return math.fsum(
        math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(least, least + 2000)
    )


def document(command):
    code, printed, errors = run(f"loadgen plan {command} --no-sim --format json")
    assert (code, errors) == (0, "")
    found = json.loads(printed)
    return found, {name: one["value"] for name, one in found["plan"]["figures"].items()}


def test_q1_places_for_a_stall():
    found, figures = document("backlog --rate 3k --rtt 80ms --backlog 511 --accept-time 120us "
                              "--accept-stall 250ms/2s")  # fmt: skip
    assert figures["half_open_mean"] == pytest.approx(3000 * 0.080)
    assert figures["arrive_per_stall"] == 750
    need = next(n for n in range(750, 1000) if poisson_tail(750, n + 1) < 1e-3)
    assert figures["places_needed"] == need == 836
    more = next(n for n in range(825, 1100) if poisson_tail(825, n + 1) < 1e-3)
    assert figures["places_needed_at_110_percent"] == more
    absorbed = figures["stall_absorbed"] / 1e9
    assert poisson_tail(3000 * absorbed, 513) == pytest.approx(1e-3, rel=1e-6)


def test_q2_slowest_accept():
    _, figures = document("accept --rate 3k --backlog 511 --threshold 'listen_drop_ratio<=1e-4'")
    rho = 3000 * figures["accept_time"] / 1e9
    k = 511 + 1 + 1
    assert (1 - rho) * rho**k / (1 - rho ** (k + 1)) == pytest.approx(1e-4, rel=1e-4)
    assert figures["busy"] == pytest.approx(rho * (1 - 1e-4), rel=1e-6)
    assert figures["reuseport_stuck_lasts"] / 1e9 == pytest.approx(512 / (3000 / 8))


def test_q4_gateways():
    found, figures = document("ports --rate 12k --clients 4 --ports 1024-65535 --destinations 1 --hold 30ms "
                              "--time-wait 120s --vs requests_per_connection=100")  # fmt: skip
    each, stay, rate = 65535 - 1024 + 1, 120.03, 12_000
    assert figures["demand"] == pytest.approx(rate * stay) == pytest.approx(1_440_360)
    assert figures["exist"] == 4 * each == 258_048
    assert figures["refused"] == pytest.approx(erlang_b(each, rate * stay / 4), rel=1e-9)
    assert figures["refused"] == pytest.approx(0.821, abs=5e-4)
    assert figures["sustainable_rate"] == pytest.approx(4 * each / stay)
    allowed = figures["rate_within_target"]
    assert erlang_b(each, allowed * stay / 4) == pytest.approx(1e-4, rel=1e-4)
    need = next(n for n in range(1, 40) if erlang_b(each, rate * stay / n) <= 1e-4)
    more = next(n for n in range(1, 40) if erlang_b(each, 1.1 * rate * stay / n) <= 1e-4)
    assert (figures["hosts_needed"], figures["hosts_needed_at_110_percent"]) == (need, more) == (23, 25)
    kept = 120 * (120 + 100 * 0.030)
    assert figures["vs.requests_per_connection=100.demand"] == pytest.approx(kept) == pytest.approx(14_760)
    assert figures["destinations_needed"] == math.ceil(23 / 4)
    waits = figures["time_wait_within_target"] / 1e9
    assert erlang_b(each, rate * (waits + 0.03) / 4) == pytest.approx(1e-4, rel=1e-4)
    assert "82.1 %" in found["verdict"]["sentence"]


def test_q5_remedies():
    _, figures = document("ports --rate 500 --clients 1 --destinations 1 --hold 30ms --rtt 0 --remedies")
    ports = PORTS["linux"]
    assert figures["sustainable_rate"] == pytest.approx(ports / 60.03)
    assert figures["refused"] == pytest.approx(erlang_b(ports, 500 * 60.03), rel=1e-9)
    worth = {name.split(".")[1]: value for name, value in figures.items() if name.startswith("remedy.")}
    assert worth == pytest.approx({
        "ip_local_port_range=1024 65535": 64_512 / 60.03,
        "2 upstream addresses": 2 * ports / 60.03,
        "tcp_tw_reuse=1": ports / 1.03,
        "server closes first": ports / 0.03,
    })  # fmt: skip


def test_q6_a_shorter_time_wait():
    _, figures = document("time-wait --profile freebsd --rate 2k --destinations 3 --time-wait 10s --loss 1% "
                          "--late 10s:1e-7 --bytes 30k --vs isn=random")  # fmt: skip
    ports = PORTS["freebsd"]
    assert figures["port_limit_before"] == pytest.approx(ports / 60.03)
    assert figures["port_limit"] == pytest.approx(ports / 10.03)
    assert (figures["time_wait_before"], figures["time_wait"]) == (120_000, 20_000)
    late = 2000 * 86_400 * math.ceil(30_000 / 1460) * 1e-7
    assert figures["late_per_day"] == pytest.approx(late) == pytest.approx(362.88)
    assert figures["clock_bytes"] == pytest.approx(10 / 4e-6)
    assert figures["accepted_per_day"] == 0
    assert figures["vs.isn=random.accepted_per_day"] == pytest.approx(late * 65_535 / 2**32)
    rto = 0.030 + 0.200  # rttmin and slop
    resends = next(n for n in range(20) if rto * (2 ** (n + 1) - 1) > 10)
    assert resends == 5
    assert figures["unanswered_per_close"] == pytest.approx(0.01 * (1 - 0.99**2) ** resends)


def test_q7_memory():
    found, figures = document("memory --established 2M --rate 50k --hold 200ms --rtt 40ms --closes server "
                              "--vs profile=freebsd")  # fmt: skip
    assert figures["established.count"] == 2_000_000
    assert figures["churning.count"] == pytest.approx(10_000)
    assert figures["half-open.count"] == pytest.approx(2_000)
    assert figures["time_wait_wanted"] == 3_000_000
    assert figures["time_wait_overflow"] == pytest.approx(erlang_b(262_144, 3e6), rel=1e-9)
    assert figures["TIME_WAIT.count"] == pytest.approx(262_144, rel=1e-4)
    low = 2e6 * 2520 + 1e4 * 3820 + 2e3 * 341 + 262_144 * 256
    high = 2e6 * 3820 + 1e4 * 3820 + 2e3 * 341 + 262_144 * 427
    verdict = found["verdict"]
    assert (verdict["low"], verdict["high"]) == (pytest.approx(low, rel=1e-4), pytest.approx(high, rel=1e-4))


def test_q9_forms():
    _, figures = document("flood --flood-rate 1k --rate 50 --rtt 20ms --tries 3 --backlog 1024 "
                          "-o tcp_max_syn_backlog=1024 --vs synq_policy=evict-random")  # fmt: skip
    assert figures["evict-random.formula"] == pytest.approx(math.exp(-1050 * 0.020 / 1025))
    code, printed, _ = run("loadgen plan flood --flood-rate 1k --rate 50 --rtt 20ms --backlog 1024 --no-sim "
                           "-o tcp_max_syn_backlog=1024 -o tcp_syncookies=0 --format json")  # fmt: skip
    form = json.loads(printed)["plan"]["figures"]["cookies off.formula"]
    places = 1024 - 1024 // 4 + 1
    assert code == 0
    assert form["low"] == pytest.approx(1 - erlang_b(places, 1050 * 15))
    assert form["high"] == pytest.approx(1 - erlang_b(places, 1050 * 7))
