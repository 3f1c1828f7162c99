"""Random small scenarios for the simulator, and an outcome of it as the figures that the reference gives."""

import dataclasses

from hypothesis import strategies as st

from loadgen.scenario.model import (
    KINDS,
    Accept,
    Burst,
    Client,
    Closes,
    Event,
    Flood,
    Link,
    Listen,
    Load,
    Run,
    Scenario,
    Server,
    Tries,
)  # fmt: skip
from loadgen.scenario.values import Distribution
from loadgen.sim.build import build
from loadgen.sim.run import Replay, outcome_of
from loadgen.theory.warmup import warmup_of
from tcpcore import Config
from tests.reference.simulator import CLOSING, COUNTS

MS = 10**6
S = 10**9
PROFILES = {"linux": Config.linux, "freebsd": Config.freebsd}

times = st.sampled_from([0, 1, 999_999, MS, 3 * MS, 10 * MS, 50 * MS, 250 * MS, S, 2 * S])
some_times = st.sampled_from([MS, 10 * MS, 50 * MS, 250 * MS, S])
shares = st.sampled_from([0.0, 0.0, 0.02, 0.2, 0.5, 1.0])


@st.composite
def families(draw, values=times):
    family = draw(st.sampled_from(["const", "const", "exp", "lognormal", "normal", "uniform", "trace"]))
    if family == "trace":
        return Distribution("trace", samples=tuple(draw(st.lists(values, min_size=1, max_size=4))))
    a = draw(values)
    if family == "const":
        return Distribution("const", float(a))
    b = {"exp": 0.0, "lognormal": 0.7, "normal": a / 3, "uniform": 1.5 * a}[family]
    return Distribution(family, float(max(a, 1)), float(b))


def by_kind():
    return st.one_of(
        st.just({}),
        st.dictionaries(st.sampled_from(("all", *KINDS)), st.sampled_from([0.02, 0.1, 0.3]), max_size=3),
    )


@st.composite
def links(draw):
    rtt = draw(st.sampled_from([0, 0, 1, MS, 7 * MS, 20 * MS + 1]))
    if draw(st.booleans()):
        return Link(rtt=Distribution("const", float(rtt)))
    return Link(
        rtt=draw(families(st.sampled_from([0, MS, 20 * MS]))),
        loss=draw(by_kind()),
        burst=draw(st.sampled_from([Burst(), Burst(0.1, 0.5, 0.8), Burst(0.02, 0.2, 1.0)])),
        duplicate=draw(by_kind()),
        duplicate_after_ns=draw(st.sampled_from([0, MS, 300 * MS])),
        reorder=draw(st.sampled_from([0.0, 0.1])),
        reorder_after_ns=draw(st.sampled_from([0, 5 * MS])),
        jitter_ns=draw(st.sampled_from([0, 3 * MS])),
        late_share=draw(st.sampled_from([0.0, 0.05])),
        late_after_ns=draw(st.sampled_from([0, 2 * S])),
        last_ack_loss=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
    )


@st.composite
def loads(draw, number, end):
    size = st.sampled_from([0, 1, 100, 1460, 4000])
    count = draw(st.integers(1, 25))
    kind = draw(st.sampled_from(["poisson", "paced", "trace", "users", "flat"]))
    rate = draw(st.sampled_from([5.0, 30.0, 200.0]))
    shapes = [((0, rate),), ((0, 0.0), (end // 2, rate)), ((0, rate), (end // 3, 0.0), (end // 2, rate))]
    closing = draw(st.sampled_from([None, None, None, end // 2]))
    return Load(
        name=f"load{number}",
        arrivals=kind if kind in ("poisson", "paced") else draw(st.sampled_from(["poisson", "paced"])),
        times_ns=tuple(sorted(draw(st.lists(times, min_size=1, max_size=25)))) if kind == "trace" else (),
        shape=((0, float("inf")),) if kind == "flat" else draw(st.sampled_from(shapes)),
        count=count,
        concurrency=draw(st.integers(1, 4)) if kind == "users" else 0,
        start_ns=draw(st.sampled_from([0, 0, 1, 20 * MS])),
        hold=draw(families()),
        close_at_ns=closing,
        close_rate=draw(st.sampled_from([0.0, 50.0])),
        requests_per_connection=draw(st.integers(1, 3)),
        request=draw(size),
        response=draw(size),
        speaks=draw(st.sampled_from(["client", "client", "server", "nobody"])),
        idle_timeout_ns=draw(st.sampled_from([0, 0, 50 * MS, S])),
        patience_ns=draw(st.sampled_from([0, 0, 50 * MS, S])),
        close_delay_ns=draw(st.sampled_from([0, 0, 0, 1, 20 * MS])),
        half_close=draw(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0])),
        half_close_bytes=draw(size),
        syn_data=draw(st.sampled_from([0, 0, 0, 100])),
        tries=draw(
            st.sampled_from([Tries(), Tries(), Tries(1, 250 * MS), Tries(3, 50 * MS, 2.0, 0.5), Tries(3, S)])
        ),
    )


@st.composite
def servers(draw):
    acting = st.sampled_from([{}, {}, {"tcp_syncookies": 0}, {"tcp_max_syn_backlog": 8}, {"tcp_max_tw_buckets": 3},  # noqa: E501
                              {"tcp_abort_on_overflow": 1}])  # fmt: skip
    profile = draw(st.sampled_from(["linux", "linux", "freebsd"]))
    stall = draw(st.sampled_from([(0, 0), (0, 0), (20 * MS, 100 * MS), (250 * MS, S)]))
    return Server(
        profile=profile,
        knobs=draw(acting) if profile == "linux" else {},
        listen=Listen(backlog=draw(st.sampled_from([0, 1, 3, 128])), listeners=draw(st.integers(1, 3))),
        accept=Accept(draw(st.one_of(st.just(Distribution()), families())), draw(st.integers(1, 2)), *stall),
        closes=draw(
            st.sampled_from(
                [Closes(), Closes(0.5, 0.0), Closes(1.0, 0.0), Closes(0.0, 0.4), Closes(0.3, 0.3),
                 Closes(both=1.0), Closes(0.3, 0.2, 0.3), Closes(turns=True)]  # fmt: skip
            )
        ),
    )


@st.composite
def clients(draw):
    profile = draw(st.sampled_from(["linux", "linux", "freebsd"]))
    knobs = [{}, {}, {"ip_local_port_range": (40000, 40007)}, {"tcp_max_tw_buckets": 2},
             {"ip_local_port_range": (40000, 40003), "tcp_tw_reuse": 1}, {"time_wait_ms": 50}]  # fmt: skip
    hosts, destinations = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    ports = [{}, {"ip_local_port_range": (40000, 40007)}, {"time_wait_ms": 50}]
    return Client(
        profile, None, draw(st.sampled_from(knobs if profile == "linux" else ports)), hosts, destinations
    )


@st.composite
def floods(draw, number, end):
    return Flood(
        name=f"flood{number}",
        kind=draw(st.sampled_from(["syn", "syn", "ack", "rst", "fin"])),
        rate=draw(st.sampled_from([20.0, 100.0])),
        arrivals=draw(st.sampled_from(["paced", "poisson"])),
        start_ns=draw(st.sampled_from([0, 30 * MS])),
        stop_ns=draw(st.sampled_from([None, end // 2])),
        sources=draw(
            st.sampled_from(["0.0.0.0/0", "reflect:3", "192.0.2.0/30,198.51.100.0/31", "10.1.0.0/30"])
        ),
    )


#: Changes of small hosts that act.
KNOBS = (
    "somaxconn=2", "tcp_max_syn_backlog=4", "tcp_syncookies=0", "tcp_syncookies=1", "tcp_abort_on_overflow=1",
    "tcp_max_tw_buckets=1", "both.tcp_max_tw_buckets=3", "client.tcp_max_tw_buckets=2",
    "both.time_wait_ms=20", "tcp_synack_retries=0", "client.tcp_syn_retries=1", "client.tcp_tw_reuse=1",
    "both.tcp_retries2=1", "tcp_challenge_ack_limit=2", "both.blackhole=2", "both.tcp_fin_timeout=1",
)  # fmt: skip


@st.composite
def events(draw, end):
    """What makes a bad day; now and then several at one moment."""
    few = [0, 10 * MS, 50 * MS, end // 2, end]
    found = []
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3, 5]))):
        do = draw(st.sampled_from(["reset-all", "unlisten", "listen", "stall", "partition", "knob"]))
        within = st.sampled_from([None, 0, 10 * MS, 250 * MS, 2 * S])
        found.append(
            Event(
                draw(st.sampled_from(few) | st.integers(0, end)),
                do,
                draw(some_times) if do in ("stall", "partition") else 0,
                draw(st.sampled_from(KNOBS)) if do == "knob" else "",
                draw(within) if do == "reset-all" else None,
            )
        )
    return found


@st.composite
def scenarios(draw):
    end = draw(st.sampled_from([100 * MS, S, 3 * S]))
    client = draw(clients())
    several = [draw(loads(i, end)) for i in range(draw(st.integers(1, 3)))]
    if len(several) > 1 and client.destinations == 1 and draw(st.booleans()):
        fewer = min(several[0].count, several[1].count)
        several[1] = dataclasses.replace(several[1], again="load0", count=fewer)
    return Scenario(
        seed=draw(st.integers(0, 2**32)),
        server=draw(servers()),
        client=client,
        load=several,
        flood=tuple(draw(floods(i, end)) for i in range(draw(st.sampled_from([0, 0, 0, 1, 2])))),
        event=tuple(draw(events(end))),
        link=draw(links()),
        run=Run(
            duration_ns=end,
            warmup_ns=draw(st.sampled_from([0, 0, None, 1, 20 * MS, end // 2])),
            series_ns=draw(st.sampled_from([0, end // 4, S])),
            drain=draw(st.booleans()),
        ),
    )


def configs(scenario):
    """(server, client)"""
    return tuple(PROFILES[end.profile](**end.knobs) for end in (scenario.server, scenario.client))


def distribution(histogram):
    buckets = dict(zip(histogram.lowest.tolist(), histogram.counts.tolist(), strict=True))
    return sum(buckets.values()), histogram.min, histogram.max, histogram.sum, buckets


def play(scenario, stop=None):
    """(figures, Outcome, engines) of the compiled loop."""
    plan = build(scenario, *configs(scenario), 0, warmup_of(scenario, *configs(scenario)))
    replay = Replay(scenario, plan, None, stop)
    replay.play()
    outcome = outcome_of(replay, scenario, 0, 0.0)
    return figures(outcome), outcome, [*plan.servers, *plan.clients]


#: What the reference does not look at; test_risk.py has the engines' counters for it.
OF_RISK = ("client.fin.unanswered", "server.fin.unanswered", "old_reached", "old_accepted")


def figures(outcome):
    """As tests.reference.simulator gives them."""
    series = {f"{side}.{name}": column.tolist() for side, columns in outcome.series.items()
              for name, column in columns.items()}  # fmt: skip
    return {
        "now": outcome.virtual_ns,
        "segments": outcome.segments,
        "stuck": outcome.stuck,
        "loads": [
            {name: getattr(load, name) for name in (*COUNTS, *CLOSING)}
            | {"refused": dict(load.refused), "first_refusal": load.first_refusal_ns}
            | {"in_warmup": load.in_warmup}
            | {"connect": distribution(load.connect), "served_after": distribution(load.served_after)}
            for load in outcome.loads
        ],
        "floods": [flood.sent for flood in outcome.floods],
        "link": {name: n for name, n in outcome.counters["link"].items() if name not in OF_RISK},
        "counters": {end: dict(outcome.counters[end]) for end in ("client", "server")},
        "causes": {end: dict(outcome.causes[end]) for end in ("client", "server")},
        "states": {end: outcome.states[end].tolist() for end in ("client", "server")},
        "gauges": {end: dict(outcome.gauges[end]) for end in ("client", "server")},
        "peaks": dict(outcome.peaks),
        "full": {queue: (one.first_ns, one.ns) for queue, one in outcome.full.items()},
        "accept_wait": distribution(outcome.accept_wait),
        "series": series,
    }


def differences(seen, wanted, path=""):
    """What differs, one a line: a message that can be read."""
    if isinstance(seen, dict) and isinstance(wanted, dict):
        return [line for key in sorted({*seen, *wanted}, key=str)
                for line in differences(seen.get(key), wanted.get(key), f"{path}.{key}")]  # fmt: skip
    if isinstance(seen, list) and isinstance(wanted, list) and len(seen) == len(wanted):
        return [line for i, pair in enumerate(zip(seen, wanted, strict=True))
                for line in differences(*pair, f"{path}[{i}]")]  # fmt: skip
    return [] if seen == wanted else [f"{path}: {seen!r}, the reference {wanted!r}"]
