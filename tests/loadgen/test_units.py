"""Numbers with units: exact, both ways, and refused with a reason."""

import pytest

from loadgen import units
from loadgen.units import UnitError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("250", 250),
        ("1_000", 1000),
        ("50k", 50_000),
        ("1.5M", 1_500_000),
        ("2G", 2 * 10**9),
        ("64Ki", 65536),
        ("1e6", 10**6),
        (" 10 K ", 10_000),
        ("0.001k", 1),
        ("1.000001M", 1_000_001),
    ],
)
def test_count(text, value):
    assert units.parse_count(text) == value


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5", "0.0001k", "10q", "1m", "5ms", "1 000", "nan", "1%"])
def test_a_count_that_is_none(text):
    with pytest.raises(UnitError, match="whole number"):
        units.parse_count(text)


@pytest.mark.parametrize(
    ("text", "per_1000_s"),
    [
        ("1", 1000),
        ("50k", 50_000_000),
        ("50k/s", 50_000_000),
        ("30/min", 500),
        ("0.5/s", 500),
        ("3.6k/h", 1000),
        ("2M/h", 555_555),
    ],
)
def test_rate(text, per_1000_s):
    assert units.parse_rate(text) == per_1000_s


@pytest.mark.parametrize("text", ["0", "1/day2", "1/", "fast", "1k/k", "1/h", "10ms"])
def test_a_rate_that_is_none(text):
    if text == "1/":
        assert units.parse_rate(text) == 1000
        return
    with pytest.raises(UnitError, match="rate"):
        units.parse_rate(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("1ns", 1),
        ("250us", 250_000),
        ("250µs", 250_000),
        ("1.1ms", 1_100_000),
        ("40ms", 40_000_000),
        ("60s", 60 * 10**9),
        ("2m", 120 * 10**9),
        ("2min", 120 * 10**9),
        ("2h", 7200 * 10**9),
        ("1d", 86400 * 10**9),
    ],
)
def test_duration(text, ns):
    assert units.parse_duration(text) == ns


@pytest.mark.parametrize("text", ["40", "-1s", "1 week", "ms", "1e3"])
def test_a_time_needs_its_unit(text):
    with pytest.raises(UnitError, match="unit"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "share"), [("0", 0.0), ("1%", 0.01), ("0.1%", 0.001), ("0.25", 0.25), ("1", 1.0), ("100%", 1.0)]
)
def test_share(text, share):
    assert units.parse_share(text) == share


@pytest.mark.parametrize("text", ["101%", "2", "-1%", "1ms", "half"])
def test_a_share_that_is_none(text):
    with pytest.raises(UnitError, match="share"):
        units.parse_share(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.999", (0.999, False)),
        ("99.9%", (0.999, False)),
        ("50k", (50_000.0, False)),
        ("50ms", (50.0, True)),
        ("2s", (2000.0, True)),
        ("0", (0.0, False)),
    ],
)
def test_quantity(text, value):
    assert units.parse_quantity(text) == value


def test_formats():
    assert units.format_count(1234567) == "1,234,567"
    assert units.format_duration(40_000_000) == "40 ms"
    assert units.format_duration(7_200 * 10**9) == "2 h"
    assert units.format_duration(12) == "12 ns"
    assert units.format_bytes(420_000_000) == "420 MB"
    assert units.format_bytes(12) == "12 B"
    assert units.format_share(0.9987) == "99.87 %"
