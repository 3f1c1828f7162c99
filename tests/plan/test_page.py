"""docs/planning.md: every command in it, as written; what it prints is what the page shows, but for wall."""

import re

import pytest

from loadgen.plan.topics import NAMES
from tests.plan.page import PAGE, blocks, run, without_wall

BLOCKS = blocks(PAGE.read_text())
LINE = 140
MOST = 16
LETTERS = re.compile(r"(  |^)([FSRTA](, [FSRTA])*|-)$")


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[" ".join(one.split()[1:3]) for one, _ in BLOCKS])
def test_a_command_prints_what_the_page_shows(command, shown):
    code, printed, errors = run(command)
    assert (code, errors) == (0, "")
    assert without_wall(printed) == without_wall(shown)


@pytest.mark.parametrize("shown", [shown for _, shown in BLOCKS])
def test_an_answer_is_short_and_every_line_with_a_figure_has_its_letter(shown):
    lines = shown.splitlines()
    end = next(k for k, line in enumerate(lines) if line.startswith("virtual "))
    assert len(lines) <= MOST
    assert max(map(len, lines)) <= LINE
    parts, begun = [], ""
    for line in lines[:end]:  # a part goes on until the line with its letters
        begun += line
        if LETTERS.search(line):
            parts.append(begun)
            begun = ""
        elif re.match(r"\s*(remedy|first try|count|connected) ", line):
            begun = ""  # the head of a table
    assert not re.search(r"\d", begun), begun
    assert parts[0].startswith("limits now") and parts[1].startswith("verdict")
    assert parts[-1].startswith("not modelled") and parts[-2].startswith("assumed")
    said = " ".join(line.strip() for line in lines[end:])
    assert all(word in said for word in ("| wall ", "| seed ", "| effort "))
    assert "| linux-6.18 " in said or "| freebsd-14 " in said
    assert re.search(r"\| reproduce: loadgen (plan|flood) ", " ".join(line.strip() for line in lines[end:]))


def test_the_page_has_every_question():
    text = PAGE.read_text()
    assert [f"## Q{number}. " in text for number in range(1, 10)] == [True] * 9
    words = [command.split() for command, _ in BLOCKS]
    assert {one[2] if one[1] == "plan" else one[1] for one in words} == set(NAMES) - {"all"}
