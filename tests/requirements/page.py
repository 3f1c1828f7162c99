"""Prints docs/conformance.md from the marked dialogues; `python -m tests.requirements` does it again."""

import io
import tomllib
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tcpcore import Config
from tests.requirements.verdicts import PROFILES, Deviation, Outside, full_name, verdict

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "conformance.md"
DIALOGUES = HERE.parent / "dialogues"

HEAD = """\
# What the RFCs ask, and what each profile does

Printed from the tests by `make conformance`; a test fails when it is stale. A row is shown by the tests it
names (in `tests/dialogues/`), and each of them runs under every profile:

* **holds**: the tests pass under the profile as it is;
* **deviates**: a test is known to fail under it, and to pass once the named knob is turned. Where no knob
  is named none reaches it. The number leads to the reason below the table;
* **out of scope**: nothing in the engine that the requirement could be about, for the reason given.

A row is named by its number in RFC 9293 where it has one (MUST, SHLD, MAY, REC), else by its place.
"""


@dataclass
class Row:
    """One requirement and what the tests say of it."""

    id: str
    section: str
    says: str
    outside: str = ""                 # why it is out of scope
    tests: dict = field(default_factory=dict)  # "file::test" -> its marker

    def said(self, profile, kind):
        """The verdicts of this kind, each once."""
        found = []
        for marker in self.tests.values():
            one = verdict(marker, profile)
            if isinstance(one, kind) and one not in found:
                found.append(one)
        return found

    def verdict(self, profile):
        if not self.tests:
            return "out of scope"
        if self.said(profile, Deviation):
            return "deviates"
        lacking = [verdict(marker, profile) for marker in self.tests.values()]
        return "out of scope" if all(isinstance(one, Outside) for one in lacking) else "holds"


@dataclass
class Part:
    rfc: str
    title: str
    rows: list


def requirements():
    """The parts of requirements.toml, no tests in them yet."""
    document = tomllib.loads((HERE / "requirements.toml").read_text(encoding="utf-8"))
    return [
        Part(part["rfc"], part["title"], [Row(*row) for row in part["rows"]]) for part in document["part"]
    ]


class Collector:
    """A pytest plugin that keeps what was collected."""

    items = ()

    def pytest_collection_modifyitems(self, items):
        self.items = list(items)


def marked_tests():
    """"file::test" -> its requirement marker, in the order of the files."""
    collector = Collector()
    said = io.StringIO()
    with redirect_stdout(said):
        arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", str(DIALOGUES)]
        code = pytest.main(arguments, plugins=[collector])
    if code != 0:
        raise RuntimeError(f"collecting failed:\n{said.getvalue()}")
    return {
        f"{item.path.name}::{item.function.__name__}": marker
        for item in collector.items
        if (marker := item.get_closest_marker("requirement"))
    }


def filled():
    """The parts with their tests, and the ids that tests name and no row has."""
    parts = requirements()
    rows = {f"{part.rfc} {row.id}": row for part in parts for row in part.rows}
    strays = []
    for test, marker in marked_tests().items():
        for name in map(full_name, marker.args):
            if name in rows:
                rows[name].tests[test] = marker
            else:
                strays.append(f"{test}: {name}")
    return parts, strays


def flaws():
    """What keeps the page from being complete, a line each."""
    parts, strays = filled()
    found = [f"no such requirement: {stray}" for stray in strays]
    for part in parts:
        for row in part.rows:
            if not row.tests and not row.outside:
                found.append(f"{part.rfc} {row.id}: neither a test nor a reason")
            if row.tests and row.outside:
                found.append(f"{part.rfc} {row.id}: out of scope, and yet {', '.join(row.tests)}")
    return found


# -- printing


def printed():
    parts, _ = filled()
    text = [HEAD, *summary(parts)]
    notes = Notes()
    for part in parts:
        text += ["", f"## {part.title}", "", "| | § | asked | linux | freebsd | strict | shown by |",
                 "|---|---|---|---|---|---|---|"]  # fmt: skip
        text += [line(row, notes) for row in part.rows]
        if new := notes.drained():
            text += ["", *new]
    return "\n".join(text) + "\n"


def summary(parts):
    """How many of what."""
    rows = [row for part in parts for row in part.rows]
    yield f"{len(rows)} requirements, shown by {len({test for row in rows for test in row.tests})} tests:"
    yield ""
    yield "| | holds | deviates | out of scope |"
    yield "|---|---|---|---|"
    for profile in PROFILES:
        verdicts = [row.verdict(profile) for row in rows]
        counts = (verdicts.count(one) for one in ("holds", "deviates", "out of scope"))
        yield f"| {profile} | {' | '.join(map(str, counts))} |"


class Notes:
    """The reasons, numbered through the page; one that several profiles share is one note."""

    def __init__(self):
        self.profiles, self.printed = {}, 0  # reason -> the profiles that have it

    def number(self, profile, text):
        profiles = self.profiles.setdefault(text, [])
        if profile not in profiles:
            profiles.append(profile)
        return list(self.profiles).index(text) + 1

    def drained(self):
        """The notes that are new since the last time."""
        new = list(self.profiles.items())[self.printed :]
        first, self.printed = self.printed + 1, len(self.profiles)
        return [f"{number}. {', '.join(who)}: {text}" for number, (text, who) in enumerate(new, first)]


def line(row, notes):
    if row.outside:
        return f"| {row.id} | {row.section} | {row.says} | out of scope: {row.outside} | | | |"
    cells = []
    for profile in PROFILES:
        said = row.said(profile, Deviation) + row.said(profile, Outside)
        numbers = ", ".join(str(notes.number(profile, reason(profile, one))) for one in said)
        cells.append(row.verdict(profile) + (f" ({numbers})" if numbers else ""))
    tests = "<br>".join(f"`{test}`" for test in row.tests)
    return f"| {row.id} | {row.section} | {row.says} | {' | '.join(cells)} | {tests} |"


def reason(profile, said):
    if isinstance(said, Outside):
        return said.why
    if not said.cure:
        return f"{said.why} (no knob reaches it)"
    config = getattr(Config, profile)()
    turned = ", ".join(f"`{knob}` is {word(getattr(config, knob))}, holds with {word(value)}"
                       for knob, value in said.cure.items())  # fmt: skip
    return f"{said.why} ({turned})"


def word(value):
    """A value as `-o` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)
