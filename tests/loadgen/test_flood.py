"""Floods against real engines: closed relations, balanced books, the same bytes again."""

import dataclasses
import json
import math
import multiprocessing
import os
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.phases import flood
from loadgen.phases.balance import Imbalance, engine_imbalances
from loadgen.phases.flood import Flood, FloodSettings, simulate
from loadgen.phases.flood_compare import POLICIES, compare, variants, with_policy
from loadgen.phases.link import Path, Rates
from loadgen.phases.report import as_json
from tcpcore import Config, Engine, Flag, segments

MS = 1_000_000
S = 1000 * MS
BASE = FloodSettings(
    connections=400,
    rate=200_000,
    duration_ns=2 * S,
    patience_ns=900 * MS,  # before the first resend
    path=Path(rtt_ns=40 * MS),
    backlog=64,
    flood_rate=5_000_000,
    spacing="poisson",
)
ROOM = 65


def base(policy="drop-new", cookies=0, **more):
    knobs = more.pop("knobs", {})
    given = with_policy(dataclasses.replace(BASE, **more), policy, cookies)
    return dataclasses.replace(given, knobs=given.knobs.replace(**knobs))


def but_wall(result):
    document = json.loads(as_json(result))
    del document["wall"]
    return document


def within(count, of, share, sigmas=4):
    """Whether a count of independent events of this probability is believable."""
    return abs(count - of * share) <= sigmas * math.sqrt(of * share * (1 - share)) + 1


# -- what must come out -----------------------------------------------------------------


def test_without_a_flood_everybody_is_served_at_once():
    figures = simulate(base(flood_rate=0)).results
    assert figures["attempted"] == figures["connected"] == figures["served"] == 400
    assert figures["handshake_ms"]["max"] == 40
    assert figures["residence_answered_ms"]["min"] == figures["residence_answered_ms"]["max"] == 40
    assert figures["flood"]["sent"] == 0
    assert figures["backscatter"]["per_spoofed"] is None


def test_a_full_queue_that_drops_the_newcomer_serves_nobody():
    """65 places for 15,000 SYNs, and no entry is given up before the run is over."""
    figures = simulate(base()).results
    assert figures["served"] == figures["connected"] == 0
    assert figures["gave_up"] == figures["failed"] == 400
    assert figures["half_open"]["peak"] == figures["entries"]["still_there"] == ROOM
    assert figures["entries"]["added"] == ROOM
    spoofed_and_honest = figures["flood"]["sent"] + 400
    assert figures["refused"]["syn_queue_full"] == spoofed_and_honest - ROOM


def test_evict_oldest_serves_whoever_answers_before_the_queue_has_turned_over():
    """65 places at 5000/s last 13 ms: a round trip of 10 ms is in time, one of 20 ms is not."""
    near = simulate(base("evict-oldest", path=Path(rtt_ns=4 * MS))).results
    far = simulate(base("evict-oldest", path=Path(rtt_ns=40 * MS))).results
    assert near["success_ratio"] == 1.0
    assert far["served"] == 0
    assert far["connected"] == far["reset"] == 400  # the SYN-ACK was answered, by then nobody knew them
    assert far["residence_unanswered_ms"]["mean"] == pytest.approx(ROOM / 5, rel=0.05)  # ms, c / lambda


def test_evict_random_serves_exponentially_few():
    """Every newcomer within the round trip takes one of 65: exp(-lambda R / c)."""
    figures = simulate(base("evict-random", path=Path(rtt_ns=10 * MS), rate=400_000, connections=800)).results
    arrivals = (5000 + 400) * 0.010  # honest ones push, too
    assert within(figures["served"], 800, math.exp(-arrivals / ROOM))


def test_the_bucket_cache_lasts_longer_than_a_round_trip():
    figures = simulate(base("freebsd")).results
    assert figures["half_open"]["room"] == 512 * 30
    assert figures["success_ratio"] == 1.0


@pytest.mark.parametrize("policy", POLICIES)
def test_with_cookies_everybody_is_served(policy):
    figures = simulate(base(policy, cookies=1)).results
    assert figures["success_ratio"] == figures["first_try_ratio"] == 1.0
    assert figures["cookies"]["good"] + figures["entries"]["established"] == 400


def test_cookies_always_keep_no_entry():
    figures = simulate(base(cookies=2)).results
    assert figures["served"] == figures["cookies"]["good"] == 400
    assert figures["half_open"]["peak"] == figures["entries"]["added"] == 0
    assert figures["backscatter"]["syn_acks"] == figures["flood"]["sent"]


def test_backscatter_of_an_entry_that_lives_to_its_end_is_one_and_its_resends():
    given = base(
        flood_rate=10_000, count=20, connections=0, duration_ns=60 * S, patience_ns=60 * S,
        knobs={"tcp_synack_retries": 3},
    )  # fmt: skip
    figures = simulate(given).results
    assert figures["entries"]["expired"] == figures["flood"]["sent"] == 20
    assert figures["backscatter"]["syn_acks"] == 20 * (1 + 3)
    assert figures["backscatter"]["per_spoofed"] == 4
    assert figures["residence_unanswered_ms"]["p50"] == 15_000  # 1 + 2 + 4 + 8 s


def test_retries_find_a_place_when_there_is_one():
    """A second's flood fills the queue, whose entries live for three: the fourth try is the first in time."""
    given = base(
        flood_rate=500_000, stop_ns=S // 2, duration_ns=100 * MS, connections=20, start_ns=0,
        patience_ns=8 * S, knobs={"tcp_synack_retries": 1},
    )  # fmt: skip
    figures = simulate(dataclasses.replace(given, clients=1)).results
    assert figures["served"] == 20
    late = figures["handshake_ms"]
    assert late["min"] == 40 and 3040 <= late["max"] <= 4040
    assert figures["first_try_ratio"] < 1


def test_a_slow_application_couples_the_accept_queue():
    """One accept every 20 ms is 50 a second; the clients come four times as fast."""
    given = base(flood_rate=0, accept_delay_ns=20 * MS, cookies=1, backlog=8)
    figures = simulate(given).results
    assert figures["accept_queue"]["peak"] == 9  # backlog + 1
    assert figures["refused"]["accept_queue_full"] > 0
    assert figures["served"] == pytest.approx(50 * (2 + 9 * 0.020), abs=3)  # and nine at the end
    assert figures["connected"] > figures["served"]
    assert figures["ghost"] == figures["connected"] - figures["served"] - figures["reset"]
    assert figures["accepted_ms"]["p50"] > figures["handshake_ms"]["p50"] + 20


@pytest.mark.parametrize(("kind", "resets"), [("ack", 1), ("rst", 0), ("fin", 0)])
def test_other_floods_open_nothing(kind, resets):
    """RFC 9293 3.10.7.2: LISTEN answers an ACK by a reset, and nothing else of these."""
    figures = simulate(base(kind=kind)).results
    sent = figures["flood"]["sent"]
    assert figures["success_ratio"] == 1.0
    assert figures["entries"]["added"] == 400
    assert figures["backscatter"] == {"syn_acks": 0, "resets": resets * sent, "per_spoofed": float(resets)}


def test_forged_acks_are_no_cookies():
    figures = simulate(base(kind="ack", cookies=2)).results
    assert figures["served"] == 400
    assert figures["cookies"]["failed"] > 0.9 * figures["flood"]["sent"]


def test_exact_count():
    figures = simulate(base(count=1234)).results
    assert figures["flood"]["sent"] == 1234


def test_a_lossy_path_and_a_flood():
    given = base("linux", cookies=1, path=Path(rtt_ns=40 * MS, jitter_ns=5 * MS, loss=Rates.everywhere(0.05)))
    figures = simulate(dataclasses.replace(given, patience_ns=5 * S)).results
    assert within(figures["served"], 400, 0.95)  # a cookie's third ACK is not missed by anybody
    assert figures["first_try_ratio"] < figures["success_ratio"]


def test_ghosts_of_a_lost_third_ack():
    """A cookie leaves nothing behind that could send the SYN-ACK again (the known weakness)."""
    given = base(cookies=2, path=Path(rtt_ns=40 * MS, loss=Rates.only(third_ack=0.25)))
    figures = simulate(given).results
    assert figures["connected"] == 400
    assert figures["ghost"] == 400 - figures["served"]
    assert within(figures["ghost"], 400, 0.25)


def test_flood_and_clients_meet_in_exact_order():
    """One client and one place: the spoofed SYN 1 us earlier has it, the one 1 us later has not. A client's
    SYN is half a tick later than its half of the round trip."""
    arrival = 20 * MS + MS // 2
    for start, served in ((arrival - 1000, 0), (arrival + 1000, 1)):
        given = base(
            backlog=0, connections=1, rate=1_000, arrivals="paced", duration_ns=S, count=1, start_ns=start,
            spacing="paced",
        )  # fmt: skip
        assert simulate(given).results["served"] == served


@pytest.mark.parametrize("policy", ["evict-oldest", "evict-random", "freebsd"])
def test_a_coarser_tick_is_nothing_to_the_clients(policy, monkeypatch):
    """The order of arrival is exact whenever the flood is looked at."""
    served = []
    for dense in (0, 10**12):
        monkeypatch.setattr(flood, "_DENSE", dense)
        run = Flood(base(policy, path=Path(rtt_ns=11 * MS)))
        run.run()
        served.append(run.served_at.tolist())
    assert served[0] == served[1]


# -- the same again -----------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_bytes(policy):
    lossy = Path(rtt_ns=20 * MS, jitter_ns=3 * MS, loss=Rates.everywhere(0.05))
    documents = [but_wall(simulate(base(policy, path=lossy, seed=seed))) for seed in (1, 1, 2)]
    assert documents[0] == documents[1]
    assert documents[0]["results"] != documents[2]["results"]


def test_replicates_differ():
    runs = [simulate(base("evict-random", replicate=r)).results["entries"] for r in (0, 1)]
    assert runs[0] != runs[1]


@settings(max_examples=6)
@given(batch=st.integers(1, 300), policy=st.sampled_from(POLICIES), cookies=st.integers(0, 2))
def test_the_batch_size_changes_nothing(batch, policy, cookies):
    documents = [
        but_wall(simulate(base(policy, cookies, duration_ns=S // 2, connections=100, batch=size)))
        for size in (batch, 4096)
    ]
    for document in documents:
        del document["config"]["batch"]
    assert documents[0] == documents[1]


# -- comparing ----------------------------------------------------------------------------


def test_a_comparison_ranks_every_policy_and_says_why():
    result = compare(BASE, POLICIES)
    runs = result.results["compare"]
    assert set(runs) == set(variants(BASE, POLICIES)) and len(runs) == 12
    ratios = [run["success_ratio"] for run in runs.values()]
    assert all(a >= b - 0.002 for a, b in zip(ratios, ratios[1:], strict=False))
    bare = [run["policy"] for run in runs.values() if run["cookies"] == "off"]
    assert bare[:2] == ["freebsd", "evict-random"]  # RFC 4987 3.5; luck; then those that keep the flood
    assert all(run["success_ratio"] > 0.99 for run in runs.values() if run["cookies"] != "off")
    for words in ("Best: ", "drop-new serves 0.00 %", "65 places", "an answer takes 40 ms"):
        assert words in result.results["verdict"]


def test_a_run_of_the_comparison_is_the_run_itself():
    result = compare(BASE, ["evict-random"])
    alone = simulate(with_policy(BASE, "evict-random", 0))
    assert result.results["compare"]["evict_random"]["served"] == alone.results["served"]
    assert result.counters["evict_random"] == alone.counters["server"]


def test_the_number_of_workers_changes_nothing():
    given = dataclasses.replace(BASE, duration_ns=S // 2, connections=100)
    one, two = (but_wall(compare(given, ["drop-new", "freebsd"], workers)) for workers in (1, 2))
    assert one == two


def test_an_interrupted_comparison_ranks_what_is_finished():
    def stop(name, n, of):
        if n == 2:
            raise KeyboardInterrupt

    result = compare(dataclasses.replace(BASE, duration_ns=S // 2, connections=100), POLICIES, 1, stop)
    assert result.partial
    assert len(result.results["compare"]) == 2


# -- the books ------------------------------------------------------------------------------


def test_books_that_do_not_balance_are_a_failure(monkeypatch):
    monkeypatch.setattr(Flood, "_serve", lambda self, conns: setattr(self, "served", self.served + 1))
    with pytest.raises(Imbalance, match="served"):
        simulate(base(cookies=1, duration_ns=S // 2, connections=50))


def test_an_engine_balances_by_itself():
    eng = Engine(Config.linux(capacity=64, synq_policy="evict-oldest", tcp_syncookies=0))
    eng.listen("10.0.0.1", 80, 3)
    eng.receive(segments(40, src=range(1000, 1040), dst="10.0.0.1", sport=7, dport=80, flags=Flag.SYN), 0)
    assert engine_imbalances(eng) == []


def grown(spoofed):
    """Peak memory of this process after a flood of so many, bytes."""
    given = base("evict-random", flood_rate=200_000_000, duration_ns=spoofed * S // 200_000, connections=100)
    result = simulate(dataclasses.replace(given, count=spoofed))
    assert result.results["flood"]["sent"] == spoofed
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_flood():
    """FLOOD=10_000_000 in the environment for the long one; each in a process of its own."""
    spoofed = int(os.environ.get("FLOOD", "2_000_000"))
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        few, many = pool.map(grown, [100_000, spoofed], chunksize=1)
    assert many - few < 4e6  # bytes: a tenth of a byte for each of ten million would be seen

