"""`python -m tests.project.manpages FOLDER`: the manual pages of loadgen, from its help (`make man`).

click-man's own command sees no command that is imported when it is asked for; so each is asked for here.
"""

import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

import click
from click_man.core import generate_man_page

from loadgen.cli import COMMANDS, main

target = Path(sys.argv[1])
target.mkdir(parents=True, exist_ok=True)
top = click.Context(main, info_name="loadgen")
pages = {"loadgen": top}
for name in COMMANDS:
    command = main.get_command(top, name)
    assert command is not None
    pages[f"loadgen-{name}"] = click.Context(command, info_name=name, parent=top)
for name, context in pages.items():
    page = generate_man_page(context, version=version("tcpcore"), date=date.today().isoformat())
    (target / f"{name}.1").write_text(page, encoding="utf-8")
