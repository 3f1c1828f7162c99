"""Each impairment of the link at its rate, and a perfect link without resends."""

import pytest

from loadgen.scenario.model import KINDS, Burst, Client, Closes, Link, Load, Run, Scenario, Server
from loadgen.scenario.values import Distribution
from tests.sim.scenarios import MS, S, play

Z = 3.2905  # 99.9 %
RTT = Distribution("const", 10.0 * MS)


def outcome_over(link, **server):
    load = Load(
        arrivals="poisson",
        shape=((0, 400.0),),
        hold=Distribution("exp", 50.0 * MS),
        request=100,
        response=100,
    )
    scenario = Scenario(
        seed=11,
        load=(load,),
        link=link,
        client=Client(hosts=4),
        server=Server(**server),
        run=Run(10 * S, series_ns=0),
    )
    return play(scenario)[1]


def inside(hits, n, share):
    assert n > 300
    assert abs(hits - n * share) <= Z * (n * share * (1 - share)) ** 0.5 + 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_kind(kind):
    counts = outcome_over(Link(RTT, loss={kind: 0.05}), closes=Closes(reset=0.5)).counters["link"]
    label = kind.replace("-", "_")
    ends = [end for end in ("client", "server") if f"{end}.{label}.sent" in counts]
    inside(
        sum(counts[f"{e}.{label}.lost"] for e in ends), sum(counts[f"{e}.{label}.sent"] for e in ends), 0.05
    )
    assert sum(n for name, n in counts.items() if name.endswith(".lost")) == sum(
        counts[f"{e}.{label}.lost"] for e in ends
    )


def test_the_loss_of_all():
    counts = outcome_over(Link(RTT, loss={"all": 0.02, "syn": 0.1})).counters["link"]
    inside(counts["client.syn.lost"], counts["client.syn.sent"], 1 - 0.98 * 0.9)
    inside(counts["server.data.lost"], counts["server.data.sent"], 0.02)


def test_duplicates_reordering_and_late_copies():
    link = Link(RTT, duplicate={"all": 0.03}, duplicate_after_ns=MS, reorder=0.05, reorder_after_ns=MS,
                late_share=0.01, late_after_ns=100 * MS)  # fmt: skip
    counts = outcome_over(link).counters["link"]
    sent = counts["sent_by_client"] + counts["sent_by_server"]
    inside(counts["duplicated"], sent, 0.03)
    inside(counts["reordered"], sent, 0.05)
    inside(counts["late"], sent, 0.01)


def test_bursts_are_in_their_stationary_state():
    """Loss is enter / (enter + leave) * loss; the variance grows by (1 + r) / (1 - r), r = 1 - enter -
    leave.
    """
    enter, leave, loss = 0.02, 0.2, 0.9
    counts = outcome_over(Link(RTT, burst=Burst(enter, leave, loss))).counters["link"]
    bad, r = enter / (enter + leave), 1 - enter - leave
    for end in ("client", "server"):
        n, share = counts[f"sent_by_{end}"], bad * loss
        variance = n * (share * (1 - share) + 2 * loss**2 * bad * (1 - bad) * r / (1 - r))
        assert abs(counts[f"lost_of_{end}"] - n * share) <= Z * variance**0.5


def test_a_perfect_link_never_sees_a_resend():
    outcome = outcome_over(Link(RTT))
    assert outcome.counters["client"]["RetransSegs"] == outcome.counters["server"]["RetransSegs"] == 0
    (load,) = outcome.loads
    assert load.served == load.first_try == load.attempted - load.pending
    assert load.connect.min == load.connect.max == 10 * MS
