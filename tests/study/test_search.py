"""The search for a bracket, on results that are made up: what is tried, when it ends, and what it says.

The looks' intervals and the rule of a long enough run are tested on their own.
"""

import dataclasses
import math
from types import SimpleNamespace

import pytest

from loadgen.report.estimate import Figure, at_confidence, mean, ratio, student_t
from loadgen.scenario.model import Threshold
from loadgen.study.costs import EFFORTS
from loadgen.study.playing import Failure
from loadgen.study.search import FAILED, FOUND, NO_BRACKET, NOT_MONOTONE, SearchRun, looks, together
from loadgen.study.space import Space, axis, span
from loadgen.study.spec import Search, Spec, extended, grows_only
from loadgen.theory import queues, relaxation
from tests.study.made import scenario

OUTCOMES = {"attempted": 100, "refused": {"no_port": 60}, "ghost": 20, "gave_up": 0, "reset": 0, "pending": 1}


class Made:
    """A session whose results are a function of the value and the number of seeds: (value, half width)."""

    def __init__(self, path, of):
        self.path, self.of = path, of
        self.found, self.failures, self.played = {}, {}, []
        self.keep_outcomes = False

    def play(self, wanted):
        for point, seeds in list(wanted):
            text = point.values[self.path]
            self.played.append((text, seeds))
            made = self.of(float(text.replace("k", "000")), seeds)
            if made is None:
                self.failures[point.key] = Failure(point.values, 0, "out of memory")
                continue
            value, half = made
            figure = Figure(value, "ratio", "higher", low=value - half, high=value + half, n=seeds)
            self.found[point.key] = SimpleNamespace(
                figure=lambda name, figure=figure: figure, replicates=range(seeds), outcomes=OUTCOMES
            )


def searched(of, text="backlog=0..1000", target=(">=", 0.9), grid=(), **more):
    base = dataclasses.replace(scenario(), threshold=[Threshold("success_ratio", *target)])
    where = span(base, text)
    search = Search(where, more.pop("tolerance", 0.01), more.pop("max_seeds", 64), 10**12)
    spec = Spec(base, Space(tuple(axis(base, one) for one in grid)), more.pop("seeds", 8), search)
    session = Made(where.path, of)
    run = SearchRun(spec, session)
    return run.run(), session


def step(at, half=0.0):
    """Good up to a value, bad beyond."""
    return lambda value, seeds: (1.0 if value <= at else 0.5, half)


def test_a_bracket_has_the_value_in_it_and_is_as_narrow_as_asked():
    [cell], session = searched(step(700))
    met, missed, unclear = cell.bracket()
    assert cell.status == FOUND and not unclear
    assert met.value.number <= 700 < missed.value.number
    assert missed.value.number - met.value.number <= 0.01 * float(missed.value.number)
    assert "largest server.listen.backlog that holds: between" in cell.sentence


def test_both_ends_come_first_and_then_three_at_a_time():
    _, session = searched(step(300))
    tried = [text for text, _ in session.played]
    assert tried[:5] == ["0", "1k", "250", "500", "750"]
    assert len(tried[2:]) % 3 == 0


@pytest.mark.parametrize("at", [3, 100, 480, 700, 999])
def test_about_as_many_runs_are_foreseen_as_there_are(at):
    """Where no value needs more seeds. The bar on a terminal goes by it."""
    _, session = searched(step(at))
    runs = sum(seeds for _, seeds in session.played)
    assert 0.5 * runs <= session.expected <= 1.5 * runs


def test_whole_places_are_given_whole_numbers_and_the_search_ends_between_two():
    [cell], session = searched(step(5), "backlog=0..10", tolerance=0.0001)
    met, missed, _ = cell.bracket()
    assert (met.value.text, missed.value.text) == ("5", "6")
    assert all(text.isdigit() for text, _ in session.played)


def test_the_met_end_may_be_the_upper_one():
    [cell], _ = searched(lambda value, seeds: (1.0 if value >= 400 else 0.1, 0.0))
    met, missed, _ = cell.bracket()
    assert missed.value.number < 400 <= met.value.number
    assert "smallest" in cell.sentence


def test_a_search_by_factors():
    [cell], session = searched(step(20), "backlog=1..10000:log")
    assert [text for text, _ in session.played][2:5] == ["10", "100", "1k"]
    met, missed, _ = cell.bracket()
    assert met.value.number <= 20 < missed.value.number


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda value, seeds: (1.0, 0.0), "both ends meet the target, server.listen.backlog=0 and 1k"),
        (lambda value, seeds: (0.0, 0.0), "both ends miss the target, server.listen.backlog=0 and "
            "1k; at 0 most of what is not served is no port: 60.0 % of clients"),
        (lambda value, seeds: (0.9, 0.5) if value else (1.0, 0.0), "undecided: server.listen.backlog=1k (wi"),
    ],
)
def test_without_a_bracket_it_says_which_end_fails(of, said):
    [cell], _ = searched(of)
    assert cell.status == NO_BRACKET and said in cell.sentence
    assert set(cell.trials) == {0, 1000}


def test_an_end_that_counts_clients_on_their_way_says_what_to_do(monkeypatch):
    monkeypatch.setitem(OUTCOMES, "pending", 70)
    [cell], _ = searched(lambda value, seeds: (0.0, 0.0))
    assert "70.0 % of clients, on their way when the run ended (run.drain = true waits for" in cell.sentence


def test_seeds_are_doubled_until_the_interval_clears_the_target():
    def of(value, seeds):
        return (0.95 if value <= 500 else 0.5, 0.2 / math.sqrt(seeds))

    [cell], session = searched(of)
    assert cell.status == FOUND
    seeds = {seeds for text, seeds in session.played if text == "0"}
    assert seeds == {8, 16, 32}  # 0.95 - 0.2/sqrt(n), widened for four looks, clears 0.9 at 32
    assert {n for text, n in session.played if text == "1k"} == {8}


def test_what_stays_undecided_is_said_and_narrowed_from_both_sides():
    def of(value, seeds):
        return (1 - value / 1000, 0.02)

    [cell], session = searched(of, target=(">=", 0.5), tolerance=0.02)
    met, missed, unclear = cell.bracket()
    assert cell.status == FOUND and unclear
    assert "undecided: " in cell.sentence and "with 64 seeds" in cell.sentence
    for one, other in ((met, unclear[0]), (unclear[-1], missed)):
        assert abs(float(one.value.number - other.value.number)) <= 0.02 * 1000
    assert max(seeds for _, seeds in session.played) == 64


def test_a_pass_above_a_miss_is_no_answer():
    [cell], _ = searched(lambda value, seeds: (0.5 if 200 < value < 400 or value > 900 else 1.0, 0.0))
    assert cell.status == NOT_MONOTONE
    assert "=250 misses the target and 500, further off, meets it" in cell.sentence


def test_a_point_that_failed_ends_its_search_and_no_other():
    def of(value, seeds):
        return None if value == 250 else (1.0 if value <= 700 else 0.0, 0.0)

    cells, _ = searched(of, grid=["client.hosts=1,2"])
    assert [cell.status for cell in cells] == [FAILED, FAILED]
    assert "250 failed: out of memory" in cells[0].sentence and cells[0].sentence.startswith("client.hosts=1")


def test_each_cell_of_a_grid_has_its_bracket():
    cells, session = searched(step(700), grid=["client.hosts=1,2"])
    assert [cell.status for cell in cells] == [FOUND, FOUND]
    assert [list(cell.values.values()) for cell in cells] == [["1"], ["2"]]
    assert {cell.to_dict()["met"] for cell in cells} == {cells[0].to_dict()["met"]}


def test_several_targets_are_met_together():
    assert together(["met", "met"]) == "met" and together(["met", "undecided"]) == "undecided"
    assert together(["undecided", "missed"]) == "missed"


def test_looks_share_the_error():
    assert [looks(8, 64), looks(8, 8), looks(8, 100), looks(4, 64)] == [4, 1, 4, 5]


# -- intervals of another confidence ---------------------------------------------------------


def test_an_interval_is_widened_by_students_t():
    value, low, high, n = mean([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0], least=None)
    wide = at_confidence(Figure(value, "count", "none", low=low, high=high, n=n), 0.9875)
    factor = student_t(7, 0.9875) / student_t(7)
    assert wide.high - value == pytest.approx((high - value) * factor)
    assert value - wide.low == pytest.approx((value - low) * factor)


def test_a_share_that_no_seed_contradicts_is_no_proof():
    value, low, high, n, part, whole = ratio([(100, 100)] * 8)
    figure = Figure(value, "ratio", "higher", low=low, high=high, n=n, numerator=part, denominator=whole)
    assert low == high == 1.0
    wide = at_confidence(figure, 0.95)
    assert wide.high == 1.0 and wide.low == pytest.approx(0.025 ** (1 / 800))


def test_without_an_interval_there_is_none_to_widen():
    figure = Figure(3, "count", "none", n=2)
    assert at_confidence(figure, 0.99) is figure


# -- long enough -----------------------------------------------------------------------------


def queue(**changes):
    return scenario(**{"server.accept.time": "exp:1ms", "load.rate": "1k/s", **changes})


def test_the_worst_rate_is_where_the_spectral_gap_is_least():
    known = relaxation.Relaxing(20, 1e-3, 500.0)
    rates = [1000 * k / 500 for k in range(250, 750)]
    worst = max(queues.relaxation_time(20, 1e-3, rate) for rate in rates)
    assert known.needed_at_worst_s == pytest.approx(100 * worst, rel=1e-3)
    assert known.needed_at_worst_s >= 100 * worst


def test_a_run_that_is_too_short_decides_nothing():
    base = dataclasses.replace(
        queue(**{"backlog": 500, "run.duration": "1s"}), threshold=[Threshold("success_ratio", ">=", 0.5)]
    )
    search = Search(span(base, "load.rate=100..2k"), 0.01, 64, 10**9)
    session = Made("load.rate", lambda value, seeds: (1.0 if value <= 990 else 0.0, 0.0))
    [cell] = SearchRun(Spec(base, Space(), 8, search), session).run()
    assert cell.status == FOUND and not cell.lengthened
    assert {trial.state for trial in cell.bracket()[2]} == {"undecided: too short"}
    assert "too short: the accept queue needs" in cell.sentence


def bounded(effort, of, text="load.rate=100..2k"):
    """A queue of 500 places at 1 ms: near 1,000/s 8 runs of 2,000 s are more than the least effort has."""
    base = dataclasses.replace(
        queue(**{"backlog": 500, "run.duration": "10s"}), threshold=[Threshold("success_ratio", ">=", 0.5)]
    )
    search = Search(span(base, text), 0.01, 64, 10**13, effort)
    session = Made("load.rate", of)
    [cell] = SearchRun(Spec(base, Space(), 8, search), session).run()
    return cell, session


@pytest.mark.parametrize("text", ["load.rate=100..2k", "load.rate=970..1030"])
def test_an_effort_bounds_the_work_and_what_it_does_not_reach_is_said(text):
    widths = []
    for effort, most in EFFORTS.items():
        cell, session = bounded(effort, lambda value, seeds: (1.0 if value <= 990 else 0.0, 0.0), text)
        met, missed, _ = cell.bracket()
        assert cell.status == FOUND and met.value.number <= 990 < missed.value.number
        widths.append(missed.value.number - met.value.number)
        ends = [trial.point.seconds for trial in (cell.ordered()[0], cell.ordered()[-1])]
        played = sum(8 * trial.point.seconds for trial in cell.trials.values())
        assert played <= max(most, 8 * sum(ends))
        assert len(session.played) == len(cell.trials)
        wide = widths[-1] > 0.01 * float(missed.value.number)
        assert (f"--effort {effort} goes no nearer: " in cell.sentence) == wide
        assert bool(cell.to_dict()["beyond"]) == wide
    assert widths == sorted(widths, reverse=True) and widths[0] > widths[-1]


def test_more_effort_extends_a_search_and_less_does_not_shorten_it():
    where = span(queue(), "load.rate=100..2k")
    specs = {effort: Spec(queue(), Space(), 8, Search(where, 0.01, 64, 1, effort))
             for effort in ("quick", "long")}  # fmt: skip
    for old in specs.values():
        for new in specs.values():
            both = extended(new, old.document())
            assert both.search.effort == ("long" if specs["long"] in (old, new) else "quick")
            assert grows_only(old.document(), both.document())


def test_an_effort_bounds_the_seeds_of_a_value_that_stays_undecided():
    def of(value, seeds):
        return (0.5 if 950 < value < 1100 else 1.0 if value < 1000 else 0.0, 0.02)

    cell, _ = bounded("normal", of)
    assert cell.status == FOUND and any(trial.cut for trial in cell.bracket()[2])
    assert "no more within the effort" in cell.sentence and "--effort normal goes no nearer" in cell.sentence


def test_a_run_is_made_as_long_as_its_queue_needs():
    base = dataclasses.replace(
        queue(**{"backlog": 50, "run.duration": "1s"}), threshold=[Threshold("success_ratio", ">=", 0.5)]
    )
    search = Search(span(base, "load.rate=100..2k"), 0.01, 64, 10**12)
    session = Made("load.rate", lambda value, seeds: (1.0 if value <= 990 else 0.0, 0.0))
    [cell] = SearchRun(Spec(base, Space(), 8, search), session).run()
    assert cell.lengthened == "30s" and not cell.bracket()[2]
    lasts = {trial.value.text: trial.point.scenario.run.duration_ns for trial in cell.ordered()}
    assert max(lasts.values()) == 30 * 10**9
    assert (lasts["100"], lasts["2k"]) == (10**9, 10**9)  # far from load 1 it forgets at once
    assert all("run.duration" in trial.point.values for trial in cell.trials.values())
    for trial in cell.trials.values():
        assert relaxation.too_short(trial.point.scenario, trial.point.hosts.server) is None
