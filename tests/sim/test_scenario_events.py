"""What happens to the server and the link at a moment (docs/simulation.md section 9), by exact counts.

Loads are paced and delays constant, so that each figure follows from the times; where queues act, an engine
driven by hand is beside it. Segments take 5 ms: the SYN of connection n is sent at n ms, arrives at n + 5,
the handshake
is over at n + 15.
"""

from dataclasses import replace

import numpy as np
import pytest

from loadgen.scenario import hosts
from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.model import Accept, Client, Closes, Event, Link, Listen, Load, Run, Scenario, Server
from loadgen.scenario.values import Distribution
from loadgen.sim.build import build
from loadgen.sim.run import Replay, simulate
from tcpcore import Config, Engine, Flag, segments

MS, SECOND = 10**6, 10**9
SERVER = 0x0A000001
NO_WORK = Accept()


def const(ns):
    return Distribution("const", float(ns))


def scenario(
    *events,
    rate=1000.0,
    seconds=2.0,
    hold=0,
    drain=True,
    accept=NO_WORK,
    listeners=1,
    backlog=None,
    hosts=1,
    knobs=None,
    seed=1,
    series=100 * MS,
    **load,
):
    load = {"arrivals": "paced", "shape": ((0, rate),), "hold": const(hold), "speaks": "nobody", **load}
    return Scenario(
        seed=seed,
        event=events,
        load=(Load(**load),),
        link=Link(rtt=const(10 * MS)),
        client=Client(hosts=hosts),
        server=Server(accept=accept, listen=Listen(listeners=listeners, backlog=backlog), knobs=knobs or {}),
        run=Run(duration_ns=int(seconds * SECOND), drain=drain, series_ns=series),
    )


def replay(plan_of):
    server = hosts.config(plan_of.server, "server")
    return Replay(plan_of, build(plan_of, server, Config.linux()), None, None)


def sums_up(load):
    refused = sum(load.refused.values())
    parts = load.served + load.ghost + refused + load.gave_up + load.reset + load.pending + load.not_started
    return load.attempted == parts


# --- unlisten, listen ---


def test_unlisten_answers_with_rst_until_it_listens_again():
    """SYNs that arrive at 1 s are the last, those after 1.5 s the next; entries that are half-open are lost.

    Their clients closed as soon as they were connected, before the RST came: ghosts (S6.4)."""
    out = simulate(scenario(Event(1 * SECOND, "unlisten"), Event(1500 * MS, "listen")))
    load = out.loads[0]
    half_open = 10  # SYN in, third segment not: n = 986 .. 995
    assert load.attempted == 2000 and sums_up(load)
    assert load.served == 996 - half_open + 504 and load.reset == 500 and load.ghost == half_open
    assert out.counters["server"]["OutRsts"] == 500 + 2 * half_open  # to its third segment and to its FIN
    assert out.counters["client"]["AttemptFails"] == 500
    assert out.left == {"client": 0, "server": 0}


@pytest.mark.parametrize("listeners", [1, 3])
def test_unlisten_resets_what_waits_and_the_queue_begins_anew(listeners):
    """A server that accepts nothing from 0.5 s on; at 1 s all that wait are reset, at 1.5 s it goes on."""
    out = simulate(
        scenario(
            Event(500 * MS, "stall", for_ns=1 * SECOND),
            Event(1 * SECOND, "unlisten"),
            Event(1500 * MS, "listen"),
            hold=5 * SECOND,
            listeners=listeners,
        )
    )
    load = out.loads[0]
    waiting, half_open = 500, 10  # established after 0.5 s and by 1 s: n = 486 .. 985
    assert load.served == 486 + 504 and load.reset == waiting + half_open + 500 and sums_up(load)
    assert listeners > 1 or out.peaks["server.accept_queue"] == waiting
    assert out.left == {"client": 0, "server": 0}


def test_events_that_change_nothing():
    """listen while it listens, unlisten twice."""
    one = simulate(scenario(Event(1 * SECOND, "unlisten")))
    two = simulate(
        scenario(Event(500 * MS, "listen"), Event(1 * SECOND, "unlisten"), Event(1200 * MS, "unlisten"))
    )
    assert one.counters == two.counters and one.loads[0].reset == two.loads[0].reset == 1004


# --- reset-all ---


def test_reset_all_resets_what_the_server_has_and_nothing_else():
    """By 1 s the handshakes of n = 0 .. 985 are over."""
    out = simulate(scenario(Event(1 * SECOND, "reset-all"), hold=3 * SECOND, seconds=2))
    load = out.loads[0]
    assert load.attempted == 2000 and load.served == 2000 and sums_up(load)
    assert out.counters["server"]["OutRsts"] == 986
    assert out.counters["client"]["EstabResets"] == 986
    assert out.left == {"client": 0, "server": 0}


def test_reset_all_takes_what_waits_in_the_accept_queue():
    out = simulate(
        scenario(
            Event(400 * MS, "stall", for_ns=1 * SECOND),
            Event(1 * SECOND, "reset-all"),
            hold=3 * SECOND,
            seconds=1,
            rate=100.0,
        )
    )
    load = out.loads[0]
    assert (
        out.counters["server"]["OutRsts"] == 99 and load.reset == 60 and load.served == 40 and sums_up(load)
    )


@pytest.mark.parametrize("hosts", [1, 7])
def test_clients_that_were_reset_come_again_within_the_time(hosts):
    within = 500 * MS
    play = scenario(
        Event(1 * SECOND, "reset-all", reconnect_within_ns=within),
        hold=30 * SECOND,
        seconds=2,
        hosts=hosts,
        series=10 * MS,
        drain=False,
    )
    out = simulate(play)
    load = out.loads[0]
    assert load.attempted == 2000 + 986 and sums_up(load)
    at, attempted = out.series["time"]["time_ns"], out.series["load"]["load.attempted"]
    extra = attempted - np.minimum(at // MS + 1, 2000)
    assert extra[at <= 1 * SECOND].max() == 0 and extra[at >= 1 * SECOND + within].min() == 986
    spread = extra[(at > 1 * SECOND + 10 * MS) & (at < 1 * SECOND + within)]
    share = (at[(at > 1 * SECOND + 10 * MS) & (at < 1 * SECOND + within)] - 1 * SECOND) / within
    assert np.abs(spread / 986 - share).max() < 1.95 / 986**0.5  # Kolmogorov and Smirnov, 99.9 %
    assert simulate(play).counters == out.counters


def test_reconnects_do_not_shift_the_arrivals_of_their_load():
    """The same connections come at the same times, whether others come again or not."""
    event = Event(1 * SECOND, "reset-all", reconnect_within_ns=300 * MS)
    alone, again = (
        simulate(scenario(*events, arrivals="poisson", hold=10 * SECOND, seconds=3, drain=False))
        for events in ([Event(1 * SECOND, "reset-all")], [event])
    )
    late = alone.series["time"]["time_ns"] >= 1300 * MS
    more = again.series["load"]["load.attempted"] - alone.series["load"]["load.attempted"]
    assert set(more[late].tolist()) == {alone.counters["server"]["OutRsts"]}


def test_a_closed_loop_never_has_more_users():
    out = simulate(
        scenario(
            Event(1 * SECOND, "reset-all", reconnect_within_ns=400 * MS),
            concurrency=20,
            shape=(),
            hold=300 * MS,
            seconds=3,
            series=5 * MS,
            drain=False,
        )
    )
    established = out.series["client"]["ESTABLISHED"] + out.series["client"]["SYN_SENT"]
    assert established.max() == 20 and out.counters["server"]["OutRsts"] == 20 and sums_up(out.loads[0])


# --- partition ---


def test_a_partition_loses_everything_and_clients_recover_by_resends():
    """SYNs of n = 1001 .. 1399 are lost, and the answers to n = 996 .. 1000; each connects a second later."""
    out = simulate(scenario(Event(1 * SECOND, "partition", for_ns=400 * MS), hold=20 * SECOND, seconds=2))
    load = out.loads[0]
    assert load.served == 2000 and sums_up(load) and out.left == {"client": 0, "server": 0}
    link = out.counters["link"]
    assert link["client.syn.lost"] == 399 and link["server.syn_ack.lost"] == 5
    assert load.first_try == 2000 - 404 - 5  # and the third segments of n = 991 .. 995
    assert out.counters["client"]["TCPSynRetrans"] == 404


# --- stall ---


def by_hand(backlog, stall, until, end):
    """The server alone: SYN at n + 5 ms, third segment at n + 15 if there was a SYN-ACK, accept but in the
    stall."""
    eng = Engine(Config.linux(capacity=10_000))
    number = eng.listen(SERVER, 80, backlog)
    answers = {}
    for ms in range(end + 1):
        rows = {"src": 0x0A010001, "dst": SERVER, "dport": 80}
        if ms - 15 in answers:
            eng.receive(
                segments(
                    1, **rows, sport=1000 + ms - 15, seq=1, ack=answers[ms - 15], flags=Flag.ACK, wnd=99
                ),
                ms * MS,
            )
        if ms >= 5:
            out = eng.receive(
                segments(1, **rows, sport=1000 + ms - 5, seq=0, flags=Flag.SYN, wnd=99), ms * MS
            )
            if len(out):
                answers[ms - 5] = int(out["seq"][0]) + 1
        if not stall < ms < until:
            eng.accept(number)
        elif ms == stall:
            eng.accept(number)
    return eng


@pytest.mark.parametrize("backlog", [9, 200])
def test_a_stall_fills_the_accept_queue(backlog):
    out = simulate(
        scenario(
            Event(1 * SECOND, "stall", for_ns=500 * MS),
            hold=30 * SECOND,
            seconds=1.5,
            backlog=backlog,
            drain=False,
        )
    )
    eng = by_hand(backlog, 1000, 1500, 1500)
    names = ["ListenOverflows", "ListenDrops", "PassiveOpens", "OutRsts"]
    assert {name: out.counters["server"][name] for name in names} == {
        name: eng.counters[name] for name in names
    }
    assert out.peaks["server.accept_queue"] == backlog + 1 and out.counters["server"]["ListenOverflows"] > 0


def test_a_queue_that_is_long_enough_forgets_the_stall():
    out = simulate(scenario(Event(1 * SECOND, "stall", for_ns=500 * MS), hold=1 * SECOND, backlog=500))
    assert out.counters["server"]["ListenOverflows"] == 0 and out.loads[0].served == 2000
    assert out.peaks["server.accept_queue"] == 500 and out.accept_wait.max == 499 * MS


# --- knobs ---


def test_a_knob_turns_at_its_moment():
    """The server closes; from 1 s on it may keep no further TIME_WAIT, and the old ones stay."""
    play = scenario(Event(1 * SECOND, "knob", knob="tcp_max_tw_buckets=10"), hold=50 * MS, drain=False)
    play = replace(play, server=replace(play.server, closes=Closes(server=1.0)))
    out = simulate(play)
    waiting = out.series["server"]["TIME_WAIT"]
    at = out.series["time"]["time_ns"]
    assert waiting[at <= 1 * SECOND].max() == waiting[at >= 1 * SECOND].min() == waiting[-1] > 900
    assert out.counters["server"]["TCPTimeWaitOverflow"] > 900 and sums_up(out.loads[0])


def test_a_knob_of_several_listeners_is_divided():
    play = scenario(Event(1 * MS, "knob", knob="tcp_max_tw_buckets=11"), listeners=3, seconds=0.01)
    run = replay(play)
    run.play()
    assert sorted(engine.config.tcp_max_tw_buckets for engine in run.plan.servers) == [3, 4, 4]


def test_a_limit_of_challenge_acks_of_several_listeners_is_divided():
    for limit, parts in ((11, [3, 4, 4]), (2, [1, 1, 1]), (0, [0, 0, 0])):
        run = replay(scenario(knobs={"tcp_challenge_ack_limit": limit}, listeners=3, seconds=0.01))
        assert sorted(engine.config.tcp_challenge_ack_limit for engine in run.plan.servers) == parts


def test_a_knob_of_client_hosts_is_that_of_each():
    """From 1 s on each of five hosts may have 3 TIME_WAITs; the 33 of each that wait at 1 s stay."""
    play = scenario(
        Event(1 * SECOND, "knob", knob="client.tcp_max_tw_buckets=3"),
        hosts=5,
        rate=165.0,
        drain=False,
        hold=0,
    )
    run = replay(play)
    run.play()
    assert [engine.config.tcp_max_tw_buckets for engine in run.plan.clients] == [3] * 5
    assert min(engine.counters["TCPTimeWaitOverflow"] for engine in run.plan.clients) > 20
    assert max(engine.gauges()["time_wait"] for engine in run.plan.clients) <= 33


def test_a_knob_of_both_ends():
    run = replay(scenario(Event(1 * SECOND, "knob", knob="both.time_wait_ms=1"), seconds=2, drain=False))
    run.play()
    assert {engine.config.time_wait_ms for engine in run.plan.servers + run.plan.clients} == {1}


def test_a_lower_somaxconn_acts_when_the_server_listens_again():
    """Nothing is accepted: 21 wait, whatever somaxconn is, until the listener is opened again with 5."""
    events = [
        Event(0, "stall", for_ns=30 * SECOND),
        Event(100 * MS, "knob", knob="somaxconn=5"),
        Event(1 * SECOND, "unlisten"),
        Event(1 * SECOND, "listen"),
    ]
    out = simulate(scenario(*events, hold=20 * SECOND, drain=False, backlog=20))
    waiting, at = out.series["server"]["accept_queue"], out.series["time"]["time_ns"]
    assert set(waiting[(at >= 200 * MS) & (at < 1 * SECOND)].tolist()) == {21}
    assert waiting[at > 1100 * MS].max() == 6 and sums_up(out.loads[0])


def test_a_lower_syn_backlog_acts_at_once():
    """Without cookies: entries without third segments are refused from the event on (ListenDrops)."""
    lost = Link(rtt=const(10 * MS), loss={"third-ack": 1.0, "data": 1.0, "fin": 1.0, "ack": 1.0})
    play = scenario(
        Event(500 * MS, "knob", knob="tcp_max_syn_backlog=8"),
        knobs={"tcp_syncookies": 0, "somaxconn": 4096},
        seconds=1,
        drain=False,
        rate=500.0,
    )
    out = simulate(replace(play, link=lost))
    half_open, at = out.series["server"]["half_open"], out.series["time"]["time_ns"]
    before = half_open[at <= 500 * MS].max()
    assert before > 200 and half_open[-1] <= before
    assert out.counters["server"]["ListenDrops"] > 200


# --- several at one moment ---


def test_events_of_one_moment_happen_in_the_order_of_the_file():
    """unlisten, listen: SYNs after 1 s are answered. listen, unlisten: they are refused."""
    close, reopen = Event(1 * SECOND, "unlisten"), Event(1 * SECOND, "listen")
    assert simulate(scenario(close, reopen)).loads[0].reset == 0
    assert simulate(scenario(reopen, close)).loads[0].reset == 1004
    knobs = [Event(1 * SECOND, "knob", knob=f"time_wait_ms={n}") for n in (5, 6)]
    for events in (knobs, knobs[::-1]):
        run = replay(scenario(*events, seconds=1.1, drain=False))
        run.play()
        wanted = int(events[1].knob.partition("=")[2])
        assert run.plan.servers[0].config.time_wait_ms == wanted


def test_a_client_that_hears_late_of_a_reset_keeps_its_time():
    """The RSTs of the first reset-all are lost; a second one without reconnect_within changes nothing."""
    first = Event(1 * SECOND, "reset-all", reconnect_within_ns=10 * SECOND)
    cut = Event(990 * MS, "partition", for_ns=20 * MS)
    asks = {"request": 10, "response": 10, "requests_per_connection": 2, "speaks": "client"}
    one, two = (
        simulate(scenario(cut, first, *more, hold=4 * SECOND, seconds=12, count=500, drain=False, **asks))
        for more in ([], [Event(1100 * MS, "reset-all")])
    )
    assert one.loads[0].attempted == two.loads[0].attempted == 1000
    assert one.series["load"]["load.attempted"].tolist() == two.series["load"]["load.attempted"].tolist()


# --- what cannot be ---


@pytest.mark.parametrize(
    ("knob", "message"),
    [
        ("tcp_max_tw_bucket=1", "unknown knob 'tcp_max_tw_bucket'; did you mean 'tcp_max_tw_buckets'"),
        ("capacity=1", "the knob capacity cannot change while a host runs: write server.knobs"),
        ("both.mss=900", "the knob mss cannot change while a host runs: write server.knobs and client.knobs"),
        ("tcp_rfc1337=7", "tcp_rfc1337: expected 0 or 1, got 7"),
        ("tcp_tw_reuse=1", "the knob tcp_tw_reuse cannot act on the server: write client.tcp_tw_reuse"),
        ("tcp_syncookies=1", "tcp_syncookies: expected a value that needs the same queues as 0"),
    ],
)
def test_a_knob_that_cannot_turn_is_said_before_the_run(knob, message):
    play = scenario(
        Event(1 * SECOND, "knob", knob=knob), knobs={"synq_policy": "evict-oldest", "tcp_syncookies": 0}
    )
    with pytest.raises(ScenarioError, match=rf"^event.0.do: {message}"):
        replay(play)
    with pytest.raises(ScenarioError, match=message):
        hosts.resolve(play)


# --- SO_REUSEPORT ---


def opened(seed, **options):
    run = replay(scenario(listeners=4, seed=seed, seconds=4, drain=False, **options))
    run.play()
    return [engine.counters["PassiveOpens"] for engine in run.plan.servers]


@pytest.mark.parametrize("hosts", [1, 5])
def test_the_choice_of_a_listener_is_keyed_and_even(hosts):
    counts = opened(1, hosts=hosts)
    assert sum(counts) >= 3985
    assert sum((n - sum(counts) / 4) ** 2 for n in counts) / (sum(counts) / 4) < 16.27  # chi-square, 99.9 %
    assert opened(1, hosts=hosts) == counts != opened(2, hosts=hosts)


def test_one_worker_that_stalls_loses_its_share_only():
    run = replay(
        scenario(
            listeners=4,
            backlog=20,
            hold=30 * SECOND,
            seconds=2,
            drain=False,
            accept=Accept(stall_ns=1, stall_every_ns=3600 * SECOND),
        )
    )
    run.play_until(1 * SECOND)
    run.simulator.stall(3 * SECOND, only=2)
    before = [engine.counters["PassiveOpens"] for engine in run.plan.servers]
    run.play_until(2 * SECOND)
    lost = [engine.counters["ListenOverflows"] for engine in run.plan.servers]
    more = [engine.counters["PassiveOpens"] - n for engine, n in zip(run.plan.servers, before, strict=True)]
    assert lost[2] > 0 and more[2] == 21 and lost[:2] + lost[3:] == [0, 0, 0]
    assert min(more[:2] + more[3:]) > 200


# --- closed loop ---


@pytest.mark.parametrize(("users", "hold"), [(1, 100), (5, 100), (40, 0)])
def test_a_closed_loop_has_n_users_each_as_fast_as_a_connection_lasts(users, hold):
    """Little's law with constant times: N / (rtt + hold) connections a second, exactly."""
    cycle = 10 + hold
    out = simulate(
        scenario(concurrency=users, shape=(), hold=hold * MS, seconds=cycle * 100 / 1000, series=MS)
    )
    load = out.loads[0]
    assert load.attempted == load.served == users * 100 and sums_up(load)
    present = out.series["client"]["SYN_SENT"] + out.series["client"]["ESTABLISHED"]
    assert present.max() == users
    inside = present[(out.series["time"]["time_ns"] > 0) & (out.series["time"]["time_ns"] < cycle * 100 * MS)]
    assert inside.min() == users
