"""The page is complete and says what the tests say now."""

import subprocess
import sys

import pytest

from tests.requirements.page import HERE, PAGE, requirements
from tests.requirements.verdicts import Case, Deviation, cases, deviates, full_name, outside

ROWS = [f"{part.rfc} {row.id}" for part in requirements() for row in part.rows]
NUMBERS = {"MUST": 69, "SHLD": 31, "MAY": 18, "REC": 1}


def said_by(*arguments):
    command = [sys.executable, "-m", "tests.requirements", *arguments]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_row_without_a_test_or_a_reason_and_no_test_without_a_row():
    assert said_by("--flaws").strip() == ""


def test_the_page_is_what_the_tests_say():
    assert said_by("--stdout") == PAGE.read_text(encoding="utf-8"), "stale: make conformance"


def test_every_number_of_rfc_9293_has_one_row():
    for letters, last in NUMBERS.items():
        for number in range(1, last + 1):
            assert ROWS.count(f"RFC9293 {letters}-{number}") == 1, f"{letters}-{number}"


def test_every_row_is_there_once():
    assert len(set(ROWS)) == len(ROWS)


def test_the_rules_without_a_number_have_rows():
    sections = ["3.5", "3.6", "3.10.1", "3.10.2", "3.10.3", "3.10.4", "3.10.5", "3.10.6",
                "3.10.7.1", "3.10.7.2", "3.10.7.3", "3.10.7.4", "3.10.8"]  # fmt: skip
    assert [s for s in sections if not any(row.startswith(f"RFC9293 {s}") for row in ROWS)] == []


def test_the_other_rfcs_have_rows():
    rfcs = ["5961", "6528", "6191", "1337", "6298", "7323", "6056"]
    assert [rfc for rfc in rfcs if not any(row.startswith(f"RFC{rfc} ") for row in ROWS)] == []


def test_an_id_without_an_rfc_is_of_rfc_9293():
    assert full_name("MUST-15") == "RFC9293 MUST-15"
    assert full_name("RFC5961 3.2 (1)") == "RFC5961 3.2 (1)"


def marker(**verdicts):
    return pytest.mark.requirement("MUST-13", **verdicts).mark


def test_a_deviation_runs_twice_and_what_is_outside_not_at_all():
    asked = marker(linux=deviates("why", tcp_rfc1337=1), freebsd=outside("why"))
    assert [str(case) for case in cases(asked)] == ["linux deviates", "linux tcp_rfc1337=1", "strict"]
    assert list(cases(asked))[0] == Case("linux", deviates=True)
    with pytest.raises(AssertionError, match="openbsd"):
        list(cases(marker(openbsd=deviates("why", tcp_rfc1337=1))))


def test_a_deviation_without_a_cure_names_what_it_expects():
    first, *_ = cases(marker(linux=deviates("why", expect="that")))
    assert first == Case("linux", deviates=True, expect="that") and not first.must_fail
    assert Case("linux", deviates=True).must_fail
    for wrong in ({}, {"expect": "that", "tcp_rfc1337": 1}):
        with pytest.raises(AssertionError, match="either"):
            deviates("why", **wrong)


FALSE_DEVIATION = """
from tests.requirements.verdicts import deviates, requirement

@requirement("MUST-13", linux=deviates("it does not", {said}))
def test_it(listening, outcome):
    listening.arrives("S", mss=1460)
    {last}
"""


@pytest.mark.parametrize("said, last, outcome", [
    ("tcp_rfc1337=1", "listening.expects('SA')", "2 failed, 6 passed"),   # linux passes: it does not deviate
    ("tcp_rfc1337=1", "listening.expects('R')", "6 failed, 2 passed"),    # it fails with the knob turned, too
    ("expect='R'", "listening.expects(outcome('SA'))", "2 failed, 4 passed"),  # linux does something else
], ids=["passes", "not the knob", "not what is expected"])  # fmt: skip
def test_a_deviation_that_is_none_fails(tmp_path, said, last, outcome):
    """The mechanism itself, on a test that says what is not so; each case on the engine and the reference."""
    (tmp_path / "conftest.py").write_text("from tests.dialogues.conftest import *  # noqa\n")
    (tmp_path / "test_it.py").write_text(FALSE_DEVIATION.format(said=said, last=last))
    root = HERE.parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", root / "pyproject.toml",
         f"--rootdir={root}", tmp_path],
        cwd=root, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert outcome in done.stdout, done.stdout


def test_a_deviation_keeps_its_cure():
    assert deviates("why", tcp_rfc1337=1) == Deviation("why", {"tcp_rfc1337": 1})
