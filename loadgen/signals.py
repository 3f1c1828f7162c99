"""Signals and the end of the process: what SIGINT and SIGTERM do, from the first line on to the last.

Imports nothing that takes time, so that it comes before anything else. While the command starts, a signal
ends the process at once: there is nothing to report, and an exception in the middle of an import would be
reported as a broken module. Later a signal is a KeyboardInterrupt. While a run goes on it waits for the next
`check`, where the figures are consistent, and is raised anyway after `GRACE_S` without one. An exception out
of a signal handler may be swallowed (callbacks of the interpreter do that), so it is raised again until
somebody calls `honoured`. While a result is written the first signal only decides the exit code.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

GRACE_S: Final = 0.5  # until a run that reaches no safe place is interrupted where it is
ENDING: Final = (signal.SIGINT, signal.SIGTERM)

_STARTING, _NOW, _AT_CHECKS, _LATER = range(4)  # what a first signal leads to

_mode = _NOW
_received = 0  # the first of ENDING that came; 0: none
_pending = False  # it has not yet led to anything


def install() -> None:
    """Handle the signals that end us. One that is ignored (nohup, a shell's background) stays ignored."""
    global _mode, _received, _pending
    _mode, _received, _pending = _STARTING, 0, False
    signal.signal(signal.SIGALRM, _grace_over)
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _arrived)


def started() -> None:
    """From here on a signal is a KeyboardInterrupt."""
    global _mode
    _mode = _NOW


@contextmanager
def starting() -> Iterator[None]:
    """Within this, a signal ends the process at once, as before `started`: more is being imported."""
    with _in_mode(_STARTING):
        yield


def exit_code() -> int:
    """That of an interrupted command: 130 after SIGINT, 143 after SIGTERM."""
    return 128 + (_received or int(signal.SIGINT))


def pending() -> bool:
    """Whether a signal has come that led to nothing yet."""
    return _pending


def _arrived(number: int, frame: FrameType | None) -> None:
    global _received, _pending
    if _mode == _STARTING:
        os._exit(128 + number)
    again, _received = bool(_received), _received or number
    _pending = True
    if _mode == _LATER and not again:
        return
    signal.setitimer(signal.ITIMER_REAL, GRACE_S)
    if again or _mode == _NOW:
        raise KeyboardInterrupt


def _grace_over(number: int, frame: FrameType | None) -> None:
    if _pending and _mode in (_NOW, _AT_CHECKS):
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)
        raise KeyboardInterrupt


def check() -> None:
    """A place where a run can be interrupted: raise the KeyboardInterrupt that waits, if one does."""
    if _pending:
        raise KeyboardInterrupt


def honoured() -> None:
    """The KeyboardInterrupt has arrived where it is dealt with."""
    global _pending
    if _pending:
        _pending = False
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def _in_mode(mode: int) -> Iterator[None]:
    global _mode
    before, _mode = _mode, mode
    try:
        yield
    finally:
        _mode = before


@contextmanager
def at_checks() -> Iterator[None]:
    """Within this, a signal waits for the next `check`; the end is one, too."""
    with _in_mode(_AT_CHECKS):
        yield
        check()


@contextmanager
def later() -> Iterator[None]:
    """Within this, a first signal is only noted (see `pending`): the result is being written."""
    with _in_mode(_LATER):
        yield


def ignore() -> None:
    """The work is done: nothing is left to interrupt."""
    honoured()
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
