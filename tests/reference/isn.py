"""Initial sequence numbers in one line each, after RFC 6528 3."""

from tests.reference.siphash import derive_key, siphash, tuple_bytes


def keys(seed):
    return derive_key(seed, 0), derive_key(seed, 1)


def make(rule, tick_ns, seed, laddr, lport, raddr, rport, now, drawn=0):
    """`drawn`: how many numbers the random rule has given before."""
    if rule == "random":
        return siphash(2, 4, *keys(seed), (drawn + 1).to_bytes(8, "little")) & 0xFFFFFFFF
    keyed = siphash(2, 4, *keys(seed), tuple_bytes(raddr, rport, laddr, lport)) if rule == "rfc6528" else 0
    return (now // tick_ns + keyed) & 0xFFFFFFFF


def ts_offset(seed, laddr, lport, raddr, rport):
    return siphash(2, 4, *keys(seed), tuple_bytes(raddr, rport, laddr, lport)) >> 32
