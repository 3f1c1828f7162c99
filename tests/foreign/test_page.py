"""docs/embedding-c.md: its files are built and run as they stand there, with its commands."""

import gc
import sys

import pytest

from tcpcore import Engine
from tests.foreign.building import CONNECTIONS, ROOT, attempt, blocks, commands, run, tools
from tests.foreign.conftest import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    for name, text in blocks().items():
        (place / name).write_text(text)
    tools(place)
    return place


@pytest.fixture(scope="module")
def cython_example(folder):
    run(folder, "sh", "-c", commands("python setup.py"))
    return folder


@pytest.fixture(scope="module")
def program(folder):
    run(folder, "sh", "-c", commands("c++"))
    return folder / "handshakes"


def test_the_page_shows_four_files():
    assert sorted(blocks()) == ["handshakes.cpp", "handshakes.pyx", "run.py", "setup.py"]


def test_the_cython_example(cython_example):
    assert run(cython_example, sys.executable, "run.py") == "100000 100000 100000\n"


def test_the_cpp_example(program, folder):
    assert commands("./handshakes") == "./handshakes 100000"
    assert run(folder, program, CONNECTIONS) == f"{CONNECTIONS} {CONNECTIONS} 0\n"


def test_the_page_says_what_they_print():
    text = (ROOT / "docs" / "embedding-c.md").read_text()
    assert "It prints `100000 100000 100000`." in text and "It prints `100000 100000 0`." in text


def test_every_connection_is_opened_and_closed_and_counted(cython_example):
    """The counters of both ends, and that the example keeps its engines alive."""
    handshakes = load(cython_example, "handshakes")
    client, server = Engine(local_addr="10.0.0.2"), Engine()
    pair = handshakes.Pair(client, server)
    pair.run(server.listen("10.0.0.1", 80), 0x0A000001, 80, CONNECTIONS)
    assert (
        pair.established == client.counters["ActiveOpens"] == server.counters["PassiveOpens"] == CONNECTIONS
    )
    assert client.counters["OutSegs"] == server.counters["InSegs"] == 4 * CONNECTIONS  # SYN, ACK, FIN, ACK
    assert server.counters["OutSegs"] == client.counters["InSegs"] == 3 * CONNECTIONS  # SYN-ACK, ACK, FIN
    assert sum(client.causes.values()) == sum(server.causes.values()) == 0
    assert server.gauges()["blocks_used"] == 0
    assert client.gauges()["blocks_used"] == client.gauges()["time_wait"] == min(CONNECTIONS, 12_000)
    assert client.check() == server.check() == []

    owned = sys.getrefcount(client)
    del pair
    gc.collect()
    assert sys.getrefcount(client) == owned - 1


def test_a_pair_keeps_its_engines(cython_example):
    handshakes = load(cython_example, "handshakes")
    server = Engine()
    listener = server.listen("10.0.0.1", 80)
    pair = handshakes.Pair(Engine(local_addr="10.0.0.2"), server)
    del server
    gc.collect()
    pair.run(listener, 0x0A000001, 80, 50)
    assert pair.established == 50


def test_an_error_is_told_by_its_code(cython_example):
    handshakes = load(cython_example, "handshakes")
    client = Engine(local_addr="10.0.0.2")
    client.advance(2**60)
    with pytest.raises(RuntimeError, match=str(-(1 << 60) - 2)):
        handshakes.Pair(client, Engine()).run(1, 0x0A000001, 80, 1)
    with pytest.raises(TypeError, match="expected a tcpcore.Engine, got str"):
        handshakes.Pair(client, "server")


def test_without_tcpcore_the_program_says_so(program, folder):
    done = attempt(folder, "env", "PYTHONPATH=/nowhere", program, "1")
    assert done.returncode == 1 and "ModuleNotFoundError: No module named 'tcpcore'" in done.stderr
