"""`python -m benchmarks.annotated [DIRECTORY]`: check that nogil functions are white in Cython's reports.

A yellow line uses Python's C API. Inside of a function that says `nogil` there must be none: the reports that
`make annotate` wrote to DIRECTORY (build/annotate) are read together with the sources, and each such line is
printed. Exit status 0 means that there is none. Inline functions of a .pxd are in no report.

The report of tcpcore/tcp/output.pyx is `tcp.output.html`: two folders may have modules of the same name.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.native import ROOT

HEAD = re.compile(r"( *)cdef\b[^=]*\(")
LINE = re.compile(r'<pre class="cython line score-(\d+)"[^>]*>[^<]*<span class="">(\d+)</span>')


def nogil_functions(source: list[str]) -> Iterator[tuple[str, range]]:
    """Name and line numbers, from 1, of each function that says nogil."""
    at = 0
    while at < len(source):
        found = HEAD.match(source[at])
        if found is None:
            at += 1
            continue
        end, opened = at, source[at].count("(") - source[at].count(")")
        while opened > 0 and end + 1 < len(source):  # the signature is longer
            end += 1
            opened += source[end].count("(") - source[end].count(")")
        head = " ".join(source[at : end + 1])
        body = end + 1
        while body < len(source) and (
            not source[body].strip() or len(source[body]) - len(source[body].lstrip()) > len(found[1])
        ):
            body += 1
        if head.rstrip().endswith(":") and re.search(r"\)[^()]*\bnogil\b", head):
            name = re.findall(r"(\w+)\s*\(", head)[0]
            yield name, range(at + 1, body + 1)
        at = max(body, at + 1)


def yellow_lines(report: str) -> dict[int, int]:
    """The score of each line that uses Python's C API, by line number."""
    return {int(number): int(score) for score, number in LINE.findall(report) if score != "0"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotated", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "build" / "annotate")
    parser.add_argument("--sources", type=Path, default=ROOT / "tcpcore", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    reports = sorted(options.directory.glob("*.html"))
    if not reports:
        print(f"annotated: no reports in {options.directory}; `make annotate` writes them", file=sys.stderr)
        return 2
    functions = wrong = 0
    for report in reports:
        name_of_source = report.stem.replace(".", "/") + ".pyx"
        path = options.sources / name_of_source
        source = path.read_text().splitlines()
        yellow = yellow_lines(report.read_text())
        for name, lines in nogil_functions(source):
            functions += 1
            for number in lines:
                if number in yellow:
                    wrong += 1
                    text = source[number - 1].strip()
                    print(f"{name_of_source}:{number}: {name}, score {yellow[number]}: {text}")
    print(f"{functions} nogil functions in {len(reports)} modules, {wrong} yellow lines in them")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
