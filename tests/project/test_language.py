"""The words of the texts, and what must not be in a test."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("tcpcore", "tests", "benchmarks", "README.md", "docs", "Makefile")
#: Not .jsonl: what was recorded quotes titles of commits.
TEXTS = {".py", ".pyx", ".pxd", ".pyi", ".md", ".toml", ".txt", ".json", ".c", ".cc", ".csv", ".svg",
         ".allow", ""}

#: Words that are no longer used; the @ keeps this file from finding itself.
RETIRED = r"\b(la@w|conduc@tor|org@ans?|no@uns?|tw@in|fore@see\w*|bu@ry|bu@ried|carry@_on)\b"
RETIRED = re.compile(RETIRED.replace("@", ""), re.I)
LITTLE = "Little's la" "w"            # in queueing theory it is called so
LONGEST = 120                         # of a rule in docs/semantics.md
CLOCKS = re.compile(r"\b(perf_@counter|process_@time|time\.@time)(_ns)?\(".replace("@", ""))


def texts():
    for place in PLACES:
        top = ROOT / place
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            cython = ("tcpcore", "loadgen", "tests/extensions")
            generated = path.suffix == ".c" and any(path.is_relative_to(ROOT / part) for part in cython)
            if path.is_file() and path.suffix in TEXTS and not generated and "__pycache__" not in path.parts:
                yield path


def test_retired_words_stay_away():
    found = [f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}" for path in texts()
             for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
             if RETIRED.search(line.replace(LITTLE, ""))]  # fmt: skip
    assert not found, "\n" + "\n".join(found)


def test_a_rule_is_a_line():
    lines = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > LONGEST] == []


def test_no_test_measures_seconds():
    """A monotonic clock may end a test that hangs; how long something took decides nothing."""
    found = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("*.py"))
             if CLOCKS.search(path.read_text(encoding="utf-8"))]  # fmt: skip
    assert not found, "\n" + "\n".join(found)
