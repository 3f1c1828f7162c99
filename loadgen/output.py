"""Where a result goes: a file, written whole or not at all, or standard output.

Only a regular file is ever replaced. A device, FIFO, socket or symbolic link is somebody's way to another
place: it is written through and stays what it is.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path


class OutputError(Exception):
    """What could not be written, and why, in one line."""


def write_file(path: Path, text: str) -> None:
    """Write `text` to `path`. Raises OutputError."""
    content = text.encode("utf-8", "backslashreplace")
    try:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            found = None
        if found is None or stat.S_ISREG(found.st_mode):
            _replace(path, content, found)
        else:
            _write_through(path, content)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(f"cannot write {path}: {why}") from None


def check_writable(path: Path) -> None:
    """Raise OutputError if `path` is sure to fail, before a long run rather than after it."""
    folder = path.parent
    try:
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
        if not folder.is_dir():
            raise OutputError(f"cannot write {path}: there is no folder {folder}")
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {path}: {error}") from None


def write_stdout(text: str) -> None:
    """Write `text` to standard output, all of it. Raises OutputError; BrokenPipeError where nobody reads."""
    stream = sys.stdout
    if stream is None:
        raise OutputError("cannot write to standard output: it is closed")
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from None


def _replace(path: Path, content: bytes, found: os.stat_result | None) -> None:
    """A reader sees the old file or the new one, never half of it. The mode and the owner stay."""
    handle, name = tempfile.mkstemp(prefix=".loadgen-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if found is None:
                os.fchmod(file.fileno(), 0o666 & ~_umask())
            else:
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), found.st_uid, found.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode))
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _write_through(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY, 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
