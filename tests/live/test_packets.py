"""The bytes on the wire, without a kernel."""

import pytest

from tests.live.packets import checksum, decode, encode, flag_bits

SYN = {"src": "10.9.0.2", "sport": 40000, "dport": 80, "flags": "S", "seq": 1000, "ack": 0, "len": 0,
       "wnd": 64240, "opts": {"mss": 1460, "sack_ok": True, "ts": [1, 0xFFFF_FFFF], "wscale": 7}}


def test_rfc_1071_example():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_flags_are_those_of_the_header():
    assert [flag_bits(letter) for letter in "FSRPAUEC"] == [1, 2, 4, 8, 16, 32, 64, 128]


@pytest.mark.parametrize("seg", [SYN, SYN | {"flags": "PA", "ack": 0xFFFF_FFFF, "len": 1001, "opts": {}}],
                         ids=["options", "text"])
def test_what_is_encoded_is_decoded_by_the_other_end(seg):
    packet = encode(seg, "10.9.0.1")
    assert decode(packet) == seg | {"src": "10.9.0.1", "sport": 80, "dport": 40000}


def test_a_damaged_packet_is_noticed():
    packet = bytearray(encode(SYN, "10.9.0.1"))
    packet[-1] ^= 1
    with pytest.raises(AssertionError, match="checksum"):
        decode(bytes(packet))


def test_other_protocols_are_not_ours():
    assert decode(b"\x60" + bytes(39)) is None
