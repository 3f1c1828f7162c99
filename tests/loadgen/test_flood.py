"""Floods against real engines: closed relations, balanced books, the same bytes again."""

import math
import multiprocessing
import os
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.cli.comparing import variants
from loadgen.cli.spellings import POLICIES, of_policy
from loadgen.scenario.errors import ScenarioError
from tests.loadgen.playing import MS, document_of, engines_sound, played, scenario_of

#: 400 silent clients within 2 s who wait for 0.9 s (before the first resend), beside 5000 SYNs a second.
BASE = {
    "connections": 400, "rate": 200, "duration": "2900ms", "tries": "1,900ms", "patience": 0, "rtt": "40ms",
    "backlog": 64, "flood_rate": 5000, "flood_arrivals": "poisson", "speaks": "nobody", "hold": "1h",
    "honest_bursts": 0,
}  # fmt: skip
ROOM = 65


def options(policy="drop-new", cookies=0, **more):
    knobs = {one.path: one.value for one in of_policy(policy, ())}
    knobs |= {"server.knobs.tcp_syncookies": cookies, **more.pop("knobs", {})}
    return {**BASE, **more, "o": knobs}


def figures_of(policy="drop-new", cookies=0, **more):
    return played("flood", **options(policy, cookies, **more))["results"]


def within(count, of, share, sigmas=4):
    """Whether a count of independent events of this probability is believable."""
    return abs(count - of * share) <= sigmas * math.sqrt(of * share * (1 - share)) + 1


# -- what must come out -----------------------------------------------------------------


def test_without_a_flood_everybody_is_served_at_once():
    figures = figures_of(flood_rate=0)
    assert figures["attempted"] == figures["connected"] == figures["served"] == 400
    assert figures["handshake_ms"]["max"] == 40
    assert figures["flood"]["sent"] == 0
    assert figures["backscatter"]["per_spoofed"] is None


def test_clients_that_are_answered_stay_half_open_for_a_round_trip():
    figures = figures_of("evict-oldest", rtt="4ms", flood_rate=10)
    residence = figures["residence_answered_ms"]
    assert residence["count"] == 400
    assert residence["min"] == residence["max"] == 4


def test_a_full_queue_that_drops_the_newcomer_serves_nobody():
    """65 places for 14,500 SYNs, and no entry is given up before the run is over."""
    document = played("flood", **options(arrivals="paced"))
    figures = document["results"]
    assert figures["served"] == figures["connected"] == 0
    assert figures["gave_up"] == figures["failed"] == 400
    assert figures["half_open"]["peak"] == figures["entries"]["still_there"] == ROOM
    assert figures["entries"]["added"] == ROOM
    assert document["counters"]["server"]["InSegs"] == figures["flood"]["sent"] + figures["attempted"]
    assert figures["refused"]["syn_queue_full"] == document["counters"]["server"]["InSegs"] - ROOM


def test_evict_oldest_serves_whoever_answers_before_the_queue_has_turned_over():
    """65 places at 5000/s last 13 ms: a round trip of 4 ms is in time, one of 40 ms is not."""
    near, far = figures_of("evict-oldest", rtt="4ms"), figures_of("evict-oldest")
    assert near["success_ratio"] == 1.0
    assert far["served"] == 0
    assert far["connected"] == far["reset"] == 400  # the SYN-ACK was answered, by then nobody knew them
    assert far["residence_unanswered_ms"]["mean"] == pytest.approx(ROOM / 5.2, rel=0.05)  # ms, c / lambda


def test_evict_random_serves_exponentially_few():
    """Every newcomer within the round trip takes one of 65: exp(-lambda R / c)."""
    figures = figures_of("evict-random", rtt="10ms", rate=400, connections=800)
    arrivals = (5000 + 400) * 0.010  # honest ones push, too
    assert within(figures["served"], 800, math.exp(-arrivals / ROOM))


def test_the_bucket_cache_lasts_longer_than_a_round_trip():
    figures = figures_of("freebsd")
    assert figures["half_open"]["room"] == 512 * 30
    assert figures["success_ratio"] == 1.0


@pytest.mark.parametrize("policy", POLICIES)
def test_with_cookies_everybody_is_served(policy):
    figures = figures_of(policy, cookies=1)
    assert figures["success_ratio"] == figures["first_try_ratio"] == 1.0
    assert figures["cookies"]["good"] + figures["entries"]["established"] == 400


def test_cookies_always_keep_no_entry():
    figures = figures_of(cookies=2)
    assert figures["served"] == figures["cookies"]["good"] == 400
    assert figures["half_open"]["peak"] == figures["entries"]["added"] == 0
    assert figures["backscatter"]["syn_acks"] == figures["flood"]["sent"]


def test_backscatter_of_an_entry_that_lives_to_its_end_is_one_and_its_resends():
    figures = figures_of(
        flood_rate=10,
        flood_count=20,
        rate=0,
        connections=None,
        duration="2m",
        knobs={"tcp_synack_retries": 3},
    )
    assert figures["entries"]["expired"] == figures["flood"]["sent"] == 20
    assert figures["backscatter"]["syn_acks"] == 20 * (1 + 3)
    assert figures["backscatter"]["per_spoofed"] == 4
    assert figures["residence_unanswered_ms"]["p50"] == pytest.approx(15_000, rel=0.008)  # 1 + 2 + 4 + 8 s


def test_retries_find_a_place_when_there_is_one():
    """A second's flood fills the queue, whose entries live for three: the fourth try is the first in time."""
    figures = figures_of(
        flood_rate=500, during="0s,500ms", connections=20, tries="1,8s", duration="9s", clients=1,
        knobs={"tcp_synack_retries": 1},
    )  # fmt: skip
    assert figures["served"] == 20
    late = figures["handshake_ms"]
    assert late["min"] == 40 and 3040 <= late["max"] <= 4040
    assert figures["first_try_ratio"] < 1


def test_a_slow_application_couples_the_accept_queue():
    """One accept every 20 ms is 50 a second; the clients come four times as fast."""
    figures = figures_of(flood_rate=1, accept_time="20ms", cookies=1, backlog=8, arrivals="paced")
    assert figures["accept_queue"]["peak"] == 9  # backlog + 1
    assert figures["refused"]["accept_queue_full"] > 0
    assert figures["served"] == pytest.approx(50 * (2 + 9 * 0.020), abs=4)  # and nine at the end
    assert figures["connected"] > figures["served"]
    assert figures["accepted_ms"]["p50"] > figures["handshake_ms"]["p50"] + 20


@pytest.mark.parametrize(("kind", "resets"), [("ack", 1), ("rst", 0), ("fin", 1)])
def test_other_floods_open_nothing(kind, resets):
    """RFC 9293 3.10.7.2: LISTEN answers an ACK by a reset, a FIN has one, and nothing else of these."""
    figures = figures_of(flood_kind=kind)
    sent = figures["flood"]["sent"]
    assert figures["success_ratio"] == 1.0
    assert figures["entries"]["added"] == 400
    assert figures["backscatter"] == {"syn_acks": 0, "resets": resets * sent, "per_spoofed": float(resets)}


def test_forged_acks_are_no_cookies():
    figures = figures_of(flood_kind="ack", cookies=2)
    assert figures["served"] == 400
    assert figures["cookies"]["failed"] > 0.9 * figures["flood"]["sent"]


@pytest.mark.parametrize("arrivals", ["paced", "poisson"])
def test_exact_count(arrivals):
    assert figures_of(flood_count=1234, flood_arrivals=arrivals)["flood"]["sent"] == 1234


def test_it_stops_before_its_stop_and_pauses():
    assert figures_of(flood_arrivals="paced", flood_rate=1000, during="250ms,500ms")["flood"]["sent"] == 250
    document = played("flood", **options(flood_arrivals="paced", flood_rate=1000, bursts="100ms/200ms"))
    assert document["results"]["flood"]["sent"] == 1000  # 10 bursts begin in 2.9 s, the last is whole
    on = [(flood["begin_ms"], flood["end_ms"]) for flood in document["detection"]["floods"]]
    assert on == [(k * 300, min(k * 300 + 100, 2900)) for k in range(10)]


def test_a_poisson_flood_has_its_rate_and_its_scatter():
    counts = [figures_of(flood_rate=2000, seed=seed, knobs={})["flood"]["sent"] for seed in range(20)]
    expected = 2000 * 2.9
    assert sum(counts) / 20 == pytest.approx(expected, abs=4 * math.sqrt(expected / 20))
    assert len(set(counts)) > 10


@pytest.mark.parametrize(
    "sources", ["203.0.113.0/24", "203.0.113.7", "203.0.113.7,198.51.100.0/30,203.0.113.9"]
)
def test_given_sources_and_no_others(sources):
    from ipaddress import ip_address, ip_network

    from loadgen.sim import simulate

    scenario = scenario_of("flood", **options("evict-oldest", sources=sources))
    seen = {int(one) for window in simulate(scenario).watched.windows for one in window.sources}
    allowed = {int(address) for text in sources.split(",") for address in ip_network(text)}
    own = {address for address in seen if ip_address(address) in ip_network("10.0.0.0/8")}
    assert seen - own == allowed


@pytest.mark.parametrize(
    ("text", "words"),
    [("203.0.113.5/24", "did you mean '203.0.113.0/24'"), ("nonsense", "nonsense"), ("224.0.0.1", "unicast"),
     ("0.0.0.0/8", "unicast"), ("10.0.0.0/8", "own hosts")],
)  # fmt: skip
def test_sources_that_cannot_be(text, words):
    with pytest.raises(ScenarioError, match=words):
        scenario_of("flood", **options(sources=text))


def test_a_lossy_path_and_a_flood():
    figures = figures_of("linux", cookies=1, jitter="5ms", loss="5%", tries="1,5s", duration="7s")
    assert within(figures["served"], 400, 0.95)  # a cookie's third ACK is not missed by anybody
    assert figures["first_try_ratio"] < figures["success_ratio"]


def test_ghosts_of_a_lost_third_ack():
    """A cookie leaves nothing behind that could send the SYN-ACK again (the known weakness)."""
    figures = figures_of(cookies=2, loss="third-ack=25%")
    assert figures["connected"] == 400
    assert figures["ghost"] == 400 - figures["served"]
    assert within(figures["ghost"], 400, 0.25)


def test_flood_and_clients_meet_in_exact_order():
    """One client and one place: the spoofed SYN 1 us earlier has it, the one 1 us later has not."""
    arrival = 20 * MS
    for start, served in ((arrival - 1000, 0), (arrival + 1000, 1)):
        scenario = scenario_of("flood", **options(
            backlog=0, connections=1, rate=1, arrivals="paced", flood_count=1,
            flood_arrivals="paced"))  # fmt: skip
        scenario = scenario.replace({"flood.during": [start / 1e9, "end"]})
        assert document_of(scenario, "flood")["results"]["served"] == served


# -- the same again -----------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_bytes(policy):
    lossy = {"rtt": "20ms", "jitter": "3ms", "loss": "5%"}
    documents = [played("flood", **options(policy, **lossy, seed=seed)) for seed in (1, 1, 2)]
    assert documents[0] == documents[1]
    assert documents[0]["results"] != documents[2]["results"]


def test_replicates_differ():
    from loadgen.sim import simulate

    scenario = scenario_of("flood", **options("evict-random"))
    runs = [simulate(scenario, replicate).counters["server"]["SynQueueAdded"] for replicate in (0, 1)]
    assert runs[0] != runs[1]


@settings(max_examples=6)
@given(batch=st.integers(1, 300), policy=st.sampled_from(POLICIES), cookies=st.integers(0, 2))
def test_the_batch_size_changes_nothing(batch, policy, cookies):
    documents = [
        played("flood", **options(policy, cookies, duration="1400ms", connections=100, batch=size))
        for size in (batch, 4096)
    ]
    for document in documents:
        del document["config"]["batch"], document["scenario"]["run"]["batch"]
    assert documents[0] == documents[1]


# -- comparing ----------------------------------------------------------------------------


def compared(policies=POLICIES, **more):
    from loadgen.api import replicates_of, result_of
    from loadgen.replicates import play
    from loadgen.report.compared import document

    scenario = scenario_of("flood", **{**BASE, **more})
    runs = variants(scenario, policies, set())
    results = {
        name: result_of(one, play(replicates_of(one)).outcomes, kind="flood") for name, one in runs.items()
    }
    return document("", scenario, results, [], False)


def test_a_comparison_ranks_every_policy_and_says_why():
    result = compared()
    runs = result["results"]["compare"]
    assert len(runs) == 12
    ratios = [run["success_ratio"] for run in runs.values()]
    assert all(a >= b - 0.002 for a, b in zip(ratios, ratios[1:], strict=False))
    bare = [run["policy"] for run in runs.values() if run["cookies"] == "off"]
    assert bare[:2] == ["freebsd", "evict-random"]  # RFC 4987 3.5; luck; then those that keep the flood
    assert all(run["success_ratio"] > 0.99 for run in runs.values() if run["cookies"] != "off")
    for words in ("Best: ", "drop-new serves ", "65 places", "an answer takes 40 ms"):
        assert words in result["results"]["verdict"]


def test_a_run_of_the_comparison_is_the_run_itself():
    result = compared(["evict-random"])
    alone = played("flood", **options("evict-random", 0))
    assert result["results"]["compare"]["evict_random"]["served"] == alone["results"]["served"]
    assert result["counters"]["evict_random"] == alone["counters"]["server"]


# -- the books ------------------------------------------------------------------------------


@pytest.mark.parametrize("cookies", [0, 1, 2])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_books_balance(policy, cookies):
    scenario = scenario_of("flood", **options(policy, cookies, loss="2%"))
    assert engines_sound(scenario) == []
    figures = document_of(scenario, "flood")["results"]
    assert figures["attempted"] == figures["connected"] + figures["pending"] + figures["failed"]
    ended = figures["residence_answered_ms"]["count"] + figures["residence_unanswered_ms"]["count"]
    assert ended == figures["entries"]["added"] - figures["entries"]["still_there"]


def grown(spoofed):
    """Peak memory of this process after a flood of so many, bytes."""
    more = options("evict-random", flood_rate=200_000, duration=f"{spoofed // 200 + 1}ms", connections=100)
    assert played("flood", **{**more, "flood_count": spoofed})["results"]["flood"]["sent"] == spoofed
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_flood():
    """FLOOD=10_000_000 in the environment for the long one; each in a process of its own."""
    spoofed = int(os.environ.get("FLOOD", "2_000_000"))
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        few, many = pool.map(grown, [100_000, spoofed], chunksize=1)
    assert many - few < 4e6  # bytes: a tenth of a byte for each of ten million would be seen
