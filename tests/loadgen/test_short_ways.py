"""What loadgen does to be fast changes no result: tallies, slabs written again, proofs by counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.phases.link import Path, Rates
from loadgen.phases.metrics import Tally, spread_ms
from loadgen.phases.runner import Ribbon
from loadgen.phases.workload import Handshake, Settings
from tcpcore import SEGMENT

SAMPLES = st.lists(st.lists(st.integers(0, 30).map(lambda ms: ms * 1_000_000), max_size=20), max_size=8)


@given(SAMPLES)
def test_tallied_samples_spread_as_the_samples_do(batches):
    tally = Tally()
    for batch in batches:
        tally.add(np.array(batch, dtype=np.int64))
    samples = np.array([ns for batch in batches for ns in batch], dtype=np.int64)
    assert spread_ms(*tally.counted()) == spread_ms(samples)


def slab_of(rows):
    """The memory a view lies in."""
    return rows.base if rows.base is not None else rows


def test_a_slab_is_written_again_when_nobody_looks_at_it():
    ribbon = Ribbon()
    held = ribbon.keep(ribbon.room(1000))
    held["seq"] = 7
    address = slab_of(held).ctypes.data
    known = {address}
    for _ in range(1000):  # many slabs' worth; behind the one that is held nothing is free yet
        rows = ribbon.keep(ribbon.room(1000))
        rows["seq"] = 8
        known.add(slab_of(rows).ctypes.data)
    assert (held["seq"] == 7).all()
    del held, rows
    again = {slab_of(ribbon.keep(ribbon.room(1000))).ctypes.data for _ in range(2000)}
    assert again == known


def test_room_larger_than_a_slab():
    ribbon = Ribbon()
    ribbon.keep(ribbon.room(10))
    rows = ribbon.room(1 << 18)
    assert len(rows) == 1 << 18 and rows.dtype == SEGMENT


@pytest.mark.parametrize("third_acks_lost", [0.0, 0.3, 1.0])
def test_ghosts_are_counted_one_by_one_where_the_counts_prove_nothing(third_acks_lost, monkeypatch):
    """The short way is taken only when every connection is whole, and then both ways agree."""
    path = Path(loss=Rates.only(third_ack=third_acks_lost))
    run = Handshake(Settings(connections=2000, path=path, duration_ns=10_000_000))
    audited = []
    lookup = run._established
    monkeypatch.setattr(run, "_established", lambda conns: audited.append(len(conns)) or lookup(conns))
    result = run.run()
    assert sum(audited) == (2000 if third_acks_lost else 0)
    unserved = result.results["ghost"] + result.results["in_flight"]
    assert unserved == result.results["connected"] - result.results["served"]
    assert (unserved > 0) == (third_acks_lost > 0)
