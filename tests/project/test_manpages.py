"""The manual pages have all that the help has, as it stands there."""

import re
import shutil
import subprocess

import click
import pytest

from loadgen.cli import COMMANDS, main
from tests.project.manpages import pages

PAGES = pages()


def plain(page):
    """The page without what is roff's."""
    text = re.sub(r"^\.(nf|fi|PP|TP)\n", "", page, flags=re.MULTILINE)
    return re.sub(r"\\f[BR]|\\&", "", text).replace("\\-", "-").replace("\\e", "\\")


def test_every_command_has_a_page():
    assert set(PAGES) == {"loadgen.1", *(f"loadgen-{name}.1" for name in COMMANDS)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_each_option_and_each_line_of_the_help_that_is_kept(name):
    command = main.get_command(click.Context(main), name)
    page = plain(PAGES[f"loadgen-{name}.1"])
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.opts[0] in page and option.help.split("\n")[0] in page, option.name
    for text in (command.help, command.epilog or ""):
        for part in text.split("\n\n"):
            if part.startswith("\b\n"):
                assert [line for line in part.split("\n")[1:] if line.strip() not in page] == []


def test_no_line_of_a_text_is_taken_for_a_request():
    known = {"TH", "SH", "PP", "TP", "nf", "fi"}
    for name, page in PAGES.items():
        requests = {line[1:3] for line in page.splitlines() if line[:1] in (".", "'")}
        assert requests <= known, name


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_say():
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww"], input="".join(PAGES.values()).encode(), capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
