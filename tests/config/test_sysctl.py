"""Config: a bad value names its knob, a good one survives TOML, a profile is a table of differences."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpcore.sysctl import EVENTS, FREEBSD, STRICT, UNLIMITED, Config, UnknownKnob

KNOBS = {knob.name: knob for knob in dataclasses.fields(Config)}
SWITCHES = [
    "tcp_abort_on_overflow", "tcp_rfc1337", "insecure_rst", "insecure_syn", "drop_synfin",
    "dup_syn_restarts",
    "tcp_window_scaling", "tcp_sack",
]  # fmt: skip
CHOICES = [name for name, knob in KNOBS.items() if isinstance(knob.default, str) and name != "local_addr"]
OTHERS = ["local_addr", "events", "auto_read", "ip_local_port_range"]
INTEGERS = [name for name in KNOBS if name not in CHOICES + OTHERS]

# knob -> (lowest, highest) legal value
LIMITS = {
    "capacity": (1, 2**30), "seed": (0, 2**64 - 1), "somaxconn": (0, UNLIMITED), "mss": (1, 65535),
    "tcp_syncookies": (0, 2), "tcp_synack_retries": (0, 255), "tcp_syn_retries": (0, 127),
    "tcp_tw_reuse": (0, 2), "tcp_timestamps": (0, 2), "time_wait_ms": (0, 2**30 - 1),
    "tcp_max_tw_buckets": (0, UNLIMITED),
    "keepinit_ms": (1, 2**30 - 1), "tcp_challenge_ack_limit": (0, UNLIMITED), "rcv_buf": (1, 65535 << 14),
    "delack_ms": (0, 499), "isn_tick_ns": (1, 2**40), "rcv_wscale_min": (0, 14), "blackhole": (0, 2),
    **dict.fromkeys(SWITCHES, (0, 1)),
}  # fmt: skip
NONE_IS_LEGAL = (
    "seed", "keepinit_ms", "linger_s", "persmin_ms", "persmax_ms", "tcp_challenge_ack_limit",
    "tcp_max_tw_buckets", "tcp_max_orphans",
)  # fmt: skip
NO_BOOL = ("capacity", "seed", "mss", "keepinit_ms", "port_selection", "local_addr")

BAD_VALUES = [
    *[(name, value, ValueError) for name, (low, high) in LIMITS.items() for value in (low - 1, high + 1)],
    *[(name, value, TypeError) for name in INTEGERS for value in ("1", 1.0, [1], np.float64(1))],
    *[(name, None, TypeError) for name in KNOBS if name not in NONE_IS_LEGAL],
    *[(name, True, TypeError) for name in NO_BOOL],
    *[(name, "no such thing", ValueError) for name in CHOICES],
    *[(name, 1.5, TypeError) for name in CHOICES],
    *[("port_selection", number, ValueError) for number in (0, 6)],
    *[("local_addr", value, ValueError) for value in ("10.0.0", "10.0.0.256", "", "::1", -1, 2**32)],
    ("local_addr", 1.5, TypeError),
    ("auto_read", 2, ValueError), ("auto_read", "yes", TypeError),
    *[("ip_local_port_range", value, ValueError)
      for value in ((0, 9), (9, 65536), (9, 8), (9,), (1, 2, 3), ())],
    *[("ip_local_port_range", value, TypeError) for value in (9, "9 10", ("9", 10), (True, 9), (9.0, 10))],
    ("events", ("lots",), ValueError), ("events", "lost", TypeError), ("events", (1,), TypeError),
    ("events", 1, TypeError),
    ("tcp_rto_min_us", 120_000_001, ValueError),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "error"), BAD_VALUES, ids=lambda value: repr(value)[:24])
def test_a_bad_value_names_knob_expectation_and_value(name, value, error):
    with pytest.raises(error) as caught:
        Config(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}: expected ")
    came = value[0] if name == "events" and isinstance(value, tuple) else value
    assert f", got {came!r}" in message


@pytest.mark.parametrize("name", LIMITS)
def test_both_ends_of_a_range_are_legal(name):
    for value in LIMITS[name]:
        assert getattr(Config(**{name: value}), name) == value


def test_a_typo_is_answered_by_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'rfc6528'"):
        Config(isn="rfc6258")
    with pytest.raises(ValueError, match="did you mean 'established'"):
        Config(events=("establish",))
    with pytest.raises(ValueError, match="did you mean 'double-hash'"):
        Config(port_selection="doublehash")


@pytest.mark.parametrize(
    "near", ["linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer"]
)
def test_a_policy_misspelt_is_answered_by_the_nearest(near):
    assert Config(synq_policy=near).synq_policy == near
    with pytest.raises(ValueError, match=f"synq_policy: expected .*; did you mean '{near}'"):
        Config(synq_policy=near.replace("-", "_") + "x")


@pytest.mark.parametrize(
    "make",
    [Config, Config.linux, Config.freebsd, Config.strict, Config().replace,
     lambda **knobs: dataclasses.replace(Config(), **knobs),
     lambda **knobs: Config.from_sysctl("net.ipv4.tcp_sack = 1", **knobs),
     lambda **knobs: Config.from_toml("\n".join(f"{name} = {value}" for name, value in knobs.items()))],
)  # fmt: skip
def test_an_unknown_knob_fails_everywhere_with_a_hint(make):
    for error in (TypeError, ValueError, UnknownKnob):
        with pytest.raises(error, match="unknown knob 'tcp_syncokies'; did you mean 'tcp_syncookies'"):
            make(tcp_syncokies=1)


def test_values_are_normalised_so_that_equal_settings_are_equal():
    assert Config(tcp_rfc1337=True, auto_read=1) == Config(tcp_rfc1337=1)
    assert Config(local_addr=0x0A000002) == Config(local_addr="10.0.0.2")
    assert Config(tcp_challenge_ack_limit=None) == Config(tcp_challenge_ack_limit=2147483647)
    assert Config(tcp_max_tw_buckets=None).tcp_max_tw_buckets == UNLIMITED
    assert Config(ip_local_port_range=[1024, 65535]).ip_local_port_range == (1024, 65535)
    assert Config(events=["lost", "opened", "lost"]).events == ("opened", "lost")
    assert [Config(port_selection=number).port_selection for number in range(1, 6)] == [
        "random", "random-retry", "hash", "double-hash", "random-increments",
    ]  # fmt: skip
    assert type(Config(capacity=np.int32(7)).capacity) is int
    assert hash(Config(tcp_sack=True)) == hash(Config())


def test_a_config_is_frozen_copied_and_pickled():
    config = Config.from_sysctl("net.ipv4.tcp_sack = 0", seed=7)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 8
    for reference in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert reference == config and reference.sysctl_taken == ("tcp_sack",)
    with pytest.raises(TypeError):
        Config(1)


def test_no_seed_draws_one_and_says_which():
    drawn = [Config(seed=None).seed for _ in range(4)]
    assert len({*drawn}) == 4 and all(type(seed) is int and 0 <= seed < 2**64 for seed in drawn)
    for make in (Config.freebsd, Config.strict, Config().replace):
        config = make(seed=None)
        assert config == make(seed=config.seed) and Config.from_toml(config.to_toml()) == config
    assert Config().seed == 0


# -- profiles ------------------------------------------------------------------------------------


def test_linux_is_the_default_and_overrides_win():
    assert Config.linux() == Config()
    assert Config.linux(seed=3).seed == Config.strict(seed=3).seed == Config.freebsd(seed=3).seed == 3


@pytest.mark.parametrize(("make", "table"), [(Config.freebsd, FREEBSD), (Config.strict, STRICT)])
def test_a_profile_is_its_table_and_the_table_holds_only_differences(make, table):
    assert make() == Config(**table)
    assert all(getattr(make(), name) == value != getattr(Config(), name) for name, value in table.items())


BESIDE_ACCEPTANCE = {
    "paws_tolerance_ticks": (1, 0, 0), "paws_ignores_old_acks": (1, 0, 0),
    "ts_recent_needs_good_ack": (1, 0, 0), "rst_seq_in_window": (0, 1, 1), "fin_fills_buffer": (1, 0, 0),
    "fin_acked_at_once": (1, 0, 0), "flagless_dropped": (1, 0, 0), "fin_freezes_window": (1, 0, 0),
}  # fmt: skip


def test_acceptance_is_one_knob_and_its_companions_are_their_own():
    profiles = Config(), Config.freebsd(), Config.strict()
    assert {name: tuple(getattr(config, name) for config in profiles)
            for name in BESIDE_ACCEPTANCE} == BESIDE_ACCEPTANCE  # fmt: skip
    for config in profiles:
        for acceptance in ("linux", "rfc", "trim"):
            other = dataclasses.asdict(config.replace(acceptance=acceptance))
            assert other == dataclasses.asdict(config) | {"acceptance": acceptance}


def test_freebsd_numbers():
    config = Config.freebsd()
    assert config.window() == 65700 == 45 * 1460
    assert config.rcv_wscale == 6
    assert (config.rto_initial_ms, config.rto_slop_ms, config.keepinit_ms) == (1000, 200, 75_000)
    interval, when = config.rto_initial_ms, 0
    for _ in range(config.tcp_syn_retries + 1):
        when += min(interval, config.tcp_rto_max_ms) + config.rto_slop_ms
        interval *= 2
    assert when > config.keepinit_ms  # keepinit speaks first


@pytest.mark.parametrize("knob", ["tcp_syn_retries", "tcp_synack_retries"])
def test_strict_tries_a_syn_for_three_minutes_must_23(knob):
    config = Config.strict()
    waits = [min(config.rto_initial_ms << n, config.tcp_rto_max_ms) for n in range(getattr(config, knob) + 1)]
    assert config.tcp_syn_linear_timeouts == 0
    assert sum(waits) >= 180_000 > sum(waits[:-1])


def test_strict_numbers():
    config = Config.strict()
    assert config.time_wait_ms == 2 * 120_000
    assert config.rto_min_rule == "rto" and config.tcp_rto_min_us == 1_000_000
    assert config.isn_tick_ns == 4000
    assert config.window() == 65535
    assert config.tcp_rfc1337 == 0


# -- derived -------------------------------------------------------------------------------------


def test_the_window_is_rounded_as_the_host_rounds():
    assert Config().window() == 64240 == 44 * 1460
    assert Config().window(1460) == 1460
    assert Config().window(1000) == 1000  # below one MSS: as it is
    assert Config(window_rounding="none").window(65536) == 65536
    assert Config(window_rounding="mss-up").window(1, mss=536) == 536
    assert Config(window_rounding="mss-up").window(65535 << 14) == 65535 << 14


@given(
    size=st.integers(1, 65535 << 14),
    rounding=st.sampled_from(["mss-down", "mss-up", "none"]),
    low=st.integers(0, 14),
)
def test_the_shift_is_the_smallest_that_tells_the_window(size, rounding, low):
    config = Config(rcv_buf=size, window_rounding=rounding, rcv_wscale_min=low)
    shift = config.rcv_wscale
    assert low <= shift <= 14
    assert config.window() <= 65535 << shift
    assert shift == low or max(size, config.window()) > 65535 << (shift - 1)


# -- TOML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Config.linux, Config.freebsd, Config.strict])
def test_toml_round_trip(make, tmp_path):
    config = make(seed=2**64 - 1, events=("lost", "opened"), auto_read=False, keepinit_ms=5)
    path = tmp_path / "knobs.toml"
    path.write_text(config.to_toml())
    for source in (config.to_toml(), path, str(path)):
        assert Config.from_toml(source) == config


@given(st.fixed_dictionaries({}, optional={name: st.integers(*LIMITS[name]) for name in LIMITS}))
def test_any_config_survives_toml(knobs):
    config = Config(**knobs)
    assert Config.from_toml(config.to_toml()) == config


def test_toml_gives_what_it_says_and_linux_for_the_rest():
    assert Config.from_toml("") == Config()
    assert Config.from_toml("tcp_sack = false\nseed = 4", seed=5) == Config(tcp_sack=0, seed=5)


def test_bad_toml_names_the_argument(tmp_path):
    with pytest.raises(ValueError, match="source: expected TOML"):
        Config.from_toml("tcp_sack = = 1")
    with pytest.raises(TypeError, match="source: expected a path or TOML text, got 1"):
        Config.from_toml(1)
    with pytest.raises(ValueError, match="capacity: expected"):
        Config.from_toml("capacity = 0")
    with pytest.raises(FileNotFoundError):
        Config.from_toml(tmp_path / "none.toml")


# -- sysctl --------------------------------------------------------------------------------------

SYSCTL = """\
kernel.hostname = web1
net.core.rmem_max = 212992
net.core.somaxconn = 8192
net.ipv4.ip_local_port_range = 1024\t65000
net.ipv4.tcp_allowed_congestion_control = reno cubic
net.ipv4.tcp_challenge_ack_limit = 2147483647
net.ipv4.tcp_fastopen_key =\x20
net.ipv4.tcp_max_tw_buckets = 65536
net.ipv4.tcp_rmem = 4096\t131072\t6291456
net.ipv4.tcp_syncookies = 2
net.ipv4.tcp_tw_reuse = 1
sysctl: permission denied on key 'net.ipv4.tcp_fastopen_key'
"""


def test_a_host_is_read_from_its_sysctl():
    config = Config.from_sysctl(SYSCTL)
    expected = {
        "somaxconn": 8192, "ip_local_port_range": (1024, 65000), "tcp_challenge_ack_limit": UNLIMITED,
        "tcp_max_tw_buckets": 65536, "tcp_syncookies": 2, "tcp_tw_reuse": 1,
    }  # fmt: skip
    assert config == Config(**expected)
    assert config.sysctl_taken == tuple(expected)
    assert config.sysctl_ignored == 5
    assert config.replace(seed=1).sysctl_taken == config.sysctl_taken
    assert Config().sysctl_taken == () and Config().sysctl_ignored == 0


def test_knobs_override_the_host_and_conf_files_read_as_well():
    text = "# a comment = 1\n; another = 2\n-net.ipv4.tcp_sack=0\nnet.ipv4.tcp_sack = 1\n\n"
    assert Config.from_sysctl(text).tcp_sack == 1  # the last one counts
    assert Config.from_sysctl(text, tcp_sack=0, capacity=9) == Config(tcp_sack=0, capacity=9)


def test_every_linux_name_is_known():
    linux = [name for name in KNOBS if name.startswith("tcp_")]
    text = "".join(f"net.ipv4.{name} = {getattr(Config(), name)}\n" for name in linux)
    assert Config.from_sysctl(text).sysctl_taken == tuple(linux)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("net.ipv4.tcp_syncookies = on", ValueError, "tcp_syncookies: expected an integer, got 'on'"),
        ("net.ipv4.tcp_syncookies = 1 2", ValueError, "tcp_syncookies: expected an integer, got '1 2'"),
        ("net.ipv4.tcp_syncookies = 3", ValueError, "tcp_syncookies: expected 0, 1 or 2, got 3"),
        ("net.ipv4.ip_local_port_range = 5", ValueError, "ip_local_port_range: expected two ports"),
        ("net.ipv4.ip_local_port_range =", ValueError, "ip_local_port_range: expected two ports"),
        ("web1.sysctl", ValueError, "like 'net.ipv4.tcp_syncookies = 1', got 'web1.sys"),
        (b"net.ipv4.tcp_sack = 0", TypeError, "text: expected the output of sysctl -a, got b'net"),
    ],
)
def test_bad_sysctl_text_names_the_knob(text, error, message):
    with pytest.raises(error, match=message):
        Config.from_sysctl(text)


# -- agreement with the rest ---------------------------------------------------------------------


def test_event_names_are_those_of_the_ring():
    events = pytest.importorskip("tcpcore.components.events", reason="not compiled")
    assert [kind.name.lower() for kind in sorted(events.EventKind)] == list(EVENTS)
