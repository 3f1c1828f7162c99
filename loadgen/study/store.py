"""A study's directory: `study.toml`, a result file a point under `points/`, `failed/`, `lock`, `table.csv`.

    study.toml            what the study is, resolved, and its hash
    points/ab/abcd...json an ordinary result of all seeds, written whole or not at all (temp, fsync, rename)
    failed/abcd...json    why a point has no result
    lock                  held by the one process that writes

A point without a file is still to be played; nothing else is remembered, so that a study goes on after a
kill -9, and two halves are one when their files are copied together. Only the driver writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from loadgen.output import write_file
from loadgen.report.reading import digest, study_document
from loadgen.report.result import COMPLETE, Result, ResultError, load
from loadgen.scenario.toml import key_text, value_text
from loadgen.study.spec import STORE, differences

STUDY, POINTS, FAILED, LOCK, TABLE = "study.toml", "points", "failed", "lock", "table.csv"
_OURS: Final = (STUDY, POINTS, FAILED, LOCK, TABLE, "table.parquet", "search.json")
_TEMPORARY: Final = ".loadgen-*"  # of loadgen.output
_HEAD: Final = ("schema", "behaviour")


class StoreError(Exception):
    """A directory that cannot be used, in one line."""


class Mismatch(StoreError):
    """It holds another study, or what is no study of this version."""


def is_study(folder: Path) -> bool:
    """Whether a directory looks like one."""
    return (folder / STUDY).is_file()


def read_document(folder: Path) -> dict[str, Any]:
    """What `study.toml` says. Raises Mismatch for what is no study or was changed, OSError."""
    try:
        return study_document(folder)
    except ResultError as error:
        raise Mismatch(str(error)) from None


class Store:
    """The directory while it is written to; a context that holds its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []  # files that were no results: played again
        self._lock = -1
        self._made = False

    def __enter__(self) -> Store:
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder}: expected a folder for the study, it is a file")
        strangers = [one.name for one in self.folder.iterdir()] if self.folder.exists() else []
        if STUDY not in strangers and any(not _is_ours(name) for name in strangers):
            raise StoreError(f"{self.folder}: there are other files in it and no {STUDY}: name a new folder")
        self._made = not self.folder.exists()
        (self.folder / POINTS).mkdir(parents=True, exist_ok=True)
        (self.folder / FAILED).mkdir(exist_ok=True)
        self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._lock, 100, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise StoreError(f"{self.folder}: another sweep writes to it ({holder or 'unknown'})") from None
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
        for place in (self.folder, self.folder / FAILED, *(self.folder / POINTS).glob("??")):
            for left in place.glob(_TEMPORARY):
                left.unlink(missing_ok=True)  # by one who was killed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)
        os.close(self._lock)
        if self._made and not is_study(self.folder):  # nothing was begun
            shutil.rmtree(self.folder, ignore_errors=True)

    def before(self) -> dict[str, Any] | None:
        """The study that is in it, None in a new one. Raises Mismatch."""
        return read_document(self.folder) if is_study(self.folder) else None

    def claim(self, document: Mapping[str, Any]) -> None:
        """Say what study it is, if that is not what it says. Raises OutputError."""
        if self.before() != document:
            write_file(self.folder / STUDY, study_toml(document))

    def result(self, key: str, seeds: int) -> Result | None:
        """The result of a point with so many seeds, or more; None where there is none."""
        path = self._path(key)
        try:
            result = load(path)
        except FileNotFoundError:
            return None
        except ResultError:
            self.damaged.append(str(path.relative_to(self.folder)))
            return None
        return result if result.status == COMPLETE and len(result.replicates) >= seeds else None

    def write(self, key: str, result: Result) -> None:
        """Keep the result of a point. Raises OutputError."""
        path = self._path(key)
        self._make(path.parent)
        result.to_json(path)
        (self.folder / FAILED / path.name).unlink(missing_ok=True)

    def fail(self, key: str, point: Mapping[str, Any], replicate: int, reason: str) -> None:
        """Say why a point has no result. Raises OutputError."""
        record = {"schema": STORE, "point": dict(point), "replicate": replicate, "reason": reason}
        text = json.dumps(record, indent=1, sort_keys=True, default=str) + "\n"
        write_file(self.folder / FAILED / f"{key}.json", text)

    def write_text(self, name: str, text: str) -> None:
        """A file beside study.toml. Raises OutputError."""
        write_file(self.folder / name, text)

    def _path(self, key: str) -> Path:
        return self.folder / POINTS / key[:2] / f"{key}.json"

    def _make(self, folder: Path) -> None:
        from loadgen.output import OutputError

        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror}") from None


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith(_TEMPORARY[:-1])


# -- study.toml ----------------------------------------------------------------------------------


def study_toml(document: Mapping[str, Any]) -> str:
    """The text of `study.toml`."""
    lines = ["# What `loadgen sweep` wrote: the same command goes on with it, `loadgen report` shows it."]
    lines += [f"{name} = {value_text(document[name])}" for name in _HEAD]
    lines.append(f'hash = "{digest(document)}"')
    for name, table in document.items():
        if name not in _HEAD:
            lines += ["", f"[{name}]", *(f"{key_text(key)} = {_value(one)}" for key, one in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, float) and value != value:
        return "nan"
    return value_text(value)


# -- another study -------------------------------------------------------------------------------

_MOST_KEYS: Final = 3


def mismatch(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> Mismatch:
    """The keys that differ."""
    found = differences(old, new)
    told = [f"{key}: {_shown(was)} there, {_shown(now)} here" for key, (was, now) in found.items()]
    more = f"; {len(told) - _MOST_KEYS} more" if len(told) > _MOST_KEYS else ""
    return Mismatch(
        f"{folder} holds another study: {'; '.join(told[:_MOST_KEYS])}{more} "
        "(--extend adds values and seeds)"
    )


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

