"""A progress bar on standard error: how much is done, how long it took and how long it will take.

On a terminal only, without colours where NO_COLOR asks for none; elsewhere nothing is written. The time left
is that of the rest of the work at the speed so far: what was done comes in lumps, a run at a time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from loadgen.replicates import Progress, every

_OFTEN_S: Final = 0.1
_ALL: Final = 0.999999  # of the bar: at 1 it would be over, its clock stand still, and more may be asked for

clock = time.monotonic


@contextmanager
def bar(wanted: bool = True, what: str = "playing", jobs: str = "replicates") -> Iterator[Progress | None]:
    """Something to tell how many of the `jobs` are done, None where nobody looks."""
    if not wanted or not _may_be_terminal():
        yield None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Left(ProgressColumn):
        """The time left, which runs down between two things that are told."""

        def render(self, task: Task) -> Text:
            return Text(left_text(task.elapsed or 0.0, task.fields["ends"]))

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        Left(),
    )
    with Bar(*columns, console=console, transient=True, get_time=lambda: clock()) as shown:
        task = shown.add_task(what, total=1.0, note="", ends=None)

        def tell(done: float, of: int, share: float | None = None) -> None:
            share = done / of if share is None else share
            note = f"{int(done):,} of {of:,} {jobs}" if of > 1 else ""
            ends = ending(shown.tasks[0].elapsed or 0.0, share)
            shown.update(task, completed=min(share, _ALL), note=note, ends=ends)

        yield every(_OFTEN_S, tell)


def _may_be_terminal() -> bool:
    """Whether rich, which takes long to import, is to be asked if somebody looks."""
    asked_for = os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE")
    return bool(asked_for) or (sys.stderr is not None and sys.stderr.isatty())


def ending(elapsed: float, share: float) -> float | None:
    """When the work ends, in seconds since it began, at the speed so far; None before any is done."""
    return elapsed / share if share > 0 else None


def left_text(elapsed: float, ends: float | None) -> str:
    """The time left at this moment, as the bar has it."""
    if ends is None:
        return "-:--:-- left"
    minutes, seconds = divmod(max(0, round(ends - elapsed)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"
