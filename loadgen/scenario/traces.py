"""Times out of a CSV file: a column of them, for holding times, service times or arrivals.

The column is the only one, or the first. A first row without a digit is a heading. A time has its unit or is
seconds. A row that is none is told by file, line and what was expected.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from loadgen.scenario.errors import Mistake, shown
from loadgen.scenario.numbers import read_time

Folder = str | os.PathLike[str]

LARGEST_FILE: Final = 1 << 30  # bytes of a trace
LARGEST_TEXT: Final = 16 << 20  # of what somebody has written, or `sysctl -a`


def find(name: str, folder: Folder) -> Path:
    """The file of that name: beside the scenario file, else in the working folder."""
    if not name or "\0" in name:
        raise Mistake(f"expected the name of a file, got {shown(name)}")
    beside = Path(folder) / name
    return beside if beside.exists() else Path(name)


def read_text(name: str, folder: Folder = "", largest: int = LARGEST_TEXT) -> str:
    """The text of a file; Mistake when there is none to read."""
    path = find(name, folder)
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise Mistake(f"{path}: expected at most {largest >> 20} MiB")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise Mistake(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Mistake(f"{path}: no UTF-8 text: {error.reason} at byte {error.start:,}") from None


def read_trace(name: str, folder: Folder = "", *, rising: bool = False) -> tuple[int, ...]:
    """The times in ns; `rising`: each at or after the one before."""
    times: list[int] = []
    for number, line in enumerate(read_text(name, folder, LARGEST_FILE).splitlines(), 1):
        cell = line.partition("#")[0].split(",")[0].strip().strip('"').strip()
        if not cell and not line.partition("#")[0].strip():
            continue
        if number == 1 and not any(character.isdigit() for character in cell):
            continue
        try:
            time = read_time(_number_or_text(cell))
        except Mistake as error:
            raise Mistake(f"{name}:{number}: {error}") from None
        if rising and times and time < times[-1]:
            raise Mistake(f"{name}:{number}: expected a time at or after the one before, got {cell!r}")
        times.append(time)
    if not times:
        raise Mistake(f"{name}: expected a column of times, got none")
    return tuple(times)


def _number_or_text(cell: str) -> object:
    """Seconds where there is no unit."""
    try:
        return float(cell) if cell and not cell[-1].isalpha() else cell
    except ValueError:
        return cell
