"""A snapshot goes on bit for bit: any conversation, cut anywhere, on either side.

A conversation is told again to three engines: to one that is never cut; to one of which a snapshot is taken
between two calls; and from there on to one that was restored from it. Rows, deadlines, events, counters,
causes, states and blocks must be the same bytes, and at last the snapshots of all three, which hold whatever
else there is: places of timers, the order of free slots, what is left to be drawn.
"""

import copy
import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpcore import Config, Engine, EngineGroup
from tests.api.group_script import LOCAL, Script
from tests.properties.test_batches import CONFIGS, conversations, seen
from tests.properties.test_engine_reference import BESIDE_ACCEPTANCE

PROFILES = (Config.linux, Config.freebsd, Config.strict)
POLICIES = [
    *CONFIGS,
    {"capacity": 12, "synq_policy": "evict-oldest", "tcp_syncookies": 0, "somaxconn": 2},
    {"capacity": 40, "synq_policy": "freebsd", "tcp_syncookies": 0, "port_selection": "double-hash"},
    {"capacity": 40, "synq_policy": "short-timer", "tcp_syncookies": 2, "tcp_tw_reuse": 1,
     "ip_local_port_range": (40000, 40007)},
    {"capacity": 9, "tcp_tw_reuse": 1, "tcp_tw_reuse_delay": 1, "ip_local_port_range": (40000, 40005),
     "port_selection": "random-increments"},
    {"capacity": 24, "synq_policy": "linux", "tcp_syncookies": 0, "tcp_max_syn_backlog": 4,
     "port_selection": "random-retry"},
]
WAYS = [lambda engine: type(engine).restore(engine.snapshot()), copy.deepcopy, copy.copy,
        lambda engine: pickle.loads(pickle.dumps(engine))]


def plain(answer):
    """Whatever a call gives, as something that compares."""
    if isinstance(answer, tuple):
        return [plain(part) for part in answer]
    return answer.tobytes() if isinstance(answer, np.ndarray) else answer


def tell(engine, entry, drain):
    """One call, and what can be heard and seen after it."""
    name, args, options = entry
    heard = [name, plain(getattr(engine, name)(*args, **options)), engine.next_timer()]
    return heard + [engine.events().tolist()] if drain else heard


def tell_cut(config, log, at, drained, way):
    """The three engines to which a conversation was told, cut before call `at`; each call gave the same."""
    never, taken, restored = Engine(config), Engine(config), None
    for number, entry in enumerate(log):
        if number == at:
            restored = way(taken)
        answers = [tell(engine, entry, number in drained)
                   for engine in (never, taken, restored) if engine is not None]
        assert all(answer == answers[0] for answer in answers), entry
    return never, taken, way(taken) if restored is None else restored


def goes_on(config, log, at, drained, way):
    engines = tell_cut(config, log, at, drained, way)
    blobs = [engine.snapshot() for engine in engines]
    assert blobs[0] == blobs[1] == blobs[2]
    first, *others = (seen(engine) for engine in engines)
    assert first["check"] == []
    for other in others:
        assert other == first


@settings(max_examples=300)
@given(conversations(PROFILES, BESIDE_ACCEPTANCE, POLICIES), st.floats(0, 1),
       st.sets(st.integers(0, 200), max_size=6), st.sampled_from(WAYS))
def test_it_goes_on_wherever_it_was_cut(conversation, where, drained, way):
    config, *recorders = conversation
    for recorder in recorders:
        goes_on(config, recorder.log, round(where * len(recorder.log)), drained, way)


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32), members=st.integers(0, 4), profile=st.sampled_from(PROFILES),
       way=st.sampled_from(WAYS), before=st.integers(0, 60))
def test_every_later_snapshot_has_the_same_bytes(seed, members, profile, way, before):
    """Of an engine (no members) and of groups: long scripts, in which the timers run out and all memory is
    used again, with a snapshot of both after each call."""
    config = profile(capacity=120, seed=3, local_addr=LOCAL, auto_read=False,
                     ip_local_port_range=(5000, 5399), time_wait_ms=40)
    one = Script(EngineGroup(members, config, threads=1) if members else Engine(config), seed, size=12)
    for _ in range(before):
        one.step()
    two = copy.copy(one)
    two.host, two.random = way(one.host), copy.deepcopy(one.random)
    for _ in range(40):
        assert one.step() == two.step()
        assert one.host.snapshot() == two.host.snapshot()
    assert one.host.check() == two.host.check() == []
