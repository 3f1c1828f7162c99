"""Initial sequence numbers and timestamp offsets, one by one, under a key of a given seed."""

import numpy as np

from libc.stdint cimport int64_t, uint64_t

from tcpcore.base.siphash cimport derive_key
from tcpcore.components.isn cimport (
    ISN_RANDOM, ISN_RFC793, ISN_RFC6528, Isn, IsnRule, isn_init, isn_make, isn_ts_offset,
)

from tcpcore.records.integers import to_address, to_uint

_RULES = {"rfc6528": ISN_RFC6528, "rfc793": ISN_RFC793, "random": ISN_RANDOM}


cdef Isn keyed(IsnRule rule, int64_t tick_ns, uint64_t seed) noexcept:
    cdef Isn isn
    isn_init(&isn, rule, tick_ns, derive_key(seed, 0), derive_key(seed, 1))
    return isn


cdef within_int64(value, name, least):
    checked = to_uint(value, name, 64)
    if np.any(checked < least) or np.any(checked >= 1 << 63):
        raise ValueError(f"{name}: expected {least} .. {(1 << 63) - 1}, got {value}")
    return checked


def make(rule, tick_ns, seed, laddr, lport, raddr, rport, now):
    """Initial sequence numbers as a new engine with this key would draw them, in order.

    Parameters
    ----------
    rule : {"rfc6528", "rfc793", "random"}
    tick_ns : int
        Period of the clock, at least 1 ns.
    seed : int
        Where the key comes from, 0 to 2**64 - 1.
    laddr, raddr : address or uint32 array
    lport, rport : int or uint16 array
    now : int or int64 array
        Nanoseconds, not negative. Broadcast with the four above.

    Returns
    -------
    uint32[...]
        In the broadcast shape, drawn in C order.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong type, out of range or of a shape that does not broadcast.
    """
    if rule not in _RULES:
        raise ValueError(f"rule: expected one of {', '.join(_RULES)}, got {rule!r}")
    cdef Isn isn = keyed(_RULES[rule], within_int64(tick_ns, "tick_ns", 1), to_uint(seed, "seed", 64))
    rows = np.broadcast(to_address(laddr, "laddr"), to_uint(lport, "lport", 16), to_address(raddr, "raddr"),
                        to_uint(rport, "rport", 16), within_int64(now, "now", 0))
    numbers = [isn_make(&isn, a, b, c, d, t) for a, b, c, d, t in rows]
    return np.array(numbers, np.uint32).reshape(rows.shape)


def ts_offset(seed, laddr, lport, raddr, rport):
    """Timestamp offsets under the key of `make`.

    Parameters
    ----------
    seed : int
        Where the key comes from, 0 to 2**64 - 1.
    laddr, raddr : address or uint32 array
    lport, rport : int or uint16 array

    Returns
    -------
    uint32[...]
        In the broadcast shape.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong type, out of range or of a shape that does not broadcast.
    """
    cdef Isn isn = keyed(ISN_RFC6528, 1, to_uint(seed, "seed", 64))
    rows = np.broadcast(to_address(laddr, "laddr"), to_uint(lport, "lport", 16), to_address(raddr, "raddr"),
                        to_uint(rport, "rport", 16))
    return np.array([isn_ts_offset(&isn, a, b, c, d) for a, b, c, d in rows], np.uint32).reshape(rows.shape)
