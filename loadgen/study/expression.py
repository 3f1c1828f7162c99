"""Conditions on the points of a grid: `backlog > rate/10 and rtt < 50ms`.

Parsed by Python's own grammar and computed here: numbers with units, names of the grid, arithmetic,
comparisons, `and`, `or`, `not`. No call, no index, no power: nothing that could take long or do anything. A
name is a path of the grid or an end of one. Times are in seconds, rates per second, shares of 1.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from loadgen.scenario.errors import Mistake, hint, shown
from loadgen.study.quantities import quantity

_LONGEST: Final = 500
_DEEPEST: Final = 50
_PARTS: Final = (
    r"(?P<text>'[^']*'|\"[^\"]*\")|(?P<name>(?:{known})(?![\w.])|[A-Za-z_][\w.]*)"
    r"|(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:%|[A-Za-zµ]+(?:/[A-Za-z]+\b)?|/(?:s|min|h|d)\b)?)"
)
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}  # fmt: skip
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_ALLOWED: Final = "expected names, numbers, + - * / %, comparisons, and, or, not"

Value = float | str | bool


class Expression:
    """A condition on values by path. Raises Mistake for a text that is none, or names what is not there."""

    def __init__(self, text: str, paths: Sequence[str]) -> None:
        self.text = text
        if len(text) > _LONGEST:
            raise Mistake(f"expected at most {_LONGEST} characters, got {len(text):,}")
        self._names: dict[str, str] = {}
        known = {end for path in paths for end in _ends(path) if "-" in end}  # a name may have a minus in it
        parts = _PARTS.format(known="|".join(map(re.escape, sorted(known, key=len, reverse=True))) or "(?!)")
        source = re.sub(parts, lambda part: self._plain(part, paths), text)
        try:
            self._tree = ast.parse(source.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise Mistake(f"expected a condition such as 'backlog > rate/10', got {shown(text)}") from None
        _check(self._tree, 0)

    def _plain(self, part: re.Match[str], paths: Sequence[str]) -> str:
        """A number without its unit; a name that Python takes."""
        if part["text"] is not None:
            return part["text"]
        if part["name"] is not None:
            if part["name"] in ("and", "or", "not"):
                return part["name"]
            name = f"v{len(self._names)}"
            self._names[name] = _named(part["name"], paths)
            return name
        number = float(quantity(part["number"]).number)
        if not math.isfinite(number):
            raise Mistake(f"expected a finite number, got {shown(part['number'])}")
        return repr(number)

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether the condition is true of these values. Raises Mistake where it cannot be computed."""
        try:
            return bool(self._value(self._tree, values))
        except ZeroDivisionError:
            raise Mistake(f"{shown(self.text)}: division by zero") from None
        except (TypeError, OverflowError):
            given = ", ".join(f"{path} = {values[path]!r}" for path in dict.fromkeys(self._names.values()))
            raise Mistake(f"{shown(self.text)} cannot be computed for {given}") from None

    def _value(self, node: ast.expr, values: Mapping[str, Value]) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return values[self._names[node.id]]
        if isinstance(node, ast.BoolOp):
            parts = (bool(self._value(one, values)) for one in node.values)
            return all(parts) if isinstance(node.op, ast.And) else any(parts)
        if isinstance(node, ast.UnaryOp):
            inner = self._value(node.operand, values)
            return not inner if isinstance(node.op, ast.Not) else -inner
        if isinstance(node, ast.BinOp):
            left, right = self._value(node.left, values), self._value(node.right, values)
            if isinstance(left, str) or isinstance(right, str):
                raise TypeError
            return _ARITHMETIC[type(node.op)](left, right)
        assert isinstance(node, ast.Compare)
        sides = [self._value(one, values) for one in (node.left, *node.comparators)]
        pairs = zip(sides, node.ops, sides[1:], strict=False)
        return all(_COMPARISONS[type(op)](left, right) for left, op, right in pairs)


def _named(name: str, paths: Sequence[str]) -> str:
    """The path that a name stands for."""
    found = [path for path in paths if path == name] or [path for path in paths if path.endswith(f".{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise Mistake(f"{name}: could be {' or '.join(found)}")
    near = hint(name, [*(path.rpartition(".")[2] for path in paths), *paths])
    raise Mistake(f"{name} is not in the grid{near or f' (there are: {_list(paths)})'}")


def _ends(path: str) -> Iterator[str]:
    words = path.split(".")
    return (".".join(words[k:]) for k in range(len(words)))


def _list(paths: Sequence[str]) -> str:
    return ", ".join(paths) or "none"


def _check(node: ast.expr, depth: int) -> None:
    """Refuse whatever is not in the language."""
    ops: list[ast.AST] = []
    if isinstance(node, ast.BinOp):
        ops = [node.op]
    elif isinstance(node, ast.Compare):
        ops = list(node.ops)
    elif isinstance(node, ast.UnaryOp):
        ops = [node.op]
    elif not isinstance(node, (ast.BoolOp, ast.Name, ast.Constant)):
        raise Mistake(f"{_ALLOWED}; got {type(node).__name__.lower()}")
    for op in ops:
        if not isinstance(op, (*_ARITHMETIC, *_COMPARISONS, ast.Not, ast.USub)):
            raise Mistake(f"{_ALLOWED}; got {type(op).__name__.lower()}")
    if depth > _DEEPEST:
        raise Mistake(f"nested deeper than {_DEEPEST}")
    for inner in _inner(node):
        _check(inner, depth + 1)


def _inner(node: ast.expr) -> Iterator[ast.expr]:
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
