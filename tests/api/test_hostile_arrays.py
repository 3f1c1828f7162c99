"""Arrays as arguments of every public method: memory they share, subclasses that lie, all that is unusual.

The cases are generated from the class. After each call its result is the right one, or there is the right
error; `check()` finds nothing; an error has changed nothing.
"""

import contextlib
import itertools

import numpy as np
import pytest

from tcpcore import SEGMENT
from tests.api.every_call import (
    ARRAYS,
    BESIDE_OUT,
    EMITTERS,
    EXAMPLE,
    METHODS,
    NOW,
    WRITTEN,
    Number,
    Scene,
    arguments_of,
    each_array,
    host,  # noqa: F401, a fixture
)

pytestmark = pytest.mark.usefixtures("host")

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
    if key in ("segs", "ops", "at_out") and other in ("wider", "strided", "memoryview"):
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
COPIED = [("close", "linger_s"), ("connect", "sport"), ("connect", "isn"), ("connect", "rcv_buf")]


@pytest.mark.parametrize("name", [name for name in METHODS if sum(one == name for one, _ in ARRAYS) > 1])
def test_arguments_that_are_only_read_may_share_memory(name):
    keys = [key for one, key in ARRAYS if one == name and key not in WRITTEN]
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
        arguments[key] = view.copy() if copied and key not in WRITTEN else view
        results.append(scene.outcome(name, arguments))
    assert results[0] == results[1]
    assert key not in WRITTEN or results[0][0][0] is ValueError


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
    if key in ("segs", *WRITTEN):
        assert got[0][0] in (TypeError, ValueError) and key in got[0][1] and got[1] == before
    else:
        assert got == expected


def read_only(value):
    value.flags.writeable = False
    return value


@each_array
def test_only_what_is_written_must_be_writable(name, key):
    got, expected, before = results_with(name, key, read_only)
    if key in WRITTEN:
        assert got[0][0] is ValueError and key in got[0][1] and got[1] == before
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

    arguments["until" if name == "play" else "now"] = Number(NOW, shrink)
    scene.outcome(name, arguments)
    assert len(memory) == 40 * 32
