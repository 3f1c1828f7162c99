"""The flow table against a dict: buckets, doubling, batch splits, and a check() that notices damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tcpcore.records.layouts import BLOCK, SEGMENT
from tcpcore.records.segment import segments
from tests.extensions.flow_table import Table, equal_tags
from tests.reference.flow_table import ReferenceTable


def arriving(flows):
    """Segments whose receiver sees these (raddr, rport, laddr, lport)."""
    raddr, rport, laddr, lport = np.array(flows, np.uint64).reshape(-1, 4).T
    return segments(len(flows), src=raddr, sport=rport, dst=laddr, dport=lport)


def many(n, start=0):
    """n distinct flows to one server, as SEGMENT[n]."""
    i = np.arange(start, start + n)
    return segments(n, src=0xFFFF_FF00 - i // 60_000, sport=1024 + i % 60_000, dst="10.0.0.1", dport=80)


# Few values, so that flows repeat, and flows that differ in one field or have two of them exchanged.
address = st.sampled_from([0, 1, 0x0A000001, 0xFFFF_FFFF])
port = st.sampled_from([0, 1, 80, 0xFFFF])
flow = st.tuples(address, port, address, port)
flows = st.lists(flow, max_size=40)


class FlowTableMachine(RuleBasedStateMachine):
    """Batches of mixed verbs; the table is small enough to double several times and to fill up."""

    def __init__(self):
        super().__init__()
        self.table = Table(48, seed=7)
        self.reference = ReferenceTable(48, seed=7)

    @rule(batch=flows)
    def insert(self, batch):
        assert self.table.insert(arriving(batch)).tolist() == [self.reference.insert(f) for f in batch]

    @rule(batch=flows)
    def remove(self, batch):
        assert self.table.remove(arriving(batch)).tolist() == [self.reference.remove(f) for f in batch]

    @rule(batch=flows)
    def find(self, batch):
        assert self.table.find(arriving(batch)).tolist() == [self.reference.find(f) for f in batch]

    @invariant()
    def agrees(self):
        assert self.table.check() == []
        assert len(self.table) == len(self.reference.flows)
        assert self.table.buckets == self.reference.buckets


TestFlowTableMachine = FlowTableMachine.TestCase
TestFlowTableMachine.settings = settings(max_examples=60, stateful_step_count=30)


@given(flow)
def test_batch_hash_is_the_reference(one):
    assert Table(1, seed=3).hash(arriving([one])).tolist() == [ReferenceTable(1, seed=3).hash(one)]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 64, 1001])
def test_every_row_of_a_batch_is_hashed_like_a_batch_of_one(n):
    table, segs = Table(1, seed=3), many(n)
    assert table.hash(segs).tolist() == [int(table.hash(segs[i:i + 1])[0]) for i in range(n)]


def test_hundred_thousand_flows_against_the_dict():
    rng = np.random.default_rng(2)
    table, reference = Table(60_000, seed=1), ReferenceTable(60_000, seed=1)
    pool = many(80_000)
    names = [tuple(row) for row in pool[["src", "sport", "dst", "dport"]].tolist()]
    for step in range(50):
        pick = rng.integers(0, len(pool), 2_000)
        verb = ("insert", "insert", "insert", "find", "remove")[step % 5]
        one = getattr(reference, verb)
        assert getattr(table, verb)(pool[pick]).tolist() == [one(names[i]) for i in pick]
        assert (len(table), table.buckets) == (len(reference.flows), reference.buckets)
    assert table.check() == []
    assert table.find(pool).tolist() == [reference.find(name) for name in names]


@pytest.mark.parametrize("capacity, buckets",
                         [(1, 1), (8, 1), (9, 2), (500, 64), (513, 128), (10**8, 64)])
def test_starts_with_one_page_of_buckets_or_less(capacity, buckets):
    table = Table(capacity)
    assert table.buckets == min(buckets, 64) == ReferenceTable(capacity).buckets
    assert (len(table), table.check()) == (0, [])


def test_a_table_for_millions_costs_nothing_until_used():
    assert Table(100_000_000).nbytes == 0


def test_doubles_when_there_are_more_than_eight_flows_a_bucket():
    table, segs = Table(10_000), many(2049)
    for n, buckets in [(512, 64), (513, 128), (1024, 128), (1025, 256), (2048, 256), (2049, 512)]:
        table.insert(segs[len(table):n])
        assert (len(table), table.buckets, table.check()) == (n, buckets, [])
    assert (table.find(segs) == np.arange(1, 2050)).all()


def test_does_not_shrink():
    table, segs = Table(10_000), many(2000)
    table.insert(segs)
    buckets = table.buckets
    table.remove(segs)
    assert (len(table), table.buckets, table.check()) == (0, buckets, [])


@given(st.lists(st.integers(0, 3000), max_size=8))
def test_batch_splits_change_nothing(cuts):
    at_once, pieces, segs = Table(2500), Table(2500), many(3000)
    refs = at_once.insert(segs)
    split = [pieces.insert(part) for part in np.split(segs, sorted(cuts))]
    assert np.concatenate(split).tolist() == refs.tolist()
    assert np.asarray(pieces).tobytes() == np.asarray(at_once).tobytes()
    assert pieces.buckets == at_once.buckets


def one_bucket(table, n, buckets):
    """n flows that share bucket 5 of a table with this many buckets."""
    candidates = many(n * buckets * 2)
    return candidates[table.hash(candidates) % buckets == 5][:n].copy()


def test_a_bucket_with_a_chain_loses_any_of_its_flows():
    table = Table(500)                           # 64 buckets, all of them: no doubling will help
    flows = one_bucket(table, 60, 64)
    assert len(flows) == 60
    refs = table.insert(flows)
    assert table.in_chains() == 60 - 12
    np.random.default_rng(5).shuffle(order := np.arange(60))
    gone = np.zeros(60, bool)
    for i in order:
        assert table.remove(flows[i:i + 1]).tolist() == [refs[i]]
        gone[i] = True
        assert table.find(flows).tolist() == np.where(gone, 0, refs).tolist()
        assert table.check() == []
    assert len(table) == table.in_chains() == 0
    assert not np.asarray(table).view(BLOCK)["next"].any()


def test_a_place_that_became_free_is_taken_before_the_chain_grows():
    table = Table(500)
    flows = one_bucket(table, 30, 64)
    table.insert(flows[:20])
    table.remove(flows[3:6])
    table.insert(flows[20:22])
    assert (table.in_chains(), table.check()) == (8, [])
    assert (table.find(flows[:22]) != 0).tolist() == [not 3 <= i < 6 for i in range(22)]


def test_doubling_gives_the_chain_of_a_bucket_places():
    table = Table(4000, seed=9)
    flows = one_bucket(table, 20, 64)
    table.insert(flows)
    assert table.in_chains() == 8
    table.insert(many(500, start=1_000_000))
    assert (table.buckets, table.check()) == (128, [])
    assert table.find(flows).tolist() == list(range(1, 21))


@pytest.mark.parametrize("n", [1 << 14, 1 << 15])
def test_few_flows_of_a_full_table_are_in_chains(n):
    table = Table(n)
    table.insert(many(n))
    assert table.buckets == n // 8
    assert table.in_chains() < 0.02 * n          # Poisson: 1.4 %


@given(st.binary(min_size=16, max_size=16), st.integers(0, 255))
def test_tags_are_compared_as_one_by_one(tags, tag):
    wide = sum((tags[i] == tag) << i for i in range(12))
    assert equal_tags(tags, tag) == (wide, wide)


def test_a_full_pool_refuses_and_harms_nothing():
    table, segs = Table(3), many(5)
    assert table.insert(segs).tolist() == [1, 2, 3, 0, 0]
    assert table.find(segs).tolist() == [1, 2, 3, 0, 0]
    assert table.check() == []
    table.remove(segs[1:2])
    assert table.insert(segs[3:]).tolist() == [2, 0]


def test_a_flow_repeated_in_one_batch_is_one_flow():
    table, segs = Table(8), many(1)
    assert table.insert(np.repeat(segs, 3)).tolist() == [1, 1, 1]
    assert table.remove(np.repeat(segs, 3)).tolist() == [1, 0, 0]


def test_the_two_directions_are_two_flows():
    there, back = arriving([(1, 2, 3, 4)]), arriving([(3, 4, 1, 2)])
    table = Table(8)
    table.insert(there)
    assert table.find(back).tolist() == [0]


def test_the_seed_moves_the_buckets():
    segs = many(1000)
    assert (Table(1, seed=0).hash(segs) == Table(1, seed=1).hash(segs)).sum() <= 1


def test_only_the_four_tuple_counts():
    table, segs = Table(8), many(1)
    table.insert(segs)
    segs["seq"], segs["flags"], segs["wnd"] = 0xFFFF_FF00, 18, 77
    assert table.find(segs).tolist() == [1]


# check() must notice what it is there for


@pytest.fixture
def chained():
    """Fourteen flows of bucket 5, of which TCBs 13 and 14 are in its chain; and the TCBs, to be damaged."""
    table = Table(500)
    segs = one_bucket(table, 14, 64)
    table.insert(segs)
    assert (table.in_chains(), table.check()) == (2, [])
    return table, np.asarray(table).view(BLOCK)


@pytest.mark.parametrize("ref", [1, 13])
def test_check_notices_a_block_in_the_wrong_bucket(chained, ref):
    table, tcbs = chained
    tcbs["rport"][ref - 1] ^= 1
    assert table.check() == [f"flow_table: TCB {ref} is in bucket 5, its 4-tuple hashes elsewhere"]


def test_check_notices_a_cycle(chained):
    table, tcbs = chained
    tcbs["next"][12] = 14
    assert table.check() == ["flow_table: bucket 5: more TCBs entered than 14 counted"]


def test_check_notices_a_tcb_entered_twice(chained):
    table, _ = chained
    table.set_place(5, 0, 2)
    assert table.check() == ["flow_table: TCB 2 is in bucket 5, its 4-tuple hashes elsewhere"]


def test_check_notices_a_lost_tcb(chained):
    table, tcbs = chained
    table.set_place(5, 12, 13)
    assert table.check() == ["flow_table: 13 TCBs entered, 14 counted"]


def test_check_notices_a_chain_that_a_tcb_does_not_know_of(chained):
    table, tcbs = chained
    tcbs["next"][0] = 14
    assert table.check() == ["flow_table: TCB 1 is in bucket 5, its chain is not"]


@pytest.mark.parametrize("place", [0, 12])
def test_check_notices_a_reference_to_nowhere(chained, place):
    table, _ = chained
    table.set_place(5, place, 501)
    assert "flow_table: bucket 5 refers to TCB 501 of 500" in table.check()


def test_check_notices_two_blocks_of_one_flow(chained):
    table, tcbs = chained
    for name in ("raddr", "rport"):
        tcbs[name][12] = tcbs[name][13]
    assert table.check() == ["flow_table: TCB 13 hides behind another one with the same 4-tuple"]


# the border


@pytest.mark.parametrize("capacity", [0, -1, 2**31 + 1, 2**40])
def test_capacity_out_of_range(capacity):
    with pytest.raises(ValueError, match="capacity: expected"):
        Table(capacity)


@pytest.mark.parametrize("capacity, seed, name", [
    ("x", 0, "capacity"), (1.5, 0, "capacity"), (1, "x", "seed"),
])
def test_parameters_of_the_wrong_type(capacity, seed, name):
    with pytest.raises(TypeError, match=f"{name}: expected integers"):
        Table(capacity, seed)


@pytest.mark.parametrize("verb", ["hash", "insert", "find", "remove"])
def test_only_segment_vectors_are_taken(verb):
    act = getattr(Table(8), verb)
    with pytest.raises(TypeError, match="segs: expected a numpy array"):
        act([1, 2])
    with pytest.raises(TypeError, match="segs: expected dtype SEGMENT"):
        act(np.zeros(3))
    with pytest.raises(ValueError, match="segs: expected one dimension"):
        act(np.zeros((2, 2), SEGMENT))
    with pytest.raises(ValueError, match="segs: expected a contiguous"):
        act(np.zeros(4, SEGMENT)[::2])
    assert act(np.zeros(0, SEGMENT)).tolist() == []
