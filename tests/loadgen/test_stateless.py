"""A client end without engine is, to whoever asks the server or reads the result, a client end."""

import numpy as np
import pytest
from click.testing import CliRunner

from loadgen.cli import main
from loadgen.phases.close import BY, Close, CloseSettings
from loadgen.phases.link import Path
from loadgen.phases.stateless import StatelessClient
from loadgen.phases.workload import Handshake, Settings
from tcpcore import SEGMENT, Config, Engine, Flag, State, segments

N = 3000
MS = 1_000_000
SERVER, PORT, BASE = 0x0A000001, 80, 0x0A010001


def both(workload, settings, **given):
    """The same run with an engine and without one."""
    runs = [workload(settings(connections=N, stateless=stateless, **given)) for stateless in (False, True)]
    return runs, [run.run().as_dict() for run in runs]


def settled(result):
    """All that does not depend on when a wheel looks at its levels (rows of the series), or on the clock."""
    series = result["series"]
    return {
        **{key: result[key] for key in ("results", "counters", "causes", "partial")},
        "stages": series["stages"],
        "most": {
            end: {state: max(rows) for state, rows in series[end].items()} for end in ("client", "server")
        },
    }


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"path": Path(rtt_ns=40 * MS, jitter_ns=5 * MS), "rate": 20_000_000, "arrivals": "poisson"},
        {"knobs": Config.linux(tcp_timestamps=0, tcp_syncookies=2), "batch": 100},
    ],
)
def test_handshake_is_the_same(given):
    runs, results = both(Handshake, Settings, **given)
    if "path" in given:  # other ISNs and ports, other order within a batch: the dice are the same ones
        for result in results:
            del result["results"]["handshake_ms"]["mean"]
    assert settled(results[0]) == settled(results[1])
    assert results[1]["results"]["connected"] == results[1]["results"]["served"] == N
    assert runs[1].server.check() == []


@pytest.mark.parametrize("delay", [0, MS])
@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("knobs", [{}, {"time_wait_ms": 0}, {"tcp_timestamps": 0}])
def test_close_is_the_same(by, delay, knobs):
    runs, results = both(Close, CloseSettings, by=by, close_delay_ns=delay, knobs=Config.linux(**knobs))
    assert settled(results[0]) == settled(results[1])
    assert results[1]["results"]["blocks_left"] == {"client": 0, "server": 0}
    assert runs[1].server.check() == []


def test_the_client_keeps_nine_bytes_per_connection():
    run = Handshake(Settings(connections=N, stateless=True))
    result = run.run()
    assert result.wall["simulator_bytes_per_connection"]["client"] == 9
    assert run.settings.memory_bytes() < Settings(connections=N).memory_bytes()


@pytest.fixture
def ends():
    """A client of ten connections that are established, and its server."""
    server = Engine(capacity=100)
    server.listen(SERVER, PORT, auto_accept=True)
    client = StatelessClient(10, server.config, 7, BASE, 3, server)
    room = np.zeros(100, SEGMENT)
    conns, syns = client.connect(SERVER, PORT, 0, src=np.zeros(10, np.uint32), out=room)
    acks = client.receive(server.receive(syns.copy(), 0), 0, out=np.zeros(100, SEGMENT))
    assert len(server.receive(acks, 0)) == 0
    return client, server, conns


def test_several_segments_for_one_connection_are_taken_in_order(ends):
    """ACK of our FIN and the server's own FIN in one batch: FIN-WAIT-2, then TIME-WAIT."""
    client, server, conns = ends
    room = np.zeros(100, SEGMENT)
    fins = client.close(conns[:5], MS, out=room).copy()
    acks = server.receive(fins, MS)
    theirs = server.lookup(fins["src"], fins["sport"], SERVER, PORT)
    answers = client.receive(np.concatenate([acks, server.close(theirs, MS)]), MS, out=room)
    assert client.state_counts()[State.TIME_WAIT] == 5 == len(answers)
    assert len(server.receive(answers.copy(), MS)) == 0
    assert server.state_counts()[State.ESTABLISHED] == 5 == server.gauges()["blocks_used"]
    assert client.next_timer() == 60_001 * MS
    client.advance(60_001 * MS, out=room)
    assert client.next_timer() is None and client.gauges()["blocks_used"] == 5


def test_the_same_syn_ack_again_is_acknowledged_again(ends):
    client, server, conns = ends
    address, port = client.tuples(conns[:1])
    again = segments(
        1, src=SERVER, dst=address, sport=PORT, dport=port, flags=Flag.SYN | Flag.ACK, seq=5, ack=9
    )
    assert len(client.receive(again, MS, out=np.zeros(10, SEGMENT))) == 1
    assert client.state_counts()[State.ESTABLISHED] == 10 and len(client.events()) == 10


def test_a_reset_ends_a_connection_and_strangers_are_not_heard(ends):
    client, server, conns = ends
    address, port = client.tuples(conns[:2])
    room = np.zeros(10, SEGMENT)
    reset = segments(2, src=SERVER, dst=address, sport=PORT, dport=port, flags=Flag.RST)
    assert len(client.receive(reset, MS, out=room)) == 0
    assert client.counters["EstabResets"] == 2 and client.counters["CurrEstab"] == 8
    assert list(client.lookup(SERVER, PORT, *client.tuples(conns)) != 0) == [False] * 2 + [True] * 8
    for dst, dport in ((BASE + 3, 32768), (BASE - 1, 32768), (BASE, 32767), (BASE, 60999)):
        stray = segments(1, src=SERVER, dst=dst, sport=PORT, dport=dport, flags=Flag.SYN | Flag.ACK)
        assert len(client.receive(stray, MS, out=room)) == 0
    assert client.lookup(SERVER, PORT + 1, *client.tuples(conns))[5] == 0


def test_more_connections_than_ports_are_refused():
    knobs = Config.linux(ip_local_port_range=(40_000, 40_009))
    with pytest.raises(ValueError, match="expected at most 30"):
        StatelessClient(31, knobs, 0, BASE, 3, Engine(capacity=1))


@pytest.mark.parametrize("given", [["--loss", "1%"], ["--duplicates", "1%"], ["--syn-data", "5"]])
def test_what_needs_a_memory_is_refused_by_name(given):
    done = CliRunner().invoke(main, ["handshake", "-n", "10", "--peer", "stateless", *given])
    assert done.exit_code == 2
    assert f"--peer stateless: not with {given[0]}" in done.output


@pytest.mark.parametrize("given", [["--half-close", "1%"], ["--data", "5"], ["--last-ack-loss", "1%"]])
def test_and_by_close(given):
    done = CliRunner().invoke(main, ["close", "-n", "10", "--peer", "stateless", *given])
    assert done.exit_code == 2
    assert f"--peer stateless: not with {given[0]}" in done.output


def test_from_the_command_line():
    done = CliRunner().invoke(
        main, ["close", "-n", "1k", "--peer", "stateless", "--threshold", "served==1000"]
    )
    assert done.exit_code == 0, done.output
