"""Silence of any length between two calls is exact: the engine against the reference implementation.

The machine of test_engine_reference with days and years between its calls, and with timers due that no
`advance` has fired. And two hosts of each kind on a wire without delay, driven by scripts of calls with such
silences. Beside all that the machine compares: `next_timer` is at or before the time of the last call exactly
where something is due, and advancing to it gets on.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tcpcore import Engine, format_segments
from tests.properties.test_engine_reference import CONFIGS, MIXED, MS, NAMES, EngineAndReference
from tests.reference.engine import ReferenceEngine

MINUTE = 60_000 * MS
DAY = 1440 * MINUTE
YEAR = 365 * DAY
#: Around what 29, 30, 31, 32 and 40 bits of ms can tell, and what an engine meets in a year.
SILENCES = [0, 1, MS, 200 * MS, 1000 * MS, MINUTE, 2 * MINUTE, 60 * MINUTE, DAY // 2, 6 * DAY, 2**29 * MS,
            7 * DAY, 13 * DAY, 24 * DAY, 2**31 * MS - MS, 2**31 * MS, 25 * DAY, 49 * DAY, 2**32 * MS,
            2**32 * MS + 200 * MS, 50 * DAY, 75 * DAY, YEAR, 1000 * DAY, 30 * YEAR]
#: The clock goes up to 2**62 ns, 146 years.
LAST = 2**62 - YEAR
silences = st.sampled_from(SILENCES)
#: Times kept that the other knobs give no occasion to ask for.
KNOBS = st.fixed_dictionaries({}, optional={
    "keepinit_ms": st.sampled_from([None, 1, 900, 1500, 75_000, 2**30 - 1]),
    "ack_war_cnt": st.sampled_from([0, 1, 2]),
    "ack_war_timewindow_ms": st.sampled_from([1, 5000, 2**30 - 1]),
    "tcp_invalid_ratelimit": st.sampled_from([0, 500, 2**30 - 1]),
    "early_syn_resend_ms": st.sampled_from([0, 500, 1000]),
    "crossed_syn_restarts": st.integers(0, 1),
    "tcp_rto_max_ms": st.sampled_from([1000, 120_000, 2**30 - 1]),
    "retries_rule": st.sampled_from(["time", "count"]),
    "time_wait_ms": st.sampled_from([0, 60_000, 2**30 - 1]),
    "delack_ms": st.sampled_from([0, 40, 499]),
})


def next_timer_is_right(engine, reference, now):
    """By contract: never late, not before `now` without reason, and moved on by advancing to it."""
    due, exact = engine.next_timer(), reference.next_timer()
    assert (due is None) == (exact is None)
    if due is not None:
        assert due <= exact and (due <= now) == (exact <= now), (due, exact, now)


class InSilence(EngineAndReference):
    """Also days and years pass between two calls."""

    def compare(self, engine_rows, reference_rows):
        super().compare(engine_rows, reference_rows)
        next_timer_is_right(self.engine, self.reference, self.now)

    @rule(pause=silences, advances=st.booleans())
    def silence(self, pause, advances):
        if self.now + pause < LAST:
            self.now += pause
            if advances:
                self.both("advance", self.now)

    @rule()
    def follow_next_timer(self):
        """To the time that the engine told, if it lies ahead: then it tells another one."""
        due = self.engine.next_timer()
        if due is not None and due > self.now:
            self.now = due
            self.both("advance", self.now)
            assert self.engine.next_timer() != due


class InSilenceWithKnobs(InSilence):
    @rule(knobs=KNOBS, name=NAMES, mixed=MIXED)
    def start_over(self, knobs, name, mixed):
        """Other knobs, and nothing kept: a rule, so that it is drawn beside what `start` draws."""
        if self.conns or self.listeners:
            return
        config = CONFIGS[name].replace(**mixed, **knobs)
        self.engine, self.reference = Engine(config), ReferenceEngine(config)
        self.both("advance", self.now)


TestInSilence = InSilence.TestCase
TestInSilence.settings = settings(max_examples=60, stateful_step_count=40)
TestInSilenceWithKnobs = InSilenceWithKnobs.TestCase
TestInSilenceWithKnobs.settings = settings(max_examples=60, stateful_step_count=40)


# ---- two hosts

HOSTS = ["10.0.0.1", "10.0.0.2"]
SERVER = 80
#: So often what one host sent makes the other answer; the rest is lost.
ROUNDS = 12


class Wire:
    """A client and a server, each an engine and a reference, that must do the same."""

    def __init__(self, configs, now):
        self.hosts = [(Engine(config), ReferenceEngine(config)) for config in configs]
        self.now = now
        self.conn = 0
        self.listener = [stack.listen(HOSTS[1], SERVER, auto_accept=False) for stack in self.hosts[1]]
        self.held = [0, 0]

    def same(self, host, call, *args, **options):
        """The same call to both stacks of a host; its rows."""
        answers = [getattr(stack, call)(*args, **options) for stack in self.hosts[host]]
        rows = [answer[-1] if isinstance(answer, tuple) else answer for answer in answers]
        if rows[0].tobytes() != rows[1].tobytes():
            raise AssertionError(f"{call} at {self.now}: the engine sent\n{format_segments(rows[0])}\n"
                                 f"the reference\n{format_segments(rows[1])}")
        return answers[0]

    def carry(self, host, rows, lost):
        """Deliver what this host sent, and what it makes the other one send, and so on."""
        for _ in range(ROUNDS):
            rows = rows[lost:]
            lost = 0
            if not len(rows):
                return
            host = 1 - host
            rows = self.same(host, "receive", rows, self.now)

    def accept(self):
        mine, its = (stack.accept(number).tolist()
                     for stack, number in zip(self.hosts[1], self.listener, strict=True))
        assert mine == its
        self.held[1] = mine[0] if mine else self.held[1]

    def step(self, host, call, amount, lost):
        if call == "connect":
            conns, rows = self.same(0, call, HOSTS[1], SERVER, self.now, sport=[5000])
            self.held[0] = int(conns[0]) or self.held[0]
            return self.carry(0, rows, lost)
        if call == "advance":
            return self.carry(host, self.same(host, call, self.now), lost)
        if self.held[host]:
            args = [amount] if call in ("send", "recv") else []
            rows = self.same(host, call, np.array([self.held[host]], np.uint64), *args, self.now)
            self.carry(host, rows[-1] if call == "recv" else rows, lost)
        return None

    def compare(self):
        for number, (engine, reference) in enumerate(self.hosts):
            conns = np.array([self.held[number]], np.uint64)
            mine, its = engine.info(conns), reference.info(conns)
            for name in its.dtype.names:
                assert name == "listener" or mine[name].tolist() == its[name].tolist(), name
            assert engine.state_counts().tolist() == reference.state_counts().tolist()
            for figures in ("causes", "counters"):
                assert ({k: v for k, v in getattr(engine, figures).items() if v}
                        == {k: v for k, v in getattr(reference, figures).items() if v}), figures
            next_timer_is_right(engine, reference, self.now)
            assert engine.check() == [] and reference.check() == []


STEPS = st.lists(st.tuples(
    silences, st.integers(0, 1),
    st.sampled_from(["connect", "connect", "send", "send", "recv", "shutdown", "close", "abort", "advance"]),
    st.sampled_from([0, 1, 1460, 70_000]), st.sampled_from([0, 0, 0, 1, 9])), min_size=1, max_size=25)
configs = st.builds(lambda name, mixed: CONFIGS[name].replace(**mixed), NAMES, MIXED)


@settings(max_examples=60)
@given(client=configs, server=configs, steps=STEPS, listening=st.booleans())
def test_two_hosts_in_silence(client, server, steps, listening):
    hosts = zip((client, server), HOSTS, strict=True)
    wire = Wire([config.replace(local_addr=address) for config, address in hosts], 0)
    wire.step(0, "connect", 0, 0 if listening else 1)
    for pause, host, call, amount, lost in steps:
        if wire.now + pause < LAST:
            wire.now += pause
        wire.step(host, call, amount, lost)
        wire.accept()
        wire.compare()
    for host in (0, 1):
        wire.now = min(wire.now + YEAR, LAST)
        wire.step(host, "advance", 0, 9)
        wire.compare()


