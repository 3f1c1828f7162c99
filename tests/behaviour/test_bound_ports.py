"""Who gets a local port that is reserved, listened on or kept by connections, as Linux 6.18 said.

``tests/data/ports.json`` has what was done with sockets and what came of it.
"""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from tcpcore import Config, Engine, EngineGroup, Flag, State, segments

CASES = json.loads((Path(__file__).parent.parent / "data" / "ports.json").read_text())["cases"]
MS = 1_000_000
LOCAL, A, B, CLIENT = "10.9.0.1", "10.9.0.2", "10.9.0.3", "10.9.0.9"
RULES = ["linux", "random", "random-retry", "hash", "double-hash", "random-increments", "sequential"]
SYN, ACK, FIN = Flag.SYN, Flag.ACK, Flag.FIN

rules = pytest.mark.parametrize("rule", RULES)
HOSTS = {"engine": Engine, "group": lambda config: EngineGroup(3, config)}
hosts = pytest.mark.parametrize("kind", HOSTS.values(), ids=HOSTS)


def configuration(low, high, reserved="", rule="linux", **knobs):
    return Config.linux(capacity=90, local_addr=LOCAL, ip_local_port_range=(low, high), tcp_timestamps=0,
                        ip_local_reserved_ports=reserved, port_selection=rule, tcp_tw_reuse=0, **knobs)


def auto(eng, dst, n, now=0):
    """The ports that n connects get, and how many get none."""
    conns, rows = eng.connect(dst, 80, now, n=n)
    assert eng.check() == []
    return sorted(rows["sport"].tolist()), int((conns == 0).sum())


def came(case, at=None):
    got = CASES[case]["came"]
    ports, refused = got if at is None else got[at]
    return ports, len(refused)


def passive(eng, port):
    """A connection of the listener on `port`."""
    syn = {"src": CLIENT, "dst": LOCAL, "sport": 5000, "dport": port, "wnd": 1000}
    synack = eng.receive(segments(1, **syn, seq=100, flags=SYN), 0)
    eng.receive(segments(1, **syn, seq=101, ack=synack["seq"] + np.uint32(1), flags=ACK), 0)
    return syn, int(synack["seq"][0]) + 1


def to_time_wait(eng, syn, ack):
    conn = eng.lookup(CLIENT, 5000, LOCAL, syn["dport"])
    eng.close(conn, MS)
    eng.receive(segments(1, **syn, seq=101, ack=ack + 1, flags=FIN | ACK), MS)
    assert eng.state_counts()[State.TIME_WAIT] == 1


def listens(eng, port, reuse_addr, addr=LOCAL):
    try:
        eng.listen(addr, port, reuse_addr=reuse_addr)
    except OSError as error:
        return str(error.args[0]) and "EADDRINUSE"
    return "ok"


@rules
@hosts
def test_a_reserved_port_is_given_to_nobody(kind, rule):
    eng = kind(configuration(40000, 40009, "40002,40004-40005", rule))
    assert auto(eng, A, 9) == came("reserved", 0)
    assert auto(eng, B, 9) == came("reserved", 1)
    conns, _ = eng.connect(A, 80, 0, sport=40004)
    assert conns.all() and CASES["reserved"]["came"][2] == 40004
    assert auto(kind(configuration(40000, 40003, "40000-40003", rule)), A, 2) == came("reserved_all")


def test_a_refusal_looks_at_no_port():
    eng = Engine(configuration(1025, 65534, "1025-65524"))
    assert auto(eng, A, 12)[1] == 2
    assert eng.counters["PortsExhausted"] == 2


@hosts
def test_a_range_of_odd_size(kind):
    for case, low, high in (("odd3", 40001, 40003), ("one", 40001, 40001)):
        assert auto(kind(configuration(low, high)), A, 6)[0] == came(case)[0]
    found = set()
    for seed in range(20):                            # chance: the search begins with the first port or not
        ports, refused = auto(kind(configuration(40000, 40004, seed=seed)), A, 6)
        assert len(ports) + refused == 6 and len(ports) in (4, 5)
        found.add(tuple(ports))
    assert tuple(came("odd5")[0]) in found


@rules
@hosts
def test_a_port_on_which_somebody_listens_is_given_to_nobody(kind, rule):
    eng = kind(configuration(40000, 40003, rule=rule))
    first, second = eng.listen(LOCAL, 40002), eng.listen("10.9.0.99", 40002)
    passive(eng, 40002)
    assert auto(eng, A, 6) == came("listener_in_range", 1)
    eng.unlisten(first, 0)
    assert auto(eng, A, 2) == ([], 2)
    eng.unlisten(second, 0)
    assert auto(eng, A, 2) == came("listener_in_range", 2)


def test_a_half_open_entry_keeps_no_port():
    eng = Engine(configuration(40000, 40003))
    listener = eng.listen(LOCAL, 40002)
    eng.receive(segments(1, src=CLIENT, dst=LOCAL, sport=5000, dport=40002, seq=1, wnd=9, flags=SYN), 0)
    eng.unlisten(listener, 0)
    assert auto(eng, A, 6) == came("listener_gone_half_open")
    eng = Engine(configuration(50000, 50009))
    listener = eng.listen(LOCAL, 80)
    eng.receive(segments(1, src=CLIENT, dst=LOCAL, sport=5000, dport=80, seq=1, wnd=9, flags=SYN), 0)
    eng.unlisten(listener, 0)
    assert listens(eng, 80, False) == CASES["restart_half_open"]["came"][1]


@hosts
def test_ports_that_were_chosen_before_somebody_listened(kind):
    """A listener without a look at connections takes a port that has some; they are released as they go."""
    eng = kind(configuration(40000, 40001))
    conns, rows = eng.connect(A, 80, 0, n=2)
    listener = eng.listen(LOCAL, 40000)
    assert auto(eng, B, 2) == ([40001], 1)
    eng.abort(conns, MS)
    eng.unlisten(listener, MS)
    assert auto(eng, A, 2, MS) == ([40000, 40001], 0)


@hosts
@pytest.mark.parametrize("case", ["restart_reuse", "restart_alive_reuse"])
def test_a_server_starts_again(kind, case):
    """Without SO_REUSEADDR a TIME_WAIT keeps it from its port."""
    eng = kind(configuration(50000, 50009))
    listener = eng.listen(LOCAL, 80)
    syn, ack = passive(eng, 80)
    eng.accept(listener)
    if case == "restart_reuse":
        to_time_wait(eng, syn, ack)
    eng.unlisten(listener, 2 * MS)
    _, without, with_it = CASES[case]["came"]
    assert listens(eng, 80, False) == without == "EADDRINUSE"
    assert listens(eng, 80, False, "0.0.0.0") == "EADDRINUSE"
    assert listens(eng, 80, False, "10.9.0.77") == "ok"
    assert listens(eng, 80, True) == with_it == "ok"


@hosts
def test_a_port_that_connect_chose_is_not_listened_on(kind):
    eng = kind(configuration(40002, 40002))
    conns, _ = eng.connect(A, 80, 0)
    _, without, with_it, anywhere, _ = CASES["auto_then_listen"]["came"]
    assert listens(eng, 40002, False) == without == "EADDRINUSE"
    assert listens(eng, 40002, True) == with_it == "EADDRINUSE"
    assert listens(eng, 40002, True, "0.0.0.0") == anywhere == "EADDRINUSE"
    eng.abort(conns, 0)
    assert listens(eng, 40002, False) == "ok"


@pytest.mark.parametrize("reuse", [False, True])
def test_a_port_that_connect_was_named(reuse):
    """It is taken to have SO_REUSEADDR."""
    eng = Engine(configuration(40010, 40012))
    eng.connect(A, 80, 0, sport=40002)
    assert listens(eng, 40002, reuse) == CASES["named_reuse_then_listen"]["came"][1 + reuse]


# --- ports that connections bind

C, SECOND = "10.9.0.4", "10.9.0.77"


def name(eng, port, dst=A, **where):
    conns, rows = eng.connect(dst, 80, 0, sport=port, **where)
    assert conns.all() and eng.check() == []
    return conns, rows


def opened(eng, conns, rows):
    """The peer accepts."""
    eng.receive(segments(1, src=A, dst=LOCAL, sport=80, dport=rows["sport"], seq=500, flags=SYN | ACK,
                         wnd=1000, ack=rows["seq"] + np.uint32(1)), 0)
    return conns


def closed(eng, conns, rows, fin=FIN):
    """We close first; the peer acknowledges, and with `fin` closes, too."""
    eng.close(opened(eng, conns, rows), 0)
    eng.receive(segments(1, src=A, dst=LOCAL, sport=80, dport=rows["sport"], seq=501, flags=fin | ACK,
                         wnd=1000, ack=rows["seq"] + np.uint32(2)), 0)
    assert eng.state_counts()[State.TIME_WAIT if fin else State.FIN_WAIT_2] == 1


@hosts
@pytest.mark.parametrize("searched", [False, True])
def test_a_port_that_a_caller_named_is_given_to_nobody(kind, searched):
    eng = kind(configuration(40000, 40003))
    if searched:
        eng.abort(eng.connect(C, 80, 0, n=4)[0], 0)
    name(eng, 40002)
    assert auto(eng, B, 6) == came("named_then_auto", 1) == came("named_reuse_then_auto", 1)
    assert auto(eng, A, 6) == came("named_then_auto", 1)


@pytest.mark.parametrize("rule", RULES[1:])
def test_other_searches_look_at_the_destination(rule):
    eng = Engine(configuration(40000, 40003, rule=rule))
    name(eng, 40002)
    assert auto(eng, B, 6) == ([40000, 40001, 40002, 40003], 2)
    assert auto(eng, A, 6) == ([40000, 40001, 40003], 3)


@hosts
def test_a_named_port_is_free_when_its_last_connection_is_gone(kind):
    eng = kind(configuration(40000, 40001))
    first, second = name(eng, 40000)[0], name(eng, 40000, B)[0]
    eng.abort(first, 0)
    assert auto(eng, C, 2) == came("named_two_one_gone", 0)
    eng.abort(second, 0)
    assert auto(eng, C, 2) == came("named_two_one_gone", 1)


@hosts
def test_a_time_wait_keeps_a_named_port(kind):
    eng = kind(configuration(40000, 40001))
    closed(eng, *name(eng, 40000))
    assert auto(eng, B, 2) == came("named_time_wait_ends", 0)
    eng.advance(70_000 * MS)
    assert eng.state_counts()[State.TIME_WAIT] == 0
    eng.abort(eng.lookup(B, 80, LOCAL, 40001), 70_000 * MS)
    assert auto(eng, B, 3, 70_000 * MS) == ([40000, 40001], 1)


@hosts
def test_a_fin_wait_2_keeps_a_named_port(kind):
    eng = kind(configuration(40000, 40001))
    closed(eng, *name(eng, 40000), fin=Flag(0))
    assert auto(eng, B, 2) == came("named_fin_wait_2", 1)


@hosts
@pytest.mark.parametrize(("case", "port"), [("named_odd_end", 40004), ("named_odd_first", 40000)])
def test_a_named_port_of_an_odd_range(kind, case, port):
    for seed in range(4):
        eng = kind(configuration(40000, 40004, seed=seed))
        name(eng, port)
        ports, refused = auto(eng, B, 6)
        assert set(ports) <= set(came(case)[0]) and len(ports) in (3, 4) and len(ports) + refused == 6


def test_a_named_port_outside_of_the_range():
    eng = Engine(configuration(40000, 40001))
    name(eng, 50000)
    assert auto(eng, B, 3) == came("named_outside", 1)


@hosts
def test_each_address_binds_its_own_ports(kind):
    """Linux asks it of all addresses of a namespace. An engine may stand for several hosts."""
    eng = kind(configuration(40000, 40001))
    name(eng, 40000, src=SECOND)
    assert came("named_other_address", 1) == ([40001], 2)
    assert auto(eng, B, 3) == ([40000, 40001], 1)
    assert (eng.connect(B, 80, 0, src=SECOND, n=3)[0] != 0).sum() == 1
    assert eng.check() == []


def outlives_its_listener(kind):
    """An engine whose one connection was accepted on 40000, where nobody listens any more; SYN, ACK."""
    eng = kind(configuration(40000, 40001))
    listener = eng.listen(LOCAL, 40000)
    syn, ack = passive(eng, 40000)
    eng.accept(listener)
    eng.unlisten(listener, 0)
    return eng, syn, ack


@hosts
def test_a_listeners_connections_keep_its_port(kind):
    eng, syn, ack = outlives_its_listener(kind)
    assert auto(eng, B, 2) == came("listener_gone_other_client", 0)
    to_time_wait(eng, syn, ack)
    assert auto(eng, B, 1, MS) == came("listener_gone_other_client", 1)
    eng.advance(70_000 * MS)
    assert auto(eng, A, 2, 70_000 * MS)[0] == [40000, 40001]
    assert came("listener_gone_other_client", 3)[0] == [40000], "40001 was taken already there"


@hosts
def test_a_connection_that_a_reset_ends_keeps_no_port(kind):
    eng, syn, _ = outlives_its_listener(kind)
    assert auto(eng, B, 2) == came("listener_gone_reset", 0)
    eng.receive(segments(1, **syn, seq=101, flags=Flag.RST), 0)
    assert auto(eng, B, 2) == came("listener_gone_reset", 1)


@hosts
def test_unaccepted_connections_keep_no_port(kind):
    eng = kind(configuration(40000, 40001))
    listener = eng.listen(LOCAL, 40000)
    passive(eng, 40000)
    eng.unlisten(listener, 0)
    assert auto(eng, B, 3) == came("listener_gone_unaccepted", 1)


@hosts
def test_a_port_that_is_chosen_and_then_named(kind):
    """Linux refuses the name (auto_then_named); here it is taken, and no search gives the port any more."""
    eng = kind(configuration(40000, 40001))
    conns, rows = eng.connect(A, 80, 0, n=2)
    name(eng, 40000, B)
    assert auto(eng, C, 2) == ([40001], 1)
    assert auto(eng, A, 1) == ([], 1)
    eng.abort(conns, 0)
    assert auto(eng, A, 2) == ([40001], 1)
    assert auto(eng, B, 2) == ([40001], 1)


def test_a_refusal_looks_at_no_port_where_some_are_named():
    eng = Engine(configuration(40000, 40009))
    name(eng, np.arange(40000, 40005))
    assert auto(eng, B, 6)[1] == 1
    looks = eng._port_looks
    assert auto(eng, B, 6) == ([], 6) and eng._port_looks == looks


# --- bind(2) before connect(2)

def binds(eng, port, reuse_addr, dst=B, **where):
    conns, rows = eng.connect(dst, 80, 0, sport=port, reuse_addr=reuse_addr, **where)
    assert eng.check() == [] and conns.all() == (len(rows) == 1)
    return int(rows["sport"][0]) if conns.all() else "bind EADDRINUSE"


@hosts
def test_a_name_that_others_have(kind):
    eng = kind(configuration(50000, 50009))
    assert [binds(eng, 40002, True, A), binds(eng, 40002, True), binds(eng, 40002, False)] == \
        CASES["named_twice"]["came"][:3]
    assert binds(eng, 40002, True) == "bind EADDRINUSE", "the tuple; there Linux says EADDRNOTAVAIL"
    assert eng.counters["AddressInUse"] == eng.causes["AddressInUse"] == 2
    assert binds(eng, 40002, False, src=SECOND) == CASES["named_noreuse_other_address"]["came"][1]


@hosts
def test_names_of_one_call_are_bound_one_after_the_other(kind):
    eng = kind(configuration(50000, 50009))
    conns, rows = eng.connect(0x0A090002 + np.arange(3), 80, 0, sport=[40002, 40002, 40003], reuse_addr=False)
    assert (conns != 0).tolist() == [True, False, True] and rows["sport"].tolist() == [40002, 40003]
    conns, _ = eng.connect(A, 80, 0, n=3, reuse_addr=False)
    assert conns.all(), "no port is named"


@hosts
def test_a_name_that_ended(kind):
    eng = kind(configuration(50000, 50009))
    closed(eng, *name(eng, 40002))
    came = CASES["named_reuse_time_wait"]["came"]
    assert [binds(eng, 40002, False), binds(eng, 40002, True)] == came[2:]
    eng = kind(configuration(50000, 50009))
    closed(eng, *name(eng, 40000), fin=Flag(0))
    came = CASES["named_noreuse_fin_wait_2"]["came"]
    assert [binds(eng, 40000, False), binds(eng, 40000, True)] == came[1:]


@hosts
def test_a_name_that_a_search_gave(kind):
    eng = kind(configuration(40002, 40002))
    eng.connect(A, 80, 0)
    assert [binds(eng, 40002, False), binds(eng, 40002, True), binds(eng, 40002, True, A)] == \
        CASES["auto_then_named"]["came"][1:]


@hosts
def test_a_name_on_which_somebody_listens(kind):
    eng = kind(configuration(50000, 50009))
    eng.listen(SECOND, 80), eng.listen("0.0.0.0", 81), eng.listen(LOCAL, 82)
    other = CASES["named_on_other_listener"]["came"]
    assert binds(eng, 80, False, A) == other[1]
    assert [binds(eng, 81, False, A), binds(eng, 81, True, A)] == other[3:]
    assert [binds(eng, 82, True, A), binds(eng, 82, False, A)] == CASES["named_on_listener"]["came"][1:]


@hosts
@pytest.mark.parametrize("case", ["named_on_child", "named_on_child_time_wait"])
def test_a_name_of_a_listener_that_is_gone(kind, case):
    eng = kind(configuration(50000, 50009))
    listener = eng.listen(LOCAL, 80)
    syn, ack = passive(eng, 80)
    eng.accept(listener)
    eng.unlisten(listener, 0)
    if case == "named_on_child_time_wait":
        to_time_wait(eng, syn, ack)
    conns = [eng.connect(A, 80, MS, sport=80, reuse_addr=reuse)[0].all() for reuse in (False, True)]
    assert conns == [False, True] and CASES[case]["came"][-2:] == ["bind EADDRINUSE", 80]


def test_a_half_open_entry_keeps_no_name():
    eng = Engine(configuration(50000, 50009))
    listener = eng.listen(LOCAL, 80)
    eng.receive(segments(1, src=CLIENT, dst=LOCAL, sport=5000, dport=80, seq=1, wnd=9, flags=SYN), 0)
    eng.unlisten(listener, 0)
    assert binds(eng, 80, False, A) == CASES["named_on_half_open"]["came"][1]


@pytest.mark.parametrize("how", [copy.deepcopy, lambda eng: Engine.restore(eng.snapshot())])
def test_a_restored_engine_gives_the_same_ports(how):
    eng = Engine(configuration(40000, 40009, "40003", seed=3))
    web = eng.listen(LOCAL, 40002)
    passive(eng, 40002)
    eng.connect(A, 80, 0, n=2)
    again = how(eng)
    assert again.check() == [] and again.snapshot() == eng.snapshot()
    assert auto(again, A, 9) == auto(eng, A, 9)
    for one in (eng, again):
        one.unlisten(web, MS)
    assert auto(again, A, 9, MS) == auto(eng, A, 9, MS) == ([40002], 8)
    assert again.snapshot() == eng.snapshot()


@pytest.mark.parametrize(("text", "kept", "ports"), [
    ("", "", 28232), ("32768", "32768", 28231), ("40001-40003,40000, 40002-40010", "40000-40010", 28221),
    ("1-32768,60999-65535", "1-32768,60999-65535", 28230), ("8080,80", "80,8080", 28232),
])  # fmt: skip
def test_the_knob_as_linux_writes_it(text, kept, ports):
    config = Config.from_sysctl(f"net.ipv4.ip_local_reserved_ports = {text}\nnet.ipv4.tcp_sack = 1\n")
    assert config.ip_local_reserved_ports == kept == config.replace(seed=1).ip_local_reserved_ports
    assert config.ports() == ports


def test_what_is_no_set_of_ports_is_refused():
    assert Config(ip_local_reserved_ports=8080).ip_local_reserved_ports == "8080"
    for bad in ("0", "65536", "9-8", "80-", "-80", "80;81", "a", "1-2-3", "\N{SUPERSCRIPT TWO}", -1):
        with pytest.raises(ValueError, match="^ip_local_reserved_ports: expected ports"):
            Config(ip_local_reserved_ports=bad)
    for bad in (None, True, 8.0, [80], b"80"):
        with pytest.raises(TypeError, match="^ip_local_reserved_ports: expected ports"):
            Config(ip_local_reserved_ports=bad)
