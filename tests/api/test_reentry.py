"""No caller breaks the engine: re-entry, shared memory and arrays that lie, for every public method.

The cases are generated from the class: a new method or parameter fails test_every_parameter_is_known until
`VALUES` has a value for it. After each call its result is the right one, or there is the right error;
`check()` finds nothing; an error has changed nothing.
"""

import contextlib
import gc
import inspect
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from tcpcore import SEGMENT, Config, Engine, Flag, segments

LOCAL, PEER = 0x0A000001, 0x0A000002
NOW, LATER = 10**6, 2 * 10**6
BUSY = "the engine is busy"
HALF_OPEN, QUEUED = 12, 3
A, S = Flag.ACK, Flag.SYN


class Scene:
    """An engine with connections, half-open entries, some to accept, and queued data behind small windows."""

    def __init__(self):
        self.eng = eng = Engine(capacity=64, mss=10, events=("opened", "lost", "accepted"), seed=1)
        self.web = eng.listen(LOCAL, 80)
        self.conns, syns = eng.connect(PEER, 7, 0, n=4)
        self.from_peer = {"src": syns["dst"], "dst": syns["src"], "sport": 7, "dport": syns["sport"]}
        self.next = syns["seq"] + np.uint32(1)
        eng.receive(segments(4, **self.from_peer, seq=99, ack=self.next, flags=S | A, wnd=60, mss=20), 0)
        eng.send(self.conns[:3], 200, 0)
        ports = np.arange(1, HALF_OPEN + 1)
        clients = {"src": PEER, "dst": LOCAL, "sport": ports, "dport": 80, "wnd": 99}
        synacks = eng.receive(segments(HALF_OPEN, **clients, flags=S), 0)
        self.acks = segments(HALF_OPEN, **clients, flags=A, seq=1, ack=synacks["seq"] + np.uint32(1))
        eng.receive(self.acks[:QUEUED], NOW)

    def seen(self):
        eng = self.eng
        return (eng.blocks.tobytes(), eng.counters, eng.causes, eng.state_counts().tolist(), eng.next_timer(),
                repr(eng))

    def outcome(self, name, arguments):
        """What a call gives, or its error; then all that can be seen of the engine, which must be sound."""
        try:
            result = plain(call(self.eng, name, arguments))
        except Exception as error:
            result = type(error), str(error)
        assert self.eng.check() == []
        return result, self.seen()


def plain(value):
    """A result in a form that compares."""
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.descr, value.shape, value.tobytes()
    return value


def call(eng, name, arguments):
    member = getattr(eng, name)
    return member(**arguments) if callable(member) else member


# --- the cases, generated from the class ------------------------------------------------------------

PUBLIC = [name for name in dir(Engine) if not name.startswith("_")]
METHODS = [name for name in PUBLIC if callable(getattr(Engine, name))]

#: A good value of each parameter, of the dtype that the engine uses without a copy.
VALUES = {
    "addr": lambda s: LOCAL,
    "port": lambda s: 90,
    "backlog": lambda s: 5,
    "auto_accept": lambda s: True,
    "auto_close": lambda s: True,
    ("listen", "rcv_buf"): lambda s: 9000,
    "listener": lambda s: s.web,
    "limit": lambda s: 2,
    "now": lambda s: NOW,
    "n": lambda s: 4,
    "conns": lambda s: s.conns[[0, 1, 3, 0]],
    "nbytes": lambda s: np.array([3, 20, 30, 9], np.uint32),
    "segs": lambda s: segments(4, **s.from_peer, seq=100, ack=s.next, flags=A, wnd=[900, 10, 0, 990]),
    "dst": lambda s: np.arange(PEER, PEER + 4, dtype=np.uint32),
    "dport": lambda s: np.array([7, 8, 9, 7], np.uint16),
    "src": lambda s: np.full(4, LOCAL, np.uint32),
    "sport": lambda s: np.array([21, 22, 23, 24], np.uint16),
    "isn": lambda s: np.array([1, 2, 3, 2**32 - 1], np.uint32),
    "rcv_buf": lambda s: np.array([9000, 9000, 70000, 1], np.uint32),
    "raddr": lambda s: s.from_peer["src"].copy(),
    "rport": lambda s: np.full(4, 7, np.uint16),
    "laddr": lambda s: s.from_peer["dst"].copy(),
    "lport": lambda s: s.from_peer["dport"].copy(),
    "out": lambda s: segments(32),
}


def parameters(name):
    if name not in METHODS:
        return []
    return [p for p in inspect.signature(getattr(Engine, name)).parameters.values() if p.name != "self"]


def arguments_of(scene, name):
    return {p.name: (VALUES.get((name, p.name)) or VALUES[p.name])(scene) for p in parameters(name)}


EXAMPLE = Scene()
EACH = [(name, p.name) for name in METHODS for p in parameters(name)]
ARRAYS = [(name, key) for name in METHODS for key, value in arguments_of(EXAMPLE, name).items()
          if isinstance(value, np.ndarray)]
EMITTERS = [name for name in METHODS if (name, "out") in EACH]
BESIDE_OUT = [(name, key) for name, key in ARRAYS if name in EMITTERS and key != "out"]
each_argument = pytest.mark.parametrize(("name", "key"), EACH, ids=map("-".join, EACH))
each_array = pytest.mark.parametrize(("name", "key"), ARRAYS, ids=map("-".join, ARRAYS))
each_member = pytest.mark.parametrize("name", PUBLIC)


def test_every_parameter_is_known():
    assert set(PUBLIC) >= {"receive", "advance", "connect", "send", "recv", "unlisten", "room", "blocks"}
    assert not [f"{name}({key})" for name, key in EACH if key not in VALUES]
    assert all("out" in arguments_of(EXAMPLE, name) for name in EMITTERS) and len(EMITTERS) >= 9


def test_the_arguments_of_the_cases_do_something():
    """A call that is refused, or emits nothing, would show nothing."""
    for name in EMITTERS:
        scene = Scene()
        now = {"now": scene.eng.next_timer()} if name == "advance" else {}
        rows = call(scene.eng, name, arguments_of(scene, name) | now)
        rows = rows[1] if isinstance(rows, tuple) else rows
        assert name == "recv" or len(rows), name


# --- re-entry ---------------------------------------------------------------------------------------

def complete(scene):
    """More to accept, and windows that let more go."""
    scene.eng.receive(scene.acks, NOW)
    scene.eng.receive(segments(4, **scene.from_peer, seq=100, ack=scene.next, flags=A, wnd=9999), NOW)


def close_listener(scene):
    scene.eng.unlisten(scene.web, NOW)


def listen_often(scene):
    for port in range(1000, 1200):
        scene.eng.listen(LOCAL, port)


def abort(scene):
    scene.eng.abort(scene.conns, NOW)


def go_on(scene):
    scene.eng.advance(LATER)


ACTIONS = [complete, close_listener, listen_often, abort, go_on]


class Number:
    """An integer whose conversion runs a function."""

    def __init__(self, value, function):
        self.value, self.function = value, function

    def __index__(self):
        self.function()
        return int(self.value)

    def __bool__(self):
        self.function()
        return bool(self.value)


class Array:
    """An array whose conversion runs a function."""

    def __init__(self, value, function):
        self.value, self.function = value, function

    def __array__(self, dtype=None, copy=None):
        self.function()
        return self.value if dtype is None else self.value.astype(dtype)


class Once:
    """A function on a scene, run the first time only."""

    def __init__(self, scene, action):
        self.scene, self.action, self.ran = scene, action, False

    def __call__(self):
        if not self.ran:
            self.ran = True
            self.action(self.scene)


@pytest.mark.parametrize("action", ACTIONS)
@each_argument
def test_what_a_conversion_does_comes_before_the_call(name, key, action):
    scene, once = Scene(), None
    arguments = arguments_of(scene, name)
    value, once = arguments[key], Once(scene, action)
    arguments[key] = (Array if isinstance(value, np.ndarray) else Number)(value, once)
    before = scene.seen()
    got = scene.outcome(name, arguments)
    if not once.ran:
        assert got[0][0] is TypeError and key in got[0][1] and got[1] == before
        return
    other = Scene()
    action(other)
    arguments = arguments_of(other, name)
    assert got == other.outcome(name, arguments)


def outcomes(name, action):
    """What the call may give when `action` comes before it, after it, or not at all."""
    def before(scene):
        action(scene)
        return scene.outcome(name, arguments_of(scene, name))

    def after(scene):
        result, _ = scene.outcome(name, arguments_of(scene, name))
        with contextlib.suppress(ValueError, OSError):
            action(scene)
        return result, scene.seen()

    def alone(scene):
        return scene.outcome(name, arguments_of(scene, name))

    return [way(Scene()) for way in (before, after, alone)]


class Intruder:
    """Runs an action on a scene when it is called; notes whether the engine refused it."""

    def __init__(self, scene, action):
        self.scene, self.action, self.refused, self.ran, self.on = scene, action, 0, 0, True

    def __call__(self, *_):
        if self.on and not self.ran:
            try:
                self.action(self.scene)
                self.ran += 1
            except RuntimeError as error:
                assert BUSY in str(error)
                self.refused += 1
            except ValueError:                        # the call has closed the listener, or set the clock
                self.ran += 1


@pytest.fixture
def alarm():
    former = signal.getsignal(signal.SIGALRM)
    yield lambda function: signal.signal(signal.SIGALRM, function)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)


@each_member
def test_a_signal_handler_comes_before_or_after_a_call_or_is_refused(name, alarm):
    allowed = outcomes(name, complete)
    for i in range(16):
        scene = Scene()
        arguments, intruder = arguments_of(scene, name), Intruder(scene, complete)
        alarm(intruder)
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + i * 3e-6)
        try:
            result = plain(call(scene.eng, name, arguments))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        intruder.on = False
        assert scene.eng.check() == []
        assert result in [way[0] for way in allowed] and scene.seen() in [way[1] for way in allowed]


class Garbage:
    """Runs a function when the garbage collector finds it."""

    def __init__(self, function):
        self.function, self.cycle = function, self

    def __del__(self):
        self.function()


@pytest.fixture
def little_to_collect():
    """The collector looks at what is made from here on, so that it is quick."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_to_collect")
@each_member
def test_a_finalizer_comes_before_or_after_a_call_or_is_refused(name):
    allowed = outcomes(name, complete)
    threshold = gc.get_threshold()
    for first in range(1, 12):
        scene = Scene()
        arguments, intruder = arguments_of(scene, name), Intruder(scene, complete)
        gc.collect()
        Garbage(intruder)
        gc.set_threshold(first)
        try:
            result = plain(call(scene.eng, name, arguments))
        finally:
            gc.set_threshold(*threshold)
        intruder.on = False
        gc.collect()
        assert scene.eng.check() == []
        assert result in [way[0] for way in allowed] and scene.seen() in [way[1] for way in allowed]


@pytest.fixture
def quick_switches():
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(former)


@each_member
def test_two_threads_in_one_engine(name, quick_switches):
    """One opens and closes windows and completes handshakes, the other does the call; each may be refused."""
    scene, stop, wrong = Scene(), False, []

    def intrude():
        windows = [segments(4, **scene.from_peer, seq=100, ack=scene.next, flags=A, wnd=wnd)
                   for wnd in (9999, 0)]
        for rows in itertools.cycle([*windows, scene.acks]):
            if stop:
                return
            try:
                scene.eng.receive(rows, NOW)
            except RuntimeError as error:
                if BUSY not in str(error):
                    wrong.append(error)
            except BaseException as error:
                wrong.append(error)
                raise

    other = threading.Thread(target=intrude)
    other.start()
    try:
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            try:
                call(scene.eng, name, arguments_of(scene, name))
            except RuntimeError as error:
                assert BUSY in str(error)
            except (ValueError, OSError) as error:
                assert any(word in str(error) for word in ("listener", "in use", "bytes queued"))
    finally:
        stop = True
        other.join()
    assert wrong == [] and scene.eng.check() == []


def test_an_array_that_another_thread_writes_to_does_not_make_send_overflow(quick_switches):
    """The rows of a SEND depend on `nbytes` and `conns`: it must not read them again after it has counted."""
    scene, stop = Scene(), False
    complete(scene)
    sizes, conns = np.ones(4, np.uint32), scene.conns.copy()

    def write():
        while not stop:
            sizes[:] = 1
            sizes[:] = 5000

    other = threading.Thread(target=write)
    other.start()
    try:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            rows = scene.eng.send(conns, sizes, NOW)
            assert len(rows) <= len(rows.base)
            scene.eng.receive(segments(4, **scene.from_peer, seq=100, ack=scene.eng.info(conns)["snd_nxt"],
                                       flags=A, wnd=9999), NOW)
    finally:
        stop = True
        other.join()
    assert scene.eng.check() == []


def test_an_engine_that_is_not_complete_is_refused():
    """The garbage collector shows objects to everybody before their constructor has ended."""
    answers = {}

    def visit():
        engines = [found for found in gc.get_objects() if type(found) is Engine]
        for eng in engines:
            for name in PUBLIC if "incomplete" in repr(eng) else ():
                try:
                    answers[name] = call(eng, name, arguments_of(EXAMPLE, name))
                except RuntimeError as error:
                    assert BUSY in str(error)
                    answers[name] = "busy"

    eng = Engine(capacity=Number(16, visit))
    assert answers == dict.fromkeys(PUBLIC, "busy") | {"config": None}
    assert len(eng.blocks) == 16 and eng.check() == []


def test_blocks_are_as_many_as_there_are_whatever_the_config_says_later():
    config = Config(capacity=4)
    eng = Engine(config)
    object.__setattr__(config, "capacity", 10**9)
    assert len(eng.blocks) == 4 and "of 4 blocks" in repr(eng)


# --- shared memory ----------------------------------------------------------------------------------

def inside(out, value, at=0):
    """A copy of `value` that lies in the memory of `out`."""
    view = out.view(np.uint8)[at:at + value.nbytes].view(value.dtype)
    view[...] = value
    return view


@pytest.mark.parametrize("other", ["same", "wider", "strided", "subclass", "memoryview"])
@pytest.mark.parametrize(("name", "key"), BESIDE_OUT, ids=map("-".join, BESIDE_OUT))
def test_out_shares_memory_with_no_other_argument(name, key, other):
    scene = Scene()
    arguments = arguments_of(scene, name)
    value, out = arguments[key], arguments["out"]
    if key == "segs" and other in ("wider", "strided", "memoryview"):
        other = "same"
    if other == "wider":
        value = value.astype(np.int64)
    shared = inside(out, np.repeat(value, 2) if other == "strided" else value, at=80)
    arguments[key] = {"strided": shared[::2], "subclass": shared.view(Liar),
                      "memoryview": memoryview(shared)}.get(other, shared)
    if other == "memoryview" and (name, key) in COPIED:
        return
    before, bytes_before = scene.seen(), out.tobytes()
    got, after = scene.outcome(name, arguments)
    assert got[0] is ValueError and "out" in got[1] and key in got[1]
    assert after == before and out.tobytes() == bytes_before


#: Of these the engine reads a copy always: a foreign buffer of theirs may overlap `out`.
COPIED = [("connect", "sport"), ("connect", "isn"), ("connect", "rcv_buf")]


@pytest.mark.parametrize("name", [name for name in METHODS if sum(one == name for one, _ in ARRAYS) > 1])
def test_arguments_that_are_only_read_may_share_memory(name):
    keys = [key for one, key in ARRAYS if one == name and key != "out"]
    for one, two in itertools.combinations(keys, 2):
        results = []
        for share in (True, False):
            scene = Scene()
            arguments = arguments_of(scene, name)
            small, large = sorted((one, two), key=lambda key: arguments[key].itemsize)
            view = arguments[large].view(arguments[small].dtype)[:4]
            if small in ("dport", "sport", "rcv_buf", "dst", "src") and not view.all():
                view[view == 0] = 7
            arguments[large] = arguments[large] if share else arguments[large].copy()
            arguments[small] = view if share else view.copy()
            results.append(scene.outcome(name, arguments))
        assert results[0] == results[1], (one, two)


@each_array
def test_the_engines_own_memory_as_an_argument(name, key):
    """It is read as it was when the call began; nobody writes to it."""
    results = []
    for copied in (False, True):
        scene = Scene()
        arguments = arguments_of(scene, name)
        view = np.frombuffer(scene.eng.blocks, arguments[key].dtype, 4)
        arguments[key] = view.copy() if copied and key != "out" else view
        results.append(scene.outcome(name, arguments))
    assert results[0] == results[1]
    assert key != "out" or results[0][0][0] is ValueError


# --- arrays that lie --------------------------------------------------------------------------------

class Liar(np.ndarray):
    """Says of itself whatever breaks who believes it."""

    def __array_finalize__(self, parent):
        Liar.finalized += 1

    finalized = 0
    shape = property(lambda self: (10**7,))
    size = nbytes = itemsize = property(lambda self: 10**7)
    ndim = property(lambda self: 1)
    strides = property(lambda self: (0,))
    dtype = property(lambda self: SEGMENT)
    __array_interface__ = property(
        lambda self: {"shape": (10**7,), "typestr": "|V40", "data": (0, False), "version": 3})

    def __len__(self):
        return 10**7

    def __getitem__(self, key):
        return np.zeros(1)

    def __array__(self, dtype=None, copy=None):
        return np.zeros(10**6, SEGMENT)

    def __iter__(self):
        return iter([])

    def __array_function__(self, *_):
        return np.zeros(1)

    def __array_ufunc__(self, *_, **__):
        return np.zeros(1)

    def ravel(self, *_):
        return np.zeros(1)

    astype = copy = view = min = max = ravel


def results_with(name, key, change):
    """The outcome with one argument changed, the outcome with it as it was, and what was seen before both."""
    scene, other = Scene(), Scene()
    arguments = arguments_of(scene, name)
    arguments[key] = change(arguments[key])
    return scene.outcome(name, arguments), other.outcome(name, arguments_of(other, name)), Scene().seen()


@each_array
def test_a_lying_subclass_is_taken_for_what_its_memory_is(name, key):
    got, expected, _ = results_with(name, key, lambda value: value.view(Liar))
    assert got == expected


def unaligned(value):
    memory = np.zeros(value.nbytes + 1, np.uint8)[1:]
    memory[:] = value.view(np.uint8)
    return memory.view(value.dtype)


@pytest.mark.parametrize("change", [
    lambda value: np.repeat(value, 2)[::2], unaligned, lambda value: value.astype(value.dtype.newbyteorder()),
    lambda value: value.astype(object),
], ids=["strided", "unaligned", "byte order", "objects"])
@each_array
def test_an_unusual_array_is_used_or_refused(name, key, change):
    got, expected, before = results_with(name, key, change)
    if key in ("segs", "out"):
        assert got[0][0] in (TypeError, ValueError) and key in got[0][1] and got[1] == before
    else:
        assert got == expected


def read_only(value):
    value.flags.writeable = False
    return value


@each_array
def test_only_out_must_be_writable(name, key):
    got, expected, before = results_with(name, key, read_only)
    if key == "out":
        assert got[0][0] is ValueError and "out" in got[0][1] and got[1] == before
    else:
        assert got == expected


@pytest.mark.parametrize("change", [
    lambda value: np.zeros(4), lambda value: np.zeros(4, "U1"), lambda value: np.zeros(4, "M8[s]"),
    lambda value: np.zeros(4, complex), lambda value: np.full(4, None), lambda value: np.zeros(4, "V3"),
    lambda value: np.zeros((3, 5), value.dtype), lambda value: value[:3], lambda value: value[:0],
], ids=["float", "text", "time", "complex", "None", "void", "shape", "short", "empty"])
@each_array
def test_a_bad_array_changes_nothing(name, key, change):
    got, _, before = results_with(name, key, change)
    if isinstance(got[0], tuple) and isinstance(got[0][0], type):
        named = [one for one in arguments_of(EXAMPLE, name) if one in got[0][1]]   # two may differ in length
        assert got[0][0] in (TypeError, ValueError) and named and got[1] == before


@pytest.mark.parametrize("name", [name for name in EMITTERS if name != "advance"])
def test_out_is_measured_after_the_last_conversion(name):
    """`now` makes `out` smaller while it is converted."""
    scene = Scene()
    arguments = arguments_of(scene, name)
    memory = bytearray(40 * 32)
    arguments["out"] = out = np.frombuffer(memory, SEGMENT)

    def shrink():
        with contextlib.suppress(AttributeError, ValueError):
            out.shape = (16, 2)
        with contextlib.suppress(BufferError):
            memory.clear()

    arguments["now"] = Number(NOW, shrink)
    scene.outcome(name, arguments)
    assert len(memory) == 40 * 32


# --- what advance() holds ---------------------------------------------------------------------------

def connecting(n):
    eng = Engine(capacity=n, tcp_timestamps=0)
    eng.connect(np.arange(n) // 20_000 + PEER, 80, 0)
    return eng


def test_advance_without_out_is_bounded():
    eng = connecting(600_000)
    now = 2_500_000_000           # a SYN is sent again after 1 s and after 2 s
    first = eng.advance(now)
    assert len(first) == 2**20 and eng.next_timer() <= now
    rest = eng.advance(now)
    assert len(rest) == 1_200_000 - 2**20 and eng.next_timer() > now
    assert eng.counters["OutSegs"] == 600_000 + len(first) + len(rest) and eng.check() == []


def test_advance_loses_no_row_when_memory_ends():
    """A process of its own: the limit of its address space is 12 MiB above what it uses."""
    program = textwrap.dedent("""
        import resource
        import numpy as np
        from tcpcore import Engine
        eng = Engine(capacity=400_000, tcp_timestamps=0)
        keep = eng.connect(np.arange(400_000) // 20_000 + 0x0A000002, 80, 0)
        pages = int(open("/proc/self/statm").read().split()[0])
        now, rows, calls = 1_500_000_000, 0, 0
        limit = pages * resource.getpagesize() + (12 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        while eng.next_timer() <= now:
            rows += len(eng.advance(now))
            calls += 1
        print(rows, calls > 1, eng.counters["OutSegs"] - 400_000)
    """)
    asan = os.environ.get("ASAN_OPTIONS", "") + ":allocator_may_return_null=1"
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | {"ASAN_OPTIONS": asan},
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["400000", "True", "400000"], done.stderr
