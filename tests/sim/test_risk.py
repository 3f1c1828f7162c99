"""A short TIME_WAIT in numbers, simulator and theory; parameters so exaggerated that what is rare happens.

Late text that a new connection could take: with windows of a quarter of all sequence numbers and random ISNs.
"""

import dataclasses

import pytest

from loadgen.report.result import build
from loadgen.scenario.model import Client, Link, Load, Run, Scenario, Server
from loadgen.scenario.values import Distribution
from loadgen.sim import simulate
from loadgen.theory import risk
from loadgen.theory.intervals import of_counts
from tcpcore import Config
from tests.sim.scenarios import MS, S

WIDE = 2**30 - 2**16  # bytes of window
AFTER = 35 * MS
#: Without cookies: an old ACK would open a connection again, and its old text would be in order.
KNOBS = {"tcp_timestamps": 0, "rcv_buf": WIDE, "isn": "random", "tcp_syncookies": 0}
PROFILES = {"linux": Config.linux, "freebsd": Config.freebsd}


def reused(time_wait_ms, profile="freebsd", **knobs):
    """One port towards one destination, and a late copy of one in ten segments."""
    load = Load(
        arrivals="poisson",
        shape=((0, 400.0),),
        hold=Distribution("const", 20.0 * MS),
        request=100,
        response=100,
    )
    both = {**KNOBS, **knobs}
    of_client = {"time_wait_ms": time_wait_ms, "ip_local_port_range": (40000, 40000)}
    return Scenario(
        seed=5,
        load=(load,),
        server=Server(profile=profile, knobs=both),
        client=Client(profile=profile, knobs={**both, **of_client}),
        link=Link(rtt=Distribution("const", 2.0 * MS), late_share=0.1, late_after_ns=AFTER),
        run=Run(1000 * S, series_ns=0),
    )


def hosts(scenario):
    """(client, server)"""
    return tuple(PROFILES[end.profile](**end.knobs) for end in (scenario.client, scenario.server))


def outcome_of(scenario):
    client, server = hosts(scenario)
    return simulate(scenario, server=server, client=client)


def kept(outcome):
    """Segments, FINs too, that an engine took although they were not what came next: nothing is lost."""
    return sum(outcome.counters[side]["TCPOFOQueue"] for side in ("client", "server"))


def test_late_text_that_a_new_connection_could_take():
    """FreeBSD takes text whatever old ACK it carries: half of all ACK fields. The form leaves that out."""
    outcome = outcome_of(reused(10))
    link = outcome.counters["link"]
    reached, accepted = link["old_reached"], link["old_accepted"]
    assert reached > 300
    assert 0 < accepted <= kept(outcome)
    taken = of_counts(accepted, reached, 0.999)
    at_most = risk.accepted_per_day(1.0, WIDE, 100, None, False)
    assert at_most == pytest.approx(0.25, abs=1e-4)
    assert at_most / 2 in taken
    assert taken.high < at_most
    result = build(reused(10), [outcome])
    assert result["counters.link.old_reached"] == reached and "counters.link.old_reached" in result.to_text()


def test_an_acceptable_ack_lets_hardly_any_in():
    """RFC 5961 5, as Linux has it: the ACK must lie within what was sent. The form is far above."""
    outcome = outcome_of(reused(10, "linux", tcp_rfc1337=1))
    assert outcome.counters["link"]["old_reached"] > 300
    assert outcome.counters["link"]["old_accepted"] == kept(outcome) == 0


def test_a_time_wait_longer_than_the_delay_lets_none_reach_a_new_connection():
    for profile in PROFILES:
        knobs = {"tcp_rfc1337": 1} if profile == "linux" else {}  # or a RST ends TIME_WAIT (RFC 1337)
        scenario = reused(60, profile, **knobs)
        outcome = outcome_of(scenario)
        assert outcome.counters["link"]["late"] > 1000
        assert outcome.counters["link"]["old_reached"] == kept(outcome) == 0
        assert risk.risk(scenario, *hosts(scenario)).late_per_day == 0


def test_with_timestamps_none_is_taken():
    scenario = reused(10, tcp_timestamps=1)
    outcome = outcome_of(scenario)
    assert outcome.counters["link"]["old_reached"] > 300
    assert outcome.counters["link"]["old_accepted"] == 0
    assert risk.risk(scenario, *hosts(scenario)).accepted_per_day == 0


def test_a_clocked_isn_keeps_old_text_out():
    """The clock moves 1 byte in 4 us: 2,500 bytes in 10 ms, more than a connection carries."""
    scenario = reused(10, isn="rfc6528", rcv_buf=65536)
    outcome = outcome_of(scenario)
    assert outcome.counters["link"]["old_reached"] > 300
    assert outcome.counters["link"]["old_accepted"] == kept(outcome) == 0
    found = risk.risk(scenario, *hosts(scenario))
    assert found.accepted_per_day == 0 and found.clock_bytes == 2500
    assert found.late_per_day > 0


@pytest.mark.parametrize(
    ("time_wait_ms", "early_retrans", "resends"), [(300, 0, 1), (900, 0, 2), (300, 3, 1), (900, 3, 3)]
)
def test_peers_left_in_last_ack(time_wait_ms, early_retrans, resends):
    """q (1 - (1 - p)(1 - q))**n: half of the last ACKs are lost, and TIME_WAIT sees so many FINs again."""
    load = Load(arrivals="paced", shape=((0, 100.0),), hold=Distribution("const", 20.0 * MS), request=0)
    scenario = Scenario(
        seed=5,
        load=(load,),
        server=Server(knobs={"tcp_early_retrans": early_retrans}),
        client=Client(profile="freebsd", knobs={"time_wait_ms": time_wait_ms}),
        link=Link(rtt=Distribution("const", 2.0 * MS), loss={"last-ack": 0.5}),
        run=Run(60 * S, series_ns=0, drain=True),
    )
    outcome = outcome_of(scenario)
    form = risk.risk(scenario, *hosts(scenario))
    closed = outcome.loads[0].served
    left = of_counts(outcome.counters["link"]["server.fin.unanswered"], closed, 0.999)
    assert closed > 5000
    assert form.fin_resends == resends and form.unanswered_per_close == 0.5 ** (1 + resends)
    if (time_wait_ms, early_retrans) == (300, 0):
        assert form.unanswered_per_close in left
    else:  # each FIN that arrives begins TIME_WAIT again: the form is an upper bound
        assert 0 < left.low and left.high < form.unanswered_per_close
    result = build(scenario, [outcome])
    assert result["counters.link.server.fin.unanswered"] > 0
    assert "counters.link.server.fin.unanswered" in result.to_text()


def test_nobody_is_left_in_last_ack_on_a_perfect_link():
    scenario = reused(10)
    perfect = dataclasses.replace(scenario, link=Link(rtt=Distribution("const", 2.0 * MS)), run=Run(60 * S))
    link = outcome_of(perfect).counters["link"]
    assert link["server.fin.unanswered"] == link["client.fin.unanswered"] == 0
