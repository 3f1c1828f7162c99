"""Handshake and close through two real engines: what the clients see, and what TIME_WAIT is for."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.phases.close import BY, Close, CloseSettings
from loadgen.phases.link import CLIENT, Path, Rates
from loadgen.phases.report import as_json
from loadgen.phases.workload import Arrivals, Handshake, Settings
from tcpcore import Config, State

MS = 1_000_000
S = 1000 * MS
LOSSY = Path(
    rtt_ns=20 * MS, jitter_ns=3 * MS, loss=Rates.everywhere(0.05), reorder=0.02, reorder_delay_ns=5 * MS
)


def play(workload, given):
    """Run it; every invariant of both engines holds at every stage, and no block is lost track of."""
    run = workload(given)
    stages = []

    def sound(stage):
        stages.append(stage)
        for engine in (run.client, run.server):
            assert engine.check() == []
            gauges = engine.gauges()
            assert engine.state_counts()[2:].sum() + gauges["held_dead"] == gauges["blocks_used"]

    run.on_stage = sound
    result = run.run()
    assert stages[0] == "open"
    assert not result.partial
    for side, engine in (("client", run.client), ("server", run.server)):
        assert result.counters["link"][f"from_{side}"] == engine.counters["OutSegs"]
    return run, result


def handshake(**given):
    return play(Handshake, Settings(**given))


def close(**given):
    return play(Close, CloseSettings(**{"connections": 500, **given}))


def but_wall(result):
    document = json.loads(as_json(result))
    del document["wall"]
    return document


# -- handshake ------------------------------------------------------------------------


def test_flat_out_everybody_gets_through_in_one_round_trip():
    run, result = handshake(connections=3000, path=Path(rtt_ns=40 * MS))
    figures = result.results
    assert figures["attempted"] == figures["connected"] == figures["served"] == 3000
    assert (figures["ghost"], figures["failed"], figures["pending"]) == (0, 0, 0)
    assert figures["success_ratio"] == 1.0
    assert figures["handshake_ms"]["min"] == figures["handshake_ms"]["max"] == 40
    assert figures["peak_half_open"] == 3000
    assert figures["virtual_ms"] == 60  # the third ACK takes half a round trip more
    assert (
        run.client.state_counts()[State.ESTABLISHED] == run.server.state_counts()[State.ESTABLISHED] == 3000
    )
    assert result.series["stages"][-1]["server"] == {"ESTABLISHED": 3000}


def test_no_delay_at_all():
    _, result = handshake(connections=100, path=Path(rtt_ns=0))
    assert result.results["served"] == 100
    assert result.results["handshake_ms"]["max"] == 0


def test_a_rate_is_kept_in_virtual_time():
    _, result = handshake(connections=1000, rate=10_000_000, path=Path(rtt_ns=4 * MS))
    assert result.results["virtual_ms"] == 100 + 6  # the last arrival, and its three segments
    assert result.results["peak_half_open"] == 10 * 4  # rate times the time an entry is half-open
    assert result.results["handshake_ms"]["max"] == 4


def test_latency_of_a_lost_syn_is_the_resend_timer():
    _, result = handshake(connections=400, path=Path(rtt_ns=10 * MS, loss=Rates.only(syn=0.3)))
    waits = result.results["handshake_ms"]
    assert waits["min"] == 10
    assert waits["p50"] == 10
    assert waits["p99"] in (1010, 2010, 3010)
    assert result.results["served"] == 400
    assert result.results["retransmissions"]["client"] == result.counters["link"]["lost.syn"]


def test_nobody_answers():
    _, result = handshake(
        connections=50,
        path=Path(loss=Rates.everywhere(1.0)),
        knobs=Config.linux(tcp_syn_retries=1),
        hold_ns=S,
    )
    figures = result.results
    assert (figures["connected"], figures["failed"], figures["success_ratio"]) == (0, 50, 0.0)
    assert figures["handshake_ms"]["count"] == 0
    assert figures["handshake_ms"]["p99"] is None
    assert sum(result.causes["client"].values()) == 50


def test_duration_leaves_the_unresolved_pending():
    _, result = handshake(connections=50, path=Path(loss=Rates.only(syn=1.0)), duration_ns=2 * S)
    assert result.results["pending"] == 50
    assert result.results["failed"] == 0
    assert result.results["virtual_ms"] == 2000


def test_a_lost_third_ack_makes_ghosts():
    """The client is connected, the server gives up its half-open entry: RFC 9293 has no cure for that."""
    _, result = handshake(
        connections=30, path=Path(loss=Rates.only(third_ack=1.0)), knobs=Config.linux(tcp_synack_retries=1)
    )
    figures = result.results
    assert (figures["connected"], figures["served"], figures["ghost"]) == (30, 0, 30)
    assert result.causes["server"]["SynQueueExpired"] == 30


def test_data_on_a_syn_is_refused():
    _, result = handshake(connections=20, syn_data=100)
    assert result.results["syn_data"] == {"sent_bytes": 2000, "accepted_bytes": 0}
    assert result.results["served"] == 20


def test_a_short_backlog_refuses_and_says_who_set_it():
    knobs = Config.linux(tcp_syncookies=0, tcp_syn_retries=0, tcp_syn_linear_timeouts=0, somaxconn=16)
    _, result = handshake(connections=100, backlog=64, knobs=knobs, knobs_set=frozenset({"somaxconn"}))
    assert result.results["backlog"] == {"effective": 16, "set_by": "somaxconn"}
    assert result.results["served"] == 17  # backlog + 1
    assert result.results["failed"] == 83
    assert sum(result.causes["server"].values()) == 83


def test_too_few_client_addresses_run_out_of_ports():
    knobs = Config.linux(ip_local_port_range=(40000, 40009))
    _, result = handshake(connections=25, clients=2, knobs=knobs)
    assert result.results["served"] == 20
    assert result.causes["client"]["PortsExhausted"] == 5


def test_as_many_client_addresses_as_the_port_range_needs():
    assert Settings(connections=1_000_000).client_addresses == -(-1_000_000 // (28232 // 4))
    assert Settings(connections=1).client_addresses == 1


@pytest.mark.parametrize("arrivals", ["paced", "poisson"])
@pytest.mark.parametrize("rate", [333, 1_000_000, 77_777_777])
def test_arrivals_due_and_at_agree(arrivals, rate):
    times = Arrivals(Settings(connections=200, rate=rate, arrivals=arrivals, seed=5))
    at = [times.at(i) for i in range(200)]
    assert at == sorted(at)
    for i in (0, 1, 57, 199):
        assert times.due(at[i]) >= i + 1
        assert times.due(at[i] - 1) <= i
    assert times.due(10**18) == 200
    assert at[-1] <= 200 * 10**12 // rate


# -- the same again -------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes():
    given = {"connections": 800, "rate": 50_000_000, "arrivals": "poisson", "path": LOSSY, "hold_ns": S}
    documents = [but_wall(handshake(**given, seed=seed)[1]) for seed in (1, 1, 2)]
    assert documents[0] == documents[1]
    assert documents[0]["results"] != documents[2]["results"]


@pytest.mark.parametrize("workload", [Handshake, Close])
@settings(max_examples=8)
@given(batch=st.integers(1, 300), seed=st.integers(0, 2**64 - 1), rate=st.sampled_from([0, 20_000_000]))
def test_the_batch_size_changes_nothing(workload, batch, seed, rate):
    given = Settings(connections=200, rate=rate, path=LOSSY, seed=seed, backlog=150)
    if workload is Close:
        common = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}
        given = CloseSettings(**common, by="mix", half_close=0.3, data=3000)
    runs = [play(workload, dataclasses.replace(given, batch=size)) for size in (batch, 4096)]
    documents = [but_wall(result) for _, result in runs]
    for document in documents:
        del document["config"]["batch"]
    assert documents[0] == documents[1]
    for side in ("client", "server"):
        blocks = [getattr(run, side).blocks for run, _ in runs]
        assert all(
            np.array_equal(blocks[0][name], blocks[1][name])
            for name in ("state", "snd_nxt", "rcv_nxt", "rport")
        )


# -- close ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "client", "server", "segments"),
    [("client", 500, 0, 4), ("server", 0, 500, 4), ("simultaneous", 500, 500, 4), ("mix", 333, 333, 4)],
)
def test_who_closes_first_gets_time_wait(by, client, server, segments):
    run, result = close(by=by, path=Path(rtt_ns=10 * MS))
    figures = result.results
    assert figures["time_wait_peak"] == ({"client": client, "server": server})
    assert figures["blocks_left"] == {"client": 0, "server": 0}
    assert (figures["stuck_last_ack"], figures["old_segments_accepted"]) == (0, 0)
    assert result.counters["link"]["from_client"] + result.counters["link"]["from_server"] == 500 * (
        3 + segments
    )
    assert figures["time_wait_drained_ms"] - figures["closing_from_ms"] >= 60_000
    assert run.client.gauges()["held_dead"] == 0
    assert sum(result.causes["client"].values()) + sum(result.causes["server"].values()) == 0


def test_the_textbooks_four_segments_take_the_applications_moment():
    _, result = close(path=Path(rtt_ns=10 * MS), close_delay_ns=7 * MS)
    stages = {stage["stage"]: stage["at_ms"] for stage in result.series["stages"]}
    assert stages["closed"] - stages["open"] == 5 + 7 + 5 + 5
    assert stages["drained"] - stages["closed"] == pytest.approx(60_000 - 5, abs=1)


def test_three_segments_when_the_server_closes_with_its_acknowledgment():
    _, result = close(close_delay_ns=0)
    assert result.counters["link"]["from_client"] + result.counters["link"]["from_server"] == 500 * 6


def test_a_close_at_a_rate_spreads_time_wait():
    """Little's law: 1000/s for 100 ms of TIME_WAIT are 100 entries."""
    _, result = close(
        rate=1_000_000, knobs=Config.linux(time_wait_ms=100), knobs_set=frozenset({"time_wait_ms"})
    )
    assert 98 <= result.results["time_wait_peak"]["client"] <= 103


def test_tcp_max_tw_buckets_is_lifted_unless_it_is_given():
    _, result = close(knobs=Config.linux(tcp_max_tw_buckets=100), knobs_set=frozenset({"tcp_max_tw_buckets"}))
    assert result.results["time_wait_peak"]["client"] == 100
    assert result.counters["client"]["TCPTimeWaitOverflow"] == 400
    _, result = close(knobs=Config.linux(tcp_max_tw_buckets=100))
    assert result.results["time_wait_peak"]["client"] == 500


def test_half_close_lets_data_flow_the_other_way():
    _, result = close(half_close=0.5, half_close_bytes=20_000, by="mix", path=LOSSY)
    half = result.results["half_close"]
    assert 100 < half["connections"] < 250
    assert half["queued_bytes"] == half["acknowledged_bytes"] == half["connections"] * 20_000
    assert result.results["blocks_left"] == {"client": 0, "server": 0}


NO_TIME_WAIT = {"knobs": Config.linux(time_wait_ms=0), "knobs_set": frozenset({"time_wait_ms"})}
OLD_SEGMENTS = Path(
    duplicates=Rates.only(data=0.2), duplicate_delay_ns=10 * S, late_copies=True
)  # fmt: skip


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("loss", [0.1, 1.0])
def test_a_lost_last_ack(by, loss):
    """Without TIME_WAIT nobody is there to acknowledge the FIN again."""
    path = Path(last_ack_loss=loss)
    _, result = close(path=path, by=by)
    assert result.counters["link"]["lost.last-ack"] > 0
    assert result.results["stuck_last_ack"] == 0
    _, result = close(path=path, by=by, **NO_TIME_WAIT)
    assert result.results["stuck_last_ack"] > 0
    if by == "client":
        assert result.results["stuck_last_ack"] == result.counters["link"]["lost.last-ack"]
        assert result.causes["server"]["ResetByPeer"] == result.results["stuck_last_ack"]


@pytest.mark.parametrize("by", BY)
def test_old_segments_and_a_new_incarnation(by):
    _, result = close(path=OLD_SEGMENTS, by=by, data=1000)
    second = result.results["second_incarnation"]
    assert result.results["old_segments_accepted"] == 0
    assert second["old_segments_arrived"] > 50
    assert second["opened"] == 500
    assert second["refused_at_first"] > 0
    _, result = close(path=OLD_SEGMENTS, by=by, data=1000, **NO_TIME_WAIT)
    second = result.results["second_incarnation"]
    assert result.results["old_segments_accepted"] == second["old_segments_arrived"] > 50
    assert second["refused_at_first"] == 0


def test_todays_isn_clock_and_timestamps_protect_too():
    modern = {"isn_tick_ns": 64, "tcp_timestamps": 1, "time_wait_ms": 0}
    _, result = close(path=OLD_SEGMENTS, data=1000, knobs=Config.linux(**modern), knobs_set=frozenset(modern))
    assert result.results["second_incarnation"]["old_segments_arrived"] > 50
    assert result.results["old_segments_accepted"] == 0


def test_time_wait_assassination():
    """RFC 1337: a RST that answers the server's own ACK ends TIME_WAIT, and the old segments are back."""
    given = {"path": OLD_SEGMENTS, "by": "server", "data": 1000}
    _, result = close(**given, knobs=Config.linux(tcp_rfc1337=0), knobs_set=frozenset({"tcp_rfc1337"}))
    assert result.results["old_segments_accepted"] > 50


def test_a_dead_connection_is_let_go():
    """Clients whose handshake failed hold a dead block until the application closes it."""
    knobs = Config.linux(tcp_syn_retries=0, tcp_syn_linear_timeouts=0)
    run, result = close(path=Path(loss=Rates.only(syn=0.5)), knobs=knobs)
    assert result.results["failed"] > 100
    assert result.results["blocks_left"] == {"client": 0, "server": 0}
    assert run.client.gauges()["held_dead"] == 0


def test_series_stay_small_and_end_at_the_end():
    _, result = close(rate=500_000)
    series = result.series
    assert len(series["time_ms"]) <= 256
    assert series["time_ms"] == sorted(series["time_ms"])
    assert len(series["client"]["TIME_WAIT"]) == len(series["time_ms"])
    assert series["time_ms"][-1] == result.results["virtual_ms"]
    assert max(series["client"]["TIME_WAIT"]) <= result.results["time_wait_peak"]["client"]


def test_peaks_are_the_receivers():
    run, _ = handshake(connections=10)
    assert run.runner.peaks[CLIENT][State.ESTABLISHED] == 10
