"""Which points a grid has, how values are divided, and that every mistake says where and what is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.errors import Mistake
from loadgen.study.expression import Expression
from loadgen.study.quantities import pair, quantity, steps, value_of
from loadgen.study.space import SpaceError, axis, label, make_space, span
from tests.study.made import scenario

PLAIN = scenario()


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("backlog=511,1023", "server.listen.backlog", "511 1023"),
        ("load.rate=1k..8k/8", "load.rate", "1k 2k 3k 4k 5k 6k 7k 8k"),
        ("load.rate=1k/s..8k/s/4", "load.rate", "1k/s 3333.33/s 5666.67/s 8k/s"),
        ("load.rate=100..10k/5:log", "load.rate", "100 316.228 1k 3162.28 10k"),
        ("backlog=10..1000/7:log", "server.listen.backlog", "10 22 46 100 215 464 1k"),
        ("server.accept.time=exp:100us..200us/2", "server.accept.time", "exp:100us exp:200us"),
        ("link.rtt=0..40ms/3", "link.rtt", "0s 20ms 40ms"),
        ("link.loss=0%..5%/6", "link.loss", "0% 1% 2% 3% 4% 5%"),
        ("tcp_syncookies=0,1", "server.knobs.tcp_syncookies", "0 1"),
        ("load.rate=3/min..60/min/3", "load.rate", "0.05/s 0.525/s 1/s"),
        ("server.profile=linux,freebsd", "server.profile", "linux freebsd"),
    ],
)  # fmt: skip
def test_values_of_an_axis(text, path, values):
    found = axis(PLAIN, text)
    assert (found.path, " ".join(found.values)) == (path, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backlgo=5", "backlgo: no such place and no such knob; did you mean 'backlog'?"),
        ("backlog=a", "server.listen.backlog: expected a whole number"),
        ("link.rtt=5", "link.rtt: expected a time with its unit"),
        ("link.rtt=5msec", "did you mean"),
        ("backlog=1000000000000", "server.listen.backlog: expected 0 to"),
        ("backlog=1,,2", "server.listen.backlog: expected values between the commas"),
        ("backlog=1,1", "server.listen.backlog: 1 is there twice"),
        ("backlog=5..", "server.listen.backlog: expected lo..hi/n"),
        ("backlog=1..5/1", "server.listen.backlog: expected 2 to 100,000 values, got 1"),
        ("backlog=1..5/999999999999", "server.listen.backlog: expected 2 to 100,000 values"),
        ("backlog=5..1/4", "server.listen.backlog: expected the smaller number first"),
        ("backlog=1..2/3", "server.listen.backlog: 2 is there twice"),
        ("link.rtt=1ms..5/3", "link.rtt: expected two numbers of one unit"),
        ("load.rate=0..5/3:log", "load.rate: expected a positive number for :log"),
        ("backlog", "expected PATH=a,b,c"),
        ("=1", "expected PATH=a,b,c"),
    ],
)
def test_an_axis_that_cannot_be(text, said):
    with pytest.raises(SpaceError) as caught:
        axis(PLAIN, text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["backlog=9..1", "backlog=1", "backlgo=1..9", "load.rate=0..9:log", "backlog=a..b"]
)
def test_a_search_that_cannot_be(text):
    with pytest.raises(SpaceError):
        span(PLAIN, text)


def test_a_search_knows_whether_its_place_takes_fractions():
    assert span(PLAIN, "backlog=1..100").whole and not span(PLAIN, "load.rate=1..100").whole


@given(st.sampled_from(["511", "1k", "2.5k", "3/min", "250us", "1.5s", "2min", "0.5%", "exp:3ms", "7/s"]))
def test_a_quantity_is_read_as_it_was_written(text):
    once = quantity(text)
    assert quantity(once.text) == once


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(2, 40), st.booleans())
def test_steps_rise_from_end_to_end(low, more, n, log):
    ends = pair(f"{low + 1}ms", f"{low + 1 + more}ms")
    numbers = [one.number for one in steps(*ends, n, log=log, whole=False)]
    assert numbers == sorted(numbers) and len(numbers) == n
    assert (numbers[0], numbers[-1]) == (ends[0].number, ends[1].number)


def test_zip_advances_together_and_grid_does_not():
    space = make_space(PLAIN, ["backlog=1,2"], ["load.rate=1k,2k", "client.hosts=1,2"])
    found = [" ".join(point.values()) for point in space.points()]
    assert found == ["1 1k 1", "1 2k 2", "2 1k 1", "2 2k 2"] and space.size() == 4
    assert label(next(space.points())) == "server.listen.backlog=1, load.rate=1k, client.hosts=1"


@pytest.mark.parametrize(
    ("grid", "zipped", "said"),
    [
        (["backlog=1,2", "server.listen.backlog=3"], [], "given twice"),
        (["backlog=1,2"], ["backlog=3"], "given twice"),
        ([], ["backlog=1,2", "client.hosts=1"], "as many values of each"),
        (["backlog=1..1000/1000", "load.rate=1..9999/9999"], [], "at most 1,000,000 points"),
    ],
)
def test_axes_that_do_not_go_together(grid, zipped, said):
    with pytest.raises(SpaceError, match=said):
        make_space(PLAIN, grid, zipped)


PATHS = ("server.listen.backlog", "load.rate", "link.rtt", "load.in-house.hold", "server.profile")
VALUES = {"server.listen.backlog": "100", "load.rate": "2k", "link.rtt": "20ms", "load.in-house.hold": "1s",
          "server.profile": "linux"}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("backlog > rate/10", False),
        ("backlog*20 >= rate and rtt < 50ms", True),
        ("rate == 2k or backlog == 1", True),
        ("not (rate > 1k/s)", False),
        ("rate*rtt <= 40", True),
        ("link.rtt == 0.02", True),
        ("in-house.hold - rtt > 0.9s", True),
        ("backlog-100 == 0", True),
        ("backlog % 3 == 1", True),
        ("1 < backlog <= 100", True),
        ("profile == 'linux'", True),
        ("profile != \"freebsd\" and -backlog < 0", True),
        ("rtt < 50% * 1s", True),
    ],
)
def test_conditions(text, holds):
    assert Expression(text, PATHS).holds({path: value_of(one) for path, one in VALUES.items()}) is holds


@pytest.mark.parametrize(
    "text",
    [
        "", "backlog >", "backlgo > 1", "__import__('os').system('true')", "backlog**9**9**9", "backlog[0]",
        "(lambda: 1)()", "backlog.__class__", "[1]", "{}", "f(1)", "1 if rate else 2", "backlog := 1",
        "'a' * 1000000000", "rate/(backlog-100) > 1", "profile > 1", "-" * 300 + "1", "(" * 400, "x" * 501,
        "rate > 5 parsecs", "1; 2", "backlog > 1\nrate > 2", "backlog // 2", "backlog << 99999", "~backlog",
        "backlog is 1", "backlog in (1, 2)", "rate == 1e400k", "yield", "await x", "profile + profile == 'x'",
    ],
)  # fmt: skip
def test_what_is_no_condition(text):
    with pytest.raises(Mistake) as caught:
        Expression(text, PATHS).holds({path: value_of(one) for path, one in VALUES.items()})
    assert len(str(caught.value)) < 300
