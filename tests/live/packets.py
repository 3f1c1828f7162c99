"""IPv4 and TCP headers to bytes and back: as much as the tests put on the wire.

A segment is the dict of `tests.corpus.interpreter.Target`: src and sport are the peer's, whoever sends.
Source: RFC 791 3.1, RFC 9293 3.1 and 3.2, RFC 7323 2.2 and 3.2; checksums RFC 1071.
"""

import socket
import struct

IP = struct.Struct("!BBHHHBBH4s4s")
TCP = struct.Struct("!HHIIHHHH")
#: The control bits from the lowest; N is AE, once NS (RFC 3168 6.1, draft-ietf-tcpm-accurate-ecn 3.1).
LETTERS = "FSRPAUECN"
ICMP, TCP_PROTOCOL = 1, 6
UNREACHABLE = 3                    # type of an ICMP message

OPT_END, OPT_NOP, OPT_MSS, OPT_WSCALE, OPT_SACK_OK, OPT_TS = 0, 1, 2, 3, 4, 8


def sum_of_words(data):
    """Modulo 2**16 - 1, where 2**16 is 1, the words of a number add up to the number itself."""
    return int.from_bytes(data + b"\0" * (len(data) % 2), "big") % 0xFFFF


def checksum(data):
    """The word that makes the sum zero."""
    return 0xFFFF - sum_of_words(data)


def pseudo_header(src, dst, length):
    return src + dst + struct.pack("!HH", TCP_PROTOCOL, length)


def flag_bits(letters):
    return sum(1 << LETTERS.index(letter) for letter in letters)


def encode_options(options):
    """The options of a segment, padded to whole words."""
    out = b""
    if "mss" in options:
        out += struct.pack("!BBH", OPT_MSS, 4, options["mss"])
    if "wscale" in options:
        out += struct.pack("!BBB", OPT_WSCALE, 3, options["wscale"])
    if options.get("sack_ok"):
        out += struct.pack("!BB", OPT_SACK_OK, 2)
    if "ts" in options:
        out += struct.pack("!BBII", OPT_TS, 10, *options["ts"])
    return out + bytes([OPT_NOP]) * (-len(out) % 4)


def encode(seg, local):
    """A segment from the peer to the address `local`."""
    options = encode_options(seg.get("opts") or {})
    size = TCP.size + len(options)
    head = TCP.pack(seg["sport"], seg["dport"], seg["seq"], seg["ack"],
                    size // 4 << 12 | flag_bits(seg["flags"]), seg["wnd"], 0, 0)
    text = head + options + b"x" * seg["len"]
    src, dst = socket.inet_aton(seg["src"]), socket.inet_aton(local)
    text = text[:16] + struct.pack("!H", checksum(pseudo_header(src, dst, len(text)) + text)) + text[18:]
    ip = IP.pack(0x45, 0, IP.size + len(text), 0, 0x4000, 64, TCP_PROTOCOL, 0, src, dst)
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + text


def encode_unreachable(peer, port, local_port, local, seq, code):
    """ICMP (RFC 792) destination unreachable, or of type code // 256, for this segment to `peer`."""
    kind, code = code >> 8 or UNREACHABLE, code & 255
    src, dst = socket.inet_aton(local), socket.inet_aton(peer)
    head = IP.pack(0x45, 0, IP.size + TCP.size, 0, 0x4000, 64, TCP_PROTOCOL, 0, src, dst)
    text = struct.pack("!BBHI", kind, code, 0, 0) + head + struct.pack("!HHI", local_port, port, seq)
    text = text[:2] + struct.pack("!H", checksum(text)) + text[4:]
    ip = IP.pack(0x45, 0, IP.size + len(text), 0, 0x4000, 64, ICMP, 0, dst, src)
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + text


def decode_options(data):
    options, at = {}, 0
    while at < len(data) and data[at] != OPT_END:
        if data[at] == OPT_NOP:
            at += 1
            continue
        kind, body = data[at], data[at + 2:at + data[at + 1]]
        if kind == OPT_MSS:
            options["mss"] = int.from_bytes(body, "big")
        elif kind == OPT_WSCALE:
            options["wscale"] = body[0]
        elif kind == OPT_SACK_OK:
            options["sack_ok"] = True
        elif kind == OPT_TS:
            options["ts"] = list(struct.unpack("!II", body))
        at += data[at + 1]
    return options


def decode(packet):
    """A segment the stack sent, seen from its peer; None when the packet is not TCP over IPv4."""
    if packet[0] >> 4 != 4 or packet[9] != TCP_PROTOCOL:
        return None
    start = (packet[0] & 15) * 4
    dport, sport, seq, ack, flags, wnd, _, _ = TCP.unpack_from(packet, start)
    text = start + (flags >> 12) * 4
    pseudo = pseudo_header(packet[12:16], packet[16:20], len(packet) - start)
    assert sum_of_words(packet[:start]) == sum_of_words(pseudo + packet[start:]) == 0, "a bad checksum"
    return {"src": socket.inet_ntoa(packet[16:20]), "sport": sport, "dport": dport,
            "flags": "".join(letter for bit, letter in enumerate(LETTERS) if flags >> bit & 1),
            "seq": seq, "ack": ack, "wnd": wnd, "len": len(packet) - text,
            "opts": decode_options(packet[start + TCP.size:text])}
