"""What holds of every answer: its document, two runs of it, what is solved for, and how it is reconciled."""

import csv
import html
import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from loadgen.plan import recorded
from loadgen.plan.answers import AGREE, EXPLAINED, UNEXPLAINED, reasons, reconciled
from loadgen.plan.play import EFFORTS, Player, segments_per_s
from loadgen.plan.text import WIDE, as_text
from loadgen.plan.topics import backlog
from loadgen.replicates import Played
from loadgen.report.result import read_document
from loadgen.scenario.model import Client, Flood, Load, Run, Scenario
from tests.plan.long import LONG, covered
from tests.plan.page import BLOCK_COMMANDS, run

SCHEMA = json.loads((resources.files("loadgen.report") / "schema.json").read_text())
VALID = jsonschema.Draft202012Validator(SCHEMA)
SHORT = {
    "backlog": "backlog --rate 300 --backlog 15 --accept-stall 100ms/1s --duration 5s --seeds 4",
    "accept": "accept --rate 300 --backlog 3 --accept-time exp:2ms --duration 60s --seeds 4",
    "herd": "herd --clients 2k --accept-time 1ms --backlog 63 --horizon 5s --vs within=3s --seeds 4",
    "ports": "ports --rate 60 --clients 1 --ports 40000-40099 --hold 10ms --time-wait 1s --duration 40s "
             "--seeds 4",
    "time-wait": "time-wait --rate 1k --time-wait 5s --late 10s:1e-6",
    "memory": "memory --established 1k --rate 100",
    "flood": "flood --flood-rate 1k --rate 50 --backlog 64 --vs tcp_syncookies=0 --duration 3s --seeds 4",
    "all": "all --rate 300 --backlog 63 --accept-time exp:1ms --duration 5s --seeds 4",
}  # fmt: skip


def answer(command):
    code, printed, errors = run(f"loadgen plan {command}")
    assert code in (0, 1), errors
    return printed


def document(command):
    found = json.loads(answer(f"{command} --format json"))
    VALID.validate(found)
    return found


@pytest.mark.parametrize("topic", SHORT)
def test_the_document_is_what_the_schema_says_and_a_second_run_is_the_same(topic):
    first, second = document(SHORT[topic]), document(SHORT[topic])
    assert first["plan"]["topic"] == topic and first["kind"] == "plan"
    assert first["plan"]["state"] != UNEXPLAINED, first["theory"]
    assert {**first, "wall": 0} == {**second, "wall": 0}
    assert read_document(first).kind == "plan"


@pytest.mark.parametrize("topic", [topic for topic in SHORT if topic not in ("herd", "flood")])
def test_without_a_simulation_the_verdict_says_so(topic):
    found = document(SHORT[topic].replace("--duration 5s", "") + " --no-sim")
    assert "formula only" in found["verdict"]["sentence"]
    assert found["outcomes"]["attempted"] == 0 and not found["plan"]["simulated"]


def test_jobs_change_nothing():
    one, two = (document(f"{SHORT['ports']} --jobs {jobs}") for jobs in (1, 2))
    assert {**one, "wall": 0} == {**two, "wall": 0}


def test_a_flood_with_alternatives_is_the_question_of_plan_flood():
    options = SHORT["flood"].removeprefix("flood ")
    one, other = (json.loads(run(f"loadgen {command} {options} --effort quick --format json")[1])
                  for command in ("flood", "plan flood"))  # fmt: skip
    assert one["command"].startswith("loadgen flood ") and "--vs tcp_syncookies=0" in one["command"]
    assert {**one, "wall": 0, "command": 0} == {**other, "wall": 0, "command": 0}


@pytest.mark.parametrize(("given", "code", "said"), [
    ("--vs tcp_syncookies=0 --compare all", 2, "--compare cannot be combined with --vs"),
    ("--vs tcp_syncookies=0 --policy linux", 2, "--policy cannot be combined with --vs"),
    ("--effort quick", 2, "--effort: of --vs alone"),
    ("--vs tcp_syncookies=0 --during 1s,2s", 3, "without pauses, beginning and end"),
    ("--vs tcp_syncookie=0", 3, "did you mean 'tcp_syncookies'?"),
])  # fmt: skip
def test_what_a_flood_with_alternatives_refuses(given, code, said):
    found, printed, errors = run(f"loadgen flood --flood-rate 1k {given}")
    assert (found, printed) == (code, "") and said in errors


@pytest.mark.parametrize(("given", "left", "value"), [
    ("ports --rate 12k --ports 1024-65535 --hold 30ms --time-wait 120s", "clients", 23),
    ("ports --rate 500 --clients ? --hold 30ms", "clients", 2),
    ("ports --clients 1 --hold 30ms", "rate", 463.2),
    ("accept --rate 3k --backlog 511", "accept_time", 330e3),
    ("accept --rate 3k --accept-time exp:330us", "backlog", 458),
    ("accept --backlog 511 --accept-time exp:330us", "rate", 3003),
    ("backlog --backlog 835 --accept-stall 250ms/2s", "rate", 3000),
    ("time-wait --rate 940 --clients 1", "time_wait", 29e9),
])  # fmt: skip
def test_one_unknown_is_solved_for(given, left, value):
    found = document(f"{given} --no-sim")
    assert found["plan"]["unknown"] == left
    assert found["verdict"]["answer"] == pytest.approx(value, rel=0.02)


def test_what_is_solved_for_meets_the_target_and_one_less_does_not():
    answer_of = lambda clients: document(  # noqa: E731
        f"ports --rate 12k --ports 1024-65535 --hold 30ms --time-wait 120s --clients {clients} --no-sim"
    )["plan"]["figures"]["refused"]["value"]
    assert answer_of(23) <= 1e-4 < answer_of(22)


# -- formula and simulation


def row(state, holds):
    return {"row": "Erlang B", "state": state, "preconditions": [{"what": "calm", "holds": holds}]}


class Shown:
    def __init__(self, *rows):
        self.theory = list(rows)


def test_the_worst_row_decides_and_gives_its_reason():
    assert reconciled(None) == ("formula only", [])
    assert reconciled(Shown())[0] == "undecided"
    assert reconciled(Shown(row(AGREE, True)))[0] == AGREE
    assert reconciled(Shown(row(AGREE, True), row(EXPLAINED, False)))[0] == EXPLAINED
    assert reconciled(Shown(row(EXPLAINED, False), row(UNEXPLAINED, True)))[0] == UNEXPLAINED
    assert reasons([row(EXPLAINED, False), row(AGREE, False)]) == ["calm"]


def test_what_is_unexplained_has_no_answer_and_exit_code_1(monkeypatch):
    from loadgen.plan.topics import ports

    monkeypatch.setattr(ports, "_near", lambda now, seen: False)
    code, printed, errors = run("loadgen plan ports --rate 10 --clients 1 --hold 10ms --time-wait 1s "
                                "--duration 5s --seeds 4")  # fmt: skip
    assert code == 1
    assert "no answer" in printed and "please report" in printed and "please report" in errors


def test_an_interruption_leaves_the_formulas(monkeypatch):
    from loadgen import signals
    from loadgen.cli import playing

    monkeypatch.setattr(signals, "_received", 0)  # other tests of this process have sent some
    monkeypatch.setattr(playing, "play", lambda jobs, **_: Played([None] * len(jobs), True))
    code, printed, _ = run("loadgen plan ports --rate 500 --clients 1 --hold 30ms")
    assert code == 130
    assert "cut short" in printed and "470.3/s" in printed and "partial: interrupted" in printed
    code, printed, _ = run("loadgen plan ports --rate 500 --clients 1 --hold 30ms --format json")
    found = json.loads(printed)
    VALID.validate(found)
    assert code == 130 and found["partial"] and found["status"] == "partial"


def test_a_run_that_is_too_short_is_undecided():
    found = document("accept --rate 3k --backlog 511 --effort quick")
    assert found["plan"]["state"] == "undecided"
    assert "too short" in found["verdict"]["sentence"]


def test_what_make_theory_asks_of_a_busy_queue_at_effort_long():
    """Here of a small queue, which a short run shows."""
    small = "loadgen plan accept --backlog 7 --accept-time exp:5ms --threshold listen_drop_ratio<=0.05"
    assert covered(small, "quick", "--jobs 1 --seeds 4")
    assert all(run(f"{command} --no-sim")[0] == 0 for command in LONG)


def test_effort_is_work():
    slow, fast = (Scenario(load=[Load(rate=rate)], client=Client(hosts=100)) for rate in (100.0, 1000.0))
    assert segments_per_s(fast) == pytest.approx(10 * segments_per_s(slow))
    quick, long = (Player(EFFORTS[name]) for name in ("quick", "long"))
    scenario, short = quick.timed(fast, 1e4)
    assert short and scenario.run.duration_ns / 1e9 == pytest.approx(1e6 / segments_per_s(fast), rel=0.02)
    scenario, short = long.timed(fast, 588.61)
    assert not short and scenario.run.duration_ns == 589 * 10**9


def test_a_flood_counts_as_work():
    calm = Scenario(load=[Load(rate=10.0)], client=Client(hosts=10), run=Run())
    flooded = Scenario(load=calm.load, flood=[Flood(rate=1000.0)], client=calm.client)
    assert segments_per_s(flooded) > segments_per_s(calm) + 1000


# -- beside a recording


def test_the_recorded_floods_are_the_recording():
    path = Path(__file__).parents[1] / "data" / "flood_table.csv"
    rows = [
        tuple(float(line[name]) for name in recorded.Flooded.__dataclass_fields__)
        for line in csv.DictReader(path.read_text().splitlines())
    ]
    assert [tuple(map(float, vars(one).values())) for one in recorded.FLOODS] == rows


def test_the_kernel_is_inside_the_interval_and_the_formula_is_marked():
    command = next(one for one in BLOCK_COMMANDS if " flood " in one)
    found = document(command.removeprefix("loadgen "))
    seen, kernel = (found["plan"]["figures"][f"cookies off.{name}"] for name in ("first_try", "kernel"))
    assert seen["low"] <= kernel["value"] == 0.041 <= seen["high"]
    (marked,) = [one for one in found["theory"] if "cookies off" in one["row"]]
    assert marked["state"] == EXPLAINED


# -- the page of a narrow terminal


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_narrow_terminal_gets_shorter_lines(width):
    from loadgen.plan.answers import Answer, Line, Table, Value

    said = Answer("ports", "word " * 60, "refused_ratio", Value(0.1, "ratio", "F"), AGREE)
    said.limits = [Line("limits now", "ports 28,232 by ip_local_port_range " * 4, "R")]
    said.parts = [
        Table(("", "connected", "served by 5 s", "longest wait", ""),
              [("backlog=65535, somaxconn=65535", "200,000", "123,501", "> 30 s", "trying " * 8)], ["S"]),
    ]  # fmt: skip
    said.assumed, said.not_modelled = ["this " * 30], ["that " * 30]
    text = as_text(said, ["virtual 1 s", "wall 1 s", "reproduce: loadgen " + "--rate 1k " * 20], width)
    assert max(map(len, text.splitlines())) <= width < WIDE
    assert "123,501" in text and "200,000" in text


# -- the smallest backlog


@pytest.mark.parametrize(("enough", "first"), [(794, 835), (100, 43), (1, 43), (43, 43), (500, 1000)])
def test_the_smallest_backlog_is_looked_for_up_and_down(monkeypatch, enough, first):
    played = []

    def play(case, asked, backlog):
        played.append(backlog)
        return backlog

    monkeypatch.setattr(backlog, "_play", play)
    target = lambda result, case: {"state": "met" if result >= enough else "missed"}  # noqa: E731
    monkeypatch.setattr(backlog, "_target", target)
    found = backlog._look(None, None, first, False)
    assert played == [835, 794, 755] or enough != 794, "a miss one step below ends it"
    assert played[0] == first and found.need == found.result and len(set(played)) == len(played) <= 8
    assert enough <= found.need and (found.misses or 0) < enough
    if len(played) < 8:
        assert found.need - (found.misses or 0) <= max(1, found.need / 20)


def test_no_backlog_that_was_tried_is_enough(monkeypatch):
    monkeypatch.setattr(backlog, "_play", lambda case, asked, backlog: backlog)
    monkeypatch.setattr(backlog, "_target", lambda result, case: {"state": "missed"})
    found = backlog._look(None, None, 100, False)
    assert (found.need, found.tried) == (0, 8) and found.misses == 420


# -- as a page


def test_an_answer_is_a_page_and_its_file_is_the_same_page(tmp_path):
    for name in ("a.html", "a.json"):
        assert run(f"loadgen plan {SHORT['ports']} --remedies -O {tmp_path / name}")[0] == 0
    text = (tmp_path / "a.html").read_text()
    assert "<script" not in text and "<td>need</td>" in text and "<th>cost or risk</th>" in text
    assert "Clients per second" in text and "do the clients' ports last" in html.unescape(text)
    assert run(f"loadgen report {tmp_path / 'a.json'} -O {tmp_path / 'b.html'}")[0] == 0
    one, other = (re.sub(r"wall [^|<]+|base64,[^\"]+", "", (tmp_path / name).read_text())
                  for name in ("a.html", "b.html"))  # fmt: skip
    assert one == other


def test_a_page_of_formulas_has_no_empty_charts(tmp_path):
    assert run(f"loadgen plan ports --rate 60 --clients 1 --no-sim -O {tmp_path / 'a.html'}")[0] == 0
    text = (tmp_path / "a.html").read_text()
    assert "nothing was simulated" in text and "<svg" not in text and "Limits in force" in text
