"""Pages of docs/ that are played: the files in them are written, commands run, outputs compared, in order.

A block with a title is a file of that name, or with a folder in it a part of that file of the repository.
In a `console` block a line after `$ ` is a command and what follows is what it prints (lines `...` stand for
lines left out; nothing shown, nothing compared); it ends with 0 unless `echo $?` follows. `python` blocks
without a title share their names, `text` is what the last one printed. An `sh` block is for another host;
each `run` of a `yaml` block is a command of the page. Installing is for the tests of distributions.
`python -m tests.plan pages` writes what is printed now into all of them.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from loadgen import entry
from tests.plan.page import split, without_wall

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    DOCS / "reference" / "loadgen.md",
    DOCS / "reference" / "exit-codes.md",
    *sorted((DOCS / "tutorials").glob("*.md")),
    *sorted((DOCS / "how-to").glob("*.md")),
]
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
#: First words of lines that an `sh` block may have: they are for a host that is asked, or a clone.
ELSEWHERE = {"ss", "nstat", "sysctl", "ssh", "scp", "make", "cat", "git", "loadgen", "python"}
INSTALLING = ("python3 -m venv ", ". ", "pip install ")


def commands(text):
    """(command, what it prints) of each in a console block."""
    return [split(f"$ {part.strip(chr(10))}") for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]


def same(shown, printed):
    """Whether a command printed what is shown; lines `...` stand for lines left out."""
    shown, printed = without_wall(shown), without_wall(printed)
    if "..." not in shown.splitlines():
        return not shown or shown.rstrip() == printed.rstrip()
    begin, *parts = re.split(r"^\.\.\.$\n?", shown, flags=re.MULTILINE)
    at = len(begin) if printed.startswith(begin) else -1
    for part in filter(None, parts):
        at = printed.find(part.rstrip("\n"), at) if at >= 0 else -1
    return at >= 0


def inside(words, folder):
    """Exit code and standard output of a command; `loadgen` runs in this process.

    That a benchmark took longer than the one before says nothing here.
    """
    if words[0] == "loadgen":
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            return entry.run(words[1:]), out.getvalue()
    arguments = {"pytest": ["-m", "pytest", "-p", "no:cacheprovider"], "python": []}[words[0]]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    words = [sys.executable, *arguments, *words[1:]]
    environment = kept | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    return 0 if "Performance has regressed" in done.stdout + done.stderr else done.returncode, done.stdout


class Player:
    """One page in one folder, which is the working folder."""

    def __init__(self, page, folder, call=inside):
        self.page, self.folder, self.call = page, folder, call
        self.names, self.code, self.printed, self.wrong = {"__name__": "page"}, 0, "", []

    def play(self):
        """The page as it should be; `wrong` says where it is not."""
        text = BLOCK.sub(self._block, self.page.read_text(encoding="utf-8"))
        self._ends_well("the end")
        return text

    def _block(self, match):
        kind, title, text = match.groups()
        if title and "/" in title:
            if text not in (ROOT / title).read_text(encoding="utf-8"):
                self.wrong.append(f"not in {title}:\n{text}")
        elif title:
            (self.folder / title).write_text(text, encoding="utf-8")
        elif kind == "console":
            return "```console\n" + "\n".join(map(self._command, commands(text))) + "\n```"
        elif kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, self.page.name, "exec"), self.names)
            self.printed = out.getvalue()
        elif kind == "text":
            self._expect("the code above", text, self.printed)
            return f"```text\n{self.printed}```"
        elif kind == "sh":
            strange = {line.split()[0] for line in text.splitlines() if line.strip()} - ELSEWHERE
            self.wrong += [f"not run: {word}" for word in sorted(strange)]
        if kind == "yaml":
            page = self.page.read_text(encoding="utf-8")
            played = re.findall(r"^\$ (.*)", page, re.MULTILINE)
            runs = re.findall(r"- run: (?!pip )(.*)", text)
            self.wrong += [f"not played: {run}" for run in runs if run not in played]
        return match[0]

    def _command(self, one):
        command, shown = one
        as_it_is = f"$ {command}" + (f"\n{shown}" if shown else "")
        if command == "echo $?":
            printed, self.code = str(self.code), 0
        elif command.startswith(INSTALLING):
            return as_it_is
        else:
            self._ends_well(command)
            self.code, printed = self.call(shlex.split(command), self.folder)
        self._expect(command, shown, printed)
        if not shown or "..." in shown.splitlines() or same(shown, printed):
            return as_it_is
        return f"$ {command}\n{printed.rstrip()}"

    def _expect(self, what, shown, printed):
        if not same(shown, printed):
            self.wrong.append(f"{what}\nprints\n{printed}\nnot\n{shown}")

    def _ends_well(self, what):
        if self.code:
            self.wrong.append(f"exit code {self.code} before {what}")
        self.code = 0
