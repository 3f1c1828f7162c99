"""A folder of a host's own files, each recognised by its content, as `loadgen collect` makes them.

A file that is half or wrong is an error with file and line; one of no known form is named and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadgen.host import caches, counters, sockets
from loadgen.host.caches import Cache
from loadgen.host.counters import Moment, Rates
from loadgen.host.lines import Text
from loadgen.host.sockets import Listener
from loadgen.scenario.errors import Mistake
from tcpcore import Config

LARGEST_FILE: Final = 16 << 20
MOST_FILES: Final = 1000
_SETTING: Final = re.compile(r"-?[a-z][\w*-]*([./:][\w*-]+)+\s*=|-?[a-z][\w-]*(\.[\w-]+)+: |(\S*/)?sysctl\s")


@dataclass(frozen=True)
class HostFiles:
    """What the files of a folder say; None and empty where there is no such file."""

    folder: str
    sysctl: str | None = None  # the file's path
    system: str = "linux"  # or freebsd, by its settings
    release: str = ""  # kernel.osrelease
    moments: tuple[Moment, ...] = ()
    rates: Rates | None = None
    listeners: tuple[Listener, ...] = ()
    sums: Mapping[str, int] = field(default_factory=dict)  # estab, orphaned, timewait
    caches: str | None = None  # the path of slabinfo or vmstat -z
    files: Mapping[str, str] = field(default_factory=dict)  # file -> what it is
    unknown: tuple[str, ...] = ()


def _is_sysctl(text: Text) -> bool:
    lines = [line.strip() for _, line in text.numbered()]
    written = [line for line in lines if not line.startswith(("#", ";", "sysctl:"))]
    return bool(written) and _SETTING.match(written[0]) is not None


#: What it is -> whether a text is it; the first that fits.
_FORMS: Final[tuple[tuple[str, Callable[[Text], bool]], ...]] = (
    ("memory", caches.is_slabinfo),
    ("memory", caches.is_zones),
    ("listeners", sockets.is_listeners),
    ("sums", sockets.is_summary),
    ("counters", counters.is_counters),
    ("sysctl", _is_sysctl),
)
SAID: Final = (
    "sysctl -a, nstat -az, /proc/net/snmp and netstat, ss -ltn, ss -s, /proc/slabinfo, node_exporter"
)


def read(folder: str | Path) -> HostFiles:
    """All files of a folder. Raises Mistake."""
    found: dict[str, list[Text]] = {}
    files: dict[str, str] = {}
    unknown = []
    for path in _files(Path(folder)):
        text = _text(path)
        form = None if text is None else next((name for name, fits in _FORMS if fits(text)), None)
        if text is None or form is None:
            unknown.append(path.name)
            continue
        files[path.name] = form
        found.setdefault(form, []).append(text)
    if not found:
        raise Mistake(f"{folder}: expected files of a host ({SAID}), got {', '.join(unknown[:5]) or 'none'}")
    for form in ("sysctl", "memory", "listeners", "sums"):
        if len(found.get(form, ())) > 1:
            both = " and ".join(Path(text.name).name for text in found[form][:2])
            raise Mistake(f"{folder}: expected one file with {form}, got {both}")
    return _put_together(str(folder), found, files, tuple(unknown))


def _put_together(
    folder: str, found: Mapping[str, list[Text]], files: dict[str, str], unknown: tuple[str, ...]
) -> HostFiles:
    moments = _merged([counters.read(text) for text in found.get("counters", ())])
    sysctl = next(iter(found.get("sysctl", ())), None)
    memory = next(iter(found.get("memory", ())), None)
    if memory is not None:
        caches.costs(caches.read(memory), memory.name)
    system, release = ("linux", "") if sysctl is None else _checked(sysctl)
    sums = {
        name: one.gauges[name] for one in moments for name in ("timewait", "orphaned") if name in one.gauges
    }
    return HostFiles(
        folder=folder,
        sysctl=None if sysctl is None else sysctl.name,
        system=system,
        release=release,
        moments=tuple(moments),
        rates=counters.between(moments),
        listeners=next((sockets.listeners(text) for text in found.get("listeners", ())), ()),
        sums=sums | next((sockets.summary(text) for text in found.get("sums", ())), {}),
        caches=None if memory is None else memory.name,
        files=files,
        unknown=unknown,
    )


def caches_of(name: str) -> dict[str, Cache]:
    """The caches in a file of /proc/slabinfo or `vmstat -z`. Raises Mistake."""
    text = _text(Path(name))
    if text is None or not (caches.is_slabinfo(text) or caches.is_zones(text)):
        raise Mistake(f"{name}: expected /proc/slabinfo of Linux or `vmstat -z` of FreeBSD")
    return caches.read(text)


def _files(folder: Path) -> list[Path]:
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise Mistake(f"{folder}: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise Mistake(f"{folder}: {error}") from None
    files = [path for path in paths if path.is_file()]
    if len(files) > MOST_FILES:
        raise Mistake(
            f"{folder}: expected a folder with the files of a host, got one with {len(files):,} files"
        )
    return files


def _text(path: Path) -> Text | None:
    """The file as text; None where it is none."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Mistake(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Mistake(f"{path}: {error}") from None
    if len(content) > LARGEST_FILE:
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else Text.of(str(path), text)


def _merged(moments: list[Moment]) -> list[Moment]:
    """Files without a time that tell different counters, snmp and netstat, as one moment."""
    timeless = [one for one in moments if not one.kind]
    names = [name for one in timeless for name in one.counts]
    if len(timeless) < 2 or len(names) > len(set(names)):
        return moments
    counts = {name: value for one in timeless for name, value in one.counts.items()}
    gauges = {name: value for one in timeless for name, value in one.gauges.items()}
    return [*(one for one in moments if one.kind), Moment(timeless[0].name, "", 0.0, counts, gauges)]


def _checked(text: Text) -> tuple[str, str]:
    """The system whose settings they are and its release. Raises Mistake with file and line."""
    last, line = max(text.numbered())
    if last == len(text.lines) and "." in line and "=" not in line and ": " not in line + " ":
        raise text.wrong(last, "a setting, NAME = VALUE")
    try:
        Config.from_sysctl("\n".join(text.lines) + "\n")
    except (TypeError, ValueError, OverflowError) as error:
        where = re.match(r"line (\d+): (.*)", str(error), re.S)
        raise Mistake(f"{text.name}:{where[1]}: {where[2]}" if where else f"{text.name}: {error}") from None
    freebsd = any(re.match(r"(net\.inet|kern)\.", line) for line in text.lines)
    name = r"\s*(?:kernel|kern)\.osrelease\s*[=:]\s*(\S+)"
    release = next((found[1] for line in text.lines if (found := re.match(name, line))), "")
    return ("freebsd" if freebsd else "linux"), release
