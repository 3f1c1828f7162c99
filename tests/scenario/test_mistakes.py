"""Whatever is wrong with a scenario is one line: where, what was expected, and the nearest right word."""

import pytest

from loadgen.scenario import ScenarioError
from loadgen.scenario.check import check
from loadgen.scenario.model import Client, Flood, Link, Listen, Load, Run, Scenario, Server, Threshold

LOAD = "[[load]]\nrate = '1k/s'\n"

#: Text -> what the error says behind "scenario".
WRONG = {
    # keys
    "[servr]\n": ":1: unknown key 'servr'; did you mean 'server'?",
    "[server]\nlisten = { backlgo = 3 }\n":
        ":2: server.listen: unknown key 'backlgo'; did you mean 'backlog'?",
    "[server]\nbacklog = 3\n": ":2: server: unknown key 'backlog'; it belongs in listen",
    LOAD + "[load.tries]\ncuont = 3\n": ":4: load.0.tries: unknown key 'cuont'; did you mean 'count'?",
    LOAD + LOAD + "name = 'b'\nhodl = '1s'\n": ":6: load.1: unknown key 'hodl'; did you mean 'hold'?",
    "[link.late]\nshre = 0.1\n": ":2: link.late: unknown key 'shre'; did you mean 'share'?",
    # knobs
    "[server.knobs]\ntcp_syncokies = 1\n": (
        ":2: server.knobs: unknown knob 'tcp_syncokies'; did you mean 'tcp_syncookies'?"),
    "[server.knobs]\ntcp_syncookies = 3\n": (
        ":2: server.knobs.tcp_syncookies: tcp_syncookies: expected 0, 1 or 2, got 3"),
    "[server]\nknobs = { tcp_tw_reuse = 1 }\n": (
        ":2: server.knobs.tcp_tw_reuse: the knob tcp_tw_reuse cannot act on the server: "
        "write client.tcp_tw_reuse"),
    "[client]\nknobs = { tcp_syncookies = 1 }\n": (
        ":2: client.knobs.tcp_syncookies: the knob tcp_syncookies cannot act on the client: write "
        "server.tcp_syncookies"),
    "[server.knobs]\nseed = 1\n": (
        ":2: server.knobs.seed: the knob seed cannot be set here: write seed, or --seed"),
    "[client.knobs]\nip_local_port_range = [1024, 70000]\n": (  # more ports than exist
        ":2: client.knobs.ip_local_port_range: ip_local_port_range: expected two ports, "
        "1 <= first <= last <= "
        "65535, got (1024, 70000)"),
    # units and numbers
    LOAD + "hold = '3secs'\n": (
        ":3: load.0.hold: expected a time with its unit such as 30ms, or const:TIME, exp:MEAN, "
        "lognormal:MEAN,SIGMA, "
        "normal:MEAN,SD, uniform:FROM,TO, trace:FILE.csv, got '3secs'; did you mean '3s'?"),
    "[[load]]\nrate = '3k/sek'\n": (
        ":2: load.0.rate: expected a rate such as 50k, 200/s or 30/min, got '3k/sek'; did you mean '3k/s'?"),
    "[run]\nduration = '60'\n": (
        ":2: run.duration: expected a time with its unit such as 250us, 40ms, 60s or 2h, got '60'"),
    "[run]\nduration = '2000d'\n": ":2: run.duration: expected at most 365d, got '2000d'",
    "[run]\nduration = '-1s'\n": ":2: run.duration: expected nothing negative, got '-1s'",
    "[run]\nduration = 0\n": ":2: run.duration: expected more than 0, got 0s",
    "[run]\nseeds = 1.5\n": ":2: run.seeds: expected a whole number such as 250, 50k or 1.5M, got 1.5",
    "[run]\ndrain = 'maybe'\n": ":2: run.drain: expected true or false, got 'maybe'",
    "[link]\nloss = '101%'\n": (
        ":2: link.loss.all: expected a share such as 1%, 0.1% or 0.01 (at most 100%), got '101%'"),
    "[link]\nloss = nan\n": (
        ":2: link.loss.all: expected a share such as 1%, 0.1% or 0.01 (at most 100%), got nan"),
    "[link]\nloss = { all = 0.6, syn = 0.6 }\n": (
        ":2: link.loss.syn: expected all and syn together to be at most 100%"),
    "[link.loss]\nsynack = 0.1\n": (
        ":2: link.loss.synack: expected kinds of segment "
        "(all, syn, syn-ack, third-ack, data, ack, fin, last-ack, "
        "rst), got 'synack'; did you mean 'syn-ack'?"),
    "[server.listen]\nbacklog = 1000000000000\n": (
        ":2: server.listen.backlog: expected 0 to 2147483647, got 1000000000000"),
    "[server.listen]\naddr = '10.0.0'\n": ":2: server.listen.addr: expected an IPv4 address, got '10.0.0'",
    # distributions
    LOAD + "hold = 'exp:0s'\n": ":3: load.0.hold: expected exp:MEAN with a mean above 0, got 0",
    LOAD + "hold = 'expo:3s'\n": (
        ":3: load.0.hold: expected a time with its unit such as 30ms, or const:TIME, exp:MEAN, "
        "lognormal:MEAN,SIGMA, "
        "normal:MEAN,SD, uniform:FROM,TO, trace:FILE.csv, got 'expo:3s'; did you mean 'exp'?"),
    LOAD + "hold = 'lognormal:3s'\n": ":3: load.0.hold: expected lognormal:MEAN,SIGMA, got 'lognormal:3s'",
    LOAD + "hold = 'lognormal:3s,big'\n": ":3: load.0.hold: expected SIGMA, a number such as 1.0, got 'big'",
    LOAD + "hold = 'lognormal:3s,nan'\n": (
        ":3: load.0.hold: expected lognormal:MEAN,SIGMA with finite numbers "
        "from 0 up, got 3000000000.0 and nan"),
    LOAD + "hold = 'uniform:3s,1s'\n": (
        ":3: load.0.hold: expected uniform:FROM,TO with FROM before TO, got 3s,1s"),
    "[server.accept]\nstall = '3s/2s'\n": (
        ":2: server.accept.stall: expected LENGTH/PERIOD with LENGTH above 0 and below PERIOD"),
    "[server.accept]\nstall = '250ms'\n": (
        ":2: server.accept.stall: expected LENGTH/PERIOD such as 250ms/2s, got '250ms'"),
    # words
    "[server]\nprofile = 'linus'\n": (
        ":2: server.profile: expected linux, freebsd, strict or a profile's .toml, got 'linus'; did you mean "
        "'linux'?"),
    "[server]\ncloses = 'mix'\n":
        ":2: server.closes: expected client, server, both, turns, mix:SHARE or reset:SHARE, got 'mix'",
    LOAD + "speaks = 'servre'\n": (
        ":3: load.0.speaks: expected client or server or nobody, got 'servre'; did you mean 'server'?"),
    LOAD + "arrivals = 'poison'\n": (
        ":3: load.0.arrivals: expected poisson, paced or trace:FILE.csv, "
        "got 'poison'; did you mean 'poisson'?"),
    LOAD + "tries = { count = 3, jitter = 2 }\n": (
        ":3: load.0.tries.jitter: expected a share such as 1%, 0.1% or 0.01 (at most 100%), got 2"),
    "[[event]]\ndo = 'unlistn'\n": (
        ":2: event.0.do: expected reset-all, unlisten, listen, stall:TIME, partition:TIME, "
        "knob:NAME=VALUE, got "
        "'unlistn'; did you mean 'unlisten'?"),
    "[[event]]\ndo = 'stall'\n": ":2: event.0.do: expected stall:TIME, got 'stall'",
    "[[event]]\ndo = 'knob:tcp_syncokies=0'\n": (
        ":2: event.0.do: unknown knob 'tcp_syncokies'; did you mean 'tcp_syncookies'?"),
    "[[threshold]]\nmetric = 'served'\nis = '0.9'\n": (
        ":3: threshold.0.is: expected a comparison such as '>= 0.999', '<= 1%' or '< 50ms', got '0.9'"),
    # together
    LOAD + "[client]\nhosts = 0\n": ":4: client.hosts: expected at least 1, got 0: a load needs clients",
    "[[load]]\nname = 'a'\n":
        ":1: load.0.rate: expected more than 0/s, or inf and count = N for N connections at once",
    LOAD + "shape = [['0s', 3]]\n": ":3: load.0.shape: expected it or rate, got both",
    "[[load]]\nshape = [['1s', '3k/s']]\n": ":2: load.0.shape: expected a first point at 0s",
    "[[load]]\nshape = [['0s', 3], ['9s', 3], ['5s', 3]]\n": (
        ":2: load.0.shape: expected points whose times rise"),
    LOAD + LOAD: ":3: load.1.name: expected names that differ, got 'load' twice",
    LOAD + "name = 'hold'\n": ":3: load.0.name: expected a name that is no key of [[load]], got 'hold'",
    LOAD + "name = 'a.b'\n": ":3: load.0.name: expected a name of letters, digits, _ and -, got 'a.b'",
    LOAD + "start = '60s'\n": ":3: load.0.start: expected a time before the end of the run, 60s",
    "[[event]]\ndo = 'knob:mss=900'\n": (
        ":2: event.0.do: the knob mss cannot change while a host runs: write server.knobs"),
    "[[event]]\ndo = 'knob:both.mss=900'\n": (
        ":2: event.0.do: the knob mss cannot change while a host runs: write server.knobs and client.knobs"),
    "[[event]]\ndo = 'knob:tcp_tw_reuse=1'\n": (
        ":2: event.0.do: the knob tcp_tw_reuse cannot act on the server: write client.tcp_tw_reuse"),
    "[[event]]\ndo = 'knob:tcp_rfc1337=2'\n": ":2: event.0.do: tcp_rfc1337: expected 0 or 1, got 2",
    "[[event]]\ndo = 'knob:tcp_rfc1337'\n": ":2: event.0.do: expected knob:NAME=VALUE, got 'tcp_rfc1337'",
    "[[event]]\ndo = 'listen:5s'\n": ":2: event.0.do: expected listen alone, got 'listen:5s'",
    "[[event]]\ndo = 'partition:0s'\n": (
        ":2: event.0.do: expected partition:TIME with a time above 0"),
    "[[event]]\nat = '-1s'\n": ":2: event.0.at: expected nothing negative, got '-1s'",
    "[[event]]\nat = '90s'\n": ":2: event.0.at: expected 0s to the end of the run, 60s, got 90s",
    "[[event]]\ndo = 'listen'\nreconnect_within = '1s'\n": (
        ":3: event.0.reconnect_within: expected reset-all beside it"),
    "[[flood]]\nname = 'f'\n": ":1: flood.0.rate: expected more than 0/s",
    "[[flood]]\nrate = 5\nduring = ['50s', '40s']\n": (
        ":3: flood.0.during: expected an end after the begin and within the run, 60s"),
    "[[flood]]\nrate = 5\nsources = '10.1.0.0/16'\n": (
        ":3: flood.0.sources: 10.1.0.0/16 has addresses of the simulation's own hosts (10.1.0.1 and up)"),
    "[[flood]]\nrate = 5\nsources = '203.0.113.1/24'\n": (
        ":3: flood.0.sources: expected 0.0.0.0/0, networks or reflect:N, got '203.0.113.1/24'; did you mean "
        "'203.0.113.0/24'?"),
    "[[flood]]\nrate = 5\nsources = 'relfect:3'\n": (
        ":3: flood.0.sources: expected networks or reflect:N, got 'relfect:3'; did you mean 'reflect'?"),
    "[run]\nwarmup = '60s'\n": ":2: run.warmup: expected less than duration, 60s",
    "[run]\nseries = '1ns'\n": ":2: run.series: expected at most 10,000,000 rows in the run, or 0 for none",
    "[client]\nfirst_addr = '10.0.0.1'\n": (
        ":2: client.first_addr: expected addresses that are not the server's, got 10.0.0.1 and 1 hosts"),
    "[link.burst]\nenter = 0.1\nleave = 0\n": ":1: link.burst: expected leave above 0: it never ends",
    # no TOML, no table
    "a =\n": ":1:4: no TOML: Invalid value",
    "load = 3\n": ":1: load: expected tables, each under [[load]], got 3",
    "link = 3\n": ":1: link: expected a table, got 3",
    "seed = 1" + "0" * 5000 + "\n": ": no TOML: Exceeds the limit",
    "schema = 2\n": ":1: schema: expected 1, the version that this program reads, got 2",
}  # fmt: skip


def test_every_mistake_has_its_line_and_the_right_word():
    found = {}
    for text in WRONG:
        try:
            Scenario.from_toml(text)
            found[text] = "nothing"
        except ScenarioError as error:
            found[text] = str(error).removeprefix("scenario")
    different = {text: said for text, said in found.items() if not said.startswith(WRONG[text])}
    assert different == {}


def test_the_file_is_named(tmp_path):
    path = tmp_path / "web.toml"
    path.write_text("[servr]\n")
    with pytest.raises(ScenarioError) as error:
        Scenario.from_toml(path)
    assert str(error.value) == f"{path}:1: unknown key 'servr'; did you mean 'server'?"
    with pytest.raises(ScenarioError, match="none.toml: No such file or directory"):
        Scenario.from_toml(str(tmp_path / "none.toml"))
    path.write_bytes(b"\xff")
    with pytest.raises(ScenarioError, match="no UTF-8 text: invalid start byte at byte 0"):
        Scenario.from_toml(path)
    with pytest.raises(ScenarioError, match="expected a path or TOML text, got 3"):
        Scenario.from_toml(3)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("10ms\nten\n", ":2: expected a time with its unit such as 250us, 40ms, 60s or 2h, got 'ten'"),
        (
            "10ms\n-1\n",
            ":2: expected a time with its unit such as 250us, 40ms, 60s or 2h, nothing negative, got",
        ),
        ("10ms\n,x\n", ":2: expected a time with its unit such as 250us, 40ms, 60s or 2h, got ''"),
        ("hold\n", ": expected a column of times, got none"),
    ],
)
def test_a_row_of_a_trace_that_is_no_time_is_told_by_its_line(tmp_path, monkeypatch, rows, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hold.csv").write_text(rows)
    with pytest.raises(ScenarioError) as error:
        Scenario.from_toml(LOAD + 'hold = "trace:hold.csv"\n')
    assert str(error.value).startswith(f"scenario:3: load.0.hold: hold.csv{said}")


def test_arrivals_of_a_trace_rise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arrivals.csv").write_text("1s\n3s\n2s\n")
    with pytest.raises(
        ScenarioError, match="arrivals.csv:3: expected a time at or after the one before, got '2s'"
    ):
        Scenario.from_toml('[[load]]\narrivals = "trace:arrivals.csv"\n')


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        (Scenario(schema=2), "schema: expected 1"),
        (Scenario(seed=-1), "seed: expected 0 to"),
        (Scenario(server=Server(listen=Listen(port=0))), "server.listen.port: expected 1 to"),
        (Scenario(server=Server(listen=Listen(addr="x"))), "server.listen.addr: expected an IPv4 address"),
        (Scenario(server=Server(knobs={"mss": 0})), "server.knobs.mss: mss: expected an integer"),
        (Scenario(client=Client(hosts=0)), "client.hosts: expected at least 1"),
        (Scenario(client=Client(first_addr="223.255.255.255", hosts=9)), "client.hosts: expected unicast"),
        (Scenario(link=Link(loss={"sny": 0.1})), "link.loss.sny: expected one of all"),
        (Scenario(link=Link(jitter_ns=-1)), "link.jitter: expected 0 to"),
        (Scenario(run=Run(duration_ns=0)), "run.duration: expected more than 0"),
        (Scenario(load=[Load()]), "load.0.rate: expected more than 0/s"),
        (Scenario(load=[Load(rate=1, patience_ns=-1)]), "load.0.patience: expected 0 to"),
        (Scenario(load=[Load(rate=1, arrivals="trace:")]), "load.0.arrivals: expected trace:FILE.csv"),
        (Scenario(flood=[Flood(rate=1e9)]), "flood.0.rate: expected 0 to 100,000,000"),
        (Scenario(threshold=[Threshold("served", ">=", float("nan"))]), "threshold.0.is: expected a number"),
    ],
)
def test_what_python_builds_is_checked_too(scenario, said):
    with pytest.raises(ScenarioError) as error:
        check(scenario)
    assert str(error.value).startswith(said)
