"""The engine's struct has a field for each knob, wide enough, and its enums number the choices as declared.

A new knob is a declaration in tcpcore/knobs.py or knobs_waiting.py and a field of the same name in
records/knobs.pxd: whichever is missing fails here, and nothing else is to be edited.
"""

import pytest

import tcpcore.engine
from tcpcore import Config
from tcpcore.config import DECLARED, DERIVED, engine_value
from tcpcore.records import knobs
from tcpcore.records.layouts import KNOBS

#: Handed to a component or kept by the Engine itself, when that is made.
NO_FIELD = {
    "capacity", "seed", "local_addr", "events", "somaxconn", "cookie_encoding", "ip_local_port_range",
    "ip_local_reserved_ports", "port_selection", "isn", "isn_tick_ns", "syncache_hashsize",
    "tcp_defer_accept_s",
}  # fmt: skip
#: Only what is derived from it is a field.
DERIVED_ONLY = {"linger_s", "paws_idle_s", "tcp_fin_timeout"}
#: Fields with the name of a knob that hold something made from it.
ROUNDED = {"rcv_buf"}

FIELDS = set(KNOBS.names)
CHOICES = {name: knob.names for name, knob in DECLARED.items() if knob.names}


def test_each_knob_has_a_field_and_each_field_a_knob():
    assert FIELDS - set(DERIVED) == set(DECLARED) - NO_FIELD - DERIVED_ONLY - ROUNDED
    assert set(DERIVED) <= FIELDS
    assert set(DERIVED) & set(DECLARED) == ROUNDED


def test_a_field_is_wide_enough():
    narrow = {}
    for name in FIELDS - set(DERIVED):
        dtype = KNOBS[name]
        assert dtype.kind == "u", name
        if DECLARED[name].highest >= 1 << 8 * dtype.itemsize:
            narrow[name] = dtype.name
    assert narrow == {}


@pytest.mark.parametrize("config", [
    Config(rcv_buf=65535 << 14, mss=1, window_rounding="mss-up", rcv_wscale_min=14),
    Config(tcp_fin_timeout=(2**30 - 1) // 1000),
], ids=["windows", "timeout"])  # fmt: skip
def test_a_derived_field_is_wide_enough(config):
    for name in DERIVED:
        assert 0 <= engine_value(config, name) < 1 << 8 * KNOBS[name].itemsize, name


def test_values_as_the_struct_holds_them():
    config = Config.freebsd(keepinit_ms=None, tcp_fin_timeout=7)
    values = {name: engine_value(config, name) for name in FIELDS}
    assert (values["keepinit_ms"], values["auto_read"], values["fin_timeout_ms"]) == (0, 1, 7000)
    assert (values["rcv_buf"], values["rcv_buf_whole"], values["rcv_wscale"]) == (65728, 65536, 6)
    assert values["rcv_buf_judged"] == 65700
    assert (values["fin_wait_2_idle_ms"], values["fin_wait_2_check_ms"]) == (600_000, 75_000)
    seldom = config.replace(tcp_keepalive_probes=3, tcp_keepalive_intvl=20)
    assert engine_value(seldom, "fin_wait_2_idle_ms") == 60_000
    assert (values["acceptance"], values["synq_policy"]) == (knobs.Acceptance.ACCEPT_TRIM, 1)


@pytest.mark.parametrize("config, windows, rtt", [
    (Config(), (64240, 65160), (100, 200)),
    (Config(rcv_buf=300001), (37413, 37467), (100, 200)),
    (Config(tcp_rto_max_ms=1010, rto_initial_ms=1000, tcp_rto_min_us=999_001), (64240, 65160), (10, 1000)),
    (Config(rto_min_rule="rto"), (64240, 65160), (0, 200)),
    (Config.freebsd(), (1027, 1027), (0, 30)),
], ids=["linux", "scaled", "short", "rto", "freebsd"])  # fmt: skip
def test_constants_of_an_undisturbed_connection(config, windows, rtt):
    values = {name: engine_value(config, name) for name in FIELDS}
    assert (values["header_window"], values["header_window_stamped"]) == windows
    assert (values["plain_rtt_max"], values["plain_rto_ms"]) == rtt


def enum_of(name):
    """The enum of a choice: called like the knob."""
    return getattr(knobs, "".join(word.title() for word in name.split("_")))


@pytest.mark.parametrize("name", sorted(set(CHOICES) & FIELDS))
def test_a_choice_has_the_number_of_its_name(name):
    members = enum_of(name).__members__
    assert [int(value) for value in members.values()] == list(range(len(CHOICES[name])))
    for member, choice in zip(members, CHOICES[name], strict=True):
        assert member.endswith("_" + choice.upper().replace("-", "_")), (member, choice)


@pytest.mark.parametrize("name, rules", [
    ("isn", "_ISN_RULES"), ("port_selection", "_PORT_RULES"), ("cookie_encoding", "_COOKIE_RULES"),
])  # fmt: skip
def test_a_choice_of_a_component_is_known_to_the_engine(name, rules):
    assert sorted(getattr(tcpcore.engine, rules)) == sorted(CHOICES[name])
