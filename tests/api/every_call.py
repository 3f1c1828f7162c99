"""Each call of the public class and each of its parameters, by introspection, with a scene to try them in.

For test_reentry.py and test_hostile_arrays.py, which do all of it to an Engine and to an EngineGroup. A
new parameter needs a value in `VALUES`.
"""

import inspect
from functools import partial

import numpy as np
import pytest

from tcpcore import OP, Engine, EngineGroup, Flag, OpKind, segments
from tests.api.live_knobs import LIVE, small

LOCAL, PEER = 0x0A000001, 0x0A000002
NOW = 10**6
HALF_OPEN, QUEUED = 12, 3
A, S = Flag.ACK, Flag.SYN


class Scene:
    """An engine with connections, half-open entries, some to accept, and queued data behind small windows."""

    make = Engine

    def __init__(self):
        self.eng = eng = self.make(capacity=64, mss=10, events=("opened", "lost", "accepted"), seed=1)
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

    def ops(self):
        """A timed batch: a segment, a connection taken, text sent, an open."""
        rows = np.zeros(4, OP)
        rows["at"] = NOW
        rows["kind"] = [OpKind.SEGMENT, OpKind.ACCEPT, OpKind.SEND, OpKind.CONNECT]
        rows["conn"] = [0, self.web, self.conns[1], 0]
        rows["arg"] = 20
        rows["seg"] = segments(4, **self.from_peer, seq=100, ack=self.next, flags=A, wnd=900)
        rows["seg"]["dst"][3], rows["seg"]["src"][3] = PEER, 0
        return rows

    def seen(self):
        eng = self.eng
        return (eng.blocks.tobytes(), eng.counters, eng.causes, eng.state_counts().tolist(), eng.next_timer(),
                repr(eng), eng.config)

    def outcome(self, name, arguments):
        """What a call gives, or its error; then all that can be seen of the engine, which must be sound."""
        try:
            result = plain(call(self.eng, name, arguments))
        except Exception as error:
            result = type(error), str(error)
        assert self.eng.check() == []
        return result, self.seen()


class GroupScene(Scene):
    """The same behind three members on two threads."""

    make = staticmethod(partial(EngineGroup, 3, threads=2))


@pytest.fixture(params=[Engine, GroupScene.make], ids=["engine", "group"])
def host(request, monkeypatch):
    """Have every Scene made of an Engine, then of an EngineGroup."""
    monkeypatch.setattr(Scene, "make", staticmethod(request.param))


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


def plain(value):
    """A result in a form that compares."""
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.descr, value.shape, value.tobytes()
    if isinstance(value, Engine | EngineGroup):
        return value.snapshot()
    return value


def call(eng, name, arguments):
    member = getattr(eng, name)
    return member(**arguments) if callable(member) else member


#: Arguments that a call writes to.
WRITTEN = ("out", "ops", "at_out")
PUBLIC = [name for name in dir(Engine) if not name.startswith("_")]
METHODS = [name for name in PUBLIC if callable(getattr(Engine, name))]

SNAPSHOT = {Engine: Scene().eng.snapshot(), EngineGroup: GroupScene().eng.snapshot()}

#: A good value of each parameter, of the dtype that the engine uses without a copy.
VALUES = {
    "addr": lambda s: LOCAL,
    "port": lambda s: 90,
    "backlog": lambda s: 5,
    "auto_accept": lambda s: True,
    "auto_close": lambda s: True,
    ("listen", "rcv_buf"): lambda s: 9000,
    "defer_accept": lambda s: 3,
    "reuse_addr": lambda s: True,
    "linger_s": lambda s: np.array([0, 1, -1, 60], np.int32),
    "code": lambda s: np.array([0, 1, 3, 13], np.uint32),
    "listener": lambda s: s.web,
    "limit": lambda s: 2,
    "now": lambda s: NOW,
    "n": lambda s: 4,
    "sizes": lambda s: False,
    "conns": lambda s: s.conns[[0, 1, 3, 0]],
    "nbytes": lambda s: np.array([3, 20, 30, 9], np.uint32),
    "segs": lambda s: segments(4, **s.from_peer, seq=100, ack=s.next, flags=A, wnd=[900, 10, 0, 990]),
    "dst": lambda s: np.arange(PEER, PEER + 4, dtype=np.uint32),
    "dport": lambda s: np.array([7, 8, 9, 7], np.uint16),
    "src": lambda s: np.full(4, LOCAL, np.uint32),
    "sport": lambda s: np.array([21, 22, 23, 24], np.uint16),
    "isn": lambda s: np.array([1, 2, 3, 2**32 - 1], np.uint32),
    "rcv_buf": lambda s: np.array([9000, 9000, 70000, 1], np.uint32),
    "keepalive": lambda s: True, "user_timeout_ms": lambda s: 60_000,
    "raddr": lambda s: s.from_peer["src"].copy(),
    "rport": lambda s: np.full(4, 7, np.uint16),
    "laddr": lambda s: s.from_peer["dst"].copy(),
    "lport": lambda s: s.from_peer["dport"].copy(),
    "ops": lambda s: s.ops(),
    "until": lambda s: NOW,
    "out": lambda s: segments(32),
    "at_out": lambda s: np.zeros(32, np.int64),
    "blob": lambda s: SNAPSHOT[type(s.eng)],
    **{("set_knobs", name): partial(lambda value, s: value, small(name)[1]) for name in LIVE},
}


def parameters(name):
    if name not in METHODS:
        return []
    if name == "set_knobs":
        return [inspect.Parameter(knob, inspect.Parameter.KEYWORD_ONLY) for method, knob in
                (key for key in VALUES if isinstance(key, tuple)) if method == name]
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
