"""Percentiles against sorted samples, merging, HDR against the package that others read it with."""

import base64

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadgen.report import hdr, histograms
from loadgen.report.hdr import HdrError
from tests.report.made import histogram

TIMES = st.lists(st.integers(0, 10**13), min_size=1, max_size=60)


def test_of_no_samples_nothing_is_said():
    nothing = histograms.empty()
    assert histograms.count(nothing) == histograms.figure(nothing, "count") == 0
    assert [histograms.figure(nothing, name) for name in histograms.FIGURES[1:]] == [None] * 8
    assert histograms.from_json(histograms.to_json(nothing)).min is None


@given(TIMES, st.sampled_from(["0", "1", "50", "90", "99", "99.9", "100"]))
def test_a_percentile_is_within_its_bucket_and_the_exact_ends(samples, percent):
    found = histogram(samples)
    value = histograms.percentile(found, percent)
    ordered = sorted(samples)
    exact = ordered[max(-(-int(float(percent) * 10) * len(samples) // 1000), 1) - 1]
    assert ordered[0] <= exact <= value <= ordered[-1]
    assert value <= exact * (1 + 1 / 64) + 1


@given(TIMES)
def test_the_ends_and_the_mean_are_exact(samples):
    found = histogram(samples)
    assert histograms.figure(found, "min") == min(samples)
    assert histograms.figure(found, "max") == max(samples)
    assert abs(histograms.figure(found, "mean") - sum(samples) / len(samples)) <= 1


@given(TIMES, TIMES)
def test_merged_is_what_one_histogram_of_all_samples_is(first, second):
    merged, whole = histograms.merge([histogram(first), histogram(second)]), histogram(first + second)
    for name in ("lowest", "highest", "counts"):
        assert (getattr(merged, name) == getattr(whole, name)).all()
    assert (merged.min, merged.max, merged.sum) == (whole.min, whole.max, pytest.approx(whole.sum))


def test_nothing_merged_is_nothing():
    assert histograms.count(histograms.merge([])) == 0
    assert histograms.merge([histograms.empty(), histogram([5])]).max == 5


def test_p99_9_wants_ten_thousand_samples():
    assert histograms.figure(histogram([1] * 9_999), "p99.9") is None
    assert histograms.figure(histogram([1] * 10_000), "p99.9") == 1


# -- HDR


@given(TIMES)
def test_the_package_reads_what_we_write(samples):
    theirs = HdrHistogram.decode(hdr.encode(histogram(samples)).encode())
    assert theirs.total_count == len(samples)
    assert theirs.get_min_value() == pytest.approx(min(samples), rel=1 / 64, abs=1)
    assert theirs.get_max_value() == pytest.approx(max(samples), rel=1e-3, abs=1)
    recorded = theirs.get_recorded_iterator()
    read = {item.value_iterated_to: item.count_at_value_iterated_to for item in recorded}
    ours = hdr.decode(hdr.encode(histogram(samples)))
    assert read == dict(zip(ours.highest.tolist(), ours.counts.tolist(), strict=True))


@given(TIMES)
def test_we_read_what_the_package_writes(samples):
    theirs = HdrHistogram(1, 10**14, 3)
    for value in samples:
        theirs.record_value(value)
    ours = hdr.decode(theirs.encode().decode())
    assert ours.counts.sum() == len(samples)
    for low, high, n in zip(ours.lowest, ours.highest, ours.counts, strict=True):
        assert sum(low <= value <= high for value in samples) == n


@given(TIMES)
def test_read_and_written_again_it_is_the_same_text(samples):
    text = hdr.encode(histogram(samples))
    assert hdr.encode(hdr.decode(text)) == text
    document = histograms.to_json(histogram(samples))
    assert histograms.to_json(histograms.from_json(document)) == document


@given(st.integers(0, 2**62))
def test_an_index_is_that_of_its_range(value):
    low, high = hdr.range_of(hdr.index_of(value))
    assert low <= value <= high and high - low <= max(value // 1000, 0)


def test_large_counts_are_written():
    counts = [1, 127, 128, 2**31, 2**62]
    one = histogram(range(len(counts)))
    one.counts = np.array(counts)
    assert hdr.decode(hdr.encode(one)).counts.tolist() == counts


@pytest.mark.parametrize("text", [
    "", "AAAA", "not base64!", "HISTFAAAAAR4nA==", base64.b64encode(b"x" * 60).decode(),
])  # fmt: skip
def test_what_is_no_histogram_is_refused(text):
    with pytest.raises(HdrError, match="HdrHistogram V2"):
        hdr.decode(text)


def test_another_resolution_is_refused():
    with pytest.raises(HdrError, match="expected 3 digits"):
        hdr.decode(HdrHistogram(1, 1000, 2).encode().decode())


def test_counts_that_disagree_are_refused():
    with pytest.raises(ValueError, match="3 samples in hdr, 4 in count"):
        histograms.from_json(histograms.to_json(histogram([1, 2, 3])) | {"count": 4})
