"""`python -m tests.project.manpages FOLDER`: the manual pages of loadgen, from its help (`make man`).

Paragraphs of the help that keep their lines keep them here, too; a line in capitals is a section's heading.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from datetime import date
from inspect import cleandoc
from pathlib import Path

import click

import tcpcore
from loadgen.cli import COMMANDS, main

KEPT = "\b\n"  # click: what follows keeps its lines


def escaped(text: str) -> str:
    """Text as roff prints it: no line of it is a request, a hyphen is one that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def body(text: str | None) -> Iterator[str]:
    """The lines of a help text or of what stands after the options."""
    for part in re.split(r"\n\s*\n", cleandoc(text or "").strip("\n")):
        kept = part.startswith(KEPT)
        words = textwrap.dedent(part.removeprefix(KEPT)) if kept else cleandoc(part)
        if re.fullmatch(r"[A-Z][A-Z ]+", words):
            yield f".SH {words}"
        elif words:
            yield from (".PP", *(([".nf", escaped(words), ".fi"]) if kept else [escaped(words)]))


def options(context: click.Context) -> Iterator[str]:
    given = [one for one in context.command.params if isinstance(one, click.Option)]
    for flags, said in filter(None, (one.get_help_record(context) for one in given)):
        names, _, value = flags.partition(" ") if "," not in flags else (flags, "", "")
        yield from (".TP", rf"\fB{escaped(names)}\fR {escaped(value)}".rstrip(), escaped(said))


def commands(group: click.Group, context: click.Context) -> Iterator[str]:
    yield ".SH COMMANDS"
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None  # each is imported when it is asked for
        yield from (".TP", rf"\fB{escaped(name)}\fR", escaped(command.get_short_help_str(limit=200)))


def page(context: click.Context) -> str:
    """The page of a command, or of all of them."""
    command, path = context.command, context.command_path
    name = path.replace(" ", "-")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH "{escaped(name.upper())}" 1 {date.today()} "loadgen {tcpcore.__version__}" "loadgen"',
        ".SH NAME",
        rf"{escaped(name)} \- {escaped(command.get_short_help_str(limit=200).rstrip('.'))}",
        ".SH SYNOPSIS",
        rf"\fB{escaped(path)}\fR {escaped(usage)}",
        ".SH DESCRIPTION",
        *body(command.help),
        ".SH OPTIONS",
        *options(context),
    ]
    others = ["loadgen"]
    if isinstance(command, click.Group):
        lines += commands(command, context)
        others = [f"{path}-{other}" for other in COMMANDS]
    lines += [*body(command.epilog), ".SH SEE ALSO", ", ".join(rf"\fB{escaped(one)}\fR(1)" for one in others)]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """By its name, each page."""
    top = click.Context(main, info_name="loadgen")
    contexts = {"loadgen": top}
    for name in COMMANDS:
        command = main.get_command(top, name)
        assert command is not None
        contexts[f"loadgen-{name}"] = click.Context(command, info_name=name, parent=top)
    return {f"{name}.1": page(context) for name, context in contexts.items()}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (target / name).write_text(text, encoding="utf-8")
