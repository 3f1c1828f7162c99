"""docs/planning.md: the commands in its console blocks and what they print; wall time is not compared."""

import re
import shlex
import tempfile
from pathlib import Path

from click.testing import CliRunner

from loadgen.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "planning.md"
_BLOCK = re.compile(r"^```console\n(\$ loadgen .*?)\n```$", re.M | re.S)


def run(command):
    """Exit code, standard output and standard error of a line that begins with `loadgen`.

    A study is kept in a folder that is gone afterwards.
    """
    words = shlex.split(command)
    assert words[0] == "loadgen"
    if words[1] == "sweep":
        with tempfile.TemporaryDirectory() as folder:
            words[words.index("-O") + 1] = str(Path(folder) / "study")
            found = CliRunner().invoke(main, [*words[1:], "--jobs", "1"], standalone_mode=True)
        return found.exit_code, found.stdout, found.stderr
    found = CliRunner().invoke(main, words[1:], standalone_mode=True)
    return found.exit_code, found.stdout, found.stderr


def blocks(text):
    """(command, output) of each block."""
    return [split(match[1]) for match in _BLOCK.finditer(text)]


def split(block):
    """A command may be continued by a backslash; the rest is what it prints."""
    lines = block.splitlines()
    end = next(k for k, line in enumerate(lines) if not line.endswith("\\"))
    command = " ".join(line.rstrip("\\").strip() for line in lines[: end + 1]).removeprefix("$ ")
    return command, "\n".join(lines[end + 1 :])


BLOCK_COMMANDS = [command for command, _ in blocks(PAGE.read_text())]


def without_wall(text):
    """The text with the one figure that two runs may differ in left out, and how its line is broken."""
    body, begin, last = text.rstrip("\n").partition("\nvirtual ")
    return body + begin + " ".join(re.sub(r"wall [\d.e+-]+ s", "wall - s", last.replace("\\", " ")).split())


def regenerated(text):
    """The page with what its commands print now; a block that is right is left as it is."""

    def renew(match):
        command, shown = split(match[1])
        _, printed, _ = run(command)
        if without_wall(printed) == without_wall(shown):
            return match[0]
        head = match[1][: len(match[1]) - len(shown)].rstrip("\n") if shown else match[1]
        return f"```console\n{head}\n{printed.rstrip()}\n```"

    return _BLOCK.sub(renew, text)
