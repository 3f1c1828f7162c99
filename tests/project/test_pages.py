"""The site: tutorials and guides are played, its reference says what is there, its contents has every page.

`make docs` checks the links inside it, and that it builds without a warning.
"""

import re

import pytest

import tcpcore
from loadgen.cli import COMMANDS, EXIT_CODES, main
from tests.project.generated import SCHEMA, commands, result
from tests.project.played import DOCS, PAGES, ROOT, Player

CONTENTS = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
CODES = DOCS / "reference" / "exit-codes.md"
RECORDS = DOCS / "reference" / "records.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed_word_for_word(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    player = Player(page, tmp_path)
    player.play()
    assert player.wrong == [], "\n\n".join(player.wrong)


def test_a_page_that_is_wrong_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(
        "```python\nprint(1)\n```\n```text\n2\n```\n"
        "```console\n$ loadgen metrics attempted\n...\nno such line\n```\n"
        "```console\n$ loadgen churn --rate fast\n```\n```sh\nrm everything\n```\n"
        '```python title="tcpcore/config.py"\nno such line\n```\n'
        '```yaml title="ci.yml"\n  - run: loadgen run other.toml\n```\n'
    )
    player = Player(tmp_path / "page.md", tmp_path)
    player.play()
    assert len(player.wrong) == 6, player.wrong


def test_every_page_is_in_the_contents():
    named = set(re.findall(r": ([\w/-]+\.md)$", CONTENTS, re.MULTILINE))
    assert {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - named == set()


def test_the_page_of_commands_has_all_of_them_and_their_options():
    text = commands()
    assert [name for name in COMMANDS if f"\n## loadgen {name}\n" not in text] == []
    options = {option for name in COMMANDS for param in main.get_command(None, name).params
               for option in param.opts if not getattr(param, "hidden", False)}  # fmt: skip
    assert [option for option in sorted(options) if option.startswith("-") and f"`{option}" not in text] == []


def test_the_page_of_results_has_every_key():
    keys = re.findall(r'^    "(\w+)": \{', SCHEMA.read_text(encoding="utf-8"), re.MULTILINE)
    text = result()
    assert len(keys) > 30
    assert [key for key in keys if f"`{key}`" not in text and f"### {key}\n" not in text] == []


def test_exit_codes_are_those_of_the_help():
    named = {int(code) for code in re.findall(r"\b\d{1,3}\b", EXIT_CODES)}
    rows = re.findall(r"^\| (\d+)(?:, (\d+))? \|", CODES.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code) for row in rows for code in row if code} == named


@pytest.mark.parametrize("name", ["SEGMENT", "INFO", "EVENT", "OP", "ROOM"])
def test_a_record_has_its_fields_and_types(name):
    dtype = getattr(tcpcore, name)
    section = RECORDS.read_text(encoding="utf-8").split(f"\n## {name}\n")[1].split("\n## ")[0]
    found = {}
    for fields, kind in re.findall(r"^\| (`.*?) \| (\w*) \|", section, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", fields), kind)
    real = {field: "SEGMENT" if dtype[field].names else dtype[field].str[1:] for field in dtype.names}
    assert found == real


def test_files_that_guides_name_exist():
    path = re.compile(r"`((?:tests|tcpcore|loadgen|examples|docs)/[\w/.-]+)`")
    pages = (*PAGES, DOCS / "good-first-issues.md")
    named = {(page.name, name) for page in pages for name in path.findall(page.read_text())}
    assert named and [one for one in sorted(named) if not (ROOT / one[1]).exists()] == []
