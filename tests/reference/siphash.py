"""SipHash-c-d of any bytes, as the paper's figure reads it: slow, checked against published vectors."""

MASK = (1 << 64) - 1


def rotl(x, n):
    return ((x << n) | (x >> (64 - n))) & MASK


def siphash(c, d, k0, k1, message):
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rounds(n):
        nonlocal v0, v1, v2, v3
        for _ in range(n):
            v0 = (v0 + v1) & MASK
            v1 = rotl(v1, 13) ^ v0
            v0 = rotl(v0, 32)
            v2 = (v2 + v3) & MASK
            v3 = rotl(v3, 16) ^ v2
            v0 = (v0 + v3) & MASK
            v3 = rotl(v3, 21) ^ v0
            v2 = (v2 + v1) & MASK
            v1 = rotl(v1, 17) ^ v2
            v2 = rotl(v2, 32)

    # zeros up to the last byte of the last word, which is the length
    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v3 ^= word
        rounds(c)
        v0 ^= word
    v2 ^= 0xFF
    rounds(d)
    return v0 ^ v1 ^ v2 ^ v3


def derive_key(seed, purpose):
    return siphash(2, 4, seed, 0, purpose.to_bytes(8, "little"))


def tuple_bytes(raddr, rport, laddr, lport):
    """The first 12 bytes of a little-endian Block."""
    return (raddr.to_bytes(4, "little") + laddr.to_bytes(4, "little")
            + rport.to_bytes(2, "little") + lport.to_bytes(2, "little"))
