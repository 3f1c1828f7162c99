"""SipHash-2-4 and the derivation of keys, as base/siphash.pxd has them."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from tcpcore.base.siphash cimport derive_key, siphash24_1, siphash24_2, siphash24_tuple


def siphash24(k0, k1, message):
    """SipHash-2-4 of 8, 12 or 16 bytes.

    Parameters
    ----------
    k0, k1 : int
        The key's halves, 0 to 2**64 - 1.
    message : bytes

    Returns
    -------
    int
        All 64 bits.

    Raises
    ------
    ValueError
        Another length.
    """
    cdef uint64_t a = int.from_bytes(message[:8], "little")
    cdef uint64_t b = int.from_bytes(message[8:16], "little")
    if len(message) == 8:
        return siphash24_1(k0, k1, a)
    elif len(message) == 12:
        return siphash24_tuple(k0, k1, <uint32_t>a, <uint16_t>b, <uint32_t>(a >> 32), <uint16_t>(b >> 16))
    elif len(message) == 16:
        return siphash24_2(k0, k1, a, b)
    raise ValueError(f"message: expected 8, 12 or 16 bytes, got {len(message)}")


def derived_key(seed, purpose):
    """Half of a component's key, as the engine derives it from its seed.

    Parameters
    ----------
    seed, purpose : int
        0 to 2**64 - 1.

    Returns
    -------
    int
        64 bits.
    """
    return derive_key(seed, purpose)
