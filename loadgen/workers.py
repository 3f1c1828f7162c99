"""Processes that share a list of jobs, and that never outlive the one who asked.

A worker is killed by the system when its parent is gone (Linux: PR_SET_PDEATHSIG) and besides watches a pipe
that ends with the parent, on every system and in the middle of a job. It leaves SIGINT and SIGTERM to the
parent, and has neither the parent's standard input nor its
standard output. Only `work` decides what a job gives: which worker does it, and when, changes nothing.
Imports nothing that takes time, and `work` is sent like a job: a worker is bound to its parent before it
imports what its jobs need.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG: Final = 1

Job = TypeVar("Job")
Done = TypeVar("Done")


class WorkerLost(RuntimeError):
    """A worker process ended in the middle of a job."""


def spread(work: Callable[[Job], Done], jobs: Iterable[Job], workers: int) -> Iterator[Done]:
    """`work` of each job, in the order in which they are done; `work` is a function of a module.

    An exception of a job is raised here; WorkerLost when a worker ends without a word.
    """
    import multiprocessing
    from multiprocessing.connection import wait

    waiting = list(jobs)[::-1]
    spawn = multiprocessing.get_context("spawn")
    busy: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(min(workers, len(waiting))):
            with _blocked():  # a worker inherits that, and never sees a Ctrl-C
                ours, theirs = spawn.Pipe()
                process = spawn.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
                busy[ours] = process
                process.start()
                theirs.close()
            ours.send(work)
            ours.send(waiting.pop())
        while busy:
            for ours in cast("list[Connection]", wait(list(busy))):
                try:
                    failed, value = ours.recv()
                except (EOFError, ConnectionResetError):
                    busy[ours].join(1)
                    raise WorkerLost(_how(busy[ours].exitcode)) from None
                if failed:
                    raise value
                if waiting:
                    ours.send(waiting.pop())
                else:
                    ours.close()
                    busy.pop(ours).join(1)
                yield value
    finally:
        with _blocked():
            for process in busy.values():
                if process.pid is not None:
                    process.kill()
            for process in busy.values():
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
        work = jobs.recv()
    except (EOFError, OSError):
        return
    while True:
        try:
            job = jobs.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[bool, object] = False, work(job)
        except Exception as error:
            answer = True, error
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
