"""A scenario as a file: what is written is read back as the same scenario, whatever it is."""

import dataclasses
import pickle
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import loadgen
from loadgen.scenario import knobs
from loadgen.scenario.check import check
from loadgen.scenario.model import (
    KINDS,
    Accept,
    Burst,
    Client,
    Closes,
    Event,
    Flood,
    Link,
    Listen,
    Load,
    Run,
    Scenario,
    Server,
    Threshold,
    Tries,
)
from loadgen.scenario.numbers import LONGEST_NS, write_number, write_rate, write_share, write_time
from loadgen.scenario.toml import origins_of, print_config
from loadgen.scenario.values import Distribution

DAY = 86400 * 10**9
times = st.integers(0, DAY) | st.sampled_from([1, 999, 10**6, 10**9, 60 * 10**9, 3600 * 10**9])
positive = times.map(lambda time: time + 1)
shares = st.sampled_from([0.0, 1.0, 0.5, 1e-7]) | st.floats(0, 1)
rates = st.sampled_from([0.5, 1000.0, 1 / 3, 12_345.6]) | st.floats(1e-9, 1e9)
ns = st.floats(0, DAY) | times.map(float)
above = st.floats(1e-3, DAY) | positive.map(float)
words = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}x", fullmatch=True)
families = st.one_of(
    st.builds(Distribution, st.just("const"), ns),
    st.builds(Distribution, st.just("exp"), above),
    st.builds(Distribution, st.just("lognormal"), above, st.floats(0, 10)),
    st.builds(Distribution, st.just("normal"), ns, ns),
    st.builds(lambda a, b: Distribution("uniform", min(a, b), max(a, b)), ns, ns),
    st.builds(
        lambda found: Distribution("trace", samples=tuple(found)), st.lists(times, min_size=1, max_size=4)
    ),
)
by_kind = st.dictionaries(st.sampled_from(("all", *KINDS)), st.floats(0, 0.5), max_size=4)
server_knobs = st.fixed_dictionaries({}, optional={
    "tcp_syncookies": st.integers(0, 2), "somaxconn": st.integers(0, 2**31 - 1), "mss": st.integers(1, 65535),
    "synq_policy": st.sampled_from(["linux", "drop-new"]), "window_rounding": st.just("none"),
    "keepinit_ms": st.none() | st.integers(1, 1000), "auto_read": st.booleans(),
})  # fmt: skip
client_knobs = st.fixed_dictionaries({}, optional={
    "ip_local_port_range": st.just((1024, 65535)), "tcp_tw_reuse": st.integers(0, 2),
    "time_wait_ms": st.integers(0, 10**6),
})  # fmt: skip
texts = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs", "Cf", "Cn", "Co"]), max_size=20
)


@st.composite
def stalls(draw):
    period = draw(st.integers(2, DAY))
    return draw(st.just((0, 0)) | st.integers(1, period - 1).map(lambda length: (length, period)))


@st.composite
def closes(draw):
    server = draw(shares)
    return Closes(server, draw(st.just(0.0) | st.floats(0, 1 - server)))


@st.composite
def shapes(draw):
    points = sorted(draw(st.lists(times, max_size=3)))
    return tuple((time, draw(st.just(0.5) | rates)) for time in (0, *points))


@st.composite
def loads(draw, name, duration):
    trace = tuple(sorted(draw(st.lists(times, max_size=3))))
    return Load(
        name, "trace:" if trace else draw(st.sampled_from(["poisson", "paced"])), trace, draw(shapes()),
        draw(st.none() | st.integers(1, 2**40)), draw(st.integers(0, 1000)),
        start := draw(st.integers(0, duration - 1)), draw(families),
        draw(st.none() | st.integers(start, LONGEST_NS)), draw(st.just(0.0) | rates),
        draw(st.integers(1, 1 << 20)), draw(st.integers(0, 2**30)), draw(st.integers(0, 2**30)),
        draw(st.sampled_from(["client", "server", "nobody"])), draw(times), draw(times),
        draw(st.builds(Tries, st.integers(0, 1000), positive, st.floats(0.01, 1000), shares)),
    )  # fmt: skip


@st.composite
def floods(draw, name, duration):
    start = draw(st.integers(0, duration - 1))
    return Flood(
        name, draw(st.sampled_from(["syn", "ack", "rst", "fin"])), draw(st.floats(1e-9, 1e8)),
        draw(st.sampled_from(["paced", "poisson"])), start,
        draw(st.none() | st.integers(start + 1, duration)),
        draw(st.sampled_from(["0.0.0.0/0", "random", "reflect:7", "203.0.113.0/24, 198.51.100.7"])),
    )  # fmt: skip


@st.composite
def events(draw, duration):
    at = draw(st.integers(0, duration))
    do = draw(st.sampled_from(["reset-all", "unlisten", "listen", "stall", "partition", "knob"]))
    return Event(
        at, do, draw(positive) if do in ("stall", "partition") else 0,
        draw(st.sampled_from(["tcp_syncookies=0", "client.tcp_tw_reuse=1", "both.time_wait_ms=900"]))
        if do == "knob" else "",
        draw(st.none() | times) if do == "reset-all" else None,
    )  # fmt: skip


@st.composite
def scenarios(draw):
    duration = draw(st.integers(1, LONGEST_NS))
    names = draw(st.lists(words, max_size=3, unique=True))
    late = draw(st.sampled_from([(0, 0.0), (10**10, 1e-7)]))
    return Scenario(
        1, draw(texts), draw(st.integers(0, 2**64 - 1)),
        Server(draw(st.sampled_from(["linux", "freebsd", "strict"])),
               draw(st.sampled_from([None, "now.txt"])),
               draw(server_knobs),
               Listen("192.0.2.1", draw(st.integers(1, 65535)), draw(st.none() | st.integers(0, 2**31 - 1)),
                      draw(st.integers(1, 1024))),
               draw(stalls().flatmap(lambda stall: st.builds(
                   Accept, families, st.integers(1, 1 << 16), st.just(stall[0]), st.just(stall[1])))),
               draw(closes())),
        Client("linux", None, draw(client_knobs), draw(st.integers(1, 1 << 20)), draw(st.integers(1, 250)),
               kernel=draw(st.sampled_from([None, "5.15", "4.4.0-generic"]))),
        [draw(loads(name, duration)) for name in names],
        [draw(floods(name, duration)) for name in names[:1]],
        draw(st.lists(events(duration), max_size=3)),
        Link(draw(families), draw(by_kind), draw(st.builds(Burst, shares, st.floats(1e-9, 1), shares)),
             draw(by_kind),
             draw(times), draw(shares), draw(times), draw(times), *late),
        Run(duration, draw(st.none() | st.integers(0, duration - 1)), draw(st.integers(1, 10_000)),
            draw(st.just(0) | st.integers(max(1, duration // 10**6), LONGEST_NS)), draw(st.booleans()),
            draw(st.integers(1, 1 << 20))),
        draw(st.lists(st.builds(Threshold, words, st.sampled_from([">=", "<=", ">", "<", "==", "!="]),
                                st.floats(0, allow_infinity=False), texts), max_size=2)),
    )  # fmt: skip


@settings(deadline=None)
@given(scenarios())
def test_what_is_written_is_read_back(scenario):
    check(scenario)
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario


@settings(deadline=None, max_examples=30)
@given(scenarios())
def test_what_is_printed_with_origins_is_read_back(scenario):
    scenario = dataclasses.replace(scenario, server=dataclasses.replace(scenario.server, sysctl=None))
    assert Scenario.from_toml(print_config(scenario)) == scenario


def test_the_default_is_two_lines():
    assert Scenario().to_toml() == "schema = 1\n"
    assert Scenario.from_toml("schema = 1\n") == Scenario.from_toml("") == Scenario()


def test_a_scenario_of_python_is_a_file():
    scenario = loadgen.Scenario(load=[loadgen.Load(rate="3k/s", hold="exp:100ms")])
    assert scenario.load[0].shape == ((0, 3000.0),)
    assert scenario.load[0].hold == Distribution("exp", 1e8)
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    assert dataclasses.replace(scenario.load[0], count=3).shape == ((0, 3000.0),)
    with pytest.raises(loadgen.ScenarioError, match="expected a rate such as"):
        loadgen.Load(rate="3k/sek")
    with pytest.raises(loadgen.ScenarioError, match="expected exp:MEAN"):
        loadgen.Load(hold="exp:0s")


@given(st.floats(0, LONGEST_NS) | st.integers(0, LONGEST_NS))
def test_a_time_is_written_exactly(time):
    text = write_time(time)
    number = text.rstrip("nusmhi")
    size = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
    assert Decimal(number) * size[text[len(number) :]] == Decimal(repr(time))


def test_numbers_are_written_as_one_would():
    assert [write_time(t) for t in (0, 1, 1500, 40_000_000, 1_500_000_000, 60 * 10**9)] == [
        "0s", "1ns", "1.5us", "40ms", "1.5s", "60s"]  # fmt: skip
    assert [write_rate(r) for r in (0.0, 0.5, 200.0, 3000.0, 1_500_000.0)] == [
        "0/s",
        "0.5/s",
        "200/s",
        "3k/s",
        "1.5M/s",
    ]
    assert [write_share(s) for s in (0.0, 0.001, 1.0, 1e-7)] == ["0%", "0.1%", "100%", 1e-7]
    assert [write_number(n) for n in (1.0, 0.999)] == ["1", "0.999"]


# -- files -----------------------------------------------------------------------------------------


def test_a_trace_is_found_beside_the_file_and_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "hold.csv").write_text("hold,comment\n10ms,a\n0.5\n\n# no more\n")
    (tmp_path / "conf" / "web.toml").write_text(
        '[[load]]\narrivals = "trace:hold.csv"\nhold = "trace:hold.csv"\n'
    )
    (tmp_path / "conf" / "hold.csv").write_text("hold,comment\n10ms,a\n0.5,b\n\n# no more\n")
    monkeypatch.chdir(tmp_path)
    scenario = Scenario.from_toml("conf/web.toml")
    assert scenario.load[0].hold == Distribution("trace", samples=(10**7, 5 * 10**8), source="conf/hold.csv")
    assert scenario.load[0].times_ns == (10**7, 5 * 10**8)
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    monkeypatch.chdir(tmp_path / "conf")
    assert Scenario.from_toml(tmp_path / "conf" / "web.toml").load[0].hold.samples == (10**7, 5 * 10**8)


def test_print_config_says_who_set_what(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "now.txt").write_text("net.ipv4.tcp_synack_retries = 2\n")
    (tmp_path / "web.toml").write_text(
        '[server]\nsysctl = "now.txt"\nprofile = "freebsd"\nlisten = { port = 443 }\n'
        '[[load]]\nname = "a"\nrate = "1k/s"\n[link]\nrtt = "40ms"\n'
    )
    scenario = Scenario.from_toml("web.toml").replace(
        {"load.hold": "1s", "server.knobs.mss": 900, "link.loss.syn": "1%"}
    )
    text = print_config(scenario, {
        **origins_of("web.toml"), "load.hold": "flag --hold", "server.knobs.mss": "flag -o",
        "link.loss": "flag --loss",
    })  # fmt: skip
    origins = {}
    for line in text.splitlines():
        entry, mark, origin = line.rpartition(" # ")
        if mark:
            origins[entry.partition(" =")[0].removeprefix("# ")] = origin
    assert origins["port"] == "file web.toml:4" and origins["addr"] == "default"
    assert (
        origins["hold"] == "flag --hold" and origins["mss"] == "flag -o" and origins["syn"] == "flag --loss"
    )
    assert origins["rtt"] == "file web.toml:9"
    assert origins["tcp_synack_retries"] == "sysctl now.txt"
    assert origins["accept_queue_rule"] == "profile freebsd"
    assert origins["seed"] == "default"
    assert Scenario.from_toml(text) == scenario
    assert "preset" in print_config(scenario) and "flag -" not in print_config(scenario)


def test_the_knobs_that_are_of_one_end_exist():
    both = knobs.SERVER_ONLY | knobs.CLIENT_ONLY
    assert both <= set(knobs.DECLARED)
    assert not knobs.SERVER_ONLY & knobs.CLIENT_ONLY


def test_all_at_once_is_written():
    scenario = Scenario(load=[Load(rate="inf", count=3)])
    assert 'rate = "inf"\n' in scenario.to_toml()
    assert (
        Scenario.from_toml(scenario.to_toml())
        == scenario
        == Scenario.from_toml("[[load]]\nrate = inf\ncount = 3\n")
    )
    with pytest.raises(loadgen.ScenarioError, match="load.0.rate: expected count = N beside inf"):
        check(Scenario(load=[Load(rate="inf")]))
