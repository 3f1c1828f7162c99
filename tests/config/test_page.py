"""The printed pages are not stale, and the declarations say what a reader needs."""

import pytest

from tcpcore.config import DECLARED
from tcpcore.knob_types import AS_LINUX
from tests.config.page import ADR, BEGIN, END, PAGES, PROFILES, SECTIONS, differs

UNITS = ("ms", "us", "ns", "ticks")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_is_what_the_declarations_say(path):
    assert path.read_text(encoding="utf-8") == PAGES[path](), "stale: python -m tests.config"


def test_the_adr_has_a_place_for_the_table():
    text = ADR.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1


def test_sections_begin_at_knobs():
    assert list(SECTIONS)[0] == list(DECLARED)[0]
    assert [name for name in DECLARED if name in SECTIONS] == list(SECTIONS)


def test_every_knob_is_documented():
    assert [name for name, knob in DECLARED.items() if not knob.doc] == []


def test_a_unit_in_the_name_is_the_declared_unit():
    suffixed = {name: name.rpartition("_")[2] for name in DECLARED if name.rpartition("_")[2] in UNITS}
    assert {name: DECLARED[name].unit for name in suffixed} == suffixed


def test_a_difference_says_what_the_rfcs_ask():
    assert [name for name, knob in DECLARED.items() if differs(name) and not knob.rfc] == []


def test_a_profile_declares_differences_only():
    for name, knob in DECLARED.items():
        for profile in ("freebsd", "strict"):
            declared = getattr(knob, profile)
            if declared is not AS_LINUX:
                assert declared != getattr(PROFILES["linux"], name), name
                assert declared == getattr(PROFILES[profile], name), name
