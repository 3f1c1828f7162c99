"""Re-entry into every public method: conversions, signal handlers, finalizers, a second thread.

The cases are generated from the class. After each call its result is the right one, or there is the right
error; `check()` finds nothing; an error has changed nothing.
"""

import contextlib
import gc
import itertools
import signal
import sys
import threading
import time

import numpy as np
import pytest

from tcpcore import Config, Engine, segments
from tests.api.every_call import (
    EACH,
    EMITTERS,
    EXAMPLE,
    LOCAL,
    NOW,
    PUBLIC,
    SNAPSHOT,
    VALUES,
    A,
    Number,
    Scene,
    arguments_of,
    call,
    each_argument,
    each_member,
    host,  # noqa: F401, a fixture
    plain,
)

LATER = 2 * NOW
BUSY = "the engine is busy"


def test_every_parameter_is_known():
    assert set(PUBLIC) >= {"receive", "advance", "connect", "send", "recv", "unlisten", "room", "blocks"}
    assert not [f"{name}({key})" for name, key in EACH if key not in VALUES and (name, key) not in VALUES]
    assert all("out" in arguments_of(EXAMPLE, name) for name in EMITTERS) and len(EMITTERS) >= 9


def test_the_arguments_of_the_cases_do_something():
    """A call that is refused, or emits nothing, would show nothing; two of them seldom emit."""
    for name in EMITTERS:
        scene = Scene()
        now = {"now": scene.eng.next_timer()} if name == "advance" else {}
        rows = call(scene.eng, name, arguments_of(scene, name) | now)
        rows = rows[1] if isinstance(rows, tuple) else rows
        assert name in ("recv", "unreachable") or len(rows), name


pytestmark = pytest.mark.usefixtures("host")


# --- what comes in between ------------------------------------------------------------------------

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


@pytest.mark.usefixtures("little_to_collect")
def test_gauges_are_all_of_one_moment():
    """A finalizer that takes every half-open entry away runs before all of them are read, or after."""
    eng = Engine(Config.freebsd(unlisten_forgets=1))
    threshold = gc.get_threshold()
    for first in range(1, 12):
        listener = eng.listen("10.0.0.1", 80)
        eng.receive(segments(5, src=np.arange(5) + 0x0A000101, sport=7, dst="10.0.0.1", dport=80, flags=2), 0)
        before = eng.gauges()
        gc.collect()
        Garbage(lambda listener=listener: eng.unlisten(listener, 0))
        gc.set_threshold(first)
        try:
            gauges = eng.gauges()
        finally:
            gc.set_threshold(*threshold)
        gc.collect()
        assert before["half_open"] == before["blocks_used"] == 5
        assert gauges in (before, eng.gauges())


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
                    answers[name] = plain(call(eng, name, arguments_of(EXAMPLE, name)))
                except RuntimeError as error:
                    assert BUSY in str(error)
                    answers[name] = "busy"

    eng = Engine(capacity=Number(16, visit))
    assert answers == dict.fromkeys(PUBLIC, "busy") | {"config": None, "restore": SNAPSHOT[Engine]}
    assert len(eng.blocks) == 16 and eng.check() == []


def test_blocks_are_as_many_as_there_are_whatever_the_config_says_later():
    config = Config(capacity=4)
    eng = Engine(config)
    object.__setattr__(config, "capacity", 10**9)
    assert len(eng.blocks) == 4 and "of 4 blocks" in repr(eng)
