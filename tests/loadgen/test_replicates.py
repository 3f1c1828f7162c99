"""Replicates on this process, on workers and on executors: same outcomes, same order, every interruption."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadgen import replicates, signals
from loadgen.scenario.model import Scenario
from loadgen.workers import WorkerLost, spread_stoppable
from tcpcore import Config


class Partial:
    def __init__(self, replicate, partial):
        self.replicate, self.partial = replicate, partial


def fake(scenario, replicate=0, *, server=None, client=None, progress=None, stop=None,
         workload=None):
    """Ten steps, ended by `stop`; later replicates are faster."""
    for step in range(10):
        if stop is not None and stop():
            return Partial(replicate, True)
        if progress is not None:
            progress(step, 10)
        time.sleep(0.001 * (4 - replicate % 4))
    return Partial(replicate, False)


@pytest.fixture(autouse=True)
def played_by_a_fake(monkeypatch):
    monkeypatch.setattr(replicates, "simulate", fake)


def jobs(n):
    hosts = Config.linux()
    return [replicates.Job(Scenario(), replicate, hosts, hosts) for replicate in range(n)]


def numbers(run):
    return [outcome and outcome.replicate for outcome in run.outcomes]


def test_here_in_order_and_with_progress():
    seen = []
    run = replicates.play(jobs(3), progress=lambda done, of: seen.append((done, of)))
    assert numbers(run) == [0, 1, 2] and not run.interrupted
    assert seen == sorted(seen) and seen[0] == (0, 3) and seen[-1] == (3, 3)


def test_an_executor_finishes_in_any_order():
    with ThreadPoolExecutor(4) as executor:
        run = replicates.play(jobs(8), executor=executor)
    assert numbers(run) == list(range(8)) and not run.interrupted


def test_stopped_here_the_partial_one_is_kept():
    asked = iter([False] * 15)
    run = replicates.play(jobs(3), stop=lambda: next(asked, True))
    assert numbers(run) == [0, 1, None] and run.interrupted
    assert [outcome.partial for outcome in run.outcomes[:2]] == [False, True]


def test_stopped_on_an_executor_what_is_finished_is_kept():
    with ThreadPoolExecutor(1) as executor:
        run = replicates.play(jobs(20), executor=executor, stop=lambda: True)
    assert run.interrupted and None in run.outcomes


@pytest.mark.parametrize("stop", [None, lambda: False])
def test_an_interrupt_is_the_callers_unless_it_can_stop(monkeypatch, stop):
    def interrupted(scenario, replicate=0, **more):
        if replicate == 1:
            raise KeyboardInterrupt
        return fake(scenario, replicate)

    monkeypatch.setattr(replicates, "simulate", interrupted)
    if stop is None:
        with pytest.raises(KeyboardInterrupt):
            replicates.play(jobs(3))
    else:
        run = replicates.play(jobs(3), stop=stop)
        assert numbers(run) == [0, None, None] and run.interrupted
        assert not signals.pending()


@pytest.mark.parametrize("pool", [False, True])
def test_an_error_is_raised(monkeypatch, pool):
    def fail(scenario, replicate=0, **more):
        raise ValueError("no such host")

    monkeypatch.setattr(replicates, "simulate", fail)
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="no such host"):
        replicates.play(jobs(3), executor=executor if pool else None)


def test_progress_is_told_now_and_then_and_in_the_end():
    seen = []
    tell = replicates.every(3600.0, lambda done, of, share: seen.append(done))
    for done in range(11):
        tell(done, 10)
    assert seen == [0, 10]


# -- workers that can be stopped -------------------------------------------------------------


def steps(job, line):
    """A worker's job: so many steps of 10 ms."""
    for step in range(job):
        if line.stopped():
            return "stopped", step < job
        line.tell(step / job)
        time.sleep(0.01)
    return "done", job


def ends(job, line):
    os._exit(7)


def test_workers_say_how_far_they_are():
    heard = []
    done = dict(spread_stoppable(steps, [30, 1, 30], 2, lambda: False, lambda n, s: heard.append((n, s))))
    assert done == {0: ("done", 30), 1: ("done", 1), 2: ("done", 30)}
    assert {number for number, share in heard if share > 0} >= {0, 2}


def test_workers_end_with_what_they_have():
    heard = []
    jobs = [100_000, 100_000, 100_000]
    done = dict(spread_stoppable(steps, jobs, 2, lambda: len(heard) > 3, lambda *told: heard.append(told)))
    assert set(done) <= {0, 1} and done
    assert set(done.values()) == {("stopped", True)}


def test_a_worker_that_ends_is_told():
    with pytest.raises(WorkerLost, match="exit code 7"):
        list(spread_stoppable(ends, [1], 1, lambda: False, lambda *told: None))
