"""`python -m benchmarks.page`: print the last recorded figures into docs/performance.md.

The text between its marks is generated: the table from the last entry of history.jsonl, the instructions from
the last entry of instructions.jsonl, each with its machine. With --check nothing is written; exit status 1
means that a figure in the page is in no recorded entry.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks.native import ROOT

PAGE = ROOT / "docs" / "performance.md"
RECORDS = {"figures": "history.jsonl", "instructions": "instructions.jsonl"}

Entry = dict[str, Any]


def entries(path: Path) -> list[Entry]:
    """The recorded runs of a file, the last one last."""
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def block(entry: Entry) -> str:
    """The text of a recorded run: its table, its machine, its revision, and a note if there is one."""
    machine = f"{entry['cpu']}, {entry['cpus']} CPUs, load {entry['load']} when it ended"
    made = f"{entry['compiler']}, `{entry['flags']}`, Python {entry['python']}, numpy {entry['numpy']}"
    where = f"{machine}; {entry['system']}; {made}, Cython {entry['cython']}."
    lines = "\n".join(entry["table"])
    revision = f"Revision {entry['revision']}, {entry['at']}. {entry.get('note', '')}".rstrip()
    return f"```\n{lines}\n```\n\n{where} {revision}"


def marked(name: str) -> re.Pattern[str]:
    """The pattern of a generated text between its marks."""
    return re.compile(rf"(<!-- {name}: begin[^>]*-->\n)(.*?)(\n<!-- {name}: end -->)", re.DOTALL)


def written(page: str, recorded: dict[str, list[Entry]]) -> str:
    """The page with the last entry of each record."""
    for name, runs in recorded.items():
        if runs:
            text = block(runs[-1])
            page = marked(name).sub(lambda found, text=text: found[1] + text + found[3], page)
    return page


def invented(page: str, recorded: dict[str, list[Entry]]) -> list[str]:
    """Names of the generated texts that are those of no recorded entry."""
    wrong = []
    for name, runs in recorded.items():
        found = marked(name).search(page)
        if found is None or found[2] not in map(block, runs):
            wrong.append(name)
    return wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="only check that the page has the recorded figures"
    )
    options = parser.parse_args(arguments)
    recorded = {name: entries(ROOT / "benchmarks" / file) for name, file in RECORDS.items()}
    page = PAGE.read_text()
    if not options.check:
        page = written(page, recorded)
        PAGE.write_text(page)
    wrong = invented(page, recorded)
    for name in wrong:
        print(f"page: {name}: not what an entry of {RECORDS[name]} says", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
