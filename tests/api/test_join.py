"""join (arrays of segments into one) and slots_of (handles to rows of Engine.blocks)."""

import numpy as np
import pytest

from tcpcore import BLOCK, SEGMENT, Engine, Flag, State, join, segments, slots_of


def some(n, first=0):
    return segments(n, src="10.0.0.2", dst="10.0.0.1", sport=1 + np.arange(first, first + n), dport=80,
                    flags=Flag.SYN, mss=1460)


@pytest.mark.parametrize("sizes", [[], [0], [1], [3], [0, 0], [2, 0, 3], [1] * 10, [1000, 1]])
def test_join_is_concatenate(sizes):
    parts = [some(n, 10 * i) for i, n in enumerate(sizes)]
    whole = join(parts)
    assert whole.dtype == SEGMENT and whole.shape == (sum(sizes),)
    assert whole.tobytes() == b"".join(part.tobytes() for part in parts)
    if parts:
        assert (whole == np.concatenate(parts)).all()


def test_join_copies():
    part = some(2)
    whole = join([part])
    whole["seq"] = 9
    assert not np.may_share_memory(whole, part) and not part["seq"].any()
    assert len(Engine(capacity=1).receive(join([part]), 0, out=join([part, part]))) == 2


def test_join_takes_any_iterable_and_what_engines_return():
    eng = Engine(capacity=10)
    eng.listen("10.0.0.1", 80)
    parts = (eng.receive(some(1, i), 0) for i in range(4))
    assert join(parts)["dport"].tolist() == [1, 2, 3, 4]
    read_only = some(2)
    read_only.flags.writeable = False
    assert len(join((read_only, some(3)[1:]))) == 4


def test_join_takes_an_equal_dtype_and_a_subclass():
    class Longer(np.ndarray):
        def __len__(self):
            return 1 << 20

    same = np.dtype({
        "names": SEGMENT.names, "formats": [SEGMENT[name] for name in SEGMENT.names],
        "offsets": [SEGMENT.fields[name][1] for name in SEGMENT.names], "itemsize": 40})
    assert same is not SEGMENT
    assert len(join([some(2).view(same), some(3).view(Longer)])) == 5


@pytest.mark.parametrize(("wrong", "error", "says"), [
    (7, TypeError, "parts: expected a sequence of SEGMENT arrays, got int"),
    (None, TypeError, "parts: expected a sequence"),
    ([some(1), None], TypeError, r"parts\[1\]: expected a numpy array of SEGMENT, got NoneType"),
    ([np.zeros(1, BLOCK)], TypeError, r"parts\[0\]: expected dtype SEGMENT"),
    ([np.zeros(40, np.uint8)], TypeError, r"parts\[0\]: expected dtype SEGMENT"),
    ([some(4)[::2]], ValueError, r"parts\[0\]: expected a contiguous"),
    ([some(4)[::-1]], ValueError, r"parts\[0\]: expected a contiguous"),
    ([some(4).reshape(2, 2)], ValueError, r"parts\[0\]: expected one dimension"),
    (some(2), TypeError, r"parts\[0\]: expected a numpy array of SEGMENT"),
])
def test_join_refuses(wrong, error, says):
    with pytest.raises(error, match=says):
        join(wrong)


def test_slots_are_the_rows_of_blocks():
    eng = Engine(capacity=100)
    conns, _ = eng.connect("10.0.0.9", 80, 0, n=20)
    eng.abort(conns[5:9], 0)
    again, _ = eng.connect("10.0.0.9", 81, 0, n=4)
    live = np.concatenate([conns[:5], conns[9:], again])
    slots = slots_of(live)
    assert slots.dtype == np.intp and slots.shape == (20,) and len(set(slots.tolist())) == 20
    blocks = eng.blocks[slots]
    assert (blocks["state"] == State.SYN_SENT).all()
    assert (blocks["generation"].astype(np.uint64) << np.uint64(32) | slots.astype(np.uint64)
            == live).all()
    assert sorted(slots_of(again).tolist()) == sorted(slots_of(conns[5:9]).tolist())


def test_slots_of_scalars_lists_and_nothing():
    handle = 3 << 32 | 17
    assert slots_of(handle).tolist() == slots_of(np.uint64(handle)).tolist() == [17]
    assert slots_of([handle, handle + 1]).tolist() == [17, 18]
    assert slots_of(2**64 - 1).tolist() == [2**32 - 1]
    assert slots_of([]).shape == slots_of(np.zeros(0, np.uint64)).shape == (0,)
    assert slots_of(np.array([1, 2, 3, 4], np.uint64)[::2]).tolist() == [1, 3]


@pytest.mark.parametrize(("wrong", "error"), [
    (1.5, TypeError), ("1", TypeError), (-1, ValueError), (2**64, ValueError),
])
def test_slots_of_refuses(wrong, error):
    with pytest.raises(error, match="conns: expected"):
        slots_of(wrong)
