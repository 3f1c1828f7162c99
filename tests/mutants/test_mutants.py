"""The list of mutants fits the source. Whether the tests catch them: `make mutants`."""

import pytest

from tests.mutants.runner import ROOT, TESTS, Mutant, Stale, load, reached_by

MUTANTS = load()


def test_there_are_enough_and_each_breaks_a_rule_of_its_own():
    assert len(MUTANTS) >= 40
    assert sum(mutant.file == "transition.pyx" for mutant in MUTANTS) >= 40
    assert len({mutant.behaviour for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.behaviour)
def test_it_applies_exactly_once(mutant):
    assert mutant.source != (ROOT / "tcpcore" / mutant.file).read_text()


@pytest.mark.parametrize("text", ["no such text anywhere", "cdef"])
def test_text_that_is_missing_or_ambiguous_is_an_error(text):
    with pytest.raises(Stale, match="a rule: (0|[0-9]{2,}) places"):
        Mutant("a rule", text, "other").file  # noqa: B018


def test_a_declaration_reaches_whoever_cimports_it():
    assert reached_by("transition.pyx") == ["transition"]
    assert {"core", "sending", "transition"} <= set(reached_by("rto.pxd"))
    assert reached_by("isn.pyx") == ["isn"]


@pytest.mark.parametrize("path", TESTS)
def test_what_judges_them_is_there(path):
    assert (ROOT / path).exists()
