"""`make theory`: the whole grid as a table; exit code 1 when a simulation is outside its exact form.

`python -m tests.theory docs` writes the table of forms into docs/theory.md instead.
"""

import sys
from pathlib import Path

from tests.theory import forms as theory
from tests.theory.grid import APPROXIMATE, EXACT, FULL, holds
from tests.theory.simulate import WARM_UP


def show(group, rows, points):
    form = group.form
    print(f"\n{form.name}: {form.formula}")
    print(f"  assumes: {form.assumes}")
    if form.bias:
        print(f"  known bias: {form.bias}")
    last = "verdict" if form.exact else "bias"
    print(f"  {'':<52}{'formula':>9}{'simulated':>11}   {'99 % interval':<18}{last:>9}")
    for row in rows:
        interval = row.interval()
        print(f"  {row.label:<52}{row.formula:9.4f}{interval.mean:11.4f}   "
              f"{interval.low:.4f} .. {interval.high:.4f}  {row.verdict(points):>9}", flush=True)


DOCS = Path(__file__).parents[2] / "docs" / "theory.md"
BEGIN, END = "<!-- forms: python -m tests.theory docs -->\n", "<!-- end of forms -->\n"


def forms():
    """The table of docs/theory.md, from the forms themselves."""
    rows = [("form", "what is lost (sent, taken)", "it assumes", "source", "known bias"), ("---",) * 5]
    rows += [(form.name, f"`{form.formula}`", form.assumes, form.source, form.bias or "none: exact")
             for form in theory.FORMS]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write_docs():
    head, rest = DOCS.read_text().split(BEGIN)
    DOCS.write_text(head + BEGIN + forms() + END + rest.split(END)[1])
    return 0


def main():
    points = sum(len(group.points) for group in EXACT)
    print(f"{points} points of exact forms, {FULL.seeds} seeds each, after {WARM_UP} lives of warm-up")
    rows = []
    for group in EXACT:
        rows += group.rows(FULL)
        show(group, group.rows(FULL), points)
    for group in APPROXIMATE:
        show(group, group.rows(FULL), points)
    verdicts = [row.verdict(points) for row in rows]
    print(f"\n{verdicts.count('inside')} of {points} inside their 99 % interval, "
          f"{verdicts.count('by chance')} outside by chance ({theory.outside_by_chance(points)} may be), "
          f"{verdicts.count('OUTSIDE')} outside")
    return 0 if holds(rows) else 1


if __name__ == "__main__":
    sys.exit(write_docs() if sys.argv[1:] == ["docs"] else main())
