"""Handshake and close through two real engines: what the clients see, and what TIME_WAIT is for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loadgen.playing import document_of, engines_sound, played, scenario_of

LOSSY = {"rtt": "20ms", "jitter": "3ms", "loss": "5%", "reorder": "2%", "reorder_after": "5ms"}
BY = ("client", "server", "both", "turns")


def handshake(**options):
    return played("handshake", **options)


def close(**options):
    return played("close", **{"connections": 500, **options})


# -- handshake ------------------------------------------------------------------------


def test_flat_out_everybody_gets_through_in_one_round_trip():
    result = handshake(connections=3000, rtt="40ms")
    figures = result["results"]
    assert figures["attempted"] == figures["connected"] == figures["served"] == 3000
    assert (figures["ghost"], figures["failed"], figures["pending"]) == (0, 0, 0)
    assert figures["success_ratio"] == 1.0
    assert figures["handshake_ms"]["min"] == figures["handshake_ms"]["max"] == 40
    assert result["states"]["client"]["ESTABLISHED"] == result["states"]["server"]["ESTABLISHED"] == 3000


def test_no_delay_at_all():
    figures = handshake(connections=100, rtt="0")["results"]
    assert figures["served"] == 100
    assert figures["handshake_ms"]["max"] == 0


def test_a_rate_is_kept_in_virtual_time():
    result = handshake(connections=1000, rate="10k", rtt="4ms", series="1ms")
    assert result["results"]["peak_half_open"] == 10 * 4  # rate times the time an entry is half-open
    assert result["results"]["handshake_ms"]["max"] == 4
    times, served = result["series"]["time_ms"], result["series"]["load"]["burst.served"]
    assert next(at for at, n in zip(times, served, strict=True) if n == 1000) == 100 + 6


def test_latency_of_a_lost_syn_is_the_resend_timer():
    result = handshake(connections=400, rtt="10ms", loss="syn=30%")
    waits = result["results"]["handshake_ms"]
    assert waits["min"] == 10
    assert waits["p50"] == pytest.approx(10, rel=0.008)
    assert any(waits["p99"] == pytest.approx(at, rel=0.008) for at in (1010, 2010, 3010))
    assert result["results"]["served"] == 400
    assert result["results"]["retransmissions"]["client"] == result["counters"]["link"]["lost.syn"]


def test_nobody_answers():
    result = handshake(connections=50, loss="100%", o={"client.tcp_syn_retries": 1}, hold="1s")
    figures = result["results"]
    assert (figures["connected"], figures["failed"], figures["success_ratio"]) == (0, 50, 0.0)
    assert figures["handshake_ms"]["count"] == 0
    assert figures["handshake_ms"]["p99"] is None
    assert sum(result["causes"]["client"].values()) == 50


def test_duration_leaves_the_unresolved_pending():
    figures = handshake(connections=50, loss="syn=100%", duration="2s")["results"]
    assert figures["pending"] == 50
    assert figures["failed"] == 0
    assert figures["virtual_ms"] == 2000


def test_a_lost_third_ack_makes_ghosts():
    """The client is connected, the server gives up its half-open entry: RFC 9293 has no cure for that."""
    result = handshake(connections=30, loss="third-ack=100%", o={"tcp_synack_retries": 1})
    figures = result["results"]
    assert (figures["connected"], figures["served"], figures["ghost"]) == (30, 0, 30)
    assert result["causes"]["server"]["SynQueueExpired"] == 30


def test_data_on_a_syn_is_refused():
    result = handshake(connections=20, syn_data=100)
    assert result["results"]["syn_data"] == {"sent_bytes": 2000, "accepted_bytes": 0}
    assert result["results"]["served"] == 20
    assert result["counters"]["server"]["SynPayloadIgnored"] == 2000


def test_a_short_backlog_refuses_and_says_who_set_it():
    knobs = {
        "tcp_syncookies": 0,
        "client.tcp_syn_retries": 0,
        "client.tcp_syn_linear_timeouts": 0,
        "somaxconn": 16,
    }
    result = handshake(connections=100, backlog=64, o=knobs)
    assert result["results"]["backlog"] == {"effective": 16, "set_by": "somaxconn"}
    assert result["results"]["served"] == 17  # backlog + 1
    assert result["results"]["failed"] == 83
    assert sum(result["causes"]["server"].values()) == 83


def test_too_few_client_addresses_run_out_of_ports():
    result = handshake(connections=25, clients=2, ports=[40000, 40009])
    assert result["results"]["served"] == 20
    assert result["causes"]["client"]["PortsExhausted"] == 5


def test_as_many_client_addresses_as_the_port_range_needs():
    assert scenario_of("handshake", connections=1_000_000).client.hosts == -(-1_000_000 // (28232 // 4))
    assert scenario_of("handshake", connections=1).client.hosts == 1


# -- the same again -------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes():
    options = {"connections": 800, "rate": "50k", "arrivals": "poisson", "hold": "1s", **LOSSY}
    documents = [handshake(**options, seed=seed) for seed in (1, 1, 2)]
    assert documents[0] == documents[1]
    assert documents[0]["results"] != documents[2]["results"]


@pytest.mark.parametrize("kind", ["handshake", "close"])
@settings(max_examples=8)
@given(batch=st.integers(1, 300), seed=st.integers(0, 2**64 - 1), rate=st.sampled_from([None, "20k"]))
def test_the_batch_size_changes_nothing(kind, batch, seed, rate):
    options = {"connections": 200, "rate": rate, "seed": seed, "backlog": 150, **LOSSY}
    if kind == "close":
        options |= {
            "closes": "turns",
            "half_close": 0.3,
            "speaks": "server",
            "request": 3000,
            "response": 3000,
        }
    documents = []
    for size in (batch, 4096):
        scenario = scenario_of(kind, **options, batch=size)
        documents.append(document_of(scenario, kind))
        assert engines_sound(scenario) == []
        del documents[-1]["config"]["batch"], documents[-1]["scenario"]["run"]["batch"]
    assert documents[0] == documents[1]


# -- close ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "client", "server", "segments"),
    [("client", 500, 0, 4), ("server", 0, 500, 4), ("both", 500, 500, 4), ("turns", 333, 333, 4)],
)
def test_who_closes_first_gets_time_wait(by, client, server, segments):
    result = close(closes=by, rtt="10ms")
    figures = result["results"]
    assert figures["time_wait_peak"] == {"client": client, "server": server}
    assert figures["blocks_left"] == {"client": 0, "server": 0}
    assert (figures["stuck_last_ack"], figures["old_segments_accepted"]) == (0, 0)
    link = result["counters"]["link"]
    assert link["from_client"] + link["from_server"] == 500 * (3 + segments)
    assert figures["time_wait_drained_ms"] - figures["closing_from_ms"] >= 60_000
    assert sum(result["causes"]["client"].values()) + sum(result["causes"]["server"].values()) == 0


def test_the_textbooks_four_segments_take_the_applications_moment():
    figures = close(rtt="10ms", close_delay="7ms")["results"]
    # FIN, its delay, FIN and ACK: TIME_WAIT begins when the server's FIN arrives
    begins = 5 + 7 + 5
    assert figures["time_wait_drained_ms"] - figures["closing_from_ms"] == pytest.approx(
        60_000 + begins, abs=1
    )


def test_three_segments_when_the_server_closes_with_its_acknowledgment():
    link = close(close_delay="0")["counters"]["link"]
    assert link["from_client"] + link["from_server"] == 500 * 6


def test_a_close_at_a_rate_spreads_time_wait():
    """Little's law: 1000/s for 100 ms of TIME_WAIT are 100 entries."""
    result = close(rate="1k", time_wait="100ms", series="1ms")
    assert 98 <= result["results"]["time_wait_peak"]["client"] <= 103


def test_tcp_max_tw_buckets_is_lifted_unless_it_is_given():
    result = close(o={"both.tcp_max_tw_buckets": 100})
    assert result["results"]["time_wait_peak"]["client"] == 100
    assert result["counters"]["client"]["TCPTimeWaitOverflow"] == 400
    assert scenario_of("close", connections=500_000).client.knobs["tcp_max_tw_buckets"] == 500_000


def test_half_close_lets_data_flow_the_other_way():
    result = close(half_close=0.5, half_close_bytes=20_000, closes="turns", **LOSSY)
    half = result["results"]["half_close"]
    assert 100 < half["connections"] < 250
    assert half["queued_bytes"] == half["acknowledged_bytes"] == half["connections"] * 20_000
    assert result["results"]["blocks_left"] == {"client": 0, "server": 0}


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("loss", [0.1, 1.0])
def test_a_lost_last_ack(by, loss):
    """Without TIME_WAIT nobody is there to acknowledge the FIN again."""
    result = close(last_ack_loss=loss, closes=by)
    assert result["counters"]["link"]["lost.last-ack"] > 0
    assert result["results"]["stuck_last_ack"] == 0
    result = close(last_ack_loss=loss, closes=by, time_wait="0")
    assert result["results"]["stuck_last_ack"] > 0
    if by == "client":
        assert result["results"]["stuck_last_ack"] == result["counters"]["link"]["lost.last-ack"]
        assert result["causes"]["server"]["ResetByPeer"] == result["results"]["stuck_last_ack"]


def test_the_last_ack_is_lost_once():
    """Its FIN is sent again, and that is answered: TIME_WAIT's first job."""
    result = close(last_ack_loss=1.0, rtt="10ms")
    assert result["counters"]["link"]["lost.last-ack"] == 500
    assert result["counters"]["server"]["RetransSegs"] == 500
    assert result["results"]["blocks_left"] == {"client": 0, "server": 0}


@pytest.mark.parametrize("by", BY)
def test_old_segments_and_a_new_incarnation(by):
    result = close(duplicate="data=20%", closes=by)["results"]
    second = result["second_incarnation"]
    assert result["old_segments_accepted"] == 0
    assert second["old_segments_arrived"] > 50
    assert second["opened"] == 500
    assert second["refused_at_first"] > 0
    result = close(duplicate="data=20%", closes=by, time_wait="0")["results"]
    second = result["second_incarnation"]
    assert result["old_segments_accepted"] == second["old_segments_arrived"] > 50
    assert second["refused_at_first"] == 0


def test_todays_isn_clock_and_timestamps_protect_too():
    modern = {"both.isn_tick_ns": 64, "both.tcp_timestamps": 1}
    result = close(duplicate="data=20%", time_wait="0", o=modern)["results"]
    assert result["second_incarnation"]["old_segments_arrived"] > 50
    assert result["old_segments_accepted"] == 0


def test_time_wait_assassination():
    """RFC 1337: a RST that answers the server's own ACK ends TIME_WAIT, and the old segments are back."""
    result = close(duplicate="data=20%", closes="server", o={"both.tcp_rfc1337": 0})["results"]
    assert result["old_segments_accepted"] > 50


def test_a_dead_connection_is_let_go():
    """Clients whose handshake failed hold a dead block until the application closes it."""
    knobs = {"client.tcp_syn_retries": 0, "client.tcp_syn_linear_timeouts": 0}
    result = close(loss="syn=50%", o=knobs)
    assert result["results"]["failed"] > 100
    assert result["results"]["blocks_left"] == {"client": 0, "server": 0}


def test_series_end_at_the_end():
    result = close(rate="500")
    series = result["series"]
    assert series["time_ms"] == sorted(series["time_ms"])
    assert len(series["client"]["TIME_WAIT"]) == len(series["time_ms"])
    assert series["time_ms"][-1] == result["results"]["virtual_ms"]
    assert max(series["client"]["TIME_WAIT"]) <= result["results"]["time_wait_peak"]["client"]


# -- keepalive ------------------------------------------------------------------------


def alive(kind, **options):
    """A run to its end whose hosts probe after 10 s without being asked to."""
    knobs = {"always_keepalive": 1, "tcp_keepalive_time": 10}
    return played(kind, rtt="10ms", drain=True, o={"server.knobs": knobs, "client.knobs": knobs}, **options)


def test_always_keepalive_lets_a_churn_drain():
    result = alive("churn", rate=100, hold="50ms", duration="2s", clients=4)
    assert result["results"]["served"] == result["results"]["attempted"] > 100
    for side in ("server", "client"):
        assert sum(n for state, n in result["states"][side].items() if state != "LISTEN") == 0


def test_always_keepalive_probes_those_who_stay_for_the_hour_that_a_drain_lasts():
    result = alive("handshake", connections=2, series="1min")
    assert result["states"]["client"]["ESTABLISHED"] == result["states"]["server"]["ESTABLISHED"] == 2
    for side in ("server", "client"):
        assert 2 <= result["counters"][side]["TCPKeepAlive"] <= 2 * 3600 / 10
