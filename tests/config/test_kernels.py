"""docs/kernel-versions.md names knobs, rules, dialogues and recorded scenarios that exist."""

import json
import re
from pathlib import Path

import pytest

from tcpcore.config import DECLARED
from tcpcore.linux_versions import CHANGES, INTRODUCED, NEWEST, worded

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "kernel-versions.md").read_text(encoding="utf-8")
VERDICT = re.compile(r"followed|(?:differs|not modelled): \S.*")


def number(text):
    return tuple(map(int, text.split(".")))


def rows():
    """Of the first table: version, what, function, here, shown by, verdict."""
    table = PAGE.partition("|---|")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")]
            for line in re.sub(r"\| (?=\|)", "| - ", table).splitlines()[1:] if line]  # fmt: skip


ROWS = rows()


def test_the_table_is_read():
    assert len(ROWS) >= 25 and {len(row) for row in ROWS} == {6}
    versions = [number(row[0]) for row in ROWS]
    assert versions == sorted(versions) and versions[0] == (6, 5)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[2].strip('`')}")
def test_a_row_names_what_there_is(row):
    version, what, function, here, shown, verdict = row
    assert what and re.fullmatch(r"`\w+`", function) and VERDICT.fullmatch(verdict)
    rules = set(re.findall(r"^\* (R[\w.]+) ", (ROOT / "docs/semantics.md").read_text(), re.MULTILINE))
    for name in [] if here == "-" else here.split(", "):
        assert name in rules or name.strip("`") in DECLARED, name
    scenarios = {path.stem for path in (ROOT / "tests/live/regressions").glob("*.json")}
    for file in ("corpus.json", "silence.json"):
        recorded = json.loads((ROOT / "tests/data" / file).read_text())
        scenarios |= {one["name"] for one in recorded["scenarios"]}
    for name in re.findall(r"`([^`]+)`", shown):
        file, _, test = name.partition("::")
        found = [path for path in (ROOT / "tests").rglob(file) if f"def {test}" in path.read_text()]
        assert name in scenarios or found, name
    assert verdict != "followed" or shown != "-" or "CurrEstab" in what


def test_every_change_since_6_5_is_a_row():
    named = {(number(row[0]), name) for row in ROWS for name in re.findall(r"`(\w+)`", row[3])}
    assert {(one.version, one.knob) for one in CHANGES if one.version >= (6, 5)} <= named
    new = {key.rpartition(".")[2]: version for key, version in INTRODUCED.items() if version > (6, 5)}
    introduced = {(version, name) for name, version in new.items()}
    assert introduced <= named and f"from 6.6 to {worded(NEWEST)}" in PAGE
