"""Where a result goes: a file, written whole or not at all, or standard output.

Only a regular file is ever replaced, by a new one that was written beside it and takes its name. A symbolic
link stays and the file that it leads to is replaced. A device, FIFO or socket is somebody's way to another
place: it is written through and stays what it is, and so is what /proc/PID/fd leads to, which somebody has
open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

_MOST_LINKS: Final = 40  # one after the other, as Linux has it


class OutputError(Exception):
    """What could not be written, and why, in one line."""


def write_file(path: Path, text: str) -> None:
    """Write `text` to `path`. Raises OutputError."""
    content = text.encode("utf-8", "backslashreplace")
    try:
        target = _target(path)
        found = _found(target)
        if found is None or stat.S_ISREG(found.st_mode):
            _replace(target, content, found)
        else:
            _write_through(target, content)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise _failed(path, error) from None


def check_writable(path: Path) -> None:
    """Raise OutputError if `path` is sure to fail, before a long run rather than after it."""
    try:
        target = _target(path)
        folder, found = target.parent, _found(target)
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
        if not folder.is_dir():
            raise OutputError(f"cannot write {path}: there is no folder {folder}")
        if found is None or stat.S_ISREG(found.st_mode):
            if not _may(folder, os.W_OK | os.X_OK):
                raise OutputError(f"cannot write {path}: no new file may be made in {folder}")
        elif not stat.S_ISLNK(found.st_mode) and not _may(target, os.W_OK):
            raise OutputError(f"cannot write {path}: it may not be written to")
    except (OSError, ValueError) as error:
        raise _failed(path, error) from None


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


def _failed(path: Path, error: OSError | ValueError) -> OutputError:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return OutputError(f"cannot write {path}: {why}")


def _target(path: Path) -> Path:
    """Where the symbolic links of the last part of `path` lead to, there or not.

    A link of procfs stands for an open file and not for a name: it is left as it is.
    """
    for _ in range(_MOST_LINKS):
        found = _found(path)
        if found is None or not stat.S_ISLNK(found.st_mode) or _of_procfs(found):
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _found(path: Path) -> os.stat_result | None:
    """What is there, the link itself if it is one; None if nothing is."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _of_procfs(found: os.stat_result) -> bool:
    proc = _found(Path("/proc/self"))
    return proc is not None and proc.st_dev == found.st_dev


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


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
