"""`Config.from_sysctl`: what hosts of several systems and ages say, in every notation that they use."""

from pathlib import Path

import pytest

from tcpcore.config import FREEBSD, Config
from tcpcore.linux_versions import CHANGES, INTRODUCED, bound, older
from tcpcore.sysctl_keys import FREEBSD_KEYS, LINUX_KEYS, OVERRULING

#: What kernels before 6.5 do otherwise; and those before 4.8, too.
LATER = {"beyond_window_dropped": 0, "tsecr_checked": 2, "tw_reuse_clock_ms": 1000, "crossed_synack_opens": 0,
         "closed_window_ends": 0, "bare_fin_needs_window": 1, "shutdown_waits": 0,
         "paws_idle_s": 2_073_600}  # fmt: skip
OLD = {**LATER, "early_syn_resend_ms": 0, "rst_before_fin": 0, "accept_full_drops_syn": 2,
       "rst_at_sack_edge": 0}

DATA = Path(__file__).parent / "data"


def host(name, **knobs):
    return Config.from_sysctl((DATA / name).read_text(encoding="utf-8"), **knobs)


def linux(release, text="", **knobs):
    """A host that says its kernel's release and has one knob at its usual value."""
    return Config.from_sysctl(f"kernel.osrelease = {release}\nnet.ipv4.tcp_fin_timeout = 60\n{text}", **knobs)


# -- Linux of any age ------------------------------------------------------------------------------


def test_an_old_listing_without_osrelease_is_known_by_what_it_has_and_lacks():
    config = host("linux-3.10-listing.sysctl")
    assert (config.tcp_syn_linear_timeouts, config.tcp_synack_retries, config.tcp_tw_reuse) == (0, 3, 1)
    assert (config.somaxconn, config.tcp_challenge_ack_limit, config.tcp_invalid_ratelimit) == (128, 100, 500)
    assert config.sysctl_implied == (
        *LATER, "tcp_syn_linear_timeouts", "port_selection", "early_syn_resend_ms", "somaxconn",
    )  # fmt: skip
    assert config.sysctl_notes[:2] == (
        "there is no kernel.osrelease; a listing with and without these settings is of Linux before 4.12",
        "Linux before 4.12: beyond_window_dropped = 0 (before 6.17)",
    )
    assert config.sysctl_unmodelled == (
        "net.ipv4.tcp_adv_win_scale", "net.ipv4.tcp_mem", "net.ipv4.tcp_retries1", "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_tw_recycle",
    )  # fmt: skip
    assert config.sysctl_unknown == ("net.ipv4.tcp_dsack", "net.ipv4.tcp_fack", "net.ipv4.tcp_stdurg")


@pytest.mark.parametrize(
    ("release", "values"),
    [
        ("6.18.44", {}),
        ("6.4.0-rc1", {**LATER, "tcp_syn_linear_timeouts": 0}),
        ("5.15.0-91-generic", {**LATER, "tcp_syn_linear_timeouts": 0, "tcp_challenge_ack_limit": 1000}),
        ("3.10.0-1160.el7.x86_64",
         {**OLD, "tcp_syn_linear_timeouts": 0, "tcp_challenge_ack_limit": 100, "port_selection": "hash",
          "somaxconn": 128, "tcp_tw_reuse": 0, "ip_local_port_range": (32768, 61000),
          "tcp_invalid_ratelimit": 0, "tcp_timestamps": 2}),
        ("2.6.32-754.el6",
         {**OLD, "tcp_syn_linear_timeouts": 0, "tcp_challenge_ack_limit": 100, "port_selection": "hash",
          "somaxconn": 128, "tcp_tw_reuse": 0, "ip_local_port_range": (32768, 61000), "ack_range": "rfc793",
          "tcp_invalid_ratelimit": 0, "tcp_timestamps": 2, "tcp_syn_retries": 5, "rto_initial_ms": 3000,
          "insecure_rst": 1, "insecure_syn": 1, "listen_drops_synfin": 0}),
    ],
)  # fmt: skip
def test_a_kernel_acts_as_one_of_its_version(release, values):
    config = linux(release)
    assert config == Config(**values)
    assert set(config.sysctl_implied) == values.keys() and config.sysctl_taken == ("tcp_fin_timeout",)
    version = ".".join(release.split(".")[:2])
    for name in values:
        assert any(note.startswith(f"Linux {version}: {name} ") for note in config.sysctl_notes)


def test_what_the_text_or_the_caller_says_wins_over_the_version():
    text = "net.ipv4.tcp_syn_linear_timeouts = 2\nnet.ipv4.tcp_timestamps = 0\nnet.core.somaxconn = 7\n"
    config = linux("3.10.0", text, tcp_tw_reuse=1)
    assert (config.tcp_syn_linear_timeouts, config.tcp_timestamps, config.somaxconn) == (2, 0, 7)
    assert config.tcp_tw_reuse == 1
    assert not {"tcp_syn_linear_timeouts", "tcp_timestamps", "somaxconn"} & set(config.sysctl_implied)


KERNELS = ["6.18", "6.18.44", "6.5", "6.4", "5.15", "5.15.0-91-generic", "4.4", "2.6.32-754.el6"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_by_name_is_that_of_a_host(kernel):
    config = Config.linux(kernel)
    assert config == linux(kernel) == Config.linux(kernel=kernel)
    assert config.sysctl_implied == linux(kernel).sysctl_implied and config.sysctl_taken == ()
    assert config.sysctl_notes == linux(kernel).sysctl_notes


def test_what_the_caller_says_wins_over_the_kernel():
    config = Config.linux("5.15", tcp_syn_linear_timeouts=4, somaxconn=7)
    assert (config.tcp_syn_linear_timeouts, config.somaxconn, config.shutdown_waits) == (4, 7, 0)
    assert "tcp_syn_linear_timeouts" not in config.sysctl_implied
    assert "tcp_syn_linear_timeouts" not in " ".join(config.sysctl_notes)


@pytest.mark.parametrize(
    ("kernel", "error", "end"),
    [(5.15, TypeError, "got 5.15"), ("5", ValueError, "got '5'"), ("five", ValueError, "got 'five'"),
     ("", ValueError, "got ''"), ("5.15x", ValueError, "got '5.15x'"), ("6.19", ValueError, "got '6.19'"),
     ("2.4", ValueError, "got '2.4'"), ("5.20", ValueError, "got '5.20'; the last 5.x is 5.19"),
     ("6.1\n6.2", ValueError, r"got '6.1\n6.2'"), ("٦.١", ValueError, "got '٦.١'")],
)  # fmt: skip
def test_a_kernel_that_there_is_not(kernel, error, end):
    with pytest.raises(error) as caught:
        Config.linux(kernel=kernel)
    assert str(caught.value) == f"kernel: expected a Linux version from 2.6 to 6.18 such as '5.15', {end}"


def test_a_kernel_of_the_future_and_one_without_a_version():
    assert linux("7.1.0").sysctl_notes == ("Linux 7.1 is taken as Linux 6.18",)
    assert linux("custom") == Config() and linux("custom").sysctl_notes == ()


def test_rules_of_old_kernels_without_a_knob_are_said():
    notes = linux("4.3.0").sysctl_notes
    assert sum("not modelled" in note for note in notes) == 2
    assert any("tcp_max_syn_backlog" in note for note in notes)


def test_changes_are_ordered_and_are_differences():
    assert [change.version for change in CHANGES] == sorted((c.version for c in CHANGES), reverse=True)
    for change in CHANGES:
        assert Config(**{change.knob: change.value}) != Config()
        assert change.knob in older((change.version[0], change.version[1] - 1))
    assert older((6, 18)) == {} and bound(INTRODUCED) is None
    assert INTRODUCED.keys() <= LINUX_KEYS.keys()


# -- FreeBSD -----------------------------------------------------------------------------------------


def test_freebsds_own_names_and_units():
    config = host("freebsd.conf")
    assert config == Config.freebsd(
        somaxconn=512, time_wait_ms=30_000, tcp_synack_retries=1, blackhole=1, tcp_keepalive_time=600,
        ip_local_port_range=(20000, 65535), syncache_hashsize=2048,
    )  # fmt: skip
    assert set(config.sysctl_implied) | set(config.sysctl_taken) >= FREEBSD.keys()
    assert config.sysctl_unmodelled == ()
    assert config.sysctl_unknown == ("kern.hz",)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("net.inet.tcp.msl: 30000", {"time_wait_ms": 60_000}),
        ("net.inet.tcp.finwait2_timeout: 15001", {"tcp_fin_timeout": 16}),
        ("net.inet.tcp.rfc1323: 0", {"tcp_timestamps": 0, "tcp_window_scaling": 0}),
        ("net.inet.tcp.rfc1323: 2", {"tcp_timestamps": 0, "tcp_window_scaling": 1}),
        ("net.inet.tcp.rfc1323: 3", {"tcp_timestamps": 1, "tcp_window_scaling": 0}),
        ("net.inet.tcp.rexmit_min: 100", {"tcp_rto_min_us": 100_000}),
        ("net.inet.tcp.minmss: 0", {"tcp_min_snd_mss": 48}),
        ("net.inet.tcp.ecn.enable: 1", {"tcp_ecn": 1}),
        ("net.inet.tcp.ecn.enable: 3\nnet.inet.tcp.ecn.maxretries: 4", {"tcp_ecn": 1, "ecn_maxretries": 4}),
        ("net.inet.tcp.ecn.enable: 4", {"tcp_ecn": 2}),
        ("net.inet.tcp.keepcnt: 3\nnet.inet.tcp.keepintvl: 5001",
         {"tcp_keepalive_probes": 3, "tcp_keepalive_intvl": 6}),
        ("net.inet.tcp.minmss: 536", {"tcp_min_snd_mss": 536}),
        ("net.inet.tcp.persmin: 0\nnet.inet.tcp.persmax: 9000", {"persmin_ms": None, "persmax_ms": 9000}),
        ("net.inet.tcp.nolocaltimewait: 0", {"nolocaltimewait": 0}),
        ("net.inet.tcp.rexmit_drop_options: 1", {"rexmit_drop_options": 1}),
        ("net.inet.tcp.fast_finwait2_recycle: 1", {"fast_finwait2_recycle": 1}),
        ("net.inet.tcp.ack_war_timewindow: 500", {"ack_war_timewindow_ms": 500}),
        ("net.inet.tcp.syncache.bucketlimit: 50", {"syncache_bucketlimit": 50}),
        ("net.inet.ip.portrange.randomized: 0", {"port_selection": "sequential"}),
        ("net.inet.tcp.retries: 9", {"tcp_retries2": 9, "tcp_orphan_retries": 9}),
        ("net.inet.tcp.syncookies_only: 1\nnet.inet.tcp.syncookies: 1", {"tcp_syncookies": 2}),
        ("net.inet.tcp.delayed_ack: 0\nnet.inet.tcp.delacktime: 40", {"delack_ms": 0}),
        ("net.inet.ip.portrange.last: 9000\nnet.inet.ip.portrange.first: 8000",
         {"ip_local_port_range": (8000, 9000)}),
        ("kern.osrelease: 12.4-RELEASE\nnet.inet.tcp.keepinit: 5000", {"keepinit_ms": 5000}),
        ("sysctl net.inet.tcp.sack.enable=0", {"tcp_sack": 0}),
    ],
)  # fmt: skip
def test_each_freebsd_setting_sets_its_knobs(line, values):
    config = Config.from_sysctl(line + "\n")
    assert config == Config.freebsd(**values)
    assert bool(config.sysctl_notes) == ("osrelease" in line)


def test_every_freebsd_key_sets_knobs_that_exist():
    for key, setter in FREEBSD_KEYS.items():
        Config.freebsd(**{name: value for name, value in setter(1).items() if not isinstance(value, tuple)})
        assert key.startswith(("net.inet.", "kern.ipc."))
    assert set(OVERRULING) <= FREEBSD_KEYS.keys()


def test_two_systems_in_one_text_are_refused():
    with pytest.raises(ValueError, match="text: expected the settings of one host, got those of Linux and"):
        Config.from_sysctl("net.ipv4.tcp_sack = 1\nnet.inet.tcp.sack.enable = 1\n")


# -- notation ------------------------------------------------------------------------------------------


def test_slashes_hexadecimal_and_a_leading_dash():
    config = host("slashes.conf")
    assert config == Config(tcp_syncookies=2, somaxconn=2048, tcp_fin_timeout=20)
    assert config.sysctl_unknown == ("net.ipv4.conf.eth0/7.rp_filter",)


def test_a_byte_order_mark_loses_nothing():
    assert host("bom.conf") == Config(somaxconn=2048, tcp_sack=0)


def test_a_script_of_sysctl_commands():
    config = host("tuning.sh")
    assert config == Config(somaxconn=9000, ip_local_port_range=(3000, 64000), tcp_sack=0)
    assert config.sysctl_unmodelled == ("net.ipv4.tcp_rmem",)


@pytest.mark.parametrize(
    ("value", "number"),
    [("0x10", 16), ("0X1f", 31), ("010", 8), ('"12"', 12), ("'12'", 12), ("+7", 7), (" 9 ", 9)],
)
def test_numbers_as_the_kernel_reads_them(value, number):
    assert Config.from_sysctl(f"net.ipv4.tcp_retries2 ={value}\r\n").tcp_retries2 == number


@pytest.mark.parametrize(
    "value", ["1_0", "²", "٣", "1e3", "0x", "08", "9" * 5000, "1.5", "--1", "", "1\0", "0b1", "-1", "1 2"]
)
def test_what_is_no_number_names_line_and_knob(value):
    with pytest.raises(ValueError, match="^line 2: tcp_retries2: expected an integer"):
        Config.from_sysctl(f"# first\nnet.ipv4.tcp_retries2 = {value}\n")


def test_a_comment_behind_a_value_is_an_error_that_names_the_line():
    expected = "expected a value and nothing behind it"
    with pytest.raises(ValueError, match=f"^line 3: ip_local_port_range: {expected}"):
        host("proxy.conf")
    with pytest.raises(ValueError, match=f"^line 1: net.core.rmem_max: {expected}"):
        Config.from_sysctl("net.core.rmem_max = 1 # one\nnet.ipv4.tcp_sack = 1\n")
    assert Config.from_sysctl("kernel.hostname = a#b\nnet.ipv4.tcp_sack = 1\n") == Config()


def test_any_but_zero_is_on_where_the_kernel_has_no_range():
    config = Config.from_sysctl("net.ipv4.tcp_abort_on_overflow = 5\n")
    assert config.tcp_abort_on_overflow == 1
    assert config.sysctl_notes == (
        "line 1: net.ipv4.tcp_abort_on_overflow = 5 is taken as 1, as all but 0 are",
    )


def test_the_last_of_several_counts_and_a_contradiction_is_said():
    config = Config.from_sysctl(
        "net.ipv4.tcp_sack = 0\nnet.core.somaxconn = 5\nnet/ipv4/tcp_sack = 1\nnet.core.somaxconn = 5\n"
    )
    assert (config.tcp_sack, config.somaxconn) == (1, 5)
    assert config.sysctl_notes == ("line 3: net.ipv4.tcp_sack = 1 replaces 0 of line 1",)


# -- what is no knob ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "\n# nothing\n", "kernel.osrelease = 3.10.0\n", "TcpActiveOpens  18  0.0\n",
     "State Recv-Q\nLISTEN 0\n", "\0" * 100, "net.ipv4.tcp_syncookie = 1\n"],
)  # fmt: skip
def test_a_text_without_a_knob_is_an_error(text):
    with pytest.raises(ValueError, match="^text: expected a setting that is a knob here, in lines like 'net"):
        Config.from_sysctl(text)


def test_settings_that_are_no_knobs_alone_are_an_error_that_names_them():
    with pytest.raises(ValueError, match=r"got 'net.netfilter.nf_conntrack_max, net.netfilter.*vm.swapp"):
        host("conntrack.conf")


def test_what_matters_is_told_apart_from_what_does_not():
    text = (DATA / "conntrack.conf").read_text() + (
        "net.ipv4.ip_autobind_reuse =\nnet.core.netdev_max_backlog = 5\nnet.ipv4.tcp_sack = 1\n"
    )
    config = Config.from_sysctl(text)
    assert config.sysctl_unmodelled == (
        "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
        "net.core.netdev_max_backlog",
    )  # fmt: skip
    assert config.sysctl_unknown == ("vm.swappiness", "net.ipv4.ip_autobind_reuse")
    assert config.sysctl_ignored == 5
    copy = config.replace(seed=1)
    assert (copy.sysctl_unmodelled, copy.sysctl_notes) == (config.sysctl_unmodelled, config.sysctl_notes)
    assert Config().sysctl_unmodelled == Config().sysctl_notes == Config().sysctl_implied == ()
