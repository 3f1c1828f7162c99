"""The event queue against a list: order, subscription, bound, and the dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpcore.components.events import EventKind, event_mask
from tcpcore.records.layouts import EVENT
from tests.extensions.events import EventQueue
from tests.reference.events import ReferenceEvents

event = st.tuples(
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([int(kind) for kind in EventKind]),
    st.integers(0, 255),
    st.integers(0, 10),
)


@given(
    kinds=st.sets(st.sampled_from(list(EventKind))),
    bound=st.integers(0, 12),
    steps=st.lists(st.one_of(event, st.integers(0, 8)), max_size=60),
)
def test_a_part_at_a_time(kinds, bound, steps):
    """The oldest come first, what is left stays, and its places are free again."""
    queue, kept = EventQueue([kind.name.lower() for kind in kinds], bound), []
    for step in [*steps, 100]:
        if isinstance(step, int):
            assert queue.take(step) == kept[:step]
            del kept[:step]
        else:
            queue.add(*step)
            if step[3] in kinds and len(kept) < bound:
                kept.append(step)
    assert queue.drain().size == 0


@given(
    kinds=st.sets(st.sampled_from(list(EventKind))),
    bound=st.integers(0, 12),
    steps=st.lists(st.one_of(event, st.none()), max_size=60),
)
def test_against_a_list(kinds, bound, steps):
    queue = EventQueue([kind.name.lower() for kind in kinds], bound)
    model = ReferenceEvents(kinds, bound)
    for step in [*steps, None]:
        if step is None:
            assert queue.drain().tolist() == model.drain()
        else:
            queue.add(*step)
            model.tell(*step)
        assert queue.lost == model.lost


#: A slot, a kind, and whether the slot has gone to its next connection: that may happen within a call.
telling = st.tuples(st.sampled_from([0, 7]), st.sampled_from([8, 10]), st.sampled_from([0, 0, 1]))


@given(
    kinds=st.sets(st.sampled_from([EventKind.READABLE, EventKind.WRITABLE])),
    bound=st.integers(0, 12),
    call=st.sampled_from([4, 8, 2**32 - 8, 2**32 - 4]),
    steps=st.lists(st.one_of(telling, st.none()), max_size=60),
)
def test_once_a_call(kinds, bound, call, steps):
    """Of what may repeat a connection has one a call, also when the calls are counted from the beginning
    again, and also where the one was lost."""
    queue = EventQueue([kind.name.lower() for kind in kinds], bound)
    model = ReferenceEvents(kinds, bound)
    if kinds:
        queue.call = call
    told, generations = set(), {0: 1, 7: 1}
    for at, step in enumerate(steps):
        if step is None:
            queue.begin_call()
            told.clear()
        else:
            slot, kind, renewed = step
            generations[slot] += renewed
            conn = generations[slot] << 32 | slot
            queue.add_once(conn, at, 3, kind, 4)
            if (conn, kind) not in told:
                model.tell(conn, at, 3, kind, 0, 4)
            told.add((conn, kind))
    assert queue.drain().tolist() == model.drain()
    assert queue.lost == model.lost


def test_memory_of_what_was_told_last():
    """Only for those kinds, and only where it was touched."""
    assert EventQueue(["opened", "eof"], capacity=1 << 20).nbytes == 0
    queue = EventQueue(["readable"], capacity=1 << 20)
    assert queue.nbytes == 0
    queue.add_once(1 << 32 | 5, 0, 0, EventKind.READABLE, 4)
    assert queue.nbytes == 4096 + 1024 * EVENT.itemsize


def test_grows_to_its_bound_and_then_counts():
    queue = EventQueue(["closed"], 5000)
    assert queue.nbytes == 0
    for at in range(5003):
        queue.add(1, at, 0, EventKind.CLOSED, 0, 0)
        queue.add(1, at, 0, EventKind.OPENED, 0, 0)
    assert queue.nbytes == 5000 * EVENT.itemsize
    drained = queue.drain()
    assert (drained["at"] == np.arange(5000)).all()
    assert queue.lost == 3
    assert queue.drain().size == 0
    assert queue.nbytes == 5000 * EVENT.itemsize


def test_a_drained_array_is_the_callers():
    queue = EventQueue(["lost"])
    queue.add(7, 1, 2, EventKind.LOST, 3, 4)
    first = queue.drain()
    queue.add(8, 9, 9, EventKind.LOST, 9, 9)
    assert first.tolist() == [(7, 1, 2, 5, 3, 4)]


def test_dtype():
    assert EVENT.names == ("conn", "at", "listener", "kind", "cause", "state")
    assert [EVENT[name].str for name in EVENT.names] == ["<u8", "<i8", "<u4", "|u1", "|u1", "|u1"]
    assert EVENT.itemsize == 24


def test_mask():
    assert event_mask([]) == 0
    assert event_mask(["readable", "eof", "writable"]) == 7 << 8
    assert event_mask(["opened", "time_wait"]) == 1 << EventKind.OPENED | 1 << EventKind.TIME_WAIT


@pytest.mark.parametrize("bad", ["Closed", "gone", 3])
def test_unknown_kind(bad):
    with pytest.raises(ValueError, match=r"events: expected names out of opened, .*writable, got"):
        EventQueue([bad])
