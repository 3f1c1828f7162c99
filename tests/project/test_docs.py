"""The documents refer to rules, files and each other; what they refer to exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
RULE = r"R\d+[ab]?\.\d+"


def rules():
    return re.findall(rf"^\* ({RULE}) ", (ROOT / "docs" / "semantics.md").read_text(), re.MULTILINE)


def test_a_rule_has_one_line_of_at_most_120_characters():
    lines = (ROOT / "docs" / "semantics.md").read_text().splitlines()
    assert [line for line in lines if len(line) > 120 or re.match(r" +[^* ]", line)] == []


def test_rules_have_names_of_their_own_in_their_section():
    section, misplaced = "", []
    for line in (ROOT / "docs" / "semantics.md").read_text().splitlines():
        if heading := re.match(r"#+ (\d+[ab]?)\. ", line):
            section = heading[1]
        elif (rule := re.match(rf"\* ({RULE}) ", line)) and rule[1].partition(".")[0] != f"R{section}":
            misplaced.append(rule[1])
    assert misplaced == []
    assert len(set(rules())) == len(rules()) > 300


def test_every_rule_that_a_document_names_exists():
    known = set(rules())
    named = [(path.name, name) for path in DOCS for name in re.findall(rf"\b{RULE}\b", path.read_text())]
    assert [(path, name) for path, name in named if name not in known] == []


def test_every_link_leads_to_a_file():
    links = [(path, link) for path in DOCS for link in LINK.findall(path.read_text())]
    assert [(path.name, link) for path, link in links if not (path.parent / link).exists()] == []
