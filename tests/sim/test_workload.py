"""A function in Python that plays a load: what it is told, what its calls do; nothing else decides."""

import dataclasses
import pickle
import runpy
from pathlib import Path

import pytest

import loadgen
from loadgen.sim import simulate
from loadgen.sim.workload import playable

MS, S = 10**6, 10**9
CRAWLER = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "crawler.py"))
SCENARIO = loadgen.Scenario(
    client=loadgen.Client(hosts=4),
    load=[loadgen.Load("mine", "workload", request=100, response=1000)],
    link=loadgen.Link(rtt="10ms"),
    run=loadgen.Run(duration="3s", drain=True),
)


def told(script, scenario=SCENARIO, **rest):
    """Every event of a run, in which `script(clients)` is called at time 0, and the outcome."""
    seen = []

    def workload(clients, events):
        if clients.now_ns == 0 and not events:
            script(clients)
        seen.extend(events)

    return seen, simulate(scenario, workload=workload, **rest)


def test_a_connection_is_connected_read_and_ended():
    def script(clients):
        conn = clients.connect(client=2, at="5ms")
        clients.send(conn, 200, at_ns=20 * MS)
        clients.close(conn, at=0.1)

    seen, outcome = told(script)
    assert seen == [
        ("connected", 0, 15 * MS, 0, ""),
        ("read", 0, 30 * MS, 2000, ""),  # two requests of 100 bytes
        ("ended", 0, 100 * MS, 0, "closed"),
    ]
    load = outcome.loads[0]
    assert (load.attempted, load.served, load.requests) == (1, 1, 2)
    assert outcome.left == {"client": 0, "server": 0}


def test_a_reset_is_the_clients_and_the_rest_is_not_done():
    def script(clients):
        conn = clients.connect()
        clients.reset(conn, at="50ms")
        clients.send(conn, 100, at="60ms")
        clients.close(conn, at="60ms")

    seen, outcome = told(script)
    assert [event.kind for event in seen] == ["connected", "ended"]
    assert outcome.counters["client"]["OutRsts"] == 1


def test_refused_and_reset_connections_say_so():
    few = dataclasses.replace(
        SCENARIO,
        client=loadgen.Client(knobs={"ip_local_port_range": (40000, 40001)}),
        event=[loadgen.Event(at_ns=500 * MS, do="reset-all")],
    )
    seen, outcome = told(lambda clients: [clients.connect() for _ in range(3)], few)
    ended = {event.conn: (event.why, event.at_ns) for event in seen if event.kind == "ended"}
    assert ended == {2: ("refused", 0), 0: ("reset", 505 * MS), 1: ("reset", 505 * MS)}
    assert outcome.loads[0].refused == {"PortsExhausted": 1}


def test_what_nobody_answers_gives_up():
    lost = dataclasses.replace(
        SCENARIO, client=loadgen.Client(knobs={"tcp_syn_retries": 1, "tcp_syn_linear_timeouts": 0}),
        link=loadgen.Link(rtt="10ms", loss={"syn": 1.0}), run=loadgen.Run(duration="10s"),
    )  # fmt: skip
    seen, _ = told(lambda clients: clients.connect(), lost)
    assert [(event.kind, event.why) for event in seen] == [("ended", "gave up")]


def test_it_is_called_when_it_asks_and_connections_end_with_the_run():
    calls = []

    def workload(clients, events):
        calls.append((clients.now_ns, len(events)))
        if clients.now_ns < 2 * S:
            clients.wake(at_ns=clients.now_ns + S)
        else:
            clients.connect(at_ns=clients.end_ns)

    outcome = simulate(SCENARIO, workload=workload)
    assert calls == [(0, 0), (S, 0), (2 * S, 0)]
    assert outcome.loads[0].attempted == outcome.loads[0].not_started == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda clients: clients.connect(client=4), "client: expected 0 .. 3, got 4"),
        (lambda clients: clients.connect(destination=1), "destination: expected 0 .. 0, got 1"),
        (lambda clients: clients.close(0), r"conn: expected one that connect\(\) returned, got 0"),
        (lambda clients: clients.send(clients.connect(), 0), "nbytes: expected 1 .. 1073741824, got 0"),
        (lambda clients: clients.wake(at="soon"), "expected a time"),
    ],
)
def test_wrong_calls_say_what_is_right(call, message):
    with pytest.raises(ValueError, match=message):
        told(call)


def test_there_is_one_load_to_play():
    rate = loadgen.Load("other", rate="10/s")
    with pytest.raises(loadgen.ScenarioError, match="expected one of arrivals"):
        loadgen.run(dataclasses.replace(SCENARIO, load=[rate]), workload=CRAWLER["crawl"])
    with pytest.raises(ValueError, match="check"):
        loadgen.run(SCENARIO, workload=CRAWLER["crawl"], check=True)
    few = dataclasses.replace(SCENARIO, load=[dataclasses.replace(SCENARIO.load[0], count=1)])
    with pytest.raises(loadgen.ScenarioError, match="1 connections are more than the most"):
        told(lambda clients: (clients.connect(), clients.connect()), few)


# -- the example ---------------------------------------------------------------------------------

BUSY = loadgen.Scenario(
    client=loadgen.Client(hosts=12),
    load=[
        loadgen.Load("crawlers", "workload", request=400, response=30_000),
        loadgen.Load("others", rate="200/s", hold="exp:20ms"),
    ],
    event=[loadgen.Event(at_ns=1_500_000_000, do="reset-all")],
    link=loadgen.Link(rtt="normal:40ms,5ms", loss="1%", jitter="3ms"),
    run=loadgen.Run(duration="4s", seeds=2, drain=True),
)


def crawl(clients, events):
    """The example's function, by a name that pickles."""
    CRAWLER["crawl"](clients, events)


def without_wall(result):
    document = result.to_dict()
    return {key: part for key, part in document.items() if key not in ("wall", "scenario", "config")}


def test_neither_batch_nor_processes_change_anything():
    first = loadgen.run(BUSY, seed=7, workload=crawl)
    assert without_wall(loadgen.run(BUSY, seed=7, workload=crawl)) == without_wall(first)
    one = BUSY.replace({"run.batch": 1})
    assert without_wall(loadgen.run(one, seed=7, workload=crawl)) == without_wall(first)
    two = loadgen.run(BUSY, seed=7, workload=crawl, jobs=2)
    assert without_wall(two) == without_wall(first)
    assert without_wall(loadgen.run(BUSY, seed=8, workload=crawl)) != without_wall(first)
    assert first["requests"] > 100 and first["attempted"] > 800
    assert any("crawl" in sentence for sentence in first.assumptions)


def test_a_workload_of_arrivals_gives_what_the_load_gives():
    """Paced arrivals and a constant hold, as a load and as a function: the same segments."""
    load = loadgen.Load("mine", arrivals="paced", rate="100/s", hold="50ms", request=0, speaks="nobody")
    plain = dataclasses.replace(SCENARIO, load=[load])

    def workload(clients, events):
        if clients.now_ns == 0 and not events:
            for n in range(300):
                clients.connect(client=n % 4, at_ns=n * 10 * MS)
        for event in events:
            if event.kind == "connected":
                clients.close(event.conn, at_ns=event.at_ns + 50 * MS)

    mine = loadgen.Load("mine", "workload", request=0, speaks="nobody")
    ours = simulate(dataclasses.replace(SCENARIO, load=[mine]), workload=workload)
    theirs = simulate(plain)
    assert ours.counters == theirs.counters
    assert ours.segments == theirs.segments
    assert ours.loads[0].served == theirs.loads[0].served == 300


def test_the_example_runs(capsys):
    CRAWLER["main"]()
    printed = capsys.readouterr().out
    assert printed.endswith(" reset\n")
    attempted, pages, resets = (int(word) for word in printed.split() if word.isdigit())
    assert attempted >= 100 + resets
    assert pages >= 100 * CRAWLER["PAGES"]


def test_a_job_with_a_workload_pickles():
    assert pickle.loads(pickle.dumps(crawl)) is crawl
    assert playable(SCENARIO).load[0].count == 1 << 17
