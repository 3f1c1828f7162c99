"""`loadgen completion`: what a shell sources to complete the command line."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from loadgen.cli import main
from loadgen.cli.common import present

#: Shell -> the line for its start file.
SHELLS: Final = {
    "bash": 'eval "$(loadgen completion bash)"      # in ~/.bashrc',
    "zsh": 'eval "$(loadgen completion zsh)"       # in ~/.zshrc',
    "fish": "loadgen completion fish | source       # in ~/.config/fish/config.fish",
}


def script(shell: str) -> str:
    """The script of a shell. It calls `loadgen` with _LOADGEN_COMPLETE set, which `entry` answers."""
    found = get_completion_class(shell)
    assert found is not None
    completer = found(main, {}, "loadgen", "_LOADGEN_COMPLETE")
    return completer.source_template % completer.source_vars()


@click.command(epilog="EXAMPLES\n\n\b\n" + "\n".join(f"    {line}" for line in SHELLS.values()))
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and their values in a shell."""
    present({}, lambda colour, width: script(shell) + "\n", "table", None)
