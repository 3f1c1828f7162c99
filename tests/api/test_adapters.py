"""The adapters for SimPy and asyncio, and the examples, run as they are."""

import asyncio
import runpy
from pathlib import Path

import numpy as np
import pytest
import simpy

from tcpcore.adapters import VirtualLoop, asyncio_network, run, simpy_network

MS = 1_000_000
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(("name", "lines", "said"), [
    ("balancer", 60, "2000 answers, the middle one after 13.0 ms\n"),
    ("heap_loop", 40, "100 opened, 100 await the other FIN\n"),
    ("virtual_asyncio", 40, "[1000, 1000, 1000] after 3600100 ms\n"),
])
def test_an_example_runs_and_is_short(capsys, name, lines, said):
    path = EXAMPLES / f"{name}.py"
    assert sum(bool(line.strip()) for line in path.read_text().splitlines()) <= lines
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out == said


def whole(net, until):
    """Nothing is left in any host, and each is consistent, once all timers have fired."""
    for host in net._hosts.values():
        host.engine.advance(until)
        assert host.engine.check() == []
        assert host.engine.gauges()["blocks_used"] == 0
        assert host._connections == {} and host.engine.next_timer() is None


def transfers(loss, n=50):
    """n connections of 10,000 bytes each way through a network that loses some; who got what and when."""
    env, got = simpy.Environment(), []
    rng = np.random.default_rng(7)
    net = simpy_network(env, 10 * MS, (lambda rows: rng.random(len(rows)) < loss) if loss else None)
    server, client = net.host("10.0.0.1"), net.host("10.0.0.2")
    listener = server.listen(80)

    def serve():
        while True:
            env.process(answer((yield listener.accept())))

    def answer(conn):
        conn.send(10_000)
        yield conn.drained()
        while (yield conn.recv()):
            pass
        conn.close()

    def ask(i):
        yield env.timeout(i * MS)
        conn = yield client.connect("10.0.0.1", 80)
        conn.send(10_000)
        total = 0
        while total < 10_000:
            total += yield conn.recv()
        conn.shutdown()
        assert (yield conn.recv()) == 0
        conn.close()
        got.append((i, env.now))

    env.process(serve())
    for i in range(n):
        env.process(ask(i))
    env.run()
    whole(net, env.now + 10**15)
    return net, got


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_everybody_is_served_and_nothing_is_left(loss):
    net, got = transfers(loss)
    assert sorted(i for i, _ in got) == list(range(50))
    server = net._hosts[0x0A000001].engine
    assert server.counters["BytesReceived"] == 500_000
    assert (server.counters["RetransSegs"] > 0) == (loss > 0)


def test_the_same_again_is_the_same():
    assert transfers(0.1)[1] == transfers(0.1)[1]


def test_segments_of_one_time_are_one_batch():
    env = simpy.Environment()
    net = simpy_network(env, MS)
    server, client = net.host("10.0.0.1"), net.host("10.0.0.2")
    batches = []
    receive = server._receive
    server._receive = lambda rows: (batches.append(len(rows)), receive(rows))
    server.listen(80)
    for _ in range(20):
        client.connect("10.0.0.1", 80)
    env.run(until=4 * MS)
    assert batches == [20, 20]                        # SYNs, ACKs


def test_a_refused_connection_is_an_error():
    env = simpy.Environment()
    net = simpy_network(env, MS)
    net.host("10.0.0.1")
    client = net.host("10.0.0.2")

    def ask():
        with pytest.raises(ConnectionError, match="ConnectRefused"):
            yield client.connect("10.0.0.1", 80)
        return env.now

    assert env.run(env.process(ask())) == 2 * MS
    env.run()
    whole(net, env.now)


def test_without_a_port_there_is_no_connection():
    env = simpy.Environment()
    client = simpy_network(env, MS).host("10.0.0.2", ip_local_port_range=(40_000, 40_000))
    client.connect("10.0.0.1", 80)

    def ask():
        with pytest.raises(ConnectionError, match="no port"):
            yield client.connect("10.0.0.1", 80)

    env.run(env.process(ask()))


def test_a_reset_ends_every_wait():
    env = simpy.Environment()
    net = simpy_network(env, MS)
    listener, client = net.host("10.0.0.1").listen(80), net.host("10.0.0.2")
    said = []

    def serve():
        conn = yield listener.accept()
        yield conn.recv()
        conn.abort()

    def wait(waitable):
        with pytest.raises(ConnectionError, match="ResetByPeer"):
            yield waitable
        said.append(env.now)

    def ask():
        conn = yield client.connect("10.0.0.1", 80)
        conn.send(10)
        yield conn.drained()
        conn.send(10)
        env.process(wait(conn.recv()))
        with pytest.raises(RuntimeError, match="another process waits"):
            conn.recv()
        yield env.timeout(10 * MS)
        yield env.process(wait(conn.recv()))
        yield env.process(wait(conn.drained()))

    env.process(serve())
    env.run(env.process(ask()))
    assert len(said) == 3


def test_a_connection_that_died_in_the_accept_queue_is_accepted_with_its_error():
    env = simpy.Environment()
    net = simpy_network(env, MS)
    server, client = net.host("10.0.0.1"), net.host("10.0.0.2")
    listener = server.listen(80)

    def ask():
        conn = yield client.connect("10.0.0.1", 80)
        conn.send(10)
        yield conn.drained()
        conn.abort()

    def serve():
        yield env.timeout(100 * MS)
        conn = yield listener.accept()
        assert conn.error == "ResetByPeer"
        assert (yield conn.recv()) == 10              # what came before is there
        with pytest.raises(ConnectionError, match="ResetByPeer"):
            yield conn.recv()
        conn.close()

    env.process(ask())
    env.run(env.process(serve()))
    env.run()
    whole(net, env.now)


def test_simpy_must_count_nanoseconds():
    with pytest.raises(TypeError, match="env: expected a simpy.Environment, got int"):
        simpy_network(3, MS)
    with pytest.raises(ValueError, match="env: expected a time in whole ns, got 0.5"):
        simpy_network(simpy.Environment(0.5), MS)


# -- asyncio


def test_the_clock_of_asyncio_is_exact_and_never_sleeps():
    async def main():
        loop, fired = asyncio.get_running_loop(), []
        month = 30 * 86_400 * 10**9
        for when in (1, 2, MS, MS + 1, month, month + 1):
            loop.call_at(when / 1e9, lambda: fired.append(loop.now()))
        await asyncio.sleep(31 * 86_400)
        return fired == [1, 2, MS, MS + 1, month, month + 1]

    assert run(main())


def test_a_cancelled_wait_is_no_error():
    async def main():
        net = asyncio_network(MS)
        listener, client = net.host("10.0.0.1").listen(80), net.host("10.0.0.2")
        accepting = asyncio.create_task(_of(listener.accept()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.connect("10.0.0.1", 80), 1e-3)
        conn = await accepting
        return conn.handle != 0

    assert run(main())


async def _of(waitable):
    return await waitable


def test_waiting_for_nothing_is_an_error():
    async def main():
        await asyncio.get_running_loop().create_future()

    loop = VirtualLoop()
    task = loop.create_task(main())
    with pytest.raises(RuntimeError, match="nothing is due"):
        loop.run_until_complete(task)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()


def test_another_loop_is_refused():
    async def main():
        asyncio_network(MS)

    with pytest.raises(TypeError, match="expected a running VirtualLoop"):
        asyncio.run(main())
