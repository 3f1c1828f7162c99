"""HdrHistogram V2: the compressed, base64 text that the tools of that family read and merge.

The format is that of HdrHistogram's `encodeIntoCompressedByteBuffer`, version 2: a header of 40 bytes, then
the counts from index 0 on as ZigZag LEB128 numbers, a run of n zeros as -n, all of it in a zlib stream. The
stream is stored, not deflated: zlib's versions deflate differently, and a result has the same bytes
everywhere. A bucket of ours is entered as its largest time. The unit is ns, with three significant digits
from 1 ns on.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np

from loadgen.sim.outcome import Histogram

DIGITS: Final = 3  # significant decimal digits of a value
_HALF_BITS: Final = 10  # 2 * 10**3 values fit into 2**11 sub-buckets; a half of them is new per bucket
_HALF: Final = 1 << _HALF_BITS
_COOKIE: Final = 0x1C849303 | 0x10
_COMPRESSED: Final = 0x1C849304 | 0x10
_HEADER: Final = struct.Struct(">iiiiqqd")  # cookie, payload, normalizing offset, digits, low, high, ratio
_OUTER: Final = struct.Struct(">ii")
_LEAST_HIGHEST: Final = 2  # the format wants the highest value to be twice the lowest


class HdrError(ValueError):
    """Text that is no HdrHistogram V2, or one that is coarser or finer than ours."""


def index_of(value: int) -> int:
    """Where the count of `value` stands."""
    bucket = max(value.bit_length() - _HALF_BITS - 1, 0)
    return ((bucket + 1) << _HALF_BITS) + (value >> bucket) - _HALF


def range_of(index: int) -> tuple[int, int]:
    """Smallest and largest value that are counted at `index`."""
    bucket = (index >> _HALF_BITS) - 1
    within = (index & (_HALF - 1)) + _HALF
    if bucket < 0:
        bucket, within = 0, within - _HALF
    return within << bucket, ((within + 1) << bucket) - 1


def encode(histogram: Histogram) -> str:
    """The text. Times below 0 cannot be written."""
    counts: dict[int, int] = {}
    for high, n in zip(histogram.highest.tolist(), histogram.counts.tolist(), strict=True):
        value = high if histogram.max is None else min(high, histogram.max)
        if value < 0:
            raise HdrError(f"a time below 0: {value}")
        if n:
            index = index_of(value)
            counts[index] = counts.get(index, 0) + n
    payload = bytearray()
    at = 0
    for index in sorted(counts):
        if index > at:
            payload += _zigzag(at - index)
        payload += _zigzag(counts[index])
        at = index + 1
    highest = max(_LEAST_HIGHEST, range_of(max(counts))[1]) if counts else _LEAST_HIGHEST
    header = _HEADER.pack(_COOKIE, len(payload), 0, DIGITS, 1, highest, 1.0)
    stream = zlib.compress(header + bytes(payload), 0)
    return base64.b64encode(_OUTER.pack(_COMPRESSED, len(stream)) + stream).decode("ascii")


def decode(text: str) -> Histogram:
    """The buckets in use, each with its smallest and largest time; min, max and sum are not in the format."""
    try:
        raw = base64.b64decode(text, validate=True)
        cookie, length = _OUTER.unpack_from(raw)
        inner = zlib.decompress(raw[_OUTER.size : _OUTER.size + length])
        inner_cookie, size, offset, digits, unit, _, _ = _HEADER.unpack_from(inner)
    except (ValueError, struct.error, zlib.error) as error:
        raise HdrError(f"not an HdrHistogram V2: {error}") from None
    if (cookie, inner_cookie) != (_COMPRESSED, _COOKIE):
        raise HdrError(f"not an HdrHistogram V2: cookies {cookie:#x} and {inner_cookie:#x}")
    if (offset, digits, unit) != (0, DIGITS, 1):
        raise HdrError(f"expected {DIGITS} digits from 1 on, got {digits} from {unit}, offset {offset}")
    indexes, counts, at = [], [], 0
    for number in _numbers(inner[_HEADER.size : _HEADER.size + size]):
        if number < 0:
            at -= number
            continue
        if number:
            indexes.append(at)
            counts.append(number)
        at += 1
    ranges = np.array([range_of(index) for index in indexes], dtype=np.int64).reshape(-1, 2)
    return Histogram(ranges[:, 0].copy(), ranges[:, 1].copy(), np.array(counts, dtype=np.int64))


def _zigzag(number: int) -> bytes:
    """A number of 64 bits, seven a byte, lowest first; the ninth byte has eight."""
    rest = ((number << 1) ^ (number >> 63)) & (1 << 64) - 1
    out = bytearray()
    while rest > 0x7F and len(out) < 8:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _numbers(payload: bytes) -> Iterator[int]:
    rest = shift = 0
    for byte in payload:
        last = shift == 56  # the ninth byte
        rest |= (byte if last else byte & 0x7F) << shift
        if byte & 0x80 and not last:
            shift += 7
            continue
        yield (rest >> 1) ^ -(rest & 1)
        rest = shift = 0
    if shift:
        raise HdrError("not an HdrHistogram V2: the last count is cut off")
