"""`python -m benchmarks.page`: the figures in docs/performance.md, from the last recorded entries.

Between its marks the page has nothing that was typed: the table is that of the last entry of history.jsonl,
the instructions are those of the last entry of instructions.jsonl, each with its machine. With --check
nothing is written; exit status 1 means that a figure in the page is in no recorded entry.
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
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def block(entry: Entry) -> str:
    """What the page says of a recorded run."""
    machine = f"{entry['cpu']}, {entry['cpus']} CPUs, load {entry['load']} when it ended"
    made = f"{entry['compiler']}, `{entry['flags']}`, Python {entry['python']}, numpy {entry['numpy']}"
    where = f"{machine}; {entry['system']}; {made}, Cython {entry['cython']}."
    lines = "\n".join(entry["table"])
    return f"```\n{lines}\n```\n\n{where} Revision {entry['revision']}, {entry['at']}."


def marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: begin[^>]*-->\n)(.*?)(\n<!-- {name}: end -->)", re.DOTALL)


def written(page: str, recorded: dict[str, list[Entry]]) -> str:
    """The page with the last entry of each record."""
    for name, told in recorded.items():
        if told:
            text = block(told[-1])
            page = marked(name).sub(lambda found, text=text: found[1] + text + found[3], page)
    return page


def invented(page: str, recorded: dict[str, list[Entry]]) -> list[str]:
    """Names of the blocks that no recorded entry has printed."""
    wrong = []
    for name, told in recorded.items():
        found = marked(name).search(page)
        if found is None or found[2] not in map(block, told):
            wrong.append(name)
    return wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="only say whether the page tells what was recorded"
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
