"""What an embedder writes: the example, and an event loop of its own that owns the clock."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from tcpcore import Engine, State

MS = 1_000_000
SECOND = 1000 * MS
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "embed.py"


def test_the_example_runs(capsys):
    told = runpy.run_path(str(EXAMPLE))
    assert len(told["served"]) == 1000
    assert capsys.readouterr().out.startswith("1000 served, 1000 FINs sent again at ")


def test_the_example_is_short():
    code = [line for line in EXAMPLE.read_text().splitlines()[1:] if line.strip()]
    assert len(code) <= 15


# -- the event loop of examples/heap_loop.py

Loop = runpy.run_path(str(EXAMPLE.with_name("heap_loop.py")))["Loop"]


class LossyLoop(Loop):
    """The example's loop, whose wire loses segments."""

    def __init__(self, delay, lost):
        super().__init__(delay)
        self.lost = lost

    def wire(self, rows):
        super().wire(rows[~self.lost(len(rows))])


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_an_event_loop_that_owns_the_clock(loss):
    rng = np.random.default_rng(1)
    loop = LossyLoop(20 * MS, lambda n: rng.random(n) < loss)
    server, client = loop.host("10.0.0.1"), loop.host("10.0.0.2", tcp_fin_timeout=5)
    web = server.listen("10.0.0.1", 80)
    arrivals = [int(when) for when in np.cumsum(rng.exponential(10 * MS, 200))]
    served, opened = [], []

    def arrive():
        conns, syns = client.connect("10.0.0.1", 80, loop.now)
        opened.append(conns)
        loop.wire(syns)

    def serve():
        """The application: looks every 50 ms, answers with 5000 bytes and hangs up."""
        conns = server.accept(web)
        served.extend(conns.tolist())
        loop.wire(server.send(conns, 5000, loop.now))
        loop.wire(server.close(conns, loop.now))
        if loop.now < 200 * SECOND:
            loop.at(loop.now + 50 * MS, serve)

    def hang_up():
        conns = np.concatenate(opened)
        ended = np.isin(client.info(conns)["state"], [State.CLOSE_WAIT, State.CLOSED])
        loop.wire(client.close(conns[ended], loop.now))
        opened[:] = [conns[~ended]]
        if loop.now < 200 * SECOND:
            loop.at(loop.now + 50 * MS, hang_up)

    for when in arrivals:
        loop.at(when, arrive)
    loop.at(0, serve)
    loop.at(arrivals[0], hang_up)
    loop.run(100 * SECOND)
    assert len(served) == len(arrivals)
    assert client.counters["BytesReceived"] == 5000 * len(arrivals)
    assert (server.counters["RetransSegs"] > 0) == (loss > 0)
    loop.run(2000 * SECOND)
    for engine in (server, client):
        assert engine.check() == [] and engine.gauges()["blocks_used"] == 0 and engine.next_timer() is None


def test_a_loop_that_only_asks_next_timer_misses_nothing():
    """Stepping from deadline to deadline gives what one long advance gives."""
    def silent_peer():
        engine = Engine(seed=3)
        engine.connect("10.9.9.9", 80, 0, n=50)
        engine.connect("10.9.9.9", 81, 7 * MS, n=50)
        return engine

    stepped, whole = silent_peer(), silent_peer()
    rows = b""
    while (due := stepped.next_timer()) is not None:
        rows += stepped.advance(due).tobytes()
    assert rows == whole.advance(1000 * SECOND).tobytes()
    stepped.advance(1000 * SECOND)
    assert stepped.blocks.tobytes() == whole.blocks.tobytes() and stepped.counters == whole.counters


def test_the_readme_shows_the_example_as_it_is():
    root = Path(__file__).parents[2]
    assert (root / "examples" / "embed.py").read_text() in (root / "README.md").read_text()
