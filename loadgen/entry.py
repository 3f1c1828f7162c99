"""The `loadgen` command from the first instruction to the exit code.

Signals come first and everything that takes time to import comes after. Whatever goes wrong ends in a line on
standard error and an exit code, never in a traceback: `--debug` or LOADGEN_DEBUG=1 shows that. Messages are
cut to a length that can be read, whatever was typed.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from loadgen import signals

if TYPE_CHECKING:
    import click

_COMPLETE: Final = "_LOADGEN_COMPLETE"  # in the environment, by a shell that completes a command line
_MOST_LINES: Final = 6
_HEAD, _TAIL = 150, 100  # characters of a line that is too long


def main() -> NoReturn:
    """The console script."""
    signals.install()
    gc.disable()  # until the command is imported: nothing of that is ever garbage
    _open_standard_files()
    _mend_environment()
    code = run(sys.argv[1:])
    signals.ignore()
    sys.exit(_flushed(code))


def run(args: Sequence[str]) -> int:
    """The exit code of `loadgen ARGS`; everything but the end of the process."""
    debug = _wants_debug(args)
    try:
        from loadgen.cli import main as command

        signals.started()
        return _invoked(command, list(args))
    except KeyboardInterrupt:
        signals.honoured()
        return signals.exit_code()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BrokenPipeError:
        return 1  # whoever read our output has enough: nothing to say
    except BaseException as error:
        if signals.pending():  # what the interrupt was raised in made another error of it
            signals.honoured()
            return signals.exit_code()
        if debug and sys.stderr is not None:
            import traceback

            traceback.print_exc()
        return _explained(error)


def _invoked(command: click.Group, args: list[str]) -> int:
    """As `command.main` does it, which would answer an interrupt with an empty line."""
    import click

    if completing := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(command, {}, "loadgen", _COMPLETE, completing)
    try:
        with command.make_context("loadgen", args) as ctx:
            command.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    return 0


def _explained(error: BaseException) -> int:
    """Say what is wrong, and give the exit code."""
    try:
        import click
    except Exception:  # nothing can be imported: the plain message has to do
        return _said(f"loadgen: {_of(error)}", 1)
    if isinstance(error, click.exceptions.Abort):
        signals.honoured()
        return signals.exit_code()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return _said(error.format_message(), error.exit_code, whole=True)
    if isinstance(error, click.ClickException):
        return _said(_usage(error) + f"Error: {_message(error)}", error.exit_code)
    if isinstance(error, ImportError) and error.name == "tcpcore":
        return _said(f"loadgen: {error}", 1)  # a clone that is not built
    if isinstance(error, MemoryError):
        return _said(f"loadgen: out of memory{_of(error, ': ')}", 1)
    if isinstance(error, OSError):
        return _said(f"loadgen: {_of(error)}", 1)
    what = f"unexpected error: {type(error).__name__}{_of(error, ': ')}"
    return _said(f"loadgen: {what}; please report (loadgen --debug shows where)", 1)


def _of(error: BaseException, before: str = "") -> str:
    try:
        said = str(error)
    except Exception:
        said = "no message"
    return before + said if said or not before else ""


def _usage(error: click.ClickException) -> str:
    """The line that says how the command is called, for whoever called it wrongly."""
    import click

    if not isinstance(error, click.UsageError) or error.ctx is None:
        return ""
    path, command = error.ctx.command_path, "" if error.ctx.parent else " COMMAND"
    return f"Usage: {path} [OPTIONS]{command}; '{path} --help' lists them.\n"


def _message(error: click.ClickException) -> str:
    import click

    message = error.format_message()
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Option) and error.ctx:
        name = error.param.value_from_envvar(error.ctx) and _variable(error.param, error.ctx)
        if name and not any(option in sys.argv for option in error.param.opts):
            message += f" (from {name})"
    return message


def _variable(option: click.Option, ctx: click.Context) -> str | None:
    """The environment variable of an option."""
    if isinstance(option.envvar, str):
        return option.envvar
    prefix = ctx.auto_envvar_prefix
    return f"{prefix}_{option.name.upper()}" if prefix and option.name else None


def readable(text: str) -> str:
    """A message as it is shown: control characters as escapes, long lines without their middle, few lines."""
    lines = text.split("\n")
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"... and {len(lines) - _MOST_LINES:,} more lines"]
    return "\n".join(map(_clipped, lines))


def _clipped(line: str) -> str:
    if len(line) > _HEAD + _TAIL:
        left_out = len(line) - _HEAD - _TAIL
        line = f"{line[:_HEAD]} ... {left_out:,} more characters ... {line[-_TAIL:]}"
    if not line.isprintable():
        line = "".join(c if c.isprintable() else _escaped(c) for c in line)
    return line


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _said(message: str, code: int, *, whole: bool = False) -> int:
    """Write it to standard error, if that can be written to."""
    if sys.stderr is None:  # print would take that for standard output
        return code
    try:
        print(message if whole else readable(message), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # there is nobody to tell
    return code


def _wants_debug(args: Sequence[str]) -> bool:
    """Known before anything is parsed: the parsing itself may be what fails."""
    before_command: list[str] = []
    for word in args:
        if not word.startswith("-"):
            break
        before_command.append(word)
    given = os.environ.get("LOADGEN_DEBUG", "").lower()
    return "--debug" in before_command or given in ("1", "true", "t", "yes", "y", "on")


def _open_standard_files() -> None:
    """Open them where they are closed: a file of ours would get the number, and what is said go there."""
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # text its encoding lacks must not be an error
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _mend_environment() -> None:
    """Sizes of the terminal that are no sizes are not believed; the libraries take them as they are."""
    for name in ("COLUMNS", "LINES"):
        size = os.environ.get(name, "1")
        if not (size.isascii() and size.isdigit() and len(size) <= 4 and int(size)):
            del os.environ[name]


def _flushed(code: int) -> int:
    """The exit code when all that was written has arrived. Where it cannot, standard output is given up: the
    interpreter's own attempt at exit would end in a traceback."""
    failed: OSError | None = None
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            failed = error if isinstance(error, OSError) and stream is sys.stdout else failed
            _give_up(stream)
    if failed is None:
        return code
    if isinstance(failed, BrokenPipeError):
        return code or 1
    return _said(f"loadgen: cannot write to standard output: {failed.strerror}", code or 1)


def _give_up(stream: Any) -> None:
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass
