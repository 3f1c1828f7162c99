"""docs/freebsd.md names what the tables of tcpcore have, and each default there is the profile's."""

import re
from pathlib import Path

import pytest

from tcpcore import Config
from tcpcore.config import DECLARED
from tcpcore.sysctl_keys import FREEBSD_KEYS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "freebsd.md"
#: Whose default the profile does not have; the page says why.
OTHERWISE = {"net.inet.tcp.always_keepalive": {"always_keepalive": 1}}
#: Names of releases before 14, or aliases, that the tables take too.
OLDER = {"net.inet.tcp.maxtcptw", "kern.ipc.somaxconn"}


def rows():
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `net.") or line.startswith("| `kern."):
            name, default, here, source = (cell.strip() for cell in line.strip("|").split("|"))
            yield name.strip("`"), default, here, source


ROWS = list(rows())
TAKEN = [(name, default, here) for name, default, here, _ in ROWS if here.startswith("`")]


def test_each_name_stands_once_with_its_source():
    names = [name for name, *_ in ROWS]
    assert len(names) > 80
    assert sorted(names) == sorted(set(names))
    assert [name for name, _, _, source in ROWS if not source] == []


def test_a_name_that_is_no_knob_says_why():
    kinds = ("fixed: ", "not modelled: ", "other: ")
    assert [name for name, _, here, _ in ROWS if not here.startswith(("`", *kinds))] == []


def test_the_page_and_the_table_of_names_agree():
    assert {name for name, *_ in TAKEN} == set(FREEBSD_KEYS) - OLDER


@pytest.mark.parametrize(("name", "default", "here"), TAKEN, ids=[name for name, *_ in TAKEN])
def test_the_default_gives_the_profile_back(name, default, here):
    knobs = re.findall(r"`(\w+)`", here)
    assert knobs and set(knobs) <= set(DECLARED)
    config = Config.from_sysctl(f"kern.ipc.soacceptqueue: 128\n{name}: {default}\n")
    assert config.replace() == Config.freebsd(**OTHERWISE.get(name, {}))
    touched = {knob for value in ("0", "1", "2", "7", "40000") for knob in set_by(name, value)}
    assert set(knobs) <= touched | {knob for knob in knobs if knob in FREEBSD_KEYS[name](int(default))}


def set_by(name, value):
    try:
        return FREEBSD_KEYS[name](int(value))
    except ValueError:
        return {}


def test_the_rules_without_a_name_are_knobs():
    text = PAGE.read_text(encoding="utf-8").partition("## What has no name")[2]
    cells = [line.split("|")[2] for line in text.splitlines() if line.startswith("| ")]
    named = {knob for cell in cells for knob in re.findall(r"`(\w+)`", cell)}
    assert {"persist_interval", "fin_needs_window", "window_update"} <= named <= set(DECLARED)
