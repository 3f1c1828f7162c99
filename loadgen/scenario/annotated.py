"""`--print-config`: every entry of a scenario on a line of its own, with a comment that says who set it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from loadgen.scenario import knobs
from loadgen.scenario.hosts import Resolved, resolve
from loadgen.scenario.model import Scenario
from loadgen.scenario.schema import Knobs, Node, Part, Rows, Shares, Table, plain
from loadgen.scenario.tables import SCENARIO
from loadgen.scenario.toml import key_text, value_text

_COLUMN: Final = 48  # where comments begin
#: Knobs that a planner looks for first; shown even where the profile has Linux's value.
_MAIN: Final = (
    "somaxconn", "tcp_max_syn_backlog", "synq_policy", "tcp_syncookies", "tcp_synack_retries",
    "tcp_syn_retries", "tcp_fin_timeout", "time_wait_ms", "tcp_max_tw_buckets", "tcp_tw_reuse",
    "ip_local_port_range", "tcp_timestamps",
)  # fmt: skip


class _Printer:
    """Lines with their origin; the path of an entry is as `-o` takes it."""

    def __init__(self, scenario: Scenario, origins: Mapping[str, str], otherwise: str) -> None:
        self._scenario = scenario
        self._origins = origins
        self._otherwise = otherwise
        self._hosts: Resolved = resolve(scenario)

    def table(
        self, owner: Any, standard: Any, keys: Mapping[str, Node], paths: list[str], header: str
    ) -> Iterator[str]:
        """The table's own lines, then the tables in it."""
        if header:
            yield ""
            yield header
        inner: list[tuple[str, Any]] = []
        for name, node in keys.items():
            value = plain(owner, {name: node}, None).get(name)
            if (
                isinstance(node, Rows)
                or isinstance(node, Knobs)
                or (isinstance(value, dict) and isinstance(node, (Table, Part, Shares)))
            ):
                inner.append((name, node))
            elif value is not None:
                same = value == plain(standard, {name: node}, None).get(name)
                yield self.line(name, value, [f"{path}{name}" for path in paths], same)
        for name, node in inner:
            yield from self.below(owner, standard, name, node, paths)

    def below(self, owner: Any, standard: Any, name: str, node: Any, paths: list[str]) -> Iterator[str]:
        """One of the tables in a table."""
        deeper = [f"{path}{name}." for path in paths]
        header = f"[{paths[-1]}{name}]"
        if isinstance(node, Rows):
            for number, row in enumerate(getattr(owner, node.field)):
                named = getattr(row, "name", str(number))
                own = [f"{name}.{named}.", f"{name}.{number}.", f"{name}."]
                yield from self.table(row, node.cls(), node.keys, own, f"[[{name}]]")
        elif isinstance(node, Table):
            yield from self.table(
                getattr(owner, node.field), getattr(standard, node.field), node.keys, deeper, header
            )
        elif isinstance(node, Part):
            yield from self.table(owner, standard, node.keys, deeper, header)
        else:
            yield from ("", header)
            for key, value in node.plain(owner).items():
                yield self.line(key, value, [f"{path}{key}" for path in deeper], False)
            if isinstance(node, Knobs):
                yield from self.host(node.side, getattr(owner, node.field))

    def line(self, name: str, value: Any, paths: list[str], same: bool) -> str:
        """An entry and who set it."""
        text = f"{key_text(name)} = {value_text(value)}"
        return f"{text:<{_COLUMN}} # {self.origin(paths, same)}"

    def origin(self, paths: list[str], same: bool) -> str:
        """By the entry's own path, else, where it has not its default, by that of a table around it."""
        for path in paths:
            before, _, name = path.rpartition(".")
            rate = [f"{before}.rate"] if name == "shape" else []
            for known in [path, *rate]:
                if known in self._origins:
                    return self._origins[known]
        for path in () if same else paths:
            while path := path.rpartition(".")[0]:
                if path in self._origins:
                    return self._origins[path]
        return "default" if same else self._otherwise

    def host(self, side: str, given: Mapping[str, object]) -> Iterator[str]:
        """What profile and sysctl set, as comments: the file that is printed names both already."""
        config, origins = getattr(self._hosts, side), self._hosts.origins[side]
        for name in knobs.known(side):
            origin = origins[name]
            if name in given or (origin == "default" and name not in _MAIN):
                continue
            text = f"# {name} = {value_text(knobs.plain(getattr(config, name)))}"
            yield f"{text:<{_COLUMN}} # {origin}"


def lines(scenario: Scenario, origins: Mapping[str, str], otherwise: str) -> Iterator[str]:
    """The file, line by line."""
    printer = _Printer(scenario, origins, otherwise)
    yield from printer.table(scenario, Scenario(), SCENARIO, [""], "")
