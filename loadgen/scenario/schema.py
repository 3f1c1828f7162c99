"""Kinds of entries that a scenario file has, each reading values into fields and writing them again.

A node stands for one name in the file. `Key` is a value (of one field or several), `Table` a table that is a
dataclass, `Part` a table whose keys are fields of the table around it, `Shares` and `Knobs` tables with names
of their own, `Rows` an array of tables. Which there are is said in `tables`. Reading merges into the present
value, so that a file, a path and a table given from Python take the same way.

A Mistake carries the path from the node at which it was found; whoever calls prepends names on the way out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from loadgen.scenario import knobs as knob_names
from loadgen.scenario.errors import Mistake, hint, shown
from loadgen.scenario.numbers import read_share, write_share
from loadgen.scenario.traces import Folder

Updates = dict[str, Any]  # field -> value
Plain = Any  # what TOML can say: str, int, float, bool, list or dict of these


@dataclass(frozen=True)
class Key:
    """One value. `read` gives one value per field, `write` takes them; a write of None leaves the key out."""

    fields: tuple[str, ...]
    read: Callable[[Any, Folder], tuple[Any, ...]]
    write: Callable[..., Plain]
    always: bool = False  # written even where it has its default

    def updates(self, owner: Any, value: Any, folder: Folder) -> Updates:
        return dict(zip(self.fields, self.read(value, folder), strict=True))

    def plain(self, owner: Any) -> Plain:
        return self.write(*(getattr(owner, name) for name in self.fields))


@dataclass(frozen=True)
class Table:
    """A table that is a dataclass. `read_short` reads a shorter form, `write_short` writes it, or None."""

    field: str
    keys: Mapping[str, Node]
    read_short: Callable[[Any], Any] | None = None
    write_short: Callable[[Any], str | None] = dataclasses.field(default=lambda value: None)

    def updates(self, owner: Any, value: Any, folder: Folder) -> Updates:
        present = getattr(owner, self.field)
        if isinstance(value, type(present)):
            return {self.field: value}
        if not isinstance(value, Mapping):
            if self.read_short is None:
                raise Mistake(f"expected a table, got {shown(value)}")
            return {self.field: self.read_short(value)}
        return {self.field: filled(present, self.keys, value, folder)}


@dataclass(frozen=True)
class Part:
    """A table of the file whose keys are fields of the dataclass around it."""

    keys: Mapping[str, Node]

    def updates(self, owner: Any, value: Any, folder: Folder) -> Updates:
        if not isinstance(value, Mapping):
            raise Mistake(f"expected a table with {', '.join(self.keys)}, got {shown(value)}")
        changed = filled(owner, self.keys, value, folder)
        names = [name for key in self.keys.values() if isinstance(key, Key) for name in key.fields]
        return {name: getattr(changed, name) for name in names}


@dataclass(frozen=True)
class Shares:
    """Shares by kind of segment; one share alone is that of `all`."""

    field: str
    kinds: tuple[str, ...]

    def updates(self, owner: Any, value: Any, folder: Folder) -> Updates:
        if not isinstance(value, Mapping):
            value = _assignments(value) if isinstance(value, str) and "=" in value else {"all": value}
        found: dict[str, float] = {}
        for name, share in value.items():
            found[self.kind(name)] = at(name, read_share, share)
        return {self.field: found}

    def kind(self, name: object) -> str:
        kind = str(name).strip().replace("_", "-").lower()
        if kind not in (*self.kinds, "all"):
            kinds = ", ".join(("all", *self.kinds))
            near = hint(kind, ("all", *self.kinds))
            raise located(Mistake(f"expected kinds of segment ({kinds}), got {shown(name)}{near}"), str(name))
        return kind

    def plain(self, owner: Any) -> Plain:
        shares = getattr(owner, self.field)
        if set(shares) == {"all"}:
            return write_share(shares["all"])
        return {name: write_share(share) for name, share in shares.items()}


@dataclass(frozen=True)
class Knobs:
    """Knobs of an end; what a table gives is merged into those there are."""

    field: str
    side: str

    def updates(self, owner: Any, value: Any, folder: Folder) -> Updates:
        if not isinstance(value, Mapping):
            raise Mistake(f"expected a table of knobs, got {shown(value)}")
        found = dict(getattr(owner, self.field))
        for name, given in value.items():
            with inside(str(name)):
                found[name] = knob_names.read(str(name), given, self.side)
        return {self.field: found}

    def plain(self, owner: Any) -> Plain:
        return {name: knob_names.plain(value) for name, value in getattr(owner, self.field).items()}


@dataclass(frozen=True)
class Rows:
    """An array of tables."""

    field: str
    cls: type[Any]
    keys: Mapping[str, Node]

    def updates(self, owner: Any, value: Any, folder: Folder) -> Updates:
        if not isinstance(value, (list, tuple)):
            raise Mistake(f"expected tables, each under [[{self.field}]], got {shown(value)}")
        return {self.field: tuple(self._rows(value, folder))}

    def _rows(self, rows: Sequence[Any], folder: Folder) -> Iterator[Any]:
        for number, row in enumerate(rows):
            if isinstance(row, self.cls):
                yield row
                continue
            with inside(number):
                if not isinstance(row, Mapping):
                    raise Mistake(f"expected a table, got {shown(row)}")
                yield filled(self.cls(), self.keys, row, folder)


Node = Key | Table | Part | Shares | Knobs | Rows


# -- reading -------------------------------------------------------------------------------------


def filled(present: Any, keys: Mapping[str, Node], given: Mapping[str, Any], folder: Folder) -> Any:
    """The dataclass with what the table gives."""
    taken: dict[str, str] = {}
    for name, value in given.items():
        node = keys.get(str(name))
        if node is None:
            raise located(Mistake(unknown(str(name), keys)), str(name))
        with inside(str(name)):
            updates = node.updates(present, value, folder)
            for changed in updates if isinstance(node, Key) else ():
                if changed in taken:
                    raise Mistake(f"expected it or {taken[changed]}, got both")
                taken[changed] = str(name)
            present = dataclasses.replace(present, **updates)
    return present


def unknown(name: str, keys: Mapping[str, Node]) -> str:
    """What is wrong with a key: the nearest, or the table it belongs in."""
    near = hint(name, keys)
    if not near:
        for table, node in keys.items():
            if isinstance(node, (Table, Part)) and name in node.keys:
                return f"unknown key {shown(name)}; it belongs in {table}"
    known = ", ".join(keys)
    return f"unknown key {shown(name)}{near or f' (known: {known})'}"


def _assignments(text: str) -> dict[str, str]:
    """`syn=5%,third-ack=1%`."""
    return {name.strip(): share for name, _, share in (item.partition("=") for item in text.split(","))}


# -- where a mistake is --------------------------------------------------------------------------


def located(error: Mistake, name: str | int) -> Mistake:
    """The mistake, one name further out."""
    error.place = (name, *error.place)
    return error


@contextmanager
def inside(name: str | int) -> Iterator[None]:
    """Mistakes inside are of this name."""
    try:
        yield
    except Mistake as error:
        raise located(error, name) from None


def at(name: str | int, read: Callable[[Any], Any], value: Any) -> Any:
    """What a reader gives, its mistakes being of this name."""
    with inside(name):
        return read(value)


# -- writing -------------------------------------------------------------------------------------

NONE: Final = "none"


def plain(owner: Any, keys: Mapping[str, Node], standard: Any | None) -> dict[str, Plain]:
    """The dataclass as TOML says it; with `standard` only what differs from it."""
    document: dict[str, Plain] = {}
    for name, node in keys.items():
        value = _plain(owner, node, standard)
        if value is None:
            continue
        if standard is not None and not (isinstance(node, Key) and node.always):
            if value == {} or value == _plain(standard, node, standard):
                continue
        document[name] = value
    return document


def _plain(owner: Any, node: Node, standard: Any | None) -> Plain:
    if isinstance(node, Part):
        return plain(owner, node.keys, standard)
    if isinstance(node, Table):
        inner = getattr(owner, node.field)
        short = node.write_short(inner)
        least = None if standard is None else getattr(standard, node.field)
        return plain(inner, node.keys, least) if short is None else short
    if isinstance(node, Rows):
        fresh = None if standard is None else node.cls()
        return [plain(row, node.keys, fresh) for row in getattr(owner, node.field)] or None
    return node.plain(owner)
