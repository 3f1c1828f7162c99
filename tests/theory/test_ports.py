"""Ports, handshakes and a short TIME_WAIT: the figures of the contract, and the schedules of the engine."""

import dataclasses

import pytest

from loadgen.scenario.model import Client, Closes, Link, Load, Run, Scenario, Server, Tries
from loadgen.scenario.values import Distribution
from loadgen.theory import handshake, ports, queues, risk
from loadgen.theory.handshake import Losses
from tcpcore import Config, Engine, Flag

MS = 1_000_000
LINUX, FREEBSD = Config.linux(), Config.freebsd()


def scenario(rate=500, *, hold_ms=30, rtt_ms=1, hosts=1, destinations=1, closes=Closes(), **load):  # noqa: B008
    loads = (Load(shape=((0, float(rate)),), hold=Distribution("const", hold_ms * 1e6), **load),)
    return Scenario(
        server=Server(closes=closes), client=Client(hosts=hosts, destinations=destinations), load=loads,
        link=Link(rtt=Distribution("const", rtt_ms * 1e6)), run=Run(duration_ns=600 * 10**9),
    )  # fmt: skip


# -- ports


def test_planner_q5_sustainable_rates():
    """Issue 12: 470, 27,400, 1,075, 941, and 941,000 where the server closes and RTT is 0."""
    for rtt in (0, 1):
        here = scenario(rtt_ms=rtt)
        assert ports.sustainable_rate(here, LINUX, LINUX) == pytest.approx(470.3, abs=0.1)
        reuse = Config.linux(tcp_tw_reuse=1)
        assert ports.sustainable_rate(here, reuse, LINUX) == pytest.approx(27_400, abs=50)
        wide = Config.linux(ip_local_port_range=(1024, 65535))
        assert ports.sustainable_rate(here, wide, LINUX) == pytest.approx(1075, abs=1)
        two = scenario(rtt_ms=rtt, destinations=2)
        assert ports.sustainable_rate(two, LINUX, LINUX) == pytest.approx(941, abs=1)
    served = scenario(rtt_ms=0, closes=Closes(server=1.0))
    assert ports.sustainable_rate(served, LINUX, LINUX) == pytest.approx(941_000, abs=100)


def test_a_server_that_closes_blocks_a_port_for_two_and_a_half_round_trips():
    """28,232 / 32.5 ms. The issue says about 880,000, which is two round trips."""
    served = scenario(closes=Closes(server=1.0))
    assert ports.blocking_time(served, LINUX, LINUX) == pytest.approx(0.0325)
    assert ports.sustainable_rate(served, LINUX, LINUX) == pytest.approx(880_000, rel=0.015)


def test_planner_q5_refusals():
    assert ports.first_refusal(scenario(), LINUX, LINUX) == pytest.approx(56.5, abs=0.1)
    assert ports.refused_share(scenario(), LINUX, LINUX) == pytest.approx(0.06, abs=0.0005)
    assert ports.first_refusal(scenario(450), LINUX, LINUX) is None
    paced = scenario(arrivals="paced")
    assert ports.first_refusal(paced, LINUX, LINUX) == 28232 / 500


def test_planner_q4_four_gateways():
    gateway = Config.linux(ip_local_port_range=(1024, 65535), time_wait_ms=120_000)
    here = scenario(12_000, hosts=4, rtt_ms=0)
    assert 12_000 * ports.blocking_time(here, gateway, LINUX) == pytest.approx(1_440_360)
    assert ports.sustainable_rate(here, gateway, LINUX) == pytest.approx(2150, abs=1)
    assert ports.rate_for(here, gateway, LINUX, 1e-4) == pytest.approx(2130, abs=1)
    assert ports.refused_share(here, gateway, LINUX) == pytest.approx(0.821, abs=5e-4)
    # 258,048 / 12,000 = 21.5 for all together; the first of four to run out does it 0.09 s earlier
    assert ports.first_refusal(here, gateway, LINUX) == pytest.approx(21.42, abs=0.01)
    assert ports.hosts_for(64_512, 12_000, 120.03, 1e-4) == 23
    assert queues.erlang_b(64_512, 12_000 * 120.03 / 22) == pytest.approx(0.016, abs=5e-4)
    assert ports.hosts_for(64_512, 13_200, 120.03, 1e-4) == 25
    kept = scenario(120, hosts=4, rtt_ms=0, hold_ms=3000, requests_per_connection=100)
    taken = 120 * ports.blocking_time(kept, gateway, LINUX)
    assert taken == pytest.approx(14_760) and taken / 258_048 == pytest.approx(0.057, abs=5e-4)


def test_reuse_needs_timestamps_on_both_ends_and_mode_2_loopback():
    reuse, plain = Config.linux(tcp_tw_reuse=1), Config.linux(tcp_timestamps=0)
    assert ports.blocking_time(scenario(rtt_ms=0), reuse, LINUX) == pytest.approx(1.03)
    assert ports.blocking_time(scenario(rtt_ms=0), reuse, plain) == pytest.approx(60.03)
    local = scenario(rtt_ms=0)
    local = dataclasses.replace(
        local, client=Client(first_addr="127.0.0.2"),
        server=Server(listen=dataclasses.replace(local.server.listen, addr="127.0.0.1")),
    )  # fmt: skip
    assert ports.reuses(local, LINUX, LINUX) and not ports.reuses(scenario(), LINUX, LINUX)


def test_ports_that_connect_may_choose():
    assert LINUX.ports() == 28_232 and FREEBSD.ports() == 55_536
    assert Config.linux(ip_local_port_range=(1000, 1002)).ports() == 2
    assert Config.linux(ip_local_port_range=(1000, 1000)).ports() == 1
    assert Config.linux(ip_local_port_range=(1000, 1004)).ports() == 5
    assert LINUX.replace(ip_local_reserved_ports="1-32768,33000-33009,60999").ports() == 28_220


def test_a_reset_frees_the_port_and_a_cap_leaves_ports_over():
    assert ports.blocking_time(scenario(closes=Closes(reset=1.0)), LINUX, LINUX) == pytest.approx(0.031)
    capped = Config.linux(tcp_max_tw_buckets=28_132)
    assert ports.sustainable_rate(scenario(rtt_ms=0), capped, LINUX) == pytest.approx(100 / 0.03)
    assert ports.sustainable_rate(Scenario(), LINUX, LINUX) is None


def test_search_costs():
    for size, taken in [(5, 0), (5, 3), (40, 39)]:
        # draws without repeating: the first free one of a random order
        brute = sum(k * chance for k, chance in first_free(size, taken))
        assert ports.search_cost_random(size, taken) == pytest.approx(brute)
    assert ports.search_cost_random(10**6, 800_000) == pytest.approx(5, abs=1e-3)
    assert ports.search_cost_linear(100, 80) == pytest.approx(13)


def first_free(size, taken):
    missed = 1.0
    for k in range(1, taken + 2):
        free = (size - taken) / (size - k + 1)
        yield k, missed * free
        missed *= 1 - free


# -- handshakes


@pytest.mark.parametrize("config", [
    LINUX, FREEBSD, Config.strict(), Config.linux(tcp_syn_retries=2), Config.linux(tcp_syn_linear_timeouts=0),
    Config.freebsd(keepinit_ms=5000),
])  # fmt: skip
def test_syns_are_sent_when_the_engine_sends_them(config):
    engine = Engine(config)
    engine.connect(0x0A000002, 80, 0)
    sent, now = [0], 0
    while (due := engine.next_timer()) is not None and now < 2000_000 * MS:
        now = max(due, now)
        rows = engine.advance(now)
        sent += [now // MS for row in rows if row["flags"] & Flag.SYN]
        if not engine.gauges()["blocks_used"]:
            break
    assert handshake.syn_times(config) == (sent, now // MS)


def test_without_resends_of_the_server_tries_are_independent():
    lonely = Config.linux(tcp_synack_retries=0)
    losses = Losses(0.2, 0.3)
    found = handshake.connect_latency(LINUX, lonely, losses, 0.02)
    missed = 1 - sum(chance for at, chance in found if at < 3.5)
    assert missed == pytest.approx(handshake.syn_needed(losses, 4))
    assert found[0] == (0.02, pytest.approx(0.56))


def test_resends_of_the_server_help():
    losses = Losses(0.2, 0.3)
    assert handshake.success(LINUX, LINUX, losses) > handshake.success(
        LINUX, Config.linux(tcp_synack_retries=0), losses
    )
    assert handshake.success(LINUX, LINUX, Losses()) == 1
    assert handshake.success(LINUX, LINUX, Losses(1.0)) == 0
    once = handshake.success(LINUX, LINUX, losses, 0.02, Tries(1, 900 * MS))
    assert once == pytest.approx(0.56)
    thrice = handshake.success(LINUX, LINUX, losses, 0.02, Tries(3, 900 * MS, factor=1.0))
    assert thrice == pytest.approx(1 - 0.44**3)


def test_first_try():
    assert handshake.first_try(Losses(0.1, 0.2, 0.5), quiet=0.0) == pytest.approx(0.72)
    assert handshake.first_try(Losses(0.1, 0.2, 0.5)) == pytest.approx(0.36)


# -- a short TIME_WAIT


def test_planner_q6():
    short = Config.freebsd(time_wait_ms=10_000)
    link = Link(rtt=Distribution("const", 0), loss={"all": 0.01}, late_after_ns=10 * 10**9, late_share=1e-7)
    here = scenario(2000, destinations=3, rtt_ms=0, request=0, response=30_000)
    assert ports.sustainable_rate(here, FREEBSD, LINUX) / 3 == pytest.approx(925, abs=1)
    assert ports.sustainable_rate(here, short, LINUX) / 3 == pytest.approx(5537, abs=1)
    here = dataclasses.replace(here, link=link)
    clocked = risk.risk(here, short, FREEBSD)
    assert clocked.late_per_day == pytest.approx(363, abs=0.5)
    assert clocked.accepted_per_day == 0 and clocked.clock_bytes == 2_500_000
    random = Config.freebsd(time_wait_ms=10_000, isn="random", tcp_timestamps=0)
    drawn = risk.risk(here, random, Config.freebsd(isn="random", tcp_timestamps=0))
    assert drawn.accepted_per_day == pytest.approx(0.006, abs=5e-4)
    stamped = risk.risk(here, Config.freebsd(time_wait_ms=10_000, isn="random"), Config.freebsd(isn="random"))
    assert stamped.accepted_per_day == 0
    assert risk.unanswered(0.01, 0.01, 5) == pytest.approx(3e-11, rel=0.05)
    assert risk.fin_resends(10, 0.32, 0.3) == 5 and risk.fin_resends(0.5, 0.2, 0.2) == 2
    assert risk.fin_resends(0.1, 0.2, 0.2) == 0 and risk.fin_resends(0.3, 0.2, 0.1) == 2
    assert risk.fin_resends(10, 0.32) == 5 and clocked.fin_resends >= 5
    assert risk.late_per_day(2000, 30_000, 1e-7, 10, 60) == 0
