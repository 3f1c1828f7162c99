"""Met, missed or undecided: no pass without evidence."""

import pytest

from loadgen.report.estimate import Figure
from loadgen.report.thresholds import judge
from loadgen.scenario.model import Threshold

ONE = Figure(0.5, "ratio", "higher")
EIGHT = Figure(0.5, "ratio", "higher", low=0.4, high=0.6, n=8)
EXACT = Figure(3, "count", "lower", low=3.0, high=3.0, n=8)


@pytest.mark.parametrize(("figure", "test", "bound", "state"), [
    (ONE, ">=", 0.5, "met"), (ONE, ">", 0.5, "missed"), (ONE, "<=", 0.5, "met"), (ONE, "<", 0.5, "missed"),
    (ONE, "==", 0.5, "met"), (ONE, "!=", 0.5, "missed"), (ONE, "==", 0.4, "missed"), (ONE, "!=", 0.4, "met"),
    (EIGHT, ">=", 0.4, "met"), (EIGHT, ">", 0.4, "undecided"), (EIGHT, ">=", 0.5, "undecided"),
    (EIGHT, ">=", 0.61, "missed"), (EIGHT, "<=", 0.6, "met"), (EIGHT, "<", 0.6, "undecided"),
    (EIGHT, "<", 0.39, "missed"), (EIGHT, "==", 0.5, "undecided"), (EIGHT, "==", 0.7, "missed"),
    (EIGHT, "!=", 0.7, "met"), (EIGHT, "!=", 0.5, "undecided"),
    (EXACT, "==", 3, "met"), (EXACT, "==", 4, "missed"), (EXACT, "<=", 3, "met"), (EXACT, "<", 3, "missed"),
])  # fmt: skip
def test_state(figure, test, bound, state):
    assert judge(Threshold("x", test, bound), figure)["state"] == state


@pytest.mark.parametrize("test", [">=", "<=", ">", "<", "==", "!="])
def test_without_samples_it_is_missed(test):
    row = judge(Threshold("x", test, 0.0), Figure(None, "ns", "lower", n=0))
    assert (row["state"], row["seen"], row["margin"]) == ("missed", None, None)


@pytest.mark.parametrize(("figure", "test", "bound", "margin"), [
    (ONE, ">=", 0.3, 0.2), (ONE, "<=", 0.3, -0.2), (EIGHT, ">=", 0.3, 0.1), (EIGHT, "<", 0.5, -0.1),
    (EIGHT, ">=", 0.5, -0.1),
])  # fmt: skip
def test_the_margin_is_that_of_the_nearer_end(figure, test, bound, margin):
    assert judge(Threshold("x", test, bound), figure)["margin"] == pytest.approx(margin)


def test_the_text_is_as_given_or_as_one_would_write_it():
    time = Figure(5, "ns", "lower")
    assert judge(Threshold("connect.p99", "<", 5e7, "connect.p99<50ms"), time)["text"] == "connect.p99<50ms"
    assert judge(Threshold("connect.p99", "<", 5e7), time)["text"] == "connect.p99 < 50 ms"
    assert judge(Threshold("success_ratio", ">=", 0.9656), ONE)["is"] == ">= 0.9656"
