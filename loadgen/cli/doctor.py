"""`loadgen doctor`: what is installed, which extras, and which of the project's checks can run here.

It looks and changes nothing; one short simulation shows that the engine works. What is missing comes with
what it is for. Only what every command needs decides the exit code.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import click

from loadgen.behaviour import BEHAVIOUR, SYSTEMS
from loadgen.cli.common import present

CORE: Final = ("numpy", "click", "rich")
#: Extra -> its packages and what they are for.
EXTRAS: Final = {
    "report": (("matplotlib",), "charts of report and --format html"),
    "dask": (("dask", "distributed"), "sweep --executor dask:ADDRESS"),
    "parquet": (("pyarrow",), "sweep --export parquet"),
    "simpy": (("simpy",), "engines as SimPy processes (tcpcore.adapters)"),
    "test": (("pytest", "hypothesis", "scipy"), "the tests of a clone"),
}
PROGRAMS: Final = {
    "gcc": "builds the engine from source",
    "clang": "make fuzz",
    "valgrind": "make instructions",
}
_TUN: Final = Path("/dev/net/tun")
OK, MISSING, BROKEN = "ok", "missing", "broken"


@dataclass(frozen=True)
class Finding:
    """Of one thing: whether it is `ok`, `missing` or, where nothing works without it, `broken`; and why."""

    group: str
    name: str
    state: str
    said: str


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _core() -> Iterable[Finding]:
    yield Finding("installed", "python", OK, f"{platform.python_version()}, {platform.machine()}")
    for package in CORE:
        found = _installed(package)
        yield Finding("installed", package, OK if found else BROKEN, found or "not installed")
    yield _engine()


def _engine() -> Finding:
    """Whether the compiled modules load and play."""
    try:
        import loadgen
        from loadgen.scenario.presets import handshake

        result = loadgen.run(handshake(connections=10))
        served = round((result["success_ratio"] or 0) * 10)
    except Exception as error:  # whatever it is, that is the finding
        return Finding("installed", "tcpcore", BROKEN, f"{type(error).__name__}: {error}"[:200])
    found = f"{_installed('tcpcore') or 'from a folder'}, behaviour {BEHAVIOUR}"
    said = f"{found}, {', '.join(SYSTEMS.values())}; {served} of 10 connections served"
    return Finding("installed", "tcpcore", OK if served == 10 else BROKEN, said)


def _extras() -> Iterable[Finding]:
    for extra, (packages, purpose) in EXTRAS.items():
        absent = [package for package in packages if _installed(package) is None]
        said = f"pip install 'tcpcore[{extra}]'" if absent else ", ".join(
            f"{package} {_installed(package)}" for package in packages
        )  # fmt: skip
        yield Finding("extras", extra, MISSING if absent else OK, f"{said}: {purpose}")


def _checks() -> Iterable[Finding]:
    for program, purpose in PROGRAMS.items():
        found = shutil.which(program)
        yield Finding("checks", program, OK if found else MISSING, f"{found or 'not on PATH'}: {purpose}")
    root, tun = os.geteuid() == 0, os.access(_TUN, os.R_OK | os.W_OK)
    system = f"{platform.system()} {platform.release()}"
    recorded = system.startswith(SYSTEMS["linux"].title().replace("-", " ") + ".")
    live = "make live, which compares with the kernel"
    yield Finding("checks", "root", OK if root else MISSING, f"{'yes' if root else 'no'}: {live}")
    closed = "" if tun else " cannot be opened"
    yield Finding("checks", "tun", OK if tun else MISSING, f"{_TUN}{closed}: {live}")
    other = "" if recorded else f"; what is compared with is {SYSTEMS['linux']}"
    yield Finding("checks", "kernel", OK if recorded else MISSING, f"{system}{other}: {live}")


def findings() -> list[Finding]:
    """All of them, in the order of the output."""
    groups: tuple[Callable[[], Iterable[Finding]], ...] = (_core, _extras, _checks)
    return [finding for group in groups for finding in group()]


def as_text(found: list[Finding]) -> str:
    """A group after the other, a line each."""
    lines: list[str] = []
    for group in dict.fromkeys(finding.group for finding in found):
        lines += ["", group] if lines else [group]
        lines += [f"  {one.name:<11} {one.state:<8} {one.said}" for one in found if one.group == group]
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--format", "format_", type=click.Choice(["table", "json"]), help="Default: table.")
def doctor(format_: str | None) -> None:
    """Say what is installed, which extras, and which checks can run here.

    Exit code 1 if something is broken that every command needs; what else is missing is only said, with what
    it is for.
    """
    found = findings()
    present(
        {"json": lambda: json.dumps([asdict(one) for one in found], indent=2) + "\n"},
        lambda colour, width: as_text(found),
        format_,
        None,
    )
    broken = [f"{one.name} ({one.said})" for one in found if one.state == BROKEN]
    if broken:
        raise click.ClickException(f"nothing works without {', '.join(broken)}")
