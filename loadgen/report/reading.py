"""Results from where they were written: a result file, or a study, which is a directory of them.

A study is `points/ab/abcd...json`, an ordinary result a file, `failed/` for the points that have none, and
`study.toml`, of which schema and hash are checked. What sets a point apart is found in its own settings: the
paths whose values differ within the study. What a search came to is in `search.json`. Nothing is read that
does not add up.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadgen.report.result import Result, ResultError, load

SCHEMA: Final = 1  # of a study: goes up when the directory is laid out in another way
#: Settings that change no figure, or only which figures are judged.
_NOT_A_POINT: Final = ("run.batch", "run.seeds", "threshold.", "name", "seed")


@dataclass(frozen=True)
class Point:
    """A point of a study: its file, the values that set it apart, what came of it."""

    path: Path
    values: Mapping[str, Any]
    result: Result

    @property
    def label(self) -> str:
        """`server.listen.backlog=511 load.web.rate=1000`."""
        return " ".join(f"{path}={_short(value)}" for path, value in self.values.items())


@dataclass(frozen=True)
class Points:
    """A study as it was read."""

    path: Path
    about: Mapping[str, Any]  # study.toml
    searches: tuple[str, ...]  # a sentence each: what was looked for and found
    points: tuple[Point, ...]
    failed: tuple[tuple[str, str], ...]  # key, why

    @property
    def varied(self) -> list[str]:
        """The paths whose values differ within the study."""
        return list(self.points[0].values) if self.points else []


def read(path: str | Path) -> Result | Points:
    """What is there. Raises ResultError, in one line, for what is neither a result nor a study."""
    place = Path(path)
    try:
        return _study(place) if place.is_dir() else load(place)
    except OSError as error:
        raise ResultError(f"{error.filename or place}: {error.strerror}") from None


def of_results(results: Sequence[Result]) -> Points:
    """A study of results that are in no file."""
    return Points(Path(), {}, (), tuple(_points([(Path(), result) for result in results])), ())


def _study(folder: Path) -> Points:
    about = study_document(folder)
    files = point_files(folder)
    failed = sorted(one for one in folder.glob("failed/**/*") if one.is_file())
    if not files and not failed:
        raise ResultError(f"{folder}: no point of this study has been played (points/*/*.json)")
    results = [(file, load(file)) for file in files]
    return Points(
        folder,
        about,
        _searches(folder),
        tuple(_points(results)),
        tuple((one.stem, _reason(one)) for one in failed),
    )


def study_document(folder: Path) -> dict[str, Any]:
    """What `study.toml` says. Raises ResultError for what is no study or was changed, OSError."""
    file = folder / "study.toml"
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultError(f"{folder}: no study: there is no study.toml in it") from None
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{file}: not TOML: {error}") from None
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise ResultError(f"{file}: a study of schema {schema!r}; this version reads schema {SCHEMA}")
    said = document.pop("hash", None)
    if said != digest(document):
        raise ResultError(f"{file}: its hash is not that of what it says: it was changed by hand, or cut off")
    return document


def digest(document: Mapping[str, Any]) -> str:
    """The hash of what `document` gives."""
    text = json.dumps(document, sort_keys=True, allow_nan=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def point_files(folder: Path) -> list[Path]:
    """The result files of a study, by key."""
    return sorted((folder / "points").glob("??/*.json"))


def _searches(folder: Path) -> tuple[str, ...]:
    """The sentences of `search.json`; none in a study that is no search."""
    file = folder / "search.json"
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{file}: not JSON: {error}") from None
    cells = cells.get("searches", []) if isinstance(cells, Mapping) else cells
    known = [cell for cell in cells if isinstance(cell, Mapping)] if isinstance(cells, list) else []
    return tuple(str(cell["sentence"]) for cell in known if cell.get("sentence"))


def _reason(file: Path) -> str:
    """What was written about a failed point, in one line."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return " ".join(str(document["reason"]).split())[:200]
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[0][:200] if lines else "no reason given"


def _points(results: list[tuple[Path, Result]]) -> Iterator[Point]:
    configs = [settings(result) for _, result in results]
    paths = list(dict.fromkeys(path for config in configs for path in config))
    varied = [
        path
        for path in paths
        if not path.startswith(_NOT_A_POINT) and len({_key(config.get(path)) for config in configs}) > 1
    ]
    found = [
        Point(file, {path: config.get(path) for path in varied}, result)
        for (file, result), config in zip(results, configs, strict=True)
    ]
    return iter(sorted(found, key=lambda point: [_order(value) for value in point.values.values()]))


def settings(result: Result) -> dict[str, Any]:
    """The settings flat, the two ends of a load's shape by the rate where it has only one."""
    config: Mapping[str, Any] = result.to_dict()["config"]
    found: dict[str, Any] = {}
    for path, value in config.items():
        if path.endswith(".shape") and isinstance(value, list) and len(value) == 1 and value[0][0] == 0:
            found[path.removesuffix("shape") + "rate"] = value[0][1]
        else:
            found[path] = value
    return found


def _key(value: Any) -> str:
    return repr(value)


def _order(value: Any) -> tuple[int, Any]:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (0, value) if number else (1, repr(value))


def _short(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
