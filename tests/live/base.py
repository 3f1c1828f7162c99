"""Which host a scenario speaks of, and the engine as that host.

Two bases: that of the recordings (no options, no probes, no delayed ACKs: what is left is the state machine),
and a Linux host as it comes: the defaults of Documentation/networking/ip-sysctl.rst, written out where a host
is often tuned. The metrics cache stays off: what earlier connections taught a host is no part of a scenario.
"""

from tcpcore import Engine
from tests.corpus.adapter import SECOND, Host, configuration
from tests.corpus.interpreter import CORPUS

#: A host as it comes.
DEFAULTS = {
    "tcp_timestamps": 1, "tcp_sack": 1, "tcp_dsack": 1, "tcp_window_scaling": 1, "tcp_ecn": 2,
    "tcp_congestion_control": "reno", "tcp_no_metrics_save": 1, "tcp_early_retrans": 3, "tcp_recovery": 1,
    "tcp_frto": 2, "tcp_moderate_rcvbuf": 1, "tcp_autocorking": 1, "tcp_rto_min_us": 200_000,
    "tcp_syn_linear_timeouts": 4, "tcp_syncookies": 1, "tcp_max_syn_backlog": 4096, "somaxconn": 4096,
    "tcp_synack_retries": 5, "tcp_syn_retries": 6, "tcp_fin_timeout": 60, "tcp_abort_on_overflow": 0,
    "tcp_max_tw_buckets": 262_144, "tcp_tw_reuse": 2, "tcp_rfc1337": 0, "tcp_orphan_retries": 0,
    "tcp_retries2": 15, "tcp_invalid_ratelimit": 500, "tcp_challenge_ack_limit": 2**31 - 1,
    "tcp_keepalive_time": 7200, "tcp_keepalive_intvl": 75, "tcp_keepalive_probes": 9,
    "tcp_rmem": "4096 131072 6291456", "tcp_wmem": "4096 16384 4194304", "tcp_rto_max_ms": 120_000,
}  # fmt: skip
#: What the buffers of that host come to: half of tcp_rmem[1], and the shift for tcp_rmem[2].
BUFFERS = {"rcv_buf": 65535, "rcv_wscale_min": 7}


def is_default(scenario):
    """Whether it was asked of a host as it comes."""
    return scenario.get("base") == "default"


def base_sysctl(scenario):
    return DEFAULTS if is_default(scenario) else CORPUS["about"]["base_sysctl"]


def config_of(scenario, **knobs):
    """The engine's Config for this scenario."""
    config = configuration(base_sysctl(scenario), scenario["sysctl"])
    return config.replace(**(BUFFERS if is_default(scenario) else {}), **knobs)


class Timed(Host):
    """A host that notes when the engine's timers fire, with or without a segment."""

    def __init__(self, stack):
        super().__init__(stack)
        self.fired = []               # s

    def run_until(self, t):
        end = round(t * SECOND)
        due = self.stack.next_timer()
        while due is not None and due <= end:
            self.now = due
            self.hear(self.stack.advance(due))
            self.fired.append(due / SECOND)
            due = self.stack.next_timer()
        return super().run_until(t)


def host_of(scenario, **knobs):
    return Timed(Engine(config_of(scenario, **knobs)))
