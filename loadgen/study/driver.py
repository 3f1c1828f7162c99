"""A study from its directory to its table: what `loadgen sweep` does between its options and its output.

The points are played (`playing`, `search`), their results kept (`store`), the tables made again in the end,
also of a study that was stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadgen.replicates import Progress, Stop
from loadgen.report.thresholds import MET
from loadgen.scenario.numbers import write_time
from loadgen.study import table
from loadgen.study.playing import Failure, Session
from loadgen.study.pools import Pool
from loadgen.study.search import FOUND, Cell, SearchRun, Trial
from loadgen.study.spec import Point, Spec, extended, grows_only
from loadgen.study.store import TABLE, Store, mismatch
from loadgen.study.table import Row, row_of

SEARCH: Final = "search.json"
PARQUET: Final = "table.parquet"


@dataclass
class Driver:
    """One run of a study. `play` ends early by Stopped or KeyboardInterrupt; `finish` is called anyway."""

    spec: Spec
    store: Store
    session: Session
    points: list[Point] = field(default_factory=list)  # of the grid
    search: SearchRun | None = None

    def play(self, told: Callable[[Cell, Trial], None] | None = None) -> None:
        """Every point, or the search to its end."""
        if self.spec.search is not None:
            self.search = SearchRun(self.spec, self.session)
            self.search.run(told)
        else:
            self.points = list(self.spec.points())
            self.session.keep = lambda point, result: row_of(point.values, result)
            self.session.play((point, self.spec.seeds) for point in self.points)

    def rows(self) -> list[Row]:
        """A row of each point that has a result."""
        found = self.session.found
        if self.search is None:
            return [found[point.key] for point in self.points if point.key in found]
        return [row_of(trial.point.values, trial.result) for trial in self._tried() if trial.result]

    def states(self) -> list[str] | None:
        """What the search made of each row."""
        return None if self.search is None else [trial.state for trial in self._tried() if trial.result]

    def _tried(self) -> list[Trial]:
        assert self.search is not None
        return [cell.trials[number] for cell in self.search.cells for number in sorted(cell.trials)]

    def finish(self, parquet: bool = False) -> None:
        """Write the tables. Raises OutputError, OSError, NoLibrary."""
        rows = self.rows()
        self.store.write_text(TABLE, table.as_csv(rows))
        if self.search is not None:
            document = {"schema": 1, "searches": [cell.to_dict() for cell in self.search.cells]}
            text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
            self.store.write_text(SEARCH, text + "\n")
        if parquet:
            table.write_parquet(self.store.folder / PARQUET, rows)

    @property
    def failures(self) -> list[Failure]:
        return list(self.session.failures.values())

    @property
    def unmet(self) -> list[Row]:
        """Points of a grid that miss a target, or are undecided."""
        return [] if self.search is not None else [row for row in self.rows() if row.state not in ("", MET)]

    @property
    def answered(self) -> bool:
        """Whether every search has its bracket."""
        return self.search is None or all(cell.status == FOUND for cell in self.search.cells)

    def text(self) -> str:
        """What the command prints."""
        where = str(Path(self.store.folder) / TABLE)
        text = table.as_text(self.rows(), self.states(), where)
        for cell in self.search.cells if self.search is not None else ():
            if cell.lengthened:
                given = write_time(self.spec.scenario.run.duration_ns)
                lasts = f"up to {cell.lengthened} instead of {given}"
                text += f"runs of {lasts}: the accept queue forgets slowly\n"
            if cell.sentence:
                text += f"{cell.sentence}\n"
        return text


def claimed(spec: Spec, store: Store, extend: bool) -> Spec:
    """The study as it is to be played in this directory. Raises Mismatch, OutputError."""
    before = store.before()
    if before is not None and extend:
        spec = extended(spec, before)
    document = spec.document()
    if before is not None and before != document and not (extend and grows_only(before, document)):
        raise mismatch(store.folder, before, document)
    store.claim(document)
    return spec


def make_session(
    spec: Spec, pool: Pool, store: Store | None, budget: int | None, stop: Stop, progress: Progress | None
) -> Session:
    """The session of a study."""
    return Session(
        pool, store, budget, stop, progress,
        check=spec.check, keep_series=spec.keep_series, command=spec.command,
    )  # fmt: skip
