"""EngineGroup: what its members would do, in a fixed order, whatever the number of threads."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tcpcore import Config, Engine, EngineGroup, join, segments
from tcpcore.group import member_config
from tests.api.group_script import LOCAL, Apart, Script, seen

EVENTS = ("opened", "established", "accepted", "closed", "lost", "refused", "time_wait", "eof",
          "readable", "writable")
PROFILES = {"linux": Config.linux, "freebsd": Config.freebsd, "strict": Config.strict}


def config_of(profile="linux", **knobs):
    return PROFILES[profile](**{"capacity": 500, "seed": 3, "local_addr": LOCAL, "events": EVENTS,
                                "auto_read": False} | knobs)


def together(one, two, steps, but=()):
    """Two scripts with the same seed give the same at each step, and leave the same."""
    for i in range(steps):
        name, result = one.step()
        assert (name, result) == two.step(), (i, name)
    assert seen(one.host, but) == seen(two.host, but)
    assert one.host.check() == two.host.check() == []


@given(seed=st.integers(0, 2**32), n=st.integers(1, 5), profile=st.sampled_from(list(PROFILES)))
def test_a_group_does_what_its_members_do(seed, n, profile):
    # calls differ: the last two events come once a call, and timer entries lie elsewhere
    config = config_of(profile, events=EVENTS[:-2])
    group = EngineGroup(n, config, threads=1)
    together(Script(group, seed), Script(Apart(n, config, group._member_of), seed), 25, ["timer_pos"])


@given(seed=st.integers(0, 2**32), profile=st.sampled_from(list(PROFILES)))
def test_a_group_of_one_is_an_engine(seed, profile):
    config = config_of(profile, ip_local_port_range=(40000, 40015), tcp_tw_reuse=1)
    group, eng = EngineGroup(1, config), Engine(member_config(config, 1, 0))
    together(Script(group, seed, connects=False), Script(eng, seed, connects=False), 40)
    assert group.snapshot().endswith(eng.snapshot()[-1000:])
    assert len(group.blocks) == len(eng.blocks)


@given(seed=st.integers(0, 2**32), n=st.integers(2, 4))
def test_the_number_of_threads_does_not_matter(seed, n):
    config = config_of(capacity=20_000)
    scripts = [Script(EngineGroup(n, config, threads=threads), seed, size=600) for threads in (1, 2)]
    together(*scripts, 25)
    assert scripts[0].host.snapshot() == scripts[1].host.snapshot()


def test_large_batches_are_divided_as_small_ones_are():
    """Several rounds of 8192 rows on two threads, against one row after the other."""
    config = config_of(capacity=30_000, events=())
    group, apart = EngineGroup(3, config, threads=2), EngineGroup(3, config, threads=1)
    rng = np.random.default_rng(1)
    for host in (group, apart):
        host.listen(LOCAL, 80, auto_accept=True)
    peers, ports = rng.integers(1, 2**28, 20_000), rng.integers(1, 2**16, 20_000)
    syns = segments(20_000, src=peers, dst=LOCAL, sport=ports, dport=rng.choice([80, 81], 20_000), flags=2,
                    seq=9, wnd=999)
    given_rows = group.receive(syns, 5)
    parts = [apart.receive(syns[i:i + 100], 5) for i in range(0, 20_000, 100)]
    assert given_rows.tobytes() == join(parts).tobytes()
    assert seen(group) == seen(apart) and group.check() == []
