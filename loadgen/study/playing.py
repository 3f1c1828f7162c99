"""Points played on a pool: admitted by memory, longest first, kept as soon as all their seeds are in.

A task is a point and a replicate. One whose worker was lost is played once more, alone; then its point has
failed, with the reason, and the others go on. The order of tasks and the pool change no result. What the
store has is not played again.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from loadgen.api import result_of
from loadgen.replicates import Job, Progress, Stop
from loadgen.report.result import Result
from loadgen.report.series import Series
from loadgen.sim.outcome import Outcome
from loadgen.study.pools import Pool, is_lost
from loadgen.study.spec import Point
from loadgen.study.store import Store
from loadgen.theory.relaxation import too_short
from loadgen.units import format_bytes

_LOOK_S: Final = 0.1
_LOOK_AHEAD: Final = 100  # tasks that are looked at for one that fits in memory


class Stopped(Exception):
    """Somebody wished to stop; what is finished is kept."""


@dataclass(frozen=True)
class Failure:
    """Why a point has no result."""

    values: Mapping[str, object]
    replicate: int
    reason: str
    error: Exception | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Task:
    """A replicate of a point."""

    point: Point
    replicate: int

    def job(self, seeds: int) -> Job:
        hosts = self.point.hosts
        return Job(self.point.with_seeds(seeds), self.replicate, hosts.server, hosts.client)


@dataclass
class _Work:
    """Runs, and about how many seconds they take."""

    runs: int = 0
    seconds: float = 0.0

    def add(self, task: Task) -> None:
        self.runs += 1
        self.seconds += task.point.seconds


@dataclass
class Session:
    """Plays points and remembers what came of them."""

    pool: Pool
    store: Store | None = None
    budget: int | None = None  # bytes of the tasks that are played at once
    stop: Stop = lambda: False  # noqa: E731
    progress: Progress | None = None
    check: bool = False
    keep_series: bool = False
    command: str = ""
    keep_outcomes: bool = False  # more seeds may be wanted of a point
    keep: Callable[[Point, Result], Any] = lambda point, result: result  # noqa: E731
    expected: int = 0  # runs in all, about, where results decide which more are played
    found: dict[str, Any] = field(default_factory=dict)  # what `keep` made of each result, by key
    failures: dict[str, Failure] = field(default_factory=dict)
    _outcomes: dict[str, dict[int, Outcome]] = field(default_factory=dict)
    _done: _Work = field(default_factory=_Work)
    _wanted: _Work = field(default_factory=_Work)

    def play(self, wanted: Iterable[tuple[Point, int]]) -> None:
        """Have the results of points with so many seeds in `found`; `failures` says why there is none.

        Raises Stopped, and OutputError where a result cannot be written.
        """
        missing: dict[str, tuple[Point, int]] = {}
        for point, seeds in wanted:
            known = None if self.store is None else self.store.result(point.key, seeds)
            if known is not None:
                self.found[point.key] = self.keep(point, known)
                self.expected -= seeds
            elif point.key not in missing:
                missing[point.key] = point, seeds
        _Round(self, missing).play()

    def tell(self) -> None:
        """How much is done of what is wanted or expected; runs count by their estimated cost."""
        if self.progress is not None and self._wanted.runs:
            of = max(self._wanted.runs, self.expected)
            known = self._done.seconds / self._wanted.seconds if self._wanted.seconds else 0.0
            self.progress(self._done.runs, of, min(known * self._wanted.runs / of, 1.0))

    def fail(self, task: Task, reason: str, error: Exception | None = None) -> None:
        """Say why there is no result of a point."""
        point = task.point
        self.failures[point.key] = Failure(point.values, task.replicate, reason, error)
        self._outcomes.pop(point.key, None)
        if self.store is not None:
            self.store.fail(point.key, point.values, task.replicate, reason)

    def result(self, point: Point, seeds: int, outcomes: Sequence[Outcome]) -> Result:
        """The result of a point, as it is kept."""
        scenario = point.with_seeds(seeds)
        result = result_of(scenario, outcomes, check=self.check, command=self._command(point, seeds))
        result.point = {path: _plain(value) for path, value in point.values.items()}
        needed = too_short(scenario, point.hosts.server)
        if needed is not None:
            result.warnings.append(
                f"too short to tell: 100 relaxation times of the accept queue are {needed:,.0f} s"
            )
        if self.store is not None and not self.keep_series:
            result.series = Series({})
        return result

    def _command(self, point: Point, seeds: int) -> str:
        """What plays this point alone."""
        if not self.command:
            return ""
        words = [self.command, *(f"-o {shlex.quote(f'{k}={v}')}" for k, v in point.values.items())]
        return " ".join([*words, f"--seeds {seeds}", f"--seed {point.scenario.seed}"])


class _Round:
    """Points on their way through the pool."""

    def __init__(self, session: Session, points: Mapping[str, tuple[Point, int]]) -> None:
        self._session = session
        self._points = points
        self._waiting: list[Task] = []
        self._alone: list[Task] = []  # whose worker was lost
        self._again: set[tuple[str, int]] = set()  # that were played a second time
        self._running: dict[int, Task] = {}
        self._next = 0
        for key, (point, seeds) in points.items():
            had = session._outcomes.setdefault(key, {})
            tasks = [Task(point, replicate) for replicate in range(seeds) if replicate not in had]
            if session.budget is not None and point.nbytes > session.budget:
                needs, has = format_bytes(point.nbytes), format_bytes(session.budget)
                session.fail(tasks[0], f"it takes about {needs} of memory, {has} may be used (--memory)")
            else:
                self._waiting += tasks
        self._waiting.sort(key=lambda task: -task.point.seconds)  # stable: points stay together
        self._waiting.reverse()
        for task in self._waiting:
            session._wanted.add(task)

    def play(self) -> None:
        """Until nothing is left to do."""
        self._session.tell()
        while self._waiting or self._alone or self._running:
            if self._session.stop():
                raise Stopped
            self._admit()
            if not self._running:
                continue
            for number, outcome, error in self._session.pool.done(_LOOK_S):
                task = self._running.pop(number)
                if error is not None or outcome is None:
                    self._failed(task, error or RuntimeError("it gave nothing"))
                elif task.point.key not in self._session.failures:
                    self._played(task, outcome)
                self._session._done.add(task)
                self._session.tell()

    # -- admission -------------------------------------------------------------------------------

    def _admit(self) -> None:
        if self._alone:
            if not self._running:
                self._submit(self._alone.pop())
            return
        while self._session.pool.idle > 0 and (task := self._fitting()) is not None:
            self._submit(task)

    def _fitting(self) -> Task | None:
        """The longest task that there is memory for; any if nothing else is played."""
        budget = self._session.budget
        used = sum(task.point.nbytes for task in self._running.values()) if budget is not None else 0
        for place in range(len(self._waiting) - 1, max(-1, len(self._waiting) - 1 - _LOOK_AHEAD), -1):
            task = self._waiting[place]
            if task.point.key in self._session.failures:
                self._session._done.add(task)
                del self._waiting[place]
            elif budget is None or not self._running or used + task.point.nbytes <= budget:
                return self._waiting.pop(place)
        return None

    def _submit(self, task: Task) -> None:
        seeds = self._points[task.point.key][1]
        self._running[self._next] = task
        self._session.pool.submit(self._next, task.job(seeds))
        self._next += 1

    # -- what came of a task ---------------------------------------------------------------------

    def _played(self, task: Task, outcome: Outcome) -> None:
        point, seeds = self._points[task.point.key]
        outcomes = self._session._outcomes[point.key]
        outcomes[task.replicate] = outcome
        if len(outcomes) < seeds:
            return
        result = self._session.result(point, seeds, [outcomes[n] for n in range(seeds)])
        if self._session.store is not None:
            self._session.store.write(point.key, result)
        self._session.found[point.key] = self._session.keep(point, result)
        if not self._session.keep_outcomes:
            del self._session._outcomes[point.key]

    def _failed(self, task: Task, error: Exception) -> None:
        name = (task.point.key, task.replicate)
        if task.point.key in self._session.failures:
            return
        if is_lost(error) and name not in self._again:
            self._again.add(name)
            self._alone.append(task)
            self._session._wanted.add(task)
            return
        said = str(error) or type(error).__name__
        twice = "; alone, too" if name in self._again and is_lost(error) else ""
        self._session.fail(task, f"{said}{twice}", error)



def _plain(value: object) -> object:
    """A value of a point as JSON has it."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)
