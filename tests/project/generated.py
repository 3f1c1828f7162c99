"""Pages of the site, printed when it is built: the commands from click, a result from its JSON schema.

Nothing is written down twice: what a command's help or the schema says is all that these pages say.
"""

import inspect
import json
import re
from pathlib import Path

import click

from loadgen.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "loadgen" / "report" / "schema.json"


def commands():
    """The page of all commands: each one's help, its options as a table."""
    top = click.Context(main, info_name="loadgen")
    contexts = [top]
    for name in COMMANDS:
        command = main.get_command(top, name)
        assert command is not None
        contexts.append(click.Context(command, info_name=name, parent=top))
    lines = ["# Commands", "", "What `loadgen --help` and `loadgen COMMAND --help` print.", ""]
    for context in contexts:
        lines += _command(context)
    return "\n".join(lines)


def _command(context):
    command = context.command
    lines = [f"## {context.command_path}", "", "```text"]
    lines += [" ".join([context.command_path, *command.collect_usage_pieces(context)]), "```", ""]
    lines += _prose(command.help or "")
    lines += ["| option | what it does |", "|---|---|"]
    for param in command.get_params(context):
        if record := param.get_help_record(context):
            lines.append(f"| {_options(record[0])} | {_cell(record[1])} |")
    return [*lines, "", *_prose(command.epilog or "")]


def _prose(text):
    """Paragraphs; one that click would not fill (after a backspace) keeps its lines."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text).strip("\n")):
        if paragraph.startswith("\b\n"):
            lines += ["```text", *paragraph.splitlines()[1:], "```", ""]
        elif paragraph.strip():
            lines += [" ".join(paragraph.split()), ""]
    return lines


def _options(names):
    """`-n, --count COUNT` as code that may break before what an option takes."""
    parts = [part.split(" ", 1) for part in re.split(r",\s+(?=-)", names)]
    return ", ".join(" ".join(f"`{word}`" for word in part) for part in parts)


def _cell(text):
    return re.sub(r"([|*<\[_{])", r"\\\1", " ".join(text.split()))


def result():
    """The page of a JSON result: its keys, and what each holds."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    said = schema["description"].replace("docs/metrics.md", "[metrics.md](../metrics.md)")
    lines = ["# JSON results", "", said, ""]
    lines += [
        "`loadgen COMMAND --format json` and `-O FILE.json` write one, `loadgen.Result` reads it. This page",
        "is printed from [its schema](schema.json) (JSON Schema 2020-12); tests check results against that.",
        "",
    ]
    lines += ["## Keys of a result", ""]
    lines += _keys(schema, schema["properties"], schema["required"])
    lines += ["## What they are made of", ""]
    for name, part in schema["$defs"].items():
        lines += [f"### {name}", "", *([part["description"], ""] if "description" in part else [])]
        lines += _keys(schema, part["properties"], part.get("required", ())) if "properties" in part else []
        if "properties" not in part:
            lines += [_kind(part) + ".", ""]
    return "\n".join(lines)


def _keys(schema, properties, required):
    lines = ["| key | type | what |", "|---|---|---|"]
    for name, part in properties.items():
        optional = "" if name in required else ", not always there"
        said = part.get("description", "")
        inner = part.get("items", part)
        if "properties" in inner:
            keys = ", ".join(f"`{key}`" for key in inner["properties"])
            said = f"{said}{': ' if said else ''}{'each ' if inner is not part else ''}{keys}"
        lines.append(f"| `{name}` | {_kind(part)}{optional} | {_cell_of(said)} |")
    return [*lines, ""]


def _cell_of(text):
    return text.replace("|", "\\|").replace("<", "&lt;").replace("{", "&#123;")


def _kind(part):
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return " or ".join(f"`{value}`" for value in part["enum"])
    if "anyOf" in part or "oneOf" in part:
        return " or ".join(_kind(one) for one in part.get("anyOf") or part["oneOf"])
    kind = part.get("type", "anything")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if kind == "array" and "items" in part:
        return f"array of {_kind(part['items'])}"
    if isinstance(part.get("additionalProperties"), dict):
        return f"{kind}, by name, of {_kind(part['additionalProperties'])}"
    return kind


PAGES = {"reference/cli.md": commands, "reference/json.md": result}
