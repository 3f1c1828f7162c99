"""Processes that share a list of jobs, and that never outlive the one who asked.

A worker is killed by the system when its parent is gone (Linux: PR_SET_PDEATHSIG) and besides watches a pipe
that ends with the parent, on every system and in the middle of a job. It leaves SIGINT and SIGTERM to the
parent, and has neither the parent's standard input nor its
standard output. Only `work` decides what a job gives: which worker does it, and when, changes nothing.
`spread` asks no more of a job than its value; `spread_stoppable` can hear how far a job is, and end it.
Imports nothing that takes time, and `work` is sent like a job: a worker is bound to its parent before it
imports what its jobs need.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG: Final = 1
_LOOK_S: Final = 0.05  # how often a job is asked about, and looks whether it is to end
_LAST_WORDS_S: Final = 10.0  # what a job has to end in when it is told to
_DONE, _FAILED, _HEARD = range(3)  # what a worker's message is

Job = TypeVar("Job")
Done = TypeVar("Done")


class WorkerLost(RuntimeError):
    """A worker process ended in the middle of a job."""


class Line:
    """What a job of `spread_stoppable` has of its parent."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._next = 0.0
        self._stopped = False

    def tell(self, share: float) -> None:
        """How much of the job is done; passed on now and then."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_S
            self._look()
            try:
                self._pipe.send((_HEARD, share))
            except OSError:
                self._stopped = True

    def stopped(self) -> bool:
        """Whether the job is to end, with what it has."""
        if time.monotonic() >= self._next:
            self._look()
        return self._stopped

    def _look(self) -> None:
        try:
            while self._pipe.poll():
                self._pipe.recv()  # there is but one thing to be told in the middle of a job
                self._stopped = True
        except (EOFError, OSError):
            self._stopped = True


def spread(work: Callable[[Job], Done], jobs: Iterable[Job], workers: int) -> Iterator[Done]:
    """`work` of each job, in the order in which they are done; `work` is a function of a module.

    An exception of a job is raised here; WorkerLost when a worker ends without a word.
    """
    with closing(_spread(work, False, enumerate(jobs), workers)) as done:
        for _, value in done:
            yield value


def spread_stoppable(
    work: Callable[[Job, Line], Done],
    jobs: Iterable[Job],
    workers: int,
    stop: Callable[[], bool],
    hear: Callable[[int, float], None],
) -> Iterator[tuple[int, Done]]:
    """`work` of each job and its line, with the job's number, in the order in which they are done.

    `hear` is told the number of a job and how much of it is done. Once `stop()` is true no job begins, and
    those at work have 10 s to end with what they have.
    """
    return _spread(work, True, enumerate(jobs), workers, stop, hear)


def _spread(
    work: Callable[..., Done],
    stoppable: bool,
    jobs: Iterable[tuple[int, Job]],
    workers: int,
    stop: Callable[[], bool] = lambda: False,
    hear: Callable[[int, float], None] = lambda number, share: None,
) -> Generator[tuple[int, Done], None, None]:
    waiting = list(jobs)[::-1]
    busy: dict[Connection, SpawnProcess] = {}
    doing: dict[Connection, int] = {}
    try:
        for _ in range(min(workers, len(waiting))):
            pipe = _begin(busy, (work, stoppable))
            doing[pipe], job = waiting.pop()
            pipe.send(job)
        until = None
        while busy and (until is None or time.monotonic() < until):
            if until is None and stoppable and stop():
                until = time.monotonic() + _LAST_WORDS_S
                waiting.clear()
                _tell_to_stop(busy)
            for pipe in _ready(busy, _LOOK_S if stoppable else None):
                kind, value = _message(pipe, busy[pipe])
                if kind == _FAILED:
                    raise value
                if kind == _HEARD:
                    hear(doing[pipe], value)
                    continue
                number = doing[pipe]
                if waiting:
                    doing[pipe], job = waiting.pop()
                    pipe.send(job)
                else:
                    pipe.close()
                    busy.pop(pipe).join(1)
                yield number, value
    finally:
        _kill(busy.values())


class Pool:
    """Processes that take a job at a time each. One that ends takes the job it had with it and no other.

    `work` is a function of a module. Processes begin when there is work, and are killed in the end.
    """

    def __init__(self, work: Callable[[Any], Any], workers: int) -> None:
        self._what = (work, False)
        self._most = workers
        self._all: dict[Connection, SpawnProcess] = {}
        self._doing: dict[Connection, int] = {}

    @property
    def idle(self) -> int:
        """How many more jobs it takes now."""
        return self._most - len(self._doing)

    def submit(self, number: int, job: object) -> None:
        """Give a job to a process that is idle, or to a new one."""
        waiting = [pipe for pipe in self._all if pipe not in self._doing]
        pipe = waiting[0] if waiting else _begin(self._all, self._what)
        self._doing[pipe] = number
        with suppress(OSError):  # it has ended: `done` will say so
            pipe.send(job)

    def done(self, timeout: float) -> list[tuple[int, Any, Exception | None]]:
        """(number, value, None) of jobs that are done, (number, None, error) of those that failed.

        The error is WorkerLost where the process ended. Empty after so many seconds.
        """
        found: list[tuple[int, Any, Exception | None]] = []
        for pipe in _ready({one: self._all[one] for one in self._doing}, timeout):
            number = self._doing.pop(pipe)
            try:
                kind, value = _message(pipe, self._all[pipe])
            except WorkerLost as error:
                pipe.close()
                _kill([self._all.pop(pipe)])
                found.append((number, None, error))
                continue
            found.append((number, None, value) if kind == _FAILED else (number, value, None))
        return found

    def close(self) -> None:
        """Kill the processes."""
        _kill(self._all.values())
        for pipe in self._all:
            pipe.close()
        self._all, self._doing = {}, {}


def _begin(busy: dict[Connection, SpawnProcess], what: object) -> Connection:
    """A worker that waits for its first job, and our end of the pipe to it."""
    import multiprocessing

    spawn = multiprocessing.get_context("spawn")
    with _blocked():  # a worker inherits that, and never sees a Ctrl-C
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        busy[ours] = process
        process.start()
        theirs.close()
    ours.send(what)
    return ours


def _ready(busy: dict[Connection, SpawnProcess], timeout: float | None) -> list[Connection]:
    from multiprocessing.connection import wait

    return cast("list[Connection]", wait(list(busy), timeout))


def _message(pipe: Connection, process: SpawnProcess) -> tuple[int, Any]:
    try:
        return cast("tuple[int, Any]", pipe.recv())
    except (EOFError, ConnectionResetError):
        process.join(1)
        raise WorkerLost(_how(process.exitcode)) from None


def _tell_to_stop(busy: Iterable[Connection]) -> None:
    for pipe in busy:
        with suppress(OSError):
            pipe.send(None)


def _kill(processes: Iterable[SpawnProcess]) -> None:
    with _blocked():
        for process in processes:
            if process.pid is not None:
                process.kill()
        for process in processes:
            if process.pid is not None:
                process.join(1)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        more = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
        return f"a worker process was ended by {signal.Signals(-code).name}{more}"
    return f"a worker process ended with exit code {code}"


@contextmanager
def _blocked() -> Iterator[None]:
    """SIGINT and SIGTERM wait until this is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(jobs: Connection, parent: int) -> None:
    """A worker's life: it is sent what to do, and then jobs."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    _die_with(parent)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    try:
        work, stoppable = jobs.recv()
    except (EOFError, OSError):
        return
    while True:
        try:
            job = jobs.recv()
        except (EOFError, OSError):
            return
        if stoppable and job is None:  # told to stop when it had
            return
        try:
            answer: tuple[int, object] = _DONE, work(job, Line(jobs)) if stoppable else work(job)
        except Exception as error:
            answer = _FAILED, error
        try:
            jobs.send(answer)
        except OSError:
            return


def _die_with(parent: int) -> None:
    """Be killed when the parent is gone, or go now if it is."""
    import threading

    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # not Linux: the thread sees it
    if os.getppid() != parent:
        os._exit(1)


def _end_with_parent() -> None:
    """Wait for the end of the pipe whose other end only the parent has."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
