"""The list of mutants fits the source. Whether the tests catch them: `make mutants`."""

import pytest

from tests.mutants.runner import (
    PATTERNS,
    ROOT,
    TESTS,
    Mutant,
    Stale,
    batch_loops,
    found_by,
    load,
    reached_by,
    sources,
)

MUTANTS = load()


def test_there_are_enough_and_each_breaks_a_rule_of_its_own():
    assert sum(mutant.file.startswith("tcpcore/tcp/") for mutant in MUTANTS) >= 40
    assert len({mutant.behaviour for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


def test_each_applies_exactly_once():
    offenders = []
    for mutant in MUTANTS:
        try:
            if mutant.source == sources()[mutant.file]:
                offenders.append(f"{mutant.behaviour}: changes nothing")
        except Stale as error:
            offenders.append(str(error))
    assert not offenders, "\n".join(offenders)


def test_each_names_only_what_its_file_knows():
    unknown = {mutant.behaviour: names for mutant in MUTANTS if (names := mutant.unknown_names())}
    assert unknown == {}


@pytest.mark.parametrize("text", ["no such text anywhere", "cdef"])
def test_text_that_is_missing_or_ambiguous_is_an_error(text):
    with pytest.raises(Stale, match="a rule: (0|[0-9]{2,}) places"):
        Mutant("a rule", text, "other").file  # noqa: B018


def test_a_declaration_reaches_whoever_cimports_it():
    assert reached_by("tcpcore/tcp/steps.pyx") == ["tcpcore.tcp.steps"]
    reached = set(reached_by("tcpcore/tcp/rto.pxd"))
    assert {"tcpcore.tcp.ack", "tcpcore.tcp.output", "tcpcore.tcp.timeouts"} <= reached
    assert set(batch_loops()) & set(reached_by("tcpcore/tcp/listen.pxd"))
    assert reached_by("tcpcore/components/isn.pyx") == ["tcpcore.components.isn"]


def test_the_sources_are_all_of_tcpcore_but_header_prediction():
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tcpcore").rglob("*.p[yx][xd]")}
    assert files - sources().keys() == {"tcpcore/tcp/predict.pxd", "tcpcore/tcp/syn_image.pxd"}


def test_what_judges_them_is_there():
    lost = [pattern for pattern in PATTERNS if not found_by((pattern,))]
    assert lost == [] and TESTS[0] == "tests/dialogues"
