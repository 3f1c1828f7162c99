"""A progress bar on standard error: how much is done, how long it took and how long it will take.

On a terminal only, without colours where NO_COLOR asks for none; elsewhere nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loadgen.replicates import Progress, every

_OFTEN_S = 0.1


@contextmanager
def bar(wanted: bool = True, what: str = "playing") -> Iterator[Progress | None]:
    """Something to tell (replicates done, of how many), None where nobody looks."""
    if not wanted:
        yield None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as shown:
        task = shown.add_task(what, total=None, note="")

        def tell(done: float, of: int) -> None:
            note = f"replicate {min(int(done) + 1, of)} of {of}" if of > 1 else ""
            shown.update(task, completed=done, total=of, note=note)

        yield every(_OFTEN_S, tell)
