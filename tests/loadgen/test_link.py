"""The link: who arrives when, exact statistics by seed, no dependence on how a batch is cut."""

import numpy as np
import pytest

from loadgen.phases.link import CLIENT, SERVER, Calendar, Kind, Link, Names, Path, Rates, Tracker
from loadgen.phases.streams import Purpose, Stream
from tcpcore import Flag, join, segments

MS = 1_000_000
BASE = 0x0A010001
ISS = 0xFFFF_FF00  # every ordinary number crosses the wrap
IRS = 0xFFFF_FFFF


def numbered(n, first=0, **fields):
    """n segments that can be told apart by SEG.SEQ."""
    return segments(n, seq=np.arange(first, first + n, dtype=np.uint32), **{"flags": Flag.ACK, **fields})


def drain(link, to):
    """{arrival time: the numbers that arrive then, in order}"""
    arrived = {}
    while (at := link.next_arrival()) is not None:
        for segs in link.collect(to, at):
            arrived.setdefault(at, []).extend(segs["seq"].tolist())
    return arrived


def test_a_perfect_link_delays_and_copies_nothing():
    link = Link(Path(rtt_ns=40 * MS))
    batch = numbered(3)
    link.send(CLIENT, batch, now=7)
    assert link.next_arrival() == 20 * MS + 7
    assert link.collect(CLIENT, 10**12) == []
    assert link.collect(SERVER, 20 * MS + 6) == []
    (arrived,) = link.collect(SERVER, 20 * MS + 7)
    assert arrived is batch
    assert link.idle


def test_what_the_server_sends_to_strangers_goes_nowhere_and_is_counted():
    link = Link(Path(), home=Names(BASE, 2))
    flags = [Flag.SYN | Flag.ACK, Flag.ACK, Flag.RST, Flag.RST, Flag.SYN | Flag.ACK]
    link.send(SERVER, numbered(5, dst=[BASE - 1, BASE, BASE + 2, 7, BASE + 1], flags=flags), 0)
    link.lose_outside(SERVER, numbered(2, dst=9, flags=Flag.RST))
    assert link.outside[Kind.SYN_ACK] == 1
    assert link.outside[Kind.RST] == 4
    assert link.counters["outside.rst"] == 4
    assert link.counters["from_server"] == 7
    assert [seq for seqs in drain(link, CLIENT).values() for seq in seqs] == [1, 4]


def test_strangers_take_no_dice():
    """The clients' own segments are lost or not whatever else the server answers."""
    path, clients = Path(loss=Rates.everywhere(0.5)), numbered(100, dst=BASE)
    alone, beside = Link(path, home=Names(BASE, 1)), Link(path, home=Names(BASE, 1))
    alone.send(SERVER, clients, 0)
    beside.send(SERVER, np.concatenate([numbered(50, 1000, dst=7), clients]), 0)
    assert drain(alone, CLIENT) == drain(beside, CLIENT)


def test_equal_times_keep_the_order_of_sending():
    calendar = Calendar()
    for first, at in ((0, 5), (2, 3), (4, 5)):
        calendar.add(at, numbered(2, first))
    assert calendar.next() == 3
    assert [segs["seq"].tolist() for segs in calendar.take(5)] == [[2, 3], [0, 1], [4, 5]]
    assert calendar.next() is None


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.5, 1.0])
def test_loss_is_exactly_what_the_seed_says(loss):
    n = 20_000
    link = Link(Path(loss=Rates.everywhere(loss)), seed=3)
    link.send(CLIENT, numbered(n), 0)
    arrived = [seq for seqs in drain(link, SERVER).values() for seq in seqs]
    lost = Stream(3, 0, Purpose.LOSS, CLIENT).hits(n, loss)
    assert arrived == np.flatnonzero(~lost).tolist()
    assert link.counters["lost"] == np.count_nonzero(lost)
    assert abs(link.counters["lost"] - n * loss) <= 5 * (n * loss * (1 - loss)) ** 0.5


@pytest.mark.parametrize(
    "path",
    [
        Path(loss=Rates.everywhere(0.2)),
        Path(jitter_ns=5 * MS),
        Path(duplicates=Rates.everywhere(0.3), duplicate_delay_ns=MS),
        Path(reorder=0.2, reorder_delay_ns=3 * MS),
        Path(
            loss=Rates.everywhere(0.1),
            jitter_ns=2 * MS,
            duplicates=Rates.everywhere(0.1),
            reorder=0.1,
            reorder_delay_ns=MS,
        ),
    ],
    ids=["loss", "jitter", "duplicates", "reorder", "all"],
)
def test_cutting_a_batch_changes_nothing(path):
    whole, cut = Link(path, seed=1), Link(path, seed=1)
    batch = numbered(1000)
    whole.send(SERVER, batch, 0)
    for start, stop in ((0, 1), (1, 400), (400, 1000)):
        cut.send(SERVER, batch[start:stop], 0)
    once, thrice = drain(whole, CLIENT), drain(cut, CLIENT)
    assert {at: sorted(seqs) for at, seqs in once.items()} == {
        at: sorted(seqs) for at, seqs in thrice.items()
    }
    if not path.duplicates.any:
        assert once == thrice
    assert whole.counters == cut.counters


def test_seed_replicate_and_direction_name_the_stream():
    path = Path(loss=Rates.everywhere(0.5))

    def survivors(direction, **names):
        link = Link(path, **names)
        link.send(direction, numbered(200), 0)
        return drain(link, 1 - direction)

    first = survivors(CLIENT, seed=1)
    assert first == survivors(CLIENT, seed=1)
    assert first != survivors(CLIENT, seed=2)
    assert first != survivors(CLIENT, seed=1, replicate=1)
    assert first != survivors(SERVER, seed=1)


def test_two_settings_meet_the_same_loss():
    plain = Link(Path(loss=Rates.everywhere(0.3)), seed=5)
    rough = Link(Path(loss=Rates.everywhere(0.3), jitter_ns=9 * MS, reorder=0.5, reorder_delay_ns=MS), seed=5)
    for link in (plain, rough):
        link.send(CLIENT, numbered(500), 0)
    numbers = [
        sorted(seq for seqs in drain(link, SERVER).values() for seq in seqs) for link in (plain, rough)
    ]
    assert numbers[0] == numbers[1]


def test_jitter_is_late_never_early_and_on_the_grid():
    link = Link(Path(rtt_ns=10 * MS, jitter_ns=4 * MS), step_ns=MS)
    link.send(CLIENT, numbered(5000), 0)
    arrived = drain(link, SERVER)
    assert set(arrived) == {at * MS for at in (5, 6, 7, 8, 9)} - (set() if 5 * MS in arrived else {5 * MS})
    for at in (6, 7, 8, 9):
        assert abs(len(arrived[at * MS]) - 1250) < 5 * 1250**0.5


def test_reordered_segments_are_overtaken():
    link = Link(Path(rtt_ns=2 * MS, reorder=0.1, reorder_delay_ns=3 * MS))
    link.send(CLIENT, numbered(1000), 0)
    arrived = drain(link, SERVER)
    assert set(arrived) == {MS, 4 * MS}
    assert len(arrived[4 * MS]) == link.counters["reordered"] > 0
    assert arrived[MS] == sorted(arrived[MS])


def test_a_copy_arrives_later_and_a_lost_segment_has_none():
    path = Path(
        rtt_ns=2 * MS, loss=Rates.everywhere(0.5), duplicates=Rates.everywhere(1.0), duplicate_delay_ns=5 * MS
    )
    link = Link(path)
    link.send(CLIENT, numbered(100), 0)
    arrived = drain(link, SERVER)
    assert arrived[MS] == arrived[6 * MS]
    assert link.counters["duplicated"] == 100 - link.counters["lost"]


def test_late_copies_are_kept_apart():
    path = Path(duplicates=Rates.only(data=1.0), duplicate_delay_ns=10_000 * MS, late_copies=True)
    link = Link(path)
    link.send(CLIENT, numbered(2, payload_len=100), 0)
    link.send(CLIENT, numbered(2, 2), 0)
    assert sum(len(segs) for segs in link.collect(SERVER, 10**12)) == 4
    assert link.idle
    assert [segs["seq"].tolist() for segs in link.late.take(10**12)] == [[0, 1]]


# -- kinds -----------------------------------------------------------------------------


class Wire:
    """One connection's segments, noted by a tracker."""

    def __init__(self):
        self.names = Names(BASE, 2)
        self.tracker = Tracker(self.names)
        self.tracker.counted[:] = True

    def kinds(self, sender, *rows):
        ends = {"src": BASE + 1, "sport": 40000, "dst": 0x0A000001, "dport": 80}
        if sender == SERVER:
            ends = {"src": ends["dst"], "sport": 80, "dst": ends["src"], "dport": 40000}
        batch = join([segments(1, **ends, **row) for row in rows])
        link = Link(Path(loss=Rates.only(ack=1.0)), tracker=self.tracker)
        before = dict(link.counters)
        link.send(sender, batch, 0)
        after = link.counters
        assert before["lost"] == 0
        return after.get("lost.ack", 0)

    def lost_acks(self, sender, **row):
        return self.kinds(sender, row)


def number(value):
    return value & 0xFFFF_FFFF


def test_a_third_and_a_last_ack_are_told_from_other_acks_by_their_numbers():
    wire = Wire()
    fin = Flag.FIN | Flag.ACK
    assert wire.lost_acks(CLIENT, flags=Flag.SYN, seq=ISS) == 0
    assert wire.lost_acks(SERVER, flags=Flag.SYN | Flag.ACK, seq=IRS, ack=ISS + 1) == 0
    assert wire.lost_acks(CLIENT, flags=Flag.ACK, seq=ISS + 1, ack=0) == 0  # the third
    assert wire.lost_acks(CLIENT, flags=Flag.ACK, seq=ISS + 1, ack=0, payload_len=400) == 0  # data
    assert wire.lost_acks(SERVER, flags=Flag.ACK, seq=0, ack=number(ISS + 401)) == 1
    assert wire.lost_acks(CLIENT, flags=fin, seq=number(ISS + 401), ack=0) == 0
    assert wire.lost_acks(SERVER, flags=Flag.ACK, seq=0, ack=number(ISS + 402)) == 1  # own FIN not sent yet
    assert wire.lost_acks(SERVER, flags=fin, seq=0, ack=number(ISS + 402), payload_len=10) == 0
    assert wire.lost_acks(CLIENT, flags=Flag.ACK, seq=number(ISS + 402), ack=5) == 1  # half of it
    assert wire.tracker.bytes_acked == 0
    assert wire.lost_acks(CLIENT, flags=Flag.ACK, seq=number(ISS + 402), ack=11) == 0  # the last
    assert wire.lost_acks(CLIENT, flags=Flag.ACK, seq=number(ISS + 402), ack=11) == 0  # and again
    assert wire.tracker.bytes_acked == 10  # counted once
    assert wire.lost_acks(SERVER, flags=Flag.ACK, seq=11, ack=number(ISS + 402)) == 1  # not the passive side


def test_the_kind_does_not_depend_on_the_cut():
    """An ACK that leaves in one batch with the FIN after it is still no last ACK."""
    wire = Wire()
    wire.kinds(CLIENT, {"flags": Flag.SYN, "seq": ISS})
    wire.kinds(SERVER, {"flags": Flag.SYN | Flag.ACK, "seq": IRS, "ack": ISS + 1})
    wire.kinds(CLIENT, {"flags": Flag.FIN | Flag.ACK, "seq": ISS + 1, "ack": 0})
    both = (
        {"flags": Flag.ACK, "seq": 0, "ack": ISS + 2},
        {"flags": Flag.FIN | Flag.ACK, "seq": 0, "ack": ISS + 2},
    )
    assert wire.kinds(SERVER, *both) == 1


def test_data_on_a_syn_is_counted_when_the_answer_accepts_it():
    wire = Wire()
    wire.kinds(CLIENT, {"flags": Flag.SYN, "seq": ISS, "payload_len": 300})
    wire.kinds(SERVER, {"flags": Flag.SYN | Flag.ACK, "seq": IRS, "ack": ISS + 1})
    assert wire.tracker.syn_bytes_accepted == 0
    wire.kinds(SERVER, {"flags": Flag.SYN | Flag.ACK, "seq": IRS, "ack": number(ISS + 301)})
    assert wire.tracker.syn_bytes_accepted == 300


def test_the_last_ack_is_lost_once():
    names = Names(BASE, 1)
    link = Link(Path(rtt_ns=2 * MS, last_ack_loss=1.0), tracker=Tracker(names))
    ours = {"src": BASE, "sport": 5, "dst": 1, "dport": 80}
    theirs = {"src": 1, "sport": 80, "dst": BASE, "dport": 5}
    fin = Flag.FIN | Flag.ACK
    link.send(CLIENT, segments(1, **ours, flags=fin, seq=ISS, ack=9), 0)
    link.send(SERVER, segments(1, **theirs, flags=fin, seq=9, ack=ISS + 1), 0)
    last = segments(1, **ours, flags=Flag.ACK, seq=ISS + 1, ack=10)
    link.send(CLIENT, last, 2 * MS)
    assert link.counters["lost.last-ack"] == 1
    link.send(CLIENT, last, 3 * MS)
    assert link.counters["lost"] == 1


def test_loss_by_kind_needs_a_tracker_only_to_tell_acks_apart():
    Link(Path(loss=Rates.only(syn=0.1, rst=0.2)))
    with pytest.raises(ValueError, match="tracker"):
        Link(Path(loss=Rates.only(third_ack=0.1)))


def test_loss_by_kind():
    link = Link(Path(loss=Rates.only(syn_ack=1.0, rst=1.0, data=1.0)))
    link.send(SERVER, numbered(3, flags=Flag.SYN | Flag.ACK), 0)
    link.send(SERVER, numbered(4, flags=Flag.RST), 0)
    link.send(SERVER, numbered(5, flags=Flag.ACK, payload_len=1), 0)
    link.send(SERVER, numbered(6, flags=Flag.FIN | Flag.ACK), 0)
    assert {k: v for k, v in link.counters.items() if "." in k} == {
        "lost.syn-ack": 3,
        "lost.data": 5,
        "lost.rst": 4,
    }
    assert sum(len(segs) for segs in link.collect(CLIENT, 10**12)) == 6


# -- streams -----------------------------------------------------------------------------


def test_streams_are_pinned():
    """These numbers are part of every result: a change here is a change of schema."""
    words = Stream(1, 2, Purpose.LOSS).words(3).tolist()
    assert words == Stream(1, 2, Purpose.LOSS).words(3).tolist()
    assert words == PINNED


PINNED = [2893530824019757421, 5335196312783219752, 10080832232076592249]
