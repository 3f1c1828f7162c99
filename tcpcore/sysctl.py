"""A host's own settings: what of the output of `sysctl -a` are knobs, on Linux of any age and FreeBSD.

Read are `sysctl -a`, sysctl.conf(5) and sysctl.d(5) with dots or slashes, FreeBSD's `name: value` and
`sysctl -w` in a script. Names are in `sysctl_keys`, what older kernels do in `linux_versions`. Values are
checked as `Config` checks them, and an error names the line.

Invariant: each setting of the text is taken, unmodelled or unknown. What was concluded is said in the notes.
`Config` was here once: `from tcpcore.sysctl import Config` still works.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tcpcore import linux_versions
from tcpcore.config import DECLARED, FREEBSD, STRICT, Config, Provenance
from tcpcore.knob_types import UnknownKnob, wrong
from tcpcore.knobs import EVENTS, UNLIMITED
from tcpcore.sysctl_keys import FREEBSD_KEYS, LINUX_KEYS, OVERRULING, matters

__all__ = [
    "EVENTS", "FREEBSD", "STRICT", "UNLIMITED", "Config", "SysctlLine", "UnknownKnob", "parse",
    "sysctl_lines",
]  # fmt: skip

_NUMBER: Final = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19})")
_KEY: Final = re.compile(r"[\w*-]+(?:[./:][\w*-]+)+")
_LISTING: Final = 20  # so many tcp_ settings are a listing of all, nothing that a person wrote


@dataclass(frozen=True)
class Setting:
    """One setting, the line it is on and that line's number."""

    line: int
    key: str
    value: str


@dataclass(frozen=True)
class SysctlLine:
    """A setting of a sysctl file and what it is to a host: knobs, something not modelled, or nothing."""

    line: int
    key: str  # with dots
    value: str
    knobs: dict[str, Any]  # that it sets; empty for what is no knob
    matters: bool  # it changes what connections do, and is no knob
    absent: str  # why a kernel of that release does not have it, else ""
    wrong: str  # why it cannot have that value, else ""


def sysctl_lines(text: str, release: str = "") -> tuple[SysctlLine, ...]:
    """The settings of a text one by one, in their order, the last of each name.

    `release` is the kernel's (`kernel.osrelease`), "" for the newest known Linux. A value that cannot be is
    told in its line, since sysctl(8) goes on behind one.
    """
    if not isinstance(text, str):
        raise wrong(TypeError, "text", "the lines of a sysctl file", text)
    found = []
    for setting in sorted(_last_of_each(list(_settings(text.removeprefix("\ufeff"))), []), key=_place):
        of_freebsd = setting.key in FREEBSD_KEYS
        checked: dict[str, Any] = {}
        refused = ""
        try:
            _merge(checked, (_from_freebsd if of_freebsd else _from_linux_alone)(setting) or {}, setting.line)
        except (TypeError, ValueError) as error:
            checked, refused = {}, str(error).partition(": ")[2]
        absent = linux_versions.absent(setting.key, release)
        modelled = setting.key in LINUX_KEYS or of_freebsd
        found.append(SysctlLine(setting.line, setting.key, setting.value, checked,
                                matters(setting.key) and not modelled, absent, refused))  # fmt: skip
    return tuple(found)


def _from_linux_alone(setting: Setting) -> dict[str, Any] | None:
    return _from_linux(setting, [])


def _place(setting: Setting) -> int:
    return setting.line


def parse(text: str) -> tuple[dict[str, Any], Provenance]:
    """The knobs that the text sets, checked one by one, and where they come from.

    Raises
    ------
    TypeError, ValueError
        No text, a text without a knob, settings of two systems, or a value that cannot be; names the line.
    """
    if not isinstance(text, str):
        raise wrong(TypeError, "text", "the output of sysctl -a", text)
    settings = list(_settings(text.removeprefix("\ufeff")))
    freebsd = any(setting.key.startswith(("net.inet.", "kern.")) for setting in settings)
    if freebsd and any(setting.key.startswith(("net.ipv4.", "net.core.")) for setting in settings):
        raise ValueError("text: expected the settings of one host, got those of Linux and of FreeBSD")
    found: dict[str, Any] = {}
    notes: list[str] = []
    others: dict[str, str] = {}
    for setting in _last_of_each(settings, notes):
        values = _from_freebsd(setting) if freebsd else _from_linux(setting, notes)
        if values is None:
            others[setting.key] = setting.value
        else:
            _merge(found, values, setting.line)
    if not found:
        expected = "a setting that is a knob here, in lines like 'net.ipv4.tcp_syncookies = 1'"
        raise wrong(ValueError, "text", expected, ", ".join(list(others)[:3]) or text.strip()[:60])
    implied = _freebsd_host(settings, found, notes) if freebsd else _linux_host(settings, found, notes)
    unmodelled = tuple(key for key, value in others.items() if value and matters(key))
    return {**implied, **found}, Provenance(
        taken=tuple(found),
        implied=tuple(name for name in implied if name not in found),
        unmodelled=unmodelled,
        unknown=tuple(key for key in others if key not in unmodelled),
        notes=tuple(notes),
    )


# -- lines ---------------------------------------------------------------------------------------


def _settings(text: str) -> Iterator[Setting]:
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";")):
            continue
        command = re.match(r"(?:sudo\s+)?(?:\S*/)?sysctl\s+(.+)", stripped)
        if command:
            yield from _of_command(command[1], number)
            continue
        key, separator, value = stripped.partition("=")
        if not separator:
            key, separator, value = stripped.partition(": ")  # FreeBSD's sysctl -a
        key = key.strip().removeprefix("-")
        if separator and _KEY.fullmatch(key):
            yield Setting(number, _dotted(key), value.strip())


def _of_command(words: str, number: int) -> Iterator[Setting]:
    try:
        arguments = shlex.split(words, comments=True)
    except ValueError:
        raise ValueError(f"line {number}: expected sysctl -w name=value, got {words[:60]!r}") from None
    for argument in arguments:
        key, equals, value = argument.rstrip(";").partition("=")
        if equals and _KEY.fullmatch(key):
            yield Setting(number, _dotted(key), value.strip())


def _dotted(key: str) -> str:
    """The name with dots. A slash as the first separator makes slashes of dots, as sysctl(8) has it."""
    key = key.removeprefix("/proc/sys/")
    first = re.search(r"[./]", key)
    return key.translate(str.maketrans("./", "/.")) if first and first[0] == "/" else key


def _last_of_each(settings: list[Setting], notes: list[str]) -> list[Setting]:
    """The last setting of each name, in their order; a contradiction is noted.

    Settings that overrule another one, wherever they stand, come at the end."""
    last: dict[str, Setting] = {}
    for setting in settings:
        before = last.pop(setting.key, None)
        if before and before.value != setting.value and (_is_knob(setting.key) or matters(setting.key)):
            notes.append(
                f"line {setting.line}: {setting.key} = {setting.value} replaces {before.value} "
                f"of line {before.line}"
            )
        last[setting.key] = setting
    return sorted(last.values(), key=lambda setting: setting.key in OVERRULING)


def _is_knob(key: str) -> bool:
    return key in LINUX_KEYS or key in FREEBSD_KEYS


# -- values --------------------------------------------------------------------------------------


def _from_linux(setting: Setting, notes: list[str]) -> dict[str, Any] | None:
    name = LINUX_KEYS.get(setting.key)
    if name is None:
        if matters(setting.key) and "#" in setting.value:
            raise _trailing_comment(setting, setting.key)
        return None
    if "#" in setting.value:
        raise _trailing_comment(setting, name)
    if name == "ip_local_reserved_ports":
        return {name: setting.value.strip()}
    numbers = _numbers(setting.value)
    if name == "ip_local_port_range":
        return {name: numbers}
    if len(numbers) != 1:
        raise _at(setting.line, wrong(ValueError, name, "an integer", setting.value))
    if DECLARED[name].highest == 1 and numbers[0] > 1:
        notes.append(f"line {setting.line}: {setting.key} = {setting.value} is taken as 1, as all but 0 are")
        return {name: 1}
    return {name: numbers[0]}


def _from_freebsd(setting: Setting) -> dict[str, Any] | None:
    setter = FREEBSD_KEYS.get(setting.key)
    if setter is None:
        return None
    value = setting.value.partition("#")[0]  # a comment may follow, other than on Linux
    numbers = _numbers(value)
    if len(numbers) != 1:
        raise _at(setting.line, wrong(ValueError, setting.key, "an integer", value.strip()))
    return setter(numbers[0])


def _numbers(text: str) -> tuple[int, ...]:
    """The integers of a value as the kernel reads them, 0x and octal included; none if a word is none."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    words = text.split()
    if not all(_NUMBER.fullmatch(word) for word in words):
        return ()
    return tuple(map(_integer, words))


def _integer(word: str) -> int:
    digits = word.lower().lstrip("+-")
    return int(word, 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10)


def _merge(found: dict[str, Any], values: dict[str, Any], line: int) -> None:
    """Add the values to those found, each checked; half a port range goes into the whole one."""
    for name, value in values.items():
        if isinstance(value, tuple) and None in value:
            whole = found.get(name, FREEBSD[name])
            value = tuple(new if new is not None else old for new, old in zip(value, whole, strict=True))
            found[name] = value  # checked with the rest: the other half may be still to come
            continue
        try:
            found[name] = DECLARED[name].check(name, value)
        except (TypeError, ValueError) as error:
            raise _at(line, error) from None


def _at(line: int, error: Exception) -> Exception:
    return type(error)(f"line {line}: {error}")


def _trailing_comment(setting: Setting, name: str) -> Exception:
    expected = "a value and nothing behind it (a comment needs a line of its own, sysctl.d(5))"
    return _at(setting.line, wrong(ValueError, name, expected, setting.value))


# -- hosts ---------------------------------------------------------------------------------------


def _freebsd_host(settings: list[Setting], found: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    release = next((s.value for s in settings if s.key == "kern.osrelease"), "14")
    if not release.startswith("14"):
        notes.append(f"FreeBSD {release}: knobs that the text does not set are those of FreeBSD 14")
    return dict(FREEBSD)


def _linux_host(settings: list[Setting], found: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The knobs on which the host's kernel differs from the defaults; says so in the notes."""
    version, kernel = _kernel(settings, notes)
    if version is None:
        return {}
    if version > linux_versions.NEWEST:
        notes.append(f"{kernel} is taken as Linux {linux_versions.worded(linux_versions.NEWEST)}")
    if version < linux_versions.TIMESTAMP_OFFSETS and found.get("tcp_timestamps") == 1:
        found.pop("tcp_timestamps")  # its 1 is our 2, like that of a kernel whose text does not name it
    notes += linux_versions.notes(kernel, version, found)
    older = linux_versions.older(version)
    return {name: change.value for name, change in older.items() if name not in found}


def _kernel(settings: list[Setting], notes: list[str]) -> tuple[linux_versions.Version | None, str]:
    """The kernel's version by its own word or by the settings it lists, and what to call it."""
    release = next((s.value for s in reversed(settings) if s.key == "kernel.osrelease"), None)
    version = None if release is None else linux_versions.version_of(release)
    if version is not None:
        return version, f"Linux {linux_versions.worded(version)}"
    keys = {setting.key for setting in settings}
    if sum(key.startswith("net.ipv4.tcp_") for key in keys) < _LISTING:
        return None, ""
    bound = linux_versions.bound(keys)
    if bound is None:
        return None, ""
    kernel = f"Linux before {linux_versions.worded(bound)}"
    notes.append(f"there is no kernel.osrelease; a listing with and without these settings is of {kernel}")
    return (bound[0], bound[1] - 1) if bound[1] else (bound[0] - 1, 99), kernel
