"""The functions for compiled callers do what Engine's methods do, and refuse what these refuse."""

import ctypes
import gc
import sys
import threading

import numpy as np
import pytest

import tcpcore
from tcpcore import EVENT, INFO, OP, SEGMENT, Config, Engine, EventKind, Flag, OpKind, Option, State, segments
from tests.extensions.mark import free, hold
from tests.foreign.building import SANITIZED
from tests.foreign.hosts import CONNECT_ROW, FOUR_TUPLE, ByFunctions, ByMethods, address, amounts, handles

CLIENT, SERVER = 0x0A000002, 0x0A000001
MS = 1_000_000
EVERY = tuple(kind.name.lower() for kind in EventKind)
NEVER = 2**62 + 1


def opens(n, **fields):
    rows = np.zeros(n, CONNECT_ROW)
    rows["dst"], rows["dport"] = SERVER, 80
    for name, values in fields.items():
        rows[name] = values
    return rows


class Pair:
    """A client and a server, joined without delay."""

    def __init__(self, make, profile, **knobs):
        config = getattr(Config, profile)(capacity=500, events=EVERY, seed=4, **knobs)
        self.client, self.server = make(config.replace(local_addr="10.0.0.2")), make(config)
        self.listener = self.server.eng.listen("10.0.0.1", 80)
        self.ours, self.theirs = handles([]), handles([])

    def deliver(self, rows, to, sender, now):
        """Every row that goes either way, until there are none."""
        seen = [rows]
        while len(rows):
            rows, to, sender = to.receive(rows.copy(), now), sender, to
            seen.append(rows)
        return np.concatenate(seen)

    def step(self, rng, now):
        """One random thing; all that can be seen of it."""
        end, other = (self.client, self.server) if rng.integers(2) else (self.server, self.client)
        conns = self.ours if end is self.client else self.theirs
        some = rng.choice(conns, 6) if len(conns) else handles([2**32 + 3])
        what = rng.integers(10)
        if what < 3:
            rows = opens(
                9,
                sport=rng.choice([0, 0, 700, 701], 9),
                isn=rng.integers(2**32, size=9),
                has_isn=rng.integers(2, size=9),
                rcv_buf=rng.choice([0, 5000, 90000], 9),
            )
            conns, rows = self.client.connect(rows, now)
            self.ours = np.concatenate([self.ours, conns[conns > 0]])
            seen = [conns, self.deliver(rows, self.server, self.client, now)]
            taken = self.server.accept(self.listener, 7)
            self.theirs = np.concatenate([self.theirs, taken])
            return [*seen, taken]
        if what == 3:
            return [
                self.deliver(
                    end.send(some, amounts(rng.integers(9000, size=len(some))), now), other, end, now
                )
            ]
        if what < 6:
            limit = None if what == 4 else amounts(rng.integers(4000, size=len(some)))
            taken, rows = end.recv(some, limit, now)
            return [taken, self.deliver(rows, other, end, now)]
        if what < 9:
            name = ("shutdown", "close", "abort")[what - 6]
            return [self.deliver(end.call(name, some[:2], now), other, end, now)]
        return [self.deliver(end.advance(now), other, end, now)]

    def all(self):
        """What else there is to see."""
        blocks = self.client.eng.blocks
        names = np.zeros(20, FOUR_TUPLE)
        for name in FOUR_TUPLE.names:
            names[name] = blocks[name][:20]
        both = self.client, self.server
        return [
            self.client.lookup(names),
            self.client.info(self.ours),
            self.server.info(self.theirs),
            *(host.events() for host in both),
            *(host.next_timer() for host in both),
            *(list(host.eng.counters.values()) + list(host.eng.causes.values()) for host in both),
        ]


@pytest.mark.parametrize("profile", ["linux", "freebsd", "strict"])
@pytest.mark.parametrize("auto_read", [True, False])
def test_they_do_what_the_methods_do(through, profile, auto_read):
    pairs = [Pair(make, profile, auto_read=auto_read)
             for make in (ByMethods, lambda config: ByFunctions(config, through))]  # fmt: skip
    clocks = [np.random.Generator(np.random.PCG64(9)) for _ in pairs]
    for number in range(200):
        seen = [[np.asarray(part).tolist() for part in [*pair.step(rng, number * 700 * MS), *pair.all()]]
                for pair, rng in zip(pairs, clocks, strict=True)]  # fmt: skip
        assert seen[0] == seen[1], number
    for pair in pairs:
        assert pair.client.eng.check() == [] and pair.server.eng.check() == []
        assert len(pair.ours) > 100 and len(pair.theirs) > 100


def test_constants_are_those_of_python(through):
    assert through.FLAGS == [flag.value for flag in Flag]
    assert through.OPTIONS == [option.value for option in Option]
    assert through.STATES == [state.value for state in State]
    assert through.EVENTS == [kind.value for kind in EventKind]
    assert through.SIZES == {
        "Segment": SEGMENT.itemsize,
        "Event": EVENT.itemsize,
        "Info": INFO.itemsize,
        "ConnectRow": CONNECT_ROW.itemsize,
        "FourTuple": FOUR_TUPLE.itemsize,
        "Op": OP.itemsize,
    }
    assert sorted(through.CODES.values()) == [-(1 << 60) - k for k in (4, 3, 2, 1)]


class Scene:
    """An engine with two connections and one that waits for accept, and arrays for calls."""

    NOW = 5 * MS

    def __init__(self, through):
        self.through, self.code = through, through.CODES
        self.eng = Engine(capacity=64, seed=1, events=EVERY)
        self.listener = self.eng.listen(SERVER, 80)
        peer = Engine(capacity=64, local_addr=CLIENT)
        conns, rows = peer.connect(SERVER, 80, 0, n=3)
        self.eng.receive(peer.receive(self.eng.receive(rows, 0), 0), 0)
        self.conns = self.eng.accept(self.listener, 2)
        self.segs = segments(4, src=CLIENT, dst=SERVER, dport=80, sport=9, flags=Flag.SYN)
        self.out = np.zeros(64, SEGMENT)
        self.opens = opens(4, dst=CLIENT)
        self.nbytes = amounts([3000, 2000])
        self.names = np.zeros(2, FOUR_TUPLE)
        self.spare = np.zeros(64, np.uint64)
        self.eng.advance(self.NOW)

    def calls(self):
        """Name, arguments in order by name, rows that it needs room for (None: it writes none)."""
        now, conns, n = self.NOW, address(self.conns), len(self.conns)
        out = {"out": address(self.out), "room": 64}
        return (
            ("receive", {"segs": address(self.segs), "n": 4, "now": now, **out}, 8),
            ("advance", {"now": now, **out}, 1),
            ("next_timer", {}, None),
            ("connect", {"opens": address(self.opens), "n": 4, "now": now, "conns": address(self.spare),
                         **out}, 4),
            ("accept", {"listener": self.listener, "conns": address(self.spare), "limit": 1}, None),
            ("send", {"conns": conns, "nbytes": address(self.nbytes), "n": n, "now": now, **out}, 5),
            ("recv", {"conns": conns, "nbytes": address(self.nbytes), "n": n, "now": now,
                      "taken": address(self.spare), **out}, 2),
            *((name, {"conns": conns, "n": n, "now": now, **out}, 2)
              for name in ("shutdown", "close", "abort")),
            ("unreachable", {"conns": conns, "codes": address(self.nbytes), "n": n, "now": now, **out}, 2),
            ("lookup", {"tuples": address(self.names), "n": 2, "conns": address(self.spare)}, None),
            ("info", {"conns": conns, "n": n, "infos": address(self.spare)}, None),
            ("events", {"events": address(self.spare), "room": 2}, None),
        )  # fmt: skip

    def do(self, name, arguments, **changed):
        """The answer to a call; `engine=None` is NULL."""
        arguments = {**arguments, **changed}
        engine = arguments.pop("engine", self.eng)
        return getattr(self.through, name)(engine, *arguments.values())

    def all(self):
        """What must be as before after a call that was refused."""
        eng = self.eng
        return (repr(eng), eng.blocks.tobytes(), eng.counters, eng.causes, eng.gauges()["blocks_used"],
                eng.next_timer(), self.out.tobytes(), self.spare.tobytes())  # fmt: skip


@pytest.fixture
def scene(through):
    return Scene(through)


def test_too_little_room_is_told_and_nothing_is_done(scene):
    for name, arguments, need in scene.calls():
        if need is None:
            continue
        before = scene.all()
        for room in range(need):
            assert scene.do(name, arguments, room=room) == -need, (name, room)
        assert scene.all() == before
        assert 0 <= scene.do(name, arguments, room=need) <= need, name


#: What may be NULL.
OPTIONAL = {("recv", "nbytes"), ("recv", "taken"), ("unreachable", "codes")}


def test_bad_arguments_have_a_code_and_nothing_is_done(scene):
    bad = scene.code["BAD_ARGUMENT"]
    before = scene.all()
    for name, arguments, _ in scene.calls():
        wrong = [{"engine": None}]
        for parameter in arguments:
            if parameter in ("n", "room", "limit"):
                wrong += [{parameter: -1}, {parameter: 2**60}, {parameter: -(2**63)}]
            elif parameter == "now":
                wrong += [{"now": -1}, {"now": NEVER}]
            elif parameter == "listener":
                wrong += [{"listener": number} for number in (0, -1, scene.listener + 1, 65536, 2**31 - 1)]
            elif (name, parameter) not in OPTIONAL:
                wrong.append({parameter: 0})
        for changed in wrong:
            assert scene.do(name, arguments, **changed) == bad, (name, changed)
    assert scene.all() == before


def test_what_is_written_may_overlap_nothing(scene):
    bad = scene.code["BAD_ARGUMENT"]
    before = scene.all()
    sizes = {"segs": 40, "opens": 24, "conns": 8, "nbytes": 4, "codes": 4, "taken": 4, "tuples": 12,
             "infos": 32}  # fmt: skip
    tried = 0
    for name, arguments, _ in scene.calls():
        length = arguments.get("n", 0)
        extents = {each: sizes[each] * length for each in arguments if each in sizes and length}
        if "out" in arguments:
            extents["out"] = 40 * arguments["room"]
        written = {"out", "taken", "infos"} & set(extents)
        if name in ("connect", "lookup"):
            written.add("conns")
        for one in written:
            for other in set(extents) - {one}:
                for at in (0, 4, extents[other] - 4):
                    assert scene.do(name, arguments, **{one: arguments[other] + at}) == bad, (
                        name,
                        one,
                        other,
                    )
                    tried += 1
                assert scene.do(name, arguments, **{one: arguments[other] + 4 - extents[one]}) == bad
    # receive, connect, send, recv, three, unreachable, lookup, info
    assert tried == 3 * (1 + 4 + 2 + 6 + 3 * 1 + 2 + 1 + 1)
    assert scene.all() == before


def test_opens_that_name_no_host_are_refused(scene):
    arguments = next(each for name, each, _ in scene.calls() if name == "connect")
    before = scene.all()
    wrong = [{"dst": 0}, {"dst": 0xE0000001}, {"dst": 0xFFFFFFFF}, {"src": 0xE0000001}, {"dport": 0},
             {"rcv_buf": 2**32 - 1}]  # fmt: skip
    for fields in wrong:
        rows = opens(4)
        for field, value in fields.items():
            rows[field][3] = value
        assert scene.do("connect", arguments, opens=address(rows)) == scene.code["BAD_ARGUMENT"], fields
    assert scene.all() == before


def test_times_do_not_run_back(scene):
    before = scene.all()
    for name, arguments, _ in scene.calls():
        if "now" in arguments:
            assert scene.do(name, arguments, now=scene.NOW - 1) == scene.code["TIME_BACK"], name
    assert scene.all() == before


def test_a_busy_engine_refuses_every_call(scene):
    before = scene.all()
    assert hold(scene.eng)
    try:
        for name, arguments, _ in scene.calls():
            assert scene.do(name, arguments) == scene.code["BUSY"], name
        eng = scene.eng
        for look in (
            eng.next_timer,
            eng.state_counts,
            eng.gauges,
            eng.events,
            eng.check,
            lambda: eng.counters,
            lambda: eng.causes,
            lambda: eng.info(scene.conns),
            lambda: eng.lookup(1, 2, 3, 4),
            lambda: eng.room(scene.listener),
            lambda: eng.listen("10.0.0.1", 81),
        ):
            with pytest.raises(RuntimeError, match="busy"):
                look()
    finally:
        free(scene.eng)
    assert scene.all() == before
    assert scene.do("advance", {"now": scene.NOW, "out": address(scene.out), "room": 1}) >= 0


def test_no_connection_has_more_than_a_gigabyte_queued(scene):
    arguments = next(each for name, each, _ in scene.calls() if name == "send")
    one, two = scene.conns
    before = scene.all()
    for conns, nbytes in (([one], [2**30 + 1]), ([one, two, one], [2**29, 2**30, 2**29 + 1])):
        assert scene.do("send", arguments, conns=address(handles(conns)), nbytes=address(amounts(nbytes)),
                        n=len(conns)) == scene.code["BAD_ARGUMENT"]  # fmt: skip
    assert scene.all() == before
    full = handles([one, two, one]), amounts([2**29, 2**30, 2**29])
    out = np.zeros(200, SEGMENT)
    assert scene.do("send", arguments, conns=address(full[0]), nbytes=address(full[1]), n=3, out=address(out),
                    room=200) > 0  # fmt: skip
    assert scene.eng.check() == []


def test_empty_arrays_may_be_null(scene):
    for name, arguments, need in scene.calls():
        if "n" in arguments and need is not None:
            empty = {each: 0 for each in arguments if each != "now"}
            assert scene.do(name, arguments, **empty) == 0, name
    assert scene.do("events", {"events": 0, "room": 0}) == 0
    assert scene.do("accept", {"listener": scene.listener, "conns": 0, "limit": 0}) == 0


def test_stale_handles_are_skipped_and_counted(scene):
    stale = handles([0, 2**63, 2**32 + 63, 2**64 - 1])
    for name, arguments, _ in scene.calls():
        if "conns" in arguments and "now" in arguments and name != "connect":
            before = scene.eng.counters["StaleHandles"]
            room = {"conns": address(stale), "n": 4}
            if "nbytes" in arguments:
                room["nbytes"] = address(amounts([9, 9, 9, 9]))
            assert scene.do(name, arguments, **room) == 0, name
            assert scene.eng.counters["StaleHandles"] == before + 4, name
    infos = np.ones(4, INFO)
    assert scene.do("info", {"conns": address(stale), "n": 4, "infos": address(infos)}) == 4
    assert not infos.view(np.uint8).any()


def test_recv_may_be_asked_for_the_rows_alone(scene):
    arguments = next(each for name, each, _ in scene.calls() if name == "recv")
    assert scene.do("recv", arguments, nbytes=0, taken=0) == 0


def test_only_an_engine_has_one_behind_it(through):
    for other in (7, "engine", Engine, Config(), object()):
        with pytest.raises(TypeError, match="expected a tcpcore.Engine, got"):
            through.next_timer(other)


def test_a_capsule_keeps_its_engine():
    """And its pointer is that of engine_of(), which ctypes can read."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    eng = Engine(capacity=4)
    before = sys.getrefcount(eng)
    capsule = tcpcore.engine_capsule(eng)
    assert "tcpcore.engine" in repr(capsule) and pointer(capsule, b"tcpcore.engine")
    assert sys.getrefcount(eng) == before + 1
    assert pointer(tcpcore.engine_capsule(eng), b"tcpcore.engine") == pointer(capsule, b"tcpcore.engine")
    del capsule
    assert sys.getrefcount(eng) == before
    with pytest.raises(TypeError, match="expected a tcpcore.Engine, got dict"):
        tcpcore.engine_capsule({})


def test_an_engine_that_is_not_complete_is_refused(through):
    class Early(Config):
        """Its `replace` runs while an Engine is made, which only the garbage collector shows."""

        def replace(self, **knobs):
            for each in gc.get_objects():
                if type(each) is Engine and "incomplete" in repr(each):
                    with pytest.raises(RuntimeError, match="busy"):
                        through.next_timer(each)
                    seen.append(1)
            return super().replace(**knobs)

    seen = []
    Engine(Early(), capacity=5)
    assert seen == [1]


def test_two_threads_at_one_engine_are_told_apart(through_cython):
    eng = Engine(capacity=300, seed=2)
    eng.listen("10.0.0.1", 80)
    segs = segments(50, src=CLIENT, dst=SERVER, sport=np.arange(1, 51), dport=80, flags=Flag.SYN)
    calls = 2_000 if SANITIZED else 100_000
    results = []

    def work():
        out = np.zeros(2, SEGMENT)
        results.append(through_cython.hammer(eng, address(segs), len(segs), address(out), 2, calls))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    refused = 0
    while any(thread.is_alive() for thread in threads):
        try:
            eng.lookup(CLIENT, np.arange(1, 51), SERVER, 80)
            eng.listen("10.0.0.1", 81 + refused % 1000)
        except RuntimeError:
            refused += 1
        except OSError:
            pass
    for thread in threads:
        thread.join()
    assert [done + busy for done, busy in results] == [calls, calls]
    assert eng.counters["InSegs"] == sum(done for done, _ in results)
    assert eng.check() == []


def timed_batch(listener):
    """Two SYNs, an open, a call on a stale handle, an ACCEPT of nobody."""
    ops = np.zeros(5, OP)
    ops["at"] = [0, 5 * MS, 6 * MS, 7 * MS, 8 * MS]
    ops["kind"] = [OpKind.SEGMENT, OpKind.SEGMENT, OpKind.CONNECT, OpKind.CLOSE, OpKind.ACCEPT]
    ops["seg"][:2] = segments(2, src=CLIENT, dst=SERVER, sport=[5, 6], dport=80, flags=Flag.SYN, wnd=9000)
    ops["seg"][2]["dst"], ops["seg"][2]["dport"] = CLIENT, 443
    ops["conn"] = [0, 0, 0, 2**32 + 3, listener]
    return ops


@pytest.mark.parametrize("room", [2, 3, 64])
def test_play_is_that_of_the_method(through, room):
    method, function = Engine(capacity=8), Engine(capacity=8)
    listener = method.listen(SERVER, 80)
    function.listen(SERVER, 80)
    expected, given = timed_batch(listener), timed_batch(listener)
    rows, at = method.play(expected, 3000 * MS, out=segments(room), at_out=np.zeros(room, np.int64))
    out, at_out = segments(room), np.zeros(room, np.int64)
    written = through.play(function, address(given), 5, 3000 * MS, address(out), address(at_out), room)
    assert written == len(rows)
    assert out[:written].tobytes() == rows.tobytes() and at_out[:written].tolist() == at.tolist()
    assert given["result"].tolist() == expected["result"].tolist()
    assert (2**64 - 1 in given["result"].tolist()) == (room < 4)
    assert function.blocks.tobytes() == method.blocks.tobytes()


def test_play_refuses_what_the_method_refuses(through):
    eng, codes = Engine(capacity=8), through.CODES
    ops = timed_batch(eng.listen(SERVER, 80))
    out, at_out = segments(8), np.zeros(8, np.int64)

    def play(engine=eng, ops=ops, n=5, until=9 * MS, out=out, at_out=at_out, room=8):
        return through.play(engine, address(ops), n, until, address(out), address(at_out), room)

    before = repr(eng), eng.blocks.tobytes(), eng.counters
    assert play(room=1) == -2
    for wrong in ({"engine": None}, {"ops": None}, {"n": -1}, {"until": -1}, {"out": None}, {"at_out": None},
                  {"until": 7 * MS}, {"out": ops}, {"at_out": ops}, {"at_out": out}):  # fmt: skip
        assert play(**wrong) == codes["BAD_ARGUMENT"], wrong
    for field, value in (("kind", 0), ("conn", 99), ("at", 9 * MS + 1)):
        spoiled = ops.copy()
        spoiled[4][field] = value
        assert play(ops=spoiled) == codes["BAD_ARGUMENT"], field
    spoiled = ops.copy()
    spoiled[1]["at"] = -1
    assert play(ops=spoiled) == codes["TIME_BACK"]
    assert hold(eng)
    assert play() == codes["BUSY"]
    free(eng)
    assert (repr(eng), eng.blocks.tobytes(), eng.counters) == before
    assert play() == 3
    assert play(n=0, until=MS) == codes["TIME_BACK"]
