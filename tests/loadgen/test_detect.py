"""Floods told from the queue alone, and honest crowds that are none."""

import dataclasses

import numpy as np
import pytest

from loadgen.cli.comparing import variants
from loadgen.cli.spellings import POLICIES
from loadgen.sim.detect import Alarm, Window, detect, judge, series
from tests.loadgen.playing import document_of, scenario_of

MS = 1_000_000
S = 1000 * MS
ROOM = 100
NOBODY = np.empty(0, dtype=np.uint32)


def windows(*rows):
    """(added, answered, half_open) and by name what else differs, 100 ms each."""
    zero = Window(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NOBODY)
    return [
        dataclasses.replace(
            zero, begin_ns=i * 100 * MS, end_ns=(i + 1) * 100 * MS, added=added, answered=answered,
            half_open=half_open, **more,
        )
        for i, (added, answered, half_open, more) in enumerate(rows)
    ]  # fmt: skip


CALM = (20, 20, 2, {})
SILENT = (20, 0, 90, {})


def spans(alarms):
    return [(alarm.begin_ns // (100 * MS), alarm.end_ns // (100 * MS)) for alarm in alarms]


def test_silence_under_pressure_is_a_flood():
    alarms = detect(windows(*[CALM] * 20, *[SILENT] * 20, *[CALM] * 20), ROOM, 40 * MS)
    assert spans(alarms) == [(20, 40)]
    assert alarms[0].unanswered == 1.0


def test_answers_are_none_however_full_the_queue():
    assert detect(windows(*[(50, 50, 100, {"refused": 500})] * 40), ROOM, 40 * MS) == []


def test_silence_without_pressure_is_none():
    assert detect(windows(*[(20, 0, 10, {})] * 40), ROOM, 40 * MS) == []


def test_few_silent_windows_are_none():
    assert detect(windows(*[CALM] * 20, *[(20, 5, 90, {})] * 2, *[CALM] * 20), ROOM, 40 * MS) == []


def test_cookies_that_come_back_are_answers():
    honest = (0, 0, 100, {"cookies": 50, "returned": 50})
    flood = (0, 0, 100, {"cookies": 500, "returned": 50})
    assert detect(windows(*[honest] * 60), ROOM, 40 * MS) == []
    assert spans(detect(windows(*[honest] * 20, *[flood] * 20, *[honest] * 20), ROOM, 40 * MS)) == [(20, 40)]


def test_a_dispersed_flood_is_believed_sooner():
    def raised(sources):
        told = windows(*[CALM] * 20, *[SILENT] * 20, *[CALM] * 20)
        told = [dataclasses.replace(w, sources=sources) for w in told]
        return detect(told, ROOM, 40 * MS)[0]

    scattered, neighbours = np.arange(50, dtype=np.uint32) << 16, np.arange(50, dtype=np.uint32)
    assert raised(scattered).raised_ns < raised(neighbours).raised_ns
    assert (raised(scattered).dispersion, raised(neighbours).dispersion) == (1.0, 0.0)


def test_while_everybody_is_refused_it_goes_on():
    shut = (0, 0, 100, {"refused": 200})
    peace = (0, 0, 100, {"refused": 5})
    rows = [*[CALM] * 20, (120, 0, 100, {"refused": 80}), *[shut] * 20, *[peace] * 20]
    assert spans(detect(windows(*rows), ROOM, 40 * MS)) == [(20, 41)]


def test_judging():
    alarms = [Alarm(9 * S, 21 * S, 10 * S, 1.0, None), Alarm(50 * S, 51 * S, 51 * S, 1.0, None)]
    assert judge(alarms, [(10 * S, 20 * S), (30 * S, 31 * S)]) == {
        "floods": 2, "found": 1, "false_alarms": 1, "raised_after_ms": 0.0, "begin_error_ms": -1000.0,
        "end_error_ms": 1000.0,
    }  # fmt: skip


def test_series_add_up():
    told = windows(*[(1, 1, i, {}) for i in range(1000)])
    rows = series(told, 240)
    assert len(rows["time_ms"]) <= 240
    assert sum(rows["added"]) == 1000
    assert rows["half_open"][-1] == 999


# -- on real queues ---------------------------------------------------------------------


def variant(name, **more):
    options = {"duration": "12s", "patience": "2s", "backlog": 256, "rtt": "40ms", "speaks": "nobody",
               "hold": "1h", "honest_bursts": 0, **more}  # fmt: skip
    return variants(scenario_of("flood", **options), POLICIES, set())[name]


NAMES = [
    name for policy in POLICIES for name in (policy.replace("-", "_"), policy.replace("-", "_") + "_cookies")
]


@pytest.mark.parametrize("name", NAMES)
def test_a_flood_is_found_where_it_was(name):
    document = document_of(variant(
        name, duration="7s", connections=1000, rate=200, flood_rate=5000, flood_arrivals="poisson",
        during="1537ms,4012ms"), "flood")  # fmt: skip
    found = document["results"]["detection"]
    assert (found["floods"], found["found"], found["false_alarms"]) == (1, 1, 0)
    assert abs(found["begin_error_ms"]) <= 100
    assert abs(found["end_error_ms"]) <= 200
    assert found["raised_after_ms"] < (4000 if name.startswith("freebsd") else 1500)
    assert document["metrics"]["detection.found"]["value"] == 1


def test_a_flood_of_half_the_honest_rate():
    document = document_of(variant(
        "evict_oldest", connections=2000, rate=200, flood_rate=100, during="2s,9s", sources="203.0.113.0/24"),
        "flood")  # fmt: skip
    assert document["results"]["detection"]["found"] == 1
    assert document["detection"]["alarms"][0]["dispersion"] < 0.5


@pytest.mark.parametrize("rtt", [1, 200, 600])
@pytest.mark.parametrize("name", ["linux", "drop_new_cookies", "evict_oldest", "freebsd_cookies"])
def test_honest_crowds_raise_no_alarm(rtt, name):
    """Each larger than the backlog, within a quarter of a second, every client from a network of its own."""
    scenario = variant(name, flood_rate=1, duration="1s", rtt=f"{rtt}ms", loss="2%")
    told = document_of(scenario.replace({"run.honest_bursts": 4}), "flood")["results"]["detection"]
    crowds = {key: told[key] for key in ("honest_bursts", "burst_size", "alarms_on_bursts")}
    assert crowds == {"honest_bursts": 4, "burst_size": 384, "alarms_on_bursts": 0}
