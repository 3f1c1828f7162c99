"""`Engine.snapshot` and `Engine.restore`: what is in a snapshot, how large it is, and what is refused.

That an engine goes on bit for bit is tests/properties/test_snapshot's question.
"""

import copy
import errno
import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from tcpcore import Config, Engine, State, segments
from tcpcore.records.layouts import BLOCK
from tcpcore.snapshot import CHECKSUM_AT, VERSION
from tests.api.snapshots import LOCAL, MS, PEER, SCENES, answers, drive, passive, paused, sealed, syns

TCPCORE = Path(__file__).resolve().parents[2] / "tcpcore"
FIRST = CHECKSUM_AT + 16                   # the Config begins here
CONFIG_LENGTH, STATE_LENGTH = slice(12, 16), slice(16, 24)
each_scene = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)


def parts(blob):
    """Header, Config and state."""
    state = FIRST + int.from_bytes(blob[CONFIG_LENGTH], "little")
    return blob[:FIRST], blob[FIRST:state], blob[state:]


def joined(blob, config, state):
    """A snapshot with this Config and this state, its lengths and its checksum right."""
    head = bytearray(blob[:FIRST])
    head[CONFIG_LENGTH] = len(config).to_bytes(4, "little")
    head[STATE_LENGTH] = len(state).to_bytes(8, "little")
    return sealed(bytes(head) + config + state)


# --- what it gives --------------------------------------------------------------------------------------

@each_scene
def test_it_is_all_there_is(scene):
    eng = scene()
    blob = eng.snapshot()
    assert blob == eng.snapshot()
    again = Engine.restore(blob)
    assert again.check() == [] and again.snapshot() == blob and repr(again) == repr(eng)
    assert again.config == eng.config and again.blocks.tobytes() == eng.blocks.tobytes()
    assert drive(again) == drive(eng)
    assert again.check() == [] and again.snapshot() == eng.snapshot()


def test_two_of_one_snapshot_share_nothing():
    eng = passive()
    blob = eng.snapshot()
    one, other = Engine.restore(blob), Engine.restore(blob)
    drive(one)
    assert other.snapshot() == eng.snapshot() == blob != one.snapshot()


def test_handles_and_listeners_keep_their_numbers():
    eng = Engine(capacity=8)
    web = eng.listen(LOCAL, 80)
    conns, _ = eng.connect(PEER, 7, 0, n=3)
    again = Engine.restore(eng.snapshot())
    assert again.info(conns).tobytes() == eng.info(conns).tobytes() and again.room(web) == eng.room(web)
    with pytest.raises(OSError, match="in use"):
        again.listen(LOCAL, 80)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol):
    eng = passive()
    again = pickle.loads(pickle.dumps({"host": eng, "same": eng}, protocol))
    assert again["host"] is again["same"] is not eng and again["host"].snapshot() == eng.snapshot()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_are_engines_of_their_own(copied):
    eng = passive()
    again, before = copied(eng), eng.snapshot()
    drive(again)
    assert eng.snapshot() == before


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda blob: np.frombuffer(blob, np.uint8),
                                  lambda blob: memoryview(blob + blob)[:len(blob)]])
def test_anything_with_bytes_is_a_blob(kind):
    blob = passive().snapshot()
    assert Engine.restore(kind(blob)).snapshot() == blob


def test_views_of_blocks_are_not_in_it():
    eng = passive()
    blocks = eng.blocks
    again = copy.deepcopy({"host": eng, "blocks": blocks})
    drive(again["host"])
    assert again["blocks"].tobytes() == blocks.tobytes() and not np.shares_memory(again["blocks"], blocks)


def test_a_restored_config_is_equal_and_says_every_knob():
    config = Config.freebsd(capacity=5, seed=None, keepinit_ms=None, events=("lost",),
                            tcp_max_tw_buckets=None)
    assert Engine.restore(Engine(config).snapshot()).config == config


def test_the_order_of_freed_listener_ids_stays():
    eng = Engine(capacity=4)
    ids = [eng.listen(LOCAL, port) for port in range(1, 65536)]
    for listener in (ids[9], ids[3], ids[77]):
        eng.unlisten(listener, 0)
    again = Engine.restore(eng.snapshot())
    ports = (10, 4, 78)
    assert [again.listen(LOCAL, port) for port in ports] == [ids[9], ids[3], ids[77]]
    with pytest.raises(OSError) as full:
        again.listen(PEER, 80)
    assert full.value.errno == errno.ENFILE


def test_a_pause_of_the_syncache_goes_on():
    eng = paused()
    again = Engine.restore(eng.snapshot())
    late = syns(np.arange(60_000, 60_020))
    assert again.receive(late, 2 * MS).tobytes() == eng.receive(late, 2 * MS).tobytes()
    assert again.gauges()["half_open"] == eng.gauges()["half_open"] == 0 and again.counters == eng.counters
    assert again.counters["SyncookiesSent"] >= 20


def test_the_challenge_acks_left_in_a_second_are_in_it():
    eng = passive(tcp_challenge_ack_limit=20, tcp_invalid_ratelimit=0)
    block = eng.blocks[eng.blocks["state"] == State.ESTABLISHED][0]
    bad = segments(40, src=block["raddr"], dst=LOCAL, sport=block["rport"], dport=80, flags=2, opts=8,
                   seq=block["rcv_nxt"], tsval=9)
    assert len(eng.receive(bad[:3], 1700 * MS)) == 3
    again = Engine.restore(eng.snapshot())
    rows = eng.receive(bad, 1701 * MS)
    assert 0 < len(rows) < 40 and again.receive(bad, 1701 * MS).tobytes() == rows.tobytes()


# --- how large it is ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("policy", ["linux", "evict-oldest", "freebsd"])
def test_ten_connections_are_few_bytes_whatever_the_capacity(policy):
    def some(capacity):
        eng = Engine(capacity=capacity, synq_policy=policy, local_addr="10.0.0.1")
        eng.listen(LOCAL, 80)
        rows = eng.receive(syns(np.arange(1, 6)), MS)
        eng.receive(answers(rows), 2 * MS)
        eng.connect(PEER, 80, 3 * MS, n=5)
        return eng, eng.snapshot()

    (_, small), (eng, large) = some(10), some(16_000_000)
    assert len(large) < len(small) + 100 < 8000
    before = eng.gauges()["bytes_total"]
    assert Engine.restore(large).gauges()["bytes_total"] <= before + 16384


def test_it_grows_by_what_a_connection_has():
    def size(n, **knobs):
        eng = Engine(capacity=4000, ip_local_port_range=(1024, 65535), **knobs)
        eng.connect(PEER, 80, 0, n=n)
        return len(eng.snapshot())

    plain, stamped = (size(2000, tcp_timestamps=on) - size(1000, tcp_timestamps=on) for on in (0, 1))
    assert 64_000 < plain < 71_000 and stamped == plain + 16_000


# --- what is refused ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("blob", [None, 5, "text", [1, 2], Config()])
def test_what_is_not_bytes_is_a_type_error(blob):
    with pytest.raises(TypeError, match="blob: expected a bytes-like object"):
        Engine.restore(blob)


@pytest.mark.parametrize("blob", [b"", b"x" * 5000, pickle.dumps(1), bytes(100)])
def test_foreign_bytes_are_refused(blob):
    with pytest.raises(ValueError, match="blob: expected a snapshot of a tcpcore.Engine"):
        Engine.restore(blob)


def test_every_truncation_is_refused():
    blob = Engine(capacity=2).snapshot()
    for length in range(len(blob)):
        with pytest.raises(ValueError, match="blob: expected"):
            Engine.restore(blob[:length])
    with pytest.raises(ValueError, match="truncated, or followed by"):
        Engine.restore(blob + b"\0")


def test_every_damaged_byte_is_found():
    blob = Engine(capacity=2).snapshot()
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(ValueError, match="blob: expected"):
            Engine.restore(damaged)


def test_another_version_byte_order_or_build_is_named():
    blob = Engine(capacity=2).snapshot()
    for place, fields, message in [
        *((8, struct.pack("<H", other), f"of version {VERSION}, got version {other}")
          for other in (VERSION - 1, VERSION + 1)),
        (10, bytes([3 - blob[10]]), "-endian machine, got another"),
        (24, bytes(16), "this build of tcpcore"),
    ]:
        with pytest.raises(ValueError, match=message):
            Engine.restore(sealed(blob[:place] + fields + blob[place + len(fields):]))


@pytest.mark.parametrize(("old", "new", "message"), [
    (b"capacity = 64", b"capacity = 0", "capacity"),
    (b"capacity = 64", b"capacity = 4", "more TCBs than there are"),
    (b"capacity = 64\n", b"", "every knob"),
    (b"capacity = 64", b"capacity=64", "every knob"),
    (b"capacity = 64", b"capacities = 64", "unknown knob"),
    (b"capacity = 64", b"capacity = [", "expected a Config"),
    (b"capacity = 64", b"capacity = \xff", "expected a Config"),
    (b"seed = 5", b"seed = 6", "expected the state of an engine"),
])
def test_a_config_that_is_none_or_not_its_own_is_refused(old, new, message):
    blob = passive().snapshot()
    _, config, state = parts(blob)
    assert old in config
    with pytest.raises(ValueError, match=f"blob: .*{message}"):
        Engine.restore(joined(blob, config.replace(old, new), state))


def spoiled(rng, state):
    """The state with a bit, a byte, a word or a stretch of it changed, or cut off, or longer."""
    state = bytearray(state)
    for _ in range(rng.integers(1, 3)):
        place, kind = int(rng.integers(len(state))), rng.integers(16)
        word = int.from_bytes(state[place & ~3:(place & ~3) + 4], "little")
        if kind < 4:
            state[place] ^= 1 << int(rng.integers(8))
        elif kind < 7:
            state[place] = int(rng.integers(256))
        elif kind < 14:
            word += int(rng.integers(-3, 4))
            if kind > 10:
                word = int(rng.choice([0, 1, 16, 64, 2**31, 2**32 - 1]))
            state[place & ~3:(place & ~3) + 4] = (word % 2**32).to_bytes(4, "little")
        elif kind == 14:
            other, length = int(rng.integers(len(state))), int(rng.integers(1, 80))
            state[place:place + length] = state[other:other + length]
        else:
            del state[place:]
            state += bytes(int(rng.integers(1, 80)))
    return bytes(state)


@each_scene
def test_a_forged_state_is_refused_or_sound(scene):
    """The checksum is right, so that what is wrong reaches the code that reads the state."""
    rng, blob = np.random.default_rng(7), scene().snapshot()
    _, config, state = parts(blob)
    refused = 0
    for _ in range(150):
        try:
            eng = Engine.restore(joined(blob, config, spoiled(rng, state)))
        except ValueError as error:
            assert str(error).startswith("blob: expected")
            refused += 1
        else:
            assert eng.check() == []
            drive(eng)
    assert refused > 20


# --- nothing is forgotten -----------------------------------------------------------------------------------

#: What a snapshot does with each field of the structs an engine is made of.
SAVED, DERIVED, SCRATCH = "saved", "made again", "scratch space of one call"
FIELDS = {
    ("loops/state", "EngineState"): {
        SAVED: "now pool flows wheel listeners isn ports bound ranges events counters counts half_open "
               "accept_queued last_listener held_dead orphans time_wait_like lingering followed "
               "challenge_second challenge_left eviction pause draws predicting predicted",
        DERIVED: "knobs local_addr cookies eviction_scope bucket_k0 bucket_k1 random_key effects_wanted "
                 "syncache_buckets group",
        SCRATCH: "busy hashes candidates batch batch_n isn_first isn_count isns ts_offsets isn_shift "
                 "cookie_first cookie_count cookie_minute cookie_bases cookie_masks buckets_first "
                 "buckets_count buckets victims victim_generations victim_hashes arriving port_looks marks "
                 "syn_image asked_image cookie_image",
    },
    ("components/tcb_pool", "TcbPool"): {
        SAVED: "blocks stamps colds lives stack n_stack fresh", DERIVED: "used capacity borrowed"},
    ("components/flow_table", "FlowTable"): {
        SAVED: "mask", DERIVED: "buckets max_mask count blocks k0 k1"},
    ("components/timer_wheel", "TimerWheel"): {
        SAVED: "levels pool clock floor recent late overdue orders",
        DERIVED: "blocks capacity recent_list live reserve"},
    ("components/timer_wheel", "Level"): {SAVED: "lists", DERIVED: "bitmap"},
    ("components/timer_wheel", "Overdue"): {SAVED: "tick order ref"},
    ("base/chunk_list", "ChunkPool"): {SAVED: "words fresh free", DERIVED: "reserved used"},
    ("base/chunk_list", "ChunkList"): {SAVED: "first end chunks live"},
    ("components/listeners", "ListenerTable"): {
        SAVED: "listeners bursts asked any_asked fresh free_first free_last",
        DERIVED: "by_address n_exact n_any"},
    ("components/listeners", "Listener"): {
        SAVED: "addr port state auto_accept auto_close backlog_capped defer backlog accept_room "
               "half_open young rcv_buf cookie_until accept_queue"},
    ("components/listeners", "Burst"): {SAVED: "number half_open young"},
    ("components/isn", "Isn"): {SAVED: "drawn", DERIVED: "rule tick_ns k0 k1"},
    ("components/ports", "Ports"): {
        SAVED: "drawn counter perturb", DERIVED: "rule low size span usable usable_even barred k0 k1 draws "
                 "draws_from step uses n incomplete",
        SCRATCH: "searches"},
    ("components/bound_ports", "BoundPorts"): {DERIVED: "ports n use incomplete", SCRATCH: "by_search"},
    ("components/ports", "PortUse"): {SAVED: "retry laddr raddr rport", DERIVED: "count odd offset index"},
    ("components/range_pool", "RangePool"): {SAVED: "records fresh free", DERIVED: "capacity used"},
    ("records/out_of_order", "Ranges"): {SAVED: "left right fins n"},
    ("components/events", "Events"): {
        SAVED: "queue n lost", DERIVED: "allocated bound mask capacity", SCRATCH: "taken last call"},
    ("records/counters", "Counters"): {SAVED: "mib causes"},
    ("components/syncookie", "Cookies"): {DERIVED: "k0 k1 mss rule offers"},
    ("components/syn_eviction", "EvictionQueues"): {
        SAVED: "queues", DERIVED: "blocks capacity n_queues allocated_bytes entries"},
    ("components/syn_eviction", "EvictionEntry"): {SAVED: "ref generation"},
    ("components/syn_policy", "Pause"): {SAVED: "until doublings"},
    ("records/tcb", "Timestamps"): {SAVED: "recent recent_at offset first"},
    ("records/tcb", "Liveness"): {
        SAVED: "heard_at keepalive_at probing_since user_timeout_ms probed_to keepalive lingers linger_rest"},
    ("records/connect_args", "Asked"): {SAVED: "user_timeout_ms keepalive given"},
}


def fields_of(module, struct_name):
    """The names of a struct's fields, from its declaration."""
    text = (TCPCORE / f"{module}.pxd").read_text()
    body = re.search(rf"^cdef struct {struct_name}:\n((?:    .*\n|\n)+)", text, re.M)[1]
    lines = (re.sub(r"#.*|\[.*?\]|\*", "", line).strip() for line in body.splitlines())
    return [name.split()[-1] for line in lines if line for name in line.split(",")]


def test_each_field_of_the_state_is_saved_made_again_or_scratch():
    """Whoever adds a field says here what a snapshot does with it, and has loops/snapshot do it."""
    for (module, name), said in FIELDS.items():
        known = [field for names in said.values() for field in names.split()]
        assert sorted(known) == sorted(fields_of(module, name)), f"{module}.pxd, {name}"


def test_records_that_are_saved_as_they_are_have_no_bytes_that_nobody_writes():
    assert sum(kind.itemsize for kind, *_ in BLOCK.fields.values()) == BLOCK.itemsize
