"""A scenario changed by dotted paths, ends of paths and knobs."""

import numpy as np
import pytest

from loadgen.scenario import ScenarioError
from loadgen.scenario.model import Event, Flood, Load, Scenario, Tries
from loadgen.scenario.numbers import LONGEST_NS
from loadgen.scenario.paths import every_path, resolve_path, total_peak
from loadgen.scenario.values import Distribution

SECOND = 10**9
TWO = Scenario(
    load=[Load("web", rate=3000), Load("api", rate=1000, hold="1s")], flood=[Flood("spoofed", rate=5.0)]
)


def test_a_path_an_end_of_one_and_a_knob():
    scenario = TWO.replace({
        "server.listen.backlog": 1023, "workers": 4, "server.accept.time": "exp:100us", "stall": "250ms/2s",
        "load.api.hold": "exp:100ms", "load.web.tries": "3,500ms*3,0.5",
        "tcp_syncookies": 0, "client.tcp_tw_reuse": 1, "both.mss": 1400, "server.closes": "mix:0.3",
        "link.loss": "1%", "link.loss.third-ack": 0.02, "link.late.after": "10s", "late.share": 1e-7,
        "run.warmup": "auto", "flood.spoofed.rate": "7k/s", "duration": 120,
    })  # fmt: skip
    assert scenario.server.listen.backlog == 1023 and scenario.server.accept.workers == 4
    assert scenario.server.accept.time == Distribution("exp", 1e5)
    assert scenario.server.knobs == {"tcp_syncookies": 0, "mss": 1400}
    assert scenario.client.knobs == {"tcp_tw_reuse": 1, "mss": 1400}
    assert scenario.server.closes.server == 0.3
    assert scenario.load[0].tries == Tries(3, SECOND // 2, 3.0, 0.5) and scenario.load[0].hold.is_zero
    assert scenario.load[1].hold == Distribution("exp", 1e8)
    assert scenario.link.loss == {"all": 0.01, "third-ack": 0.02}
    assert (scenario.link.late_after_ns, scenario.link.late_share) == (10 * SECOND, 1e-7)
    assert scenario.flood[0].rate == 7000 and scenario.run.duration_ns == 120 * SECOND
    assert scenario.run.warmup_ns is None
    assert TWO.server.knobs == {}


def test_numbers_are_in_base_units_and_may_be_those_of_numpy():
    scenario = TWO.replace({
        "link.rtt": 0.04, "load.rate": np.float64(8000), "backlog": np.int64(5),
        "load.hold": 2, "link.loss.all": 0.01,
    })  # fmt: skip
    assert scenario.link.rtt == Distribution("const", 4e7)
    assert [load.shape for load in scenario.load] == [((0, 6000.0),), ((0, 2000.0),)]
    assert scenario.server.listen.backlog == 5 and scenario.load[0].hold == Distribution("const", 2e9)


def test_tables_and_objects_are_taken_too():
    scenario = TWO.replace({
        "server.listen": {"port": 443}, "client.knobs": {"mss": 900}, "load.0": Load("other", rate=1),
        "event": [Event(SECOND), {"at": "2s", "do": "listen"}], "load.1.tries": {"count": 2},
    })  # fmt: skip
    assert scenario.server.listen.port == 443 and scenario.client.knobs == {"mss": 900}
    assert scenario.load[0].name == "other" and scenario.load[1].tries == Tries(2)
    assert scenario.event == (Event(SECOND), Event(2 * SECOND, "listen"))


def test_load_rate_scales_all_loads_to_a_total_peak():
    ramp = Load("ramp", shape=((0, 0.0), (10 * SECOND, 1000.0), (20 * SECOND, 0.0)), start_ns=5 * SECOND)
    step = Load("step", shape=((0, 100.0), (15 * SECOND, 100.0), (15 * SECOND, 400.0)))
    assert total_peak([ramp]) == 1000 and total_peak([step]) == 400
    assert total_peak([ramp, step]) == 1400  # at 15 s the ramp is at its height
    scenario = Scenario(load=[ramp, step]).replace({"load.rate": "2800/s"})
    assert total_peak(scenario.load) == 2800
    assert scenario.load[0].shape[1] == (10 * SECOND, 2000.0) and scenario.load[1].shape[2] == (
        15 * SECOND,
        800.0,
    )
    assert TWO.replace({"load.web.rate": 10}).load[0].shape == ((0, 10.0),)
    assert Scenario(load=[Load(count=9, rate="inf")]).replace({"load.rate": 10}).load[0].shape == ((0, 10.0),)


def test_a_place_is_cleared_by_none():
    scenario = TWO.replace({"backlog": 5, "load.web.count": 7}).replace(
        {"backlog": "none", "load.web.count": None}
    )
    assert scenario.server.listen.backlog is None and scenario.load[0].count is None


def test_every_end_that_is_the_end_of_no_other_is_found():
    paths = every_path(TWO)
    for path in paths:
        words = path.split(".")
        ends = [".".join(words[i:]) for i in range(1, len(words))]
        for end in ends:
            if sum(f".{other}".endswith(f".{end}") for other in paths) == 1:
                assert resolve_path(TWO, end) == path
    assert resolve_path(TWO, "server.backlog") == "server.listen.backlog"
    assert resolve_path(TWO, "synq_policy") == "server.knobs.synq_policy"
    assert resolve_path(TWO, "client.time_wait_ms") == "client.knobs.time_wait_ms"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backlgo": 3}, "backlgo: no such place and no such knob; did you mean 'backlog'?"),
        ({"tcp_syncokies": 3},
         "tcp_syncokies: no such place and no such knob; did you mean 'tcp_syncookies'?"),
        ({"server.backlgo": 3}, "server.backlgo: no such place and no such knob; did you mean 'backlog'?"),
        ({"server.lisen.port": 3}, "server.lisen.port: server: unknown key 'lisen'; did you mean 'listen'?"),
        ({"rate": 3}, "rate: expected one place, could be load.rate, flood.rate"),
        ({"tcp_tw_reuse": 1}, "the knob tcp_tw_reuse cannot act on the server: write client.tcp_tw_reuse"),
        ({"server.tcp_tw_reuse": 1},
         "server.tcp_tw_reuse: server.knobs.tcp_tw_reuse: the knob tcp_tw_reuse cannot "
                                     "act on the server: write client.tcp_tw_reuse"),
        ({"client.tcp_syncookies": 1},
         "client.tcp_syncookies: client.knobs.tcp_syncookies: the knob tcp_syncookies "
                                       "cannot act on the client: write server.tcp_syncookies"),
        ({"both.tcp_syncookies": 1},
         "both.tcp_syncookies: the knob tcp_syncookies acts on one end only: write "
                                     "server.tcp_syncookies"),
        ({"load.wbe.hold": 1}, "load.wbe.hold: load: unknown key 'wbe'; did you mean 'web'?"),
        ({"load.7.hold": 1}, "load.7.hold: load: unknown key '7' (there are: web, api)"),
        ({"event.at": 1}, "event.at: event: there is no event in the scenario"),
        ({"link.loss.sny": 1}, "link.loss.sny: expected kinds of segment"),
        ({"link.rtt.mean": 1}, "link.rtt.mean: link.rtt: unknown key 'mean'; rtt is one value"),
        ({"server.listen.backlog": -1}, "server.listen.backlog: expected 0 to 2147483647, got -1"),
        ({"load.hold": -1}, "load.hold: expected a time with its unit such as 30ms"),
        ({"load.rate": "3k/sek"}, "load.rate: expected a rate such as"),
        ({"server.closes": "clent"},
         "server.closes: expected client, server, both, turns, mix:SHARE or reset:SHARE, got 'clent'; "
                                     "did you mean 'client'?"),
        ({"run.duration": "0s"}, "run.duration: expected more than 0"),
        ({"run.duration": LONGEST_NS}, "run.duration: expected at most 365d"),
        ({"": 1}, ": no such place"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(changes, said):
    with pytest.raises(ScenarioError) as error:
        TWO.replace(changes)
    assert str(error.value).startswith(said)
