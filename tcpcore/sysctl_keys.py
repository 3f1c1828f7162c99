"""The settings of a host by their names: which are knobs, and which matter without being one.

Linux's settings carry the names of the knobs. FreeBSD's have names and units of their own: each line says
which knobs one sets, and to what. A name in neither table does not change what connections do.

Source: Linux Documentation/networking/ip-sysctl.rst, Documentation/admin-guide/sysctl; FreeBSD tcp(4),
syncache(4), inet(4). FreeBSD's times are milliseconds: msl, keep*, persm*, rexmit_*, finwait2_timeout and
delacktime go through sysctl_msec_to_ticks (sys/netinet/tcp_timer.c, read in 13.0). ack_war_cnt challenge ACKs
in ack_war_timewindow ms and connection, 0 of either: no limit (tcp(4); defaults 5 and 1000, tcp_subr.c).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from tcpcore.config import DECLARED

__all__ = ["FREEBSD_KEYS", "LINUX_KEYS", "OVERRULING", "matters"]

#: Linux's name in full -> the knob.
LINUX_KEYS: Final[Mapping[str, str]] = {
    ("net.core." if name == "somaxconn" else "net.ipv4.") + name: name
    for name in DECLARED
    if name.startswith("tcp_") or name in ("somaxconn", "ip_local_port_range", "ip_local_reserved_ports")
}


def _as(*knobs: str, times: int = 1) -> Callable[[int], dict[str, Any]]:
    return lambda value: dict.fromkeys(knobs, value * times)


def _flag(knob: str) -> Callable[[int], dict[str, Any]]:
    return lambda value: {knob: int(value != 0)}


def _positive(knob: str) -> Callable[[int], dict[str, Any]]:
    return lambda value: {knob: value if value > 0 else None}


def _ecn(value: int) -> dict[str, Any]:
    # 3 and 4 are 1 and 2 with AccECN, whose AE a segment here has no place for
    return {"tcp_ecn": value if value < 3 else 2 - value % 2}


def _syncookies_only(value: int) -> dict[str, Any]:
    return {"tcp_syncookies": 2} if value else {}


def _delayed_ack(value: int) -> dict[str, Any]:
    return {} if value else {"delack_ms": 0}


def _rfc1323(value: int) -> dict[str, Any]:
    # 2: scaling only, 3: timestamps only
    return {"tcp_window_scaling": int(value in (1, 2)), "tcp_timestamps": int(value in (1, 3))}


_SAME_NAME: Final = (
    "ack_war_cnt", "blackhole", "drop_synfin", "insecure_rst", "insecure_syn", "tolerate_missing_ts",
)  # fmt: skip

#: FreeBSD's name -> the knobs that its value sets.
FREEBSD_KEYS: Final[Mapping[str, Callable[[int], dict[str, Any]]]] = {
    "kern.ipc.soacceptqueue": _as("somaxconn"),
    "kern.ipc.somaxconn": _as("somaxconn"),
    "net.inet.tcp.syncookies": _as("tcp_syncookies"),
    "net.inet.tcp.syncookies_only": _syncookies_only,
    "net.inet.tcp.syncache.hashsize": _as("syncache_hashsize"),
    "net.inet.tcp.syncache.bucketlimit": _as("syncache_bucketlimit"),
    "net.inet.tcp.syncache.rexmtlimit": _as("tcp_synack_retries"),
    "net.inet.tcp.syncache.rst_on_sock_fail": _as("tcp_abort_on_overflow"),
    "net.inet.tcp.msl": _as("time_wait_ms", times=2),  # ms; TIME-WAIT lasts two of them
    "net.inet.tcp.maxtcptw": _as("tcp_max_tw_buckets"),
    "net.inet.tcp.keepinit": _as("keepinit_ms"),
    "net.inet.tcp.keepidle": lambda value: {"tcp_keepalive_time": -(-value // 1000)},  # ms
    "net.inet.tcp.keepintvl": lambda value: {"tcp_keepalive_intvl": -(-value // 1000)},  # ms
    "net.inet.tcp.keepcnt": _as("tcp_keepalive_probes"),
    "net.inet.tcp.always_keepalive": _flag("always_keepalive"),
    "net.inet.tcp.finwait2_timeout": lambda value: {"tcp_fin_timeout": -(-value // 1000)},  # ms
    "net.inet.tcp.fast_finwait2_recycle": _flag("fast_finwait2_recycle"),
    "net.inet.tcp.persmin": _positive("persmin_ms"),
    "net.inet.tcp.persmax": _positive("persmax_ms"),
    "net.inet.tcp.retries": _as("tcp_retries2", "tcp_orphan_retries"),
    "net.inet.tcp.rexmit_initial": _as("rto_initial_ms", "rto_syn_resent_ms"),
    "net.inet.tcp.rexmit_min": _as("tcp_rto_min_us", times=1000),  # ms
    "net.inet.tcp.rexmit_slop": _as("rto_slop_ms"),
    "net.inet.tcp.ack_war_timewindow": _as("ack_war_timewindow_ms"),
    "net.inet.tcp.rexmit_drop_options": _flag("rexmit_drop_options"),
    "net.inet.tcp.minmss": lambda value: {"tcp_min_snd_mss": max(value, 48)},  # 0: no least one
    "net.inet.tcp.nolocaltimewait": _flag("nolocaltimewait"),
    "net.inet.tcp.ecn.enable": _ecn,
    "net.inet.tcp.ecn.maxretries": _as("ecn_maxretries"),
    "net.inet.tcp.delacktime": _as("delack_ms"),
    "net.inet.tcp.delayed_ack": _delayed_ack,
    "net.inet.tcp.rfc1323": _rfc1323,
    "net.inet.tcp.sack.enable": _as("tcp_sack"),
    "net.inet.tcp.recvspace": _as("rcv_buf"),
    "net.inet.ip.portrange.first": lambda value: {"ip_local_port_range": (value, None)},
    "net.inet.ip.portrange.last": lambda value: {"ip_local_port_range": (None, value)},
    "net.inet.ip.portrange.randomized": lambda value: {
        "port_selection": "random" if value else "sequential"
    },
    **{
        f"net.inet.tcp.{name}": _as(name)
        for name in DECLARED
        if name in _SAME_NAME
    },
}

#: These overrule another setting of their table, whichever comes first.
OVERRULING: Final = ("net.inet.tcp.syncookies_only", "net.inet.tcp.delayed_ack")

_MATTERS: Final = (
    # Linux: queues, memory and counts that bound connections
    "net.core.netdev_max_backlog", "net.core.[rw]mem_*", "net.ipv4.tcp_mem", "net.ipv4.tcp_[rw]mem",
    "net.netfilter.nf_conntrack_*", "net.nf_conntrack_max",
    "net.ipv4.netfilter.ip_conntrack_*", "fs.file-max", "fs.nr_open", "net.ipv4.tcp_tw_recycle",
    "net.ipv4.ip_autobind_reuse", "net.ipv4.tcp_migrate_req",
    # what a connection does
    "net.ipv4.tcp_retries1", "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_congestion_control", "net.ipv4.tcp_frto",
    "net.ipv4.tcp_recovery", "net.ipv4.tcp_adv_win_scale", "net.ipv4.tcp_app_win",
    "net.ipv4.tcp_moderate_rcvbuf", "net.ipv4.tcp_shrink_window", "net.ipv4.tcp_no_metrics_save",
    "net.ipv4.tcp_base_mss", "net.ipv4.tcp_mtu_prob*",
    "net.ipv4.tcp_pingpong_thresh", "net.ipv4.tcp_thin_*",
    # FreeBSD
    "net.inet.tcp.syncache.*",
    "net.inet.tcp.mssdflt", "net.inet.tcp.ecn.*", "net.inet.tcp.fastopen.*",
    "net.inet.tcp.cc.algorithm", "net.inet.tcp.functions_default", "net.inet.tcp.sendspace",
    "net.inet.tcp.sendbuf_*", "net.inet.tcp.recvbuf_*",
    "net.inet.tcp.isn_reseed_interval", "net.inet.tcp.pmtud_*", "net.inet.tcp.path_mtu_discovery",
    "net.inet.tcp.maxunacktime", "net.inet.tcp.msl_local", "net.inet.tcp.hostcache.enable",
    "net.inet.tcp.icmp_may_rst", "net.inet.tcp.blackhole_local", "net.inet.tcp.insecure_ack",
    "net.inet.ip.portrange.*", "net.inet.icmp.icmplim*", "kern.ipc.maxsock*", "kern.maxfiles*",
)  # fmt: skip


def matters(key: str) -> bool:
    """The setting changes what connections do, and is no knob here."""
    return any(fnmatchcase(key, pattern) for pattern in _MATTERS)
