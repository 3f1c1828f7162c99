"""docs/embedding.md: its code runs as it stands, in order, and prints what is shown."""

import re
from pathlib import Path

from tcpcore import BLOCK, EventKind

PAGE = Path(__file__).resolve().parents[2] / "docs" / "embedding.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_code_runs_and_prints_what_is_shown(capsys):
    assert {kind for kind, _ in BLOCKS} == {"python", "text"}
    names = {"__name__": "page"}
    for i, (kind, text) in enumerate(BLOCKS):
        if kind == "python":
            exec(compile(text, f"{PAGE.name}, block {i + 1}", "exec"), names)
        else:
            assert capsys.readouterr().out == text
    assert capsys.readouterr().out == ""


def table(heading):
    """The first cells of the table under this heading."""
    _, _, text = PAGE.read_text().partition(f"## {heading}\n")
    return " ".join(re.findall(r"^\| `([^`]*)`", text.partition("\n## ")[0], re.MULTILINE)).split()


def test_every_event_and_only_columns_that_exist_are_explained():
    assert sorted(table("Events")) == sorted(kind.name.lower() for kind in EventKind)
    assert set(table("Columns of `blocks`")) <= set(BLOCK.names)
