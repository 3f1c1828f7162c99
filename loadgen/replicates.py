"""Replicates of scenarios: played here, on processes of ours, or on an executor of the caller's.

A job is a scenario, the number of a replicate and what its hosts are: files that a scenario names have
been read before. Outcomes are in the order in which they were asked for, whatever finishes first, and depend
on (scenario, replicate) only. With `stop` an interruption ends the play with what there is: outcomes that
are finished, and those that were cut short. Without it an interruption is the caller's KeyboardInterrupt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from loadgen import signals
from loadgen.scenario.model import Scenario
from loadgen.sim import simulate
from loadgen.sim.outcome import Outcome
from loadgen.sim.workload import Workload
from loadgen.workers import Line, spread_stoppable
from tcpcore import Config

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

#: The name of the executor that is no other's: processes of this machine.
PROCESSES: Final = "processes"

Stop = Callable[[], bool]

_LOOK_S: Final = 0.1


class Progress(Protocol):
    """Hears of jobs done (a part of one counts as that part), and of how many.

    `share` is that of the work, where some jobs take longer than others.
    """

    def __call__(self, done: float, of: int, share: float | None = None) -> None: ...


def silent(done: float, of: int, share: float | None = None) -> None:
    """The progress that nobody hears of."""


@dataclass(frozen=True)
class Job:
    """A replicate to be played."""

    scenario: Scenario
    replicate: int
    server: Config
    client: Config
    workload: Workload | None = None

    def play(self, progress: Callable[[int, int], None] | None = None, stop: Stop | None = None) -> Outcome:
        """Play it here."""
        outcome: Outcome = simulate(
            self.scenario,
            self.replicate,
            server=self.server,
            client=self.client,
            progress=progress,
            stop=stop,
            workload=self.workload,
        )
        return outcome


@dataclass
class Played:
    """What came of the jobs, in their order; None where nothing did."""

    outcomes: list[Outcome | None]
    interrupted: bool


def play(
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Played:
    """Play each job: on `executor`, else on so many processes, else here.

    With `stop` the play ends soon after it is true or a KeyboardInterrupt came, and says that it was
    interrupted.
    """
    tell = progress or silent
    run = Played([None] * len(jobs), False)
    try:
        if executor is not None:
            _on_executor(jobs, executor, run, tell, stop)
        elif workers > 1 and len(jobs) > 1:
            _on_processes(jobs, workers, run, tell, stop)
        else:
            _here(jobs, run, tell, stop)
    except KeyboardInterrupt:
        if stop is None:
            raise
        run.interrupted = True
    if run.interrupted:
        signals.honoured()
    return run


def _here(jobs: Sequence[Job], run: Played, tell: Progress, stop: Stop | None) -> None:
    def ask() -> bool:
        """Whether to stop. Then what was played is put together, however long that takes."""
        if not run.interrupted and stop is not None and stop():
            run.interrupted = True
            signals.honoured()
        return run.interrupted

    for number, job in enumerate(jobs):
        if ask():
            return

        def passed(now: int, end: int, number: int = number) -> None:
            tell(number + _share(now, end), len(jobs))

        outcome = job.play(passed, None if stop is None else ask)
        run.outcomes[number] = outcome
        run.interrupted |= outcome.partial
        tell(number + 1, len(jobs))


def _on_processes(jobs: Sequence[Job], workers: int, run: Played, tell: Progress, stop: Stop | None) -> None:
    shares = [0.0] * len(jobs)

    def hear(number: int, share: float) -> None:
        shares[number] = share
        tell(sum(shares), len(jobs))

    stopped = False

    def ask() -> bool:
        """Whether to stop. Then what the workers have is waited for; a second signal ends that, too."""
        nonlocal stopped
        if not stopped and stop is not None and stop():
            stopped = True
            signals.honoured()
        return stopped

    for number, outcome in spread_stoppable(_work, jobs, workers, ask, hear):
        run.outcomes[number] = outcome
        hear(number, 1.0)
    run.interrupted = stopped or any(outcome is None or outcome.partial for outcome in run.outcomes)


def _work(job: Job, line: Line) -> Outcome:
    """A worker's job."""
    return job.play(lambda now, end: line.tell(_share(now, end)), line.stopped)


def _on_executor(
    jobs: Sequence[Job], executor: Executor, run: Played, tell: Progress, stop: Stop | None
) -> None:
    from concurrent.futures import FIRST_COMPLETED, wait

    numbers: dict[Future[Outcome], int] = {}
    try:
        for number, job in enumerate(jobs):
            numbers[executor.submit(job.play)] = number
        waiting = set(numbers)
        while waiting and not run.interrupted:
            done, waiting = wait(waiting, _LOOK_S, FIRST_COMPLETED)
            for future in done:
                run.outcomes[numbers[future]] = future.result()
            tell(len(jobs) - len(waiting), len(jobs))
            run.interrupted = stop is not None and stop()
    finally:
        for future in numbers:
            future.cancel()


def _share(now: int, end: int) -> float:
    return min(now / end, 1.0) if end else 0.0


def every(seconds: float, tell: Progress) -> Progress:
    """`tell`, no more often than this, and the last one always."""
    due = 0.0

    def sometimes(done: float, of: int, share: float | None = None) -> None:
        nonlocal due
        if done >= of or time.monotonic() >= due:
            due = time.monotonic() + seconds
            tell(done, of, share)

    return sometimes
