"""SIGINT and SIGTERM at any moment; workers that do not outlive their parent; what was cut short."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from loadgen import signals
from loadgen.api import result_of
from loadgen.sim import simulate
from loadgen.workers import WorkerLost, spread
from tests.loadgen.hostile import invoke
from tests.loadgen.playing import played, scenario_of
from tests.loadgen.processes import (
    alive,
    children,
    environment,
    handles,
    killed,
    started,
    until,
    until_working,
)
from tests.loadgen.stamping import stamped

MS = 1_000_000
ENDLESS = {
    "handshake": ("handshake", "-n", "5M", "--rate", "1k"),
    "flood": ("flood", "--flood-rate", "20k", "--duration", "2h"),
}
SHARED = ("flood", "--flood-rate", "20k", "--duration", "2h", "--compare", "all", "--jobs", "2")
CHECK = ("flood", "--flood-rate", "40", "--rate", "10", "--backlog", "4", "--rtt", "4ms", "--duration", "20s",
         "-o", "both.rto_initial_ms=200", "-o", "tcp_synack_retries=0", "-o", "tcp_syncookies=0",
         "-o", "synq_policy=drop-new", "--check", "--seeds", "10000")  # fmt: skip
NUMBERS = [signal.SIGINT, signal.SIGTERM]


def said(stderr):
    """Standard error without the estimate of a big run."""
    return [line for line in stderr.decode().splitlines() if not line.startswith("memory of this simulation")]


def workers_of(pid):
    """The workers among the children of a process: multiprocessing has one of its own beside them."""
    return [child for child in children(pid) if "spawn_main" in _command(child)]


def own_figures(text):
    document = json.loads(text)
    assert document["partial"] is True
    return document["results"]


@pytest.mark.parametrize("number", NUMBERS)
def test_while_it_starts(number):
    """From our first line on (SIGTERM's handler is installed last), during all imports and into the run."""
    dice = random.Random(number)
    for _ in range(30):
        with started("handshake", "-n", "1M", "--rate", "1k", "--format", "json") as process:
            until(lambda p=process: handles(p.pid, signal.SIGTERM) or p.poll() is not None)
            time.sleep(dice.uniform(0, 0.5))
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 128 + number, stderr
        assert said(stderr) == []
        if stdout:
            own_figures(stdout)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("command", ENDLESS)
def test_in_the_middle(command, number):
    with started(*ENDLESS[command], "--format", "json") as process:
        until_working(process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, said(stderr)) == (128 + number, [])
    figures = own_figures(stdout)
    assert figures["attempted"] > 0 and figures["not_started"] > 0
    assert figures["attempted"] == figures["connected"] + figures["pending"] + figures["failed"]
    if command == "handshake":
        assert figures["ghost"] == figures["failed"] == 0


def test_flat_out_in_the_middle_of_one_instant():
    """All open at one virtual time, and what was not begun by then is called so."""
    with started("handshake", "-n", "10M", "--rtt", "40ms", "--format", "json") as process:
        until_working(process, 1.0)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    if process.returncode == 130 and stdout:
        figures = own_figures(stdout)
        assert figures["attempted"] + figures["not_started"] == 10_000_000
        assert figures["failed"] == figures["ghost"] == 0
        assert figures["attempted"] == figures["connected"] + figures["pending"]


@pytest.mark.parametrize("number", [*NUMBERS, signal.SIGKILL])
def test_workers_end_within_a_second(number):
    with started(*SHARED, "--format", "json") as process:
        until_working(process, 6.0)
        workers = workers_of(process.pid)
        assert len(workers) == 2
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)  # also: nobody else holds its standard output
        # the parent is gone: from here on no worker executes another instruction of its own, however late
        # a busy machine comes to remove it
        assert [pid for pid in workers if alive(pid) and not killed(pid)] == []
        until(lambda: not any(map(alive, workers)))
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert said(stderr) == []
    if number != signal.SIGKILL:
        own_figures(stdout)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_check_says_what_it_has_measured(workers, number):
    with started(*CHECK, "--jobs", workers, "--format", "json") as process:
        until_working(process, 2.0 + 2.0 * int(workers))
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, said(stderr)) == (128 + number, [])
    own_figures(stdout)
    document = json.loads(stdout)
    assert 1 <= len(document["replicates"]) < 10_000
    assert document["theory"]


def test_ctrl_c_of_a_terminal_reaches_the_workers_too():
    with started(*SHARED, "--format", "json", start_new_session=True) as process:
        until_working(process, 6.0)
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, said(stderr)) == (130, [])
    own_figures(stdout)


# -- inside of the process ----------------------------------------------------------------


@pytest.fixture
def handlers():
    """Our handlers for this test only."""
    numbers = (*signals.ENDING, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signals.install()
    signals.started()
    yield
    signals.honoured()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_waits_for_a_safe_place(handlers, number):
    passed = False
    with pytest.raises(KeyboardInterrupt), signals.at_checks():
        os.kill(os.getpid(), number)
        passed = True
        signals.check()
    assert passed
    assert signals.exit_code() == 128 + number


def test_where_there_is_no_safe_place_it_comes_anyway_and_again(handlers, monkeypatch):
    monkeypatch.setattr(signals, "GRACE_S", 0.05)
    with pytest.raises(KeyboardInterrupt), signals.at_checks():
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(3):  # somebody swallows it
            with pytest.raises(KeyboardInterrupt):
                time.sleep(60)


def test_a_second_one_does_not_wait(handlers):
    with pytest.raises(KeyboardInterrupt), signals.later():
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.pending()
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it was to be interrupted")


def test_while_the_result_is_written_it_is_only_noted(handlers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(path, text):
        os.kill(os.getpid(), signal.SIGTERM)
        path.write_text(text)

    monkeypatch.setattr("loadgen.cli.common.write_file", write)
    monkeypatch.setattr("tests.loadgen.hostile.EXIT_CODES", {143})
    assert invoke(["handshake", "-n", "5", "--output", "r.json"]).code == 143
    assert json.loads((tmp_path / "r.json").read_text())["partial"] is False


# -- workers ------------------------------------------------------------------------------


def _twice(job):
    return 2 * job


def _fails(job):
    raise MemoryError("no more")


def _dies(job):
    os.kill(os.getpid(), signal.SIGKILL)


_PARENT = """
import sys
from loadgen.workers import spread
from tests.loadgen.stamping import stamps
if __name__ == "__main__":
    list(spread(stamps, [(name, bound) for name in sys.argv[2:] for bound in [sys.argv[1] == "bound"]], 2))
"""


@pytest.mark.parametrize("how", ["bound", "unbound"])
def test_a_worker_does_nothing_a_second_after_its_parent(how, tmp_path):
    """By the worker's own clock, which it writes down all the time; unbound: it has told the system not to
    kill it, as on a system that cannot."""
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    names = [str(tmp_path / name) for name in "ab"]
    parent = subprocess.Popen([sys.executable, str(script), how, *names], env=environment())
    try:
        until(lambda: all(map(stamped, names)))
        workers = workers_of(parent.pid)
        assert len(workers) == 2
    finally:
        parent.kill()
        parent.wait()
    ended = time.monotonic()
    until(lambda: not any(map(alive, workers)))
    assert all(stamped(name) - ended < 1 for name in names)


def test_every_job_is_done_once():
    assert sorted(spread(_twice, range(7), 2)) == [0, 2, 4, 6, 8, 10, 12]
    assert list(spread(_twice, [], 2)) == []


def test_the_error_of_a_job_is_the_callers():
    with pytest.raises(MemoryError, match="no more"):
        list(spread(_fails, [1, 2], 2))


def test_a_worker_that_is_killed_is_not_waited_for():
    with pytest.raises(WorkerLost, match="SIGKILL"):
        list(spread(_dies, [1, 2, 3], 2))
    until(lambda: not workers_of(os.getpid()), 5)


def _command(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


# -- figures of what was cut short ------------------------------------------------------------


def cut_short(at, **options):
    """The figures of a handshake that is stopped at this virtual time."""
    scenario = scenario_of("handshake", **options)
    outcome = simulate(scenario, stop=lambda: True) if at == 0 else stopped(scenario, at)
    assert outcome.partial
    return result_of(scenario, [outcome], kind="handshake").to_dict()["results"]


def stopped(scenario, at):
    """The outcome of a run that is stopped at the first point of its series from `at` on."""
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > at

    return simulate(scenario, stop=stop)


@pytest.mark.parametrize("at", [0, 1, 2, 5, 20, 41, 60])
def test_nothing_that_is_under_way_is_called_failed_or_ghost(at):
    figures = cut_short(at, connections=3000, rate="10k", rtt="20ms", series="5ms")
    assert (figures["failed"], figures["ghost"]) == (0, 0)
    assert figures["attempted"] == figures["served"] + figures["in_flight"] + figures["pending"]
    assert figures["attempted"] <= 3000


def test_at_the_end_of_duration_the_last_are_in_flight():
    figures = played("handshake", connections=5000, rate="1k", rtt="50ms", duration="2s")["results"]
    assert (figures["ghost"], figures["failed"]) == (0, 0)
    assert figures["in_flight"] in (25, 26)  # half a round trip at 1000/s
    assert figures["pending"] in (49, 50, 51)
    assert figures["attempted"] == figures["served"] + figures["in_flight"] + figures["pending"]


def test_who_is_forgotten_by_then_is_a_ghost_all_the_same():
    figures = played("handshake", connections=100, loss="third-ack=100%", duration="300s")["results"]
    assert (figures["ghost"], figures["in_flight"], figures["served"]) == (100, 0, 0)


def test_the_memory_of_the_simulation_is_called_so():
    document = json.loads(invoke(["flood", "--duration", "20ms", "--format", "json"]).stdout)
    assert set(document["wall"]["simulator_bytes"]) == {"client", "server"}

    def names(tree):
        for key, value in tree.items():
            yield key
            if isinstance(value, dict):
                yield from names(value)

    assert [key for key in names(document["results"]) if key.endswith("_bytes")] == []
