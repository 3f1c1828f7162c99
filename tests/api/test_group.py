"""EngineGroup: what its members would do, in a fixed order, whatever the number of threads."""

import copy
import gc
import inspect
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpcore import SEGMENT, Config, Engine, EngineGroup, OpKind, join, segments
from tcpcore.group import member_config
from tcpcore.snapshot import CHECKSUM_AT, checksum
from tests.api.every_call import METHODS, PUBLIC, VALUES, GroupScene, Number, call, parameters
from tests.api.group_script import LOCAL, Apart, Script, seen

EVENTS = ("opened", "established", "accepted", "closed", "lost", "refused", "time_wait", "eof",
          "readable", "writable")
PROFILES = {"linux": Config.linux, "freebsd": Config.freebsd, "strict": Config.strict}


def config_of(profile="linux", **knobs):
    return PROFILES[profile](**{"capacity": 500, "seed": 3, "local_addr": LOCAL, "events": EVENTS,
                                "auto_read": False} | knobs)


def together(one, two, steps, but=()):
    """Two scripts with the same seed give the same at each step, and leave the same."""
    for i in range(steps):
        name, result = one.step()
        assert (name, result) == two.step(), (i, name)
    assert seen(one.host, but) == seen(two.host, but)
    assert one.host.check() == two.host.check() == []


@given(seed=st.integers(0, 2**32), n=st.integers(1, 5), profile=st.sampled_from(list(PROFILES)))
def test_a_group_does_what_its_members_do(seed, n, profile):
    # calls differ: the last two events come once a call, and timer entries lie elsewhere
    config = config_of(profile, events=EVENTS[:-2])
    group = EngineGroup(n, config, threads=1)
    together(Script(group, seed), Script(Apart(n, config, group._member_of), seed), 25, ["timer_pos"])


@given(seed=st.integers(0, 2**32), profile=st.sampled_from(list(PROFILES)))
def test_a_group_of_one_is_an_engine(seed, profile):
    config = config_of(profile, ip_local_port_range=(40000, 40015), tcp_tw_reuse=1)
    group, eng = EngineGroup(1, config), Engine(member_config(config, 1, 0))
    together(Script(group, seed, connects=False), Script(eng, seed, connects=False), 40)
    assert group.snapshot().endswith(eng.snapshot()[-1000:])
    assert len(group.blocks) == len(eng.blocks)


@given(seed=st.integers(0, 2**32), n=st.integers(2, 4))
def test_the_number_of_threads_does_not_matter(seed, n):
    config = config_of(capacity=20_000)
    scripts = [Script(EngineGroup(n, config, threads=threads), seed, size=600) for threads in (1, 2)]
    together(*scripts, 25)
    assert scripts[0].host.snapshot() == scripts[1].host.snapshot()


def test_large_batches_are_divided_as_small_ones_are():
    """Several rounds of 8192 rows on two threads, against one row after the other."""
    config = config_of(capacity=30_000, events=())
    group, apart = EngineGroup(3, config, threads=2), EngineGroup(3, config, threads=1)
    rng = np.random.default_rng(1)
    for host in (group, apart):
        host.listen(LOCAL, 80, auto_accept=True)
    peers, ports = rng.integers(1, 2**28, 20_000), rng.integers(1, 2**16, 20_000)
    syns = segments(20_000, src=peers, dst=LOCAL, sport=ports, dport=rng.choice([80, 81], 20_000), flags=2,
                    seq=9, wnd=999)
    given_rows = group.receive(syns, 5)
    parts = [apart.receive(syns[i:i + 100], 5) for i in range(0, 20_000, 100)]
    assert given_rows.tobytes() == join(parts).tobytes()
    assert seen(group) == seen(apart) and group.check() == []


# --- timed batches --------------------------------------------------------------------------------

def started(host, seed, steps=12):
    script = Script(host, seed, connects=False)
    for _ in range(steps):
        script.step()
    return script


def by_call(host, ops, until):
    """Each row by a call of its own; what all of them emit."""
    emitted = []
    for op in ops:
        at, conn, seg = int(op["at"]), int(op["conn"]), op["seg"]
        emitted.append(host.advance(at))
        kind = OpKind(op["kind"])
        if kind == OpKind.SEGMENT:
            emitted.append(host.receive(np.frombuffer(seg.tobytes(), SEGMENT), at))
        elif kind == OpKind.CONNECT:
            sport = int(seg["sport"]) or None
            conns, rows = host.connect(int(seg["dst"]), int(seg["dport"]), at, sport=sport)
            assert op["result"] == conns[0]
            emitted.append(rows)
        elif kind == OpKind.ACCEPT:
            taken = host.accept(conn, 1)
            assert op["result"] == (taken[0] if len(taken) else 0)
        elif kind == OpKind.RECV:
            taken, rows = host.recv(conn, int(op["arg"]), at)
            assert op["result"] == taken[0]
            emitted.append(rows)
        elif kind == OpKind.SEND:
            emitted.append(host.send(conn, int(op["arg"]), at))
        else:
            emitted.append(getattr(host, kind.name.lower())(conn, at))
    return join([*emitted, host.advance(until)])


@given(seed=st.integers(0, 2**32), n=st.integers(1, 4), profile=st.sampled_from(list(PROFILES)))
def test_a_timed_batch_does_what_calls_do(seed, n, profile):
    config = config_of(profile, events=EVENTS[:-2], ip_local_port_range=(40000, 40007), tcp_tw_reuse=1)
    one, two = (started(EngineGroup(n, config), seed) for _ in range(2))
    for _ in range(3):
        ops, same = one.ops(60), two.ops(60)
        rows, at = one.host.play(ops, one.now)
        assert (np.diff(at) >= 0).all()
        expected = by_call(two.host, ops, one.now)
        one.played(ops, rows)
        two.played(ops, rows)
        assert sorted(map(bytes, rows)) == sorted(map(bytes, expected)) and same["seg"].tobytes()
        if n == 1:
            assert rows.tobytes() == expected.tobytes()
    assert seen(one.host, ["timer_pos"]) == seen(two.host, ["timer_pos"])
    assert one.host.check() == two.host.check() == []


@given(seed=st.integers(0, 2**32), n=st.integers(1, 4), room=st.integers(20, 30))
def test_a_timed_batch_stops_where_its_output_is_full_and_goes_on(seed, n, room):
    config = config_of()
    one, two = (started(EngineGroup(n, config), seed) for _ in range(2))
    ops, parts = one.ops(60), two.ops(60)
    rows, at = one.host.play(ops, one.now)
    done, given_rows, given_at = 0, [], []
    out = segments(room)
    while True:
        left = parts[done:]
        more, when = two.host.play(left, two.now, out=out)
        given_rows.append(join([more]))
        given_at.append(when)
        missed = left["result"] == 2**64 - 1
        reached = len(left) if not missed.any() else int(np.argmax(missed))
        assert len(more) or reached or not len(left)  # a row of `ops` needs fewer than 20
        done += reached
        if not len(left) and len(more) < room:
            break
    assert join(given_rows).tobytes() == rows.tobytes() and np.concatenate(given_at).tolist() == at.tolist()
    assert parts["result"].tolist() == ops["result"].tolist()
    assert two.host.check() == []


@given(seed=st.integers(0, 2**32))
def test_a_timed_batch_of_a_group_of_one_is_that_of_an_engine(seed):
    config = config_of(ip_local_port_range=(40000, 40007), tcp_tw_reuse=1)
    one, two = started(EngineGroup(1, config), seed), started(Engine(member_config(config, 1, 0)), seed)
    for _ in range(3):
        given_rows = []
        for script in (one, two):
            ops = script.ops(60)
            rows, at = script.host.play(ops, script.now)
            script.played(ops, rows)
            given_rows.append((rows.tobytes(), at.tolist(), ops["result"].tolist()))
        assert given_rows[0] == given_rows[1]
    assert seen(one.host, ["timer_pos"]) == seen(two.host, ["timer_pos"])


# --- snapshots ------------------------------------------------------------------------------------

WAYS = ["restore", "pickle", "deepcopy"]


@given(seed=st.integers(0, 2**32), n=st.integers(1, 4), way=st.sampled_from(WAYS))
def test_a_snapshot_goes_on_bit_for_bit(seed, n, way):
    one = started(EngineGroup(n, config_of(ip_local_port_range=(40000, 40015))), seed)
    host = {"restore": lambda: EngineGroup.restore(one.host.snapshot(), threads=1),
            "pickle": lambda: pickle.loads(pickle.dumps(one.host)),
            "deepcopy": lambda: copy.deepcopy(one.host)}[way]()
    assert host.check() == [] and host.snapshot() == one.host.snapshot() and host.members == n
    two = copy.copy(one)
    two.host, two.random = host, copy.deepcopy(one.random)
    together(one, two, 15)


def test_a_snapshot_of_another_kind_is_refused():
    group, eng = EngineGroup(2, capacity=8), Engine(capacity=8)
    with pytest.raises(ValueError, match="blob: expected a snapshot of a tcpcore.Engine, got"):
        Engine.restore(group.snapshot())
    with pytest.raises(ValueError, match="blob: expected a snapshot of a tcpcore.EngineGroup, got"):
        EngineGroup.restore(eng.snapshot())


@pytest.mark.parametrize("members", range(1, 9))
def test_a_snapshot_that_says_another_number_of_members_is_refused(members):
    blob = bytearray(started(EngineGroup(3, config_of()), 5).host.snapshot())
    blob[11] = members - 1
    blob[CHECKSUM_AT:CHECKSUM_AT + 16] = checksum(bytes(blob))
    if members == 3:
        assert EngineGroup.restore(blob).members == 3
    else:
        with pytest.raises(ValueError, match="blob: expected the state of an engine, got"):
            EngineGroup.restore(blob)


def test_a_damaged_snapshot_is_refused_or_sound():
    blob = started(EngineGroup(2, config_of(capacity=40)), 6).host.snapshot()
    rng = np.random.default_rng(1)
    for _ in range(400):
        damaged = bytearray(blob)
        damaged[rng.integers(CHECKSUM_AT + 16, len(blob))] ^= 1 << rng.integers(0, 8)
        damaged[CHECKSUM_AT:CHECKSUM_AT + 16] = checksum(bytes(damaged))
        try:
            group = EngineGroup.restore(damaged)
        except ValueError:
            continue
        group.advance(group.next_timer() or 10**18)


# --- what is the group's own ----------------------------------------------------------------------

@pytest.mark.parametrize(("n", "capacity"), [(1, 7), (3, 7), (7, 7), (4, 1001)])
def test_limits_of_a_host_are_divided(n, capacity):
    config = Config(capacity=capacity, tcp_max_tw_buckets=10, tcp_challenge_ack_limit=2)
    parts = [member_config(config, n, i) for i in range(n)]
    assert sum(part.capacity for part in parts) == capacity
    assert sum(part.tcp_max_tw_buckets for part in parts) == 10
    assert all(part.tcp_challenge_ack_limit >= 1 for part in parts)
    assert len({part.seed for part in parts}) == n
    assert len(EngineGroup(n, config).blocks) == capacity
    for unlimited in (0, 2**31 - 1):
        part = member_config(config.replace(tcp_challenge_ack_limit=unlimited), n, 0)
        assert part.tcp_challenge_ack_limit == unlimited


def test_the_syncache_is_divided():
    for n in (1, 3, 256):
        group = EngineGroup(n, Config.freebsd(capacity=1000))
        assert group.room(group.listen(LOCAL, 80))["half_open_max"] == 512 * 30


def test_room_is_that_of_all_members():
    group = EngineGroup(3, capacity=100)
    web = group.listen(LOCAL, 80, 7)
    group.receive(segments(5, src=np.arange(1, 6), dst=LOCAL, sport=9, dport=80, flags=2), 0)
    assert group.room(web).tolist() == (5, 24, "backlog", 0, 24, "backlog", 7)


@pytest.mark.parametrize(("bad", "error", "words"), [
    ({"n": 0}, ValueError, "n: expected 1 .. 256, got 0"),
    ({"n": 257}, ValueError, "n: expected 1 .. 256, got 257"),
    ({"n": 1.5}, TypeError, "n: expected an integer"),
    ({"n": 2, "threads": 0}, ValueError, "threads: expected 1"),
    ({"n": 2, "threads": "2"}, TypeError, "threads: expected an integer"),
    ({"n": 9, "capacity": 8}, ValueError, "capacity: expected 9 at least"),
    ({"n": 2, "config": 3}, TypeError, "config: expected a Config"),
    ({"n": 2, "capacitx": 3}, TypeError, "capacitx"),
])
def test_bad_arguments_are_refused(bad, error, words):
    with pytest.raises(error, match=words):
        EngineGroup(**bad)


def test_it_has_the_calls_of_an_engine():
    assert {name for name in dir(EngineGroup) if not name.startswith("_")} == {*PUBLIC, "members", "threads"}
    for name in METHODS:
        own = inspect.signature(getattr(EngineGroup, name)).parameters.values()
        assert [str(p) for p in own if p.name != "threads"] == (
            [str(p) for p in inspect.signature(getattr(Engine, name)).parameters.values()])


def test_threads_are_no_more_than_members():
    assert EngineGroup(2, capacity=8, threads=100).threads == 2
    assert 1 <= EngineGroup(3, capacity=8).threads <= 3
    assert repr(EngineGroup(2, capacity=8)) == "<tcpcore.EngineGroup of 2, 0 of 8 blocks, now 0 ns>"


def test_a_group_that_is_not_complete_is_refused():
    """The garbage collector shows objects to everybody before their constructor has ended."""
    answers, scene = {}, GroupScene()

    def visit():
        for group in [found for found in gc.get_objects() if type(found) is EngineGroup]:
            for name in PUBLIC if "incomplete" in repr(group) else ():
                arguments = {p.name: (VALUES.get((name, p.name)) or VALUES[p.name])(scene)
                             for p in parameters(name)}
                try:
                    answers[name] = plain_or_kind(call(group, name, arguments))
                except RuntimeError as error:
                    assert "the engine is busy" in str(error)
                    answers[name] = "busy"

    EngineGroup(Number(2, visit), capacity=16)
    assert answers == dict.fromkeys(PUBLIC, "busy") | {"config": None, "restore": EngineGroup}


def plain_or_kind(value):
    return value if value is None else type(value)


def test_ids_of_listeners_are_the_same_in_all_members_when_all_have_been_used():
    """A member keeps the id of a closed listener while it has half-open entries of it, others free it."""
    group = EngineGroup(2, capacity=64)
    for port in range(1, 65536):
        group.listen(LOCAL, port)
    for port in (80, 81, 82):
        n = port - 79
        group.receive(segments(n, src=np.arange(1, n + 1), dst=LOCAL, sport=7, dport=port, flags=2), 0)
    for listener in (80, 81, 82, 83, 84):
        group.unlisten(listener, 0)
    with pytest.raises(OSError, match="in use"):
        group.listen(LOCAL, 90)
    assert sorted(group.listen(LOCAL, port) for port in (83, 84)) == [83, 84]
    with pytest.raises(OSError):
        group.listen(LOCAL, 80)
    assert group.check() == []
    group.advance(10**12)
    assert sorted(group.listen(LOCAL, port) for port in (80, 81, 82)) == [80, 81, 82]
    assert group.check() == []
