"""Where tasks are played: processes of ours, an executor of `concurrent.futures`, or this very process.

A pool takes tasks by number and hands back their outcomes in any order. `Lost` is a task whose worker ended,
which may be played again; any other error is the task's own. Which pool it is changes no outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any, Final, Protocol

from loadgen.replicates import Job, Stop
from loadgen.sim.outcome import Outcome
from loadgen.workers import Pool as Workers
from loadgen.workers import WorkerLost

Done = tuple[int, Outcome | None, Exception | None]

_LOOK_S: Final = 0.1
_WINDOW: Final = 256  # tasks that an executor has at once: it need not hold a whole study
#: What libraries raise where a worker has ended, by the names of the classes (Dask, Ray, loky).
_LOST: Final = ("KilledWorker", "CommClosedError", "WorkerCrashedError", "TerminatedWorkerError",
                "NodeDiedError", "OutOfMemoryError")  # fmt: skip


class Pool(Protocol):
    """What `playing` needs of the place where tasks are played."""

    @property
    def idle(self) -> int:
        """How many more tasks it takes now."""

    def submit(self, number: int, job: Job) -> None: ...
    def done(self, timeout: float) -> list[Done]: ...
    def close(self) -> None: ...


def is_lost(error: Exception) -> bool:
    """Whether the worker ended, or had no memory, and not the task."""
    known = (WorkerLost, BrokenExecutor, MemoryError, CancelledError)
    return isinstance(error, known) or type(error).__name__ in _LOST


def processes(workers: int) -> Pool:
    """Spawned processes of ours."""
    return Workers(play_job, workers)


def play_job(job: Job) -> Outcome:
    """A task: a function of a module, as workers want it."""
    return job.play()


class Here:
    """One task after the other in this process."""

    def __init__(self, stop: Stop | None = None) -> None:
        self._stop = stop
        self._waiting: tuple[int, Job] | None = None

    @property
    def idle(self) -> int:
        return int(self._waiting is None)

    def submit(self, number: int, job: Job) -> None:
        self._waiting = number, job

    def done(self, timeout: float) -> list[Done]:
        if self._waiting is None:
            return []
        (number, job), self._waiting = self._waiting, None
        try:
            outcome = job.play(stop=self._stop)
        except Exception as error:
            return [(number, None, error)]
        return [] if outcome.partial else [(number, outcome, None)]

    def close(self) -> None:
        self._waiting = None


class Futures:
    """An executor of anybody's. One that broke is made anew by `again`, where there is that."""

    def __init__(
        self, executor: Executor, again: Callable[[], Executor] | None = None, *,
        ours: bool = True, window: int | None = None, end: Callable[[], Any] | None = None,
    ) -> None:  # fmt: skip
        self._executor = executor
        self._again = again
        self._ours = ours
        self._window = window or _WINDOW
        self._end = end
        self._numbers: dict[Future[Outcome], int] = {}

    @property
    def idle(self) -> int:
        return self._window - len(self._numbers)

    def submit(self, number: int, job: Job) -> None:
        try:
            future = self._executor.submit(play_job, job)
        except BrokenExecutor:
            if self._again is None:
                raise
            self._executor = self._again()
            future = self._executor.submit(play_job, job)
        self._numbers[future] = number

    def done(self, timeout: float) -> list[Done]:
        finished, _ = wait(list(self._numbers), min(timeout, _LOOK_S), FIRST_COMPLETED)
        return [self._of(future) for future in finished]

    def _of(self, future: Future[Outcome]) -> Done:
        number = self._numbers.pop(future)
        try:
            return number, future.result(), None
        except (Exception, CancelledError) as error:
            return number, None, error

    def close(self) -> None:
        for future in self._numbers:
            future.cancel()
        self._numbers = {}
        if self._ours:
            busy = dict(getattr(self._executor, "_processes", None) or {})
            self._executor.shutdown(wait=False)
            for process in busy.values():  # of a ProcessPoolExecutor: the interpreter would wait for them
                process.kill()
        if self._end is not None:
            self._end()
