"""Integers and addresses from Python as numpy's unsigned types, range checked.

Scalars of the calls on one connection take the compiled way, `records.scalars`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = int | np.integer[Any] | Sequence[int] | npt.NDArray[np.integer[Any]]
Addresses: TypeAlias = str | ipaddress.IPv4Address | Integers

LINGER_MAX_S: Final = 65535

_UNSIGNED: Final[dict[int, type[np.unsignedinteger[Any]]]] = {
    8: np.uint8,
    16: np.uint16,
    32: np.uint32,
    64: np.uint64,
}


def to_address(value: Addresses, name: str = "address") -> Any:
    """An address as uint32: int, dotted string, or an array of integers.

    Raises TypeError or ValueError naming `name`.
    """
    if isinstance(value, str):
        try:
            return np.uint32(int(ipaddress.IPv4Address(value)))
        except ipaddress.AddressValueError:
            raise ValueError(f"{name}: expected a dotted IPv4 address, got {value!r}") from None
    if isinstance(value, ipaddress.IPv4Address):
        return np.uint32(int(value))
    return to_uint(value, name, 32)


def to_uint(value: Integers, name: str, bits: int) -> Any:
    """Integers (scalar or array) as unsigned of `bits` bits, range checked.

    Raises TypeError for anything that is not an integer, ValueError out of range.
    """
    kind = _UNSIGNED[bits]
    if type(value) is int and 0 <= value < 1 << bits:
        return kind(value)
    array = np.asarray(value)
    if array.dtype == kind:
        return array[()]  # cannot be out of range
    return _checked(value, array, name, 0, (1 << bits) - 1).astype(kind)[()]


def to_linger(linger_s: Integers) -> Any:
    """The argument `linger_s` of `close` (-1: without SO_LINGER) as the calls take it, where 0 is that.

    Raises TypeError or ValueError.
    """
    if type(linger_s) is int and -1 <= linger_s <= LINGER_MAX_S:
        return linger_s + 1
    array: npt.NDArray[Any] = np.asarray(linger_s)
    if array.dtype.kind == "b":
        raise TypeError("linger_s: expected integers, got bool")
    array = _checked(linger_s, array, "linger_s", -1, LINGER_MAX_S)
    return (array.astype(np.int64) + 1).astype(np.uint32)[()]


def _checked(value: Integers, array: npt.NDArray[Any], name: str, least: int, most: int) -> npt.NDArray[Any]:
    """`array`, which numpy made of `value`, if all of it are integers of that range."""
    if array.dtype.kind == "f" and isinstance(value, (list, tuple)):
        array = np.array(value, object)  # of a list with ints below and above 2**63 numpy makes floats
    integers = array.dtype.kind in "iub" or (
        array.dtype.kind == "O" and all(isinstance(x, int) for x in array.flat)
    )
    if array.size and not integers:
        raise TypeError(f"{name}: expected integers, got {array.dtype}")
    if array.size and (array.min() < least or array.max() > most):
        bad = array.min() if array.min() < least else array.max()
        raise ValueError(f"{name}: expected {least} .. {most}, got {bad}")
    return array
