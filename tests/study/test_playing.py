"""Tasks on a pool that is made up: admission by memory, longest first, a lost worker, a failed point."""

import dataclasses
from types import SimpleNamespace

import pytest

from loadgen.study import playing
from loadgen.study.playing import Session, Stopped
from loadgen.study.spec import make_point
from loadgen.workers import Pool, WorkerLost
from tests.study.made import scenario


class Made:
    """A pool that finishes the newest task first; `fate` says what comes of a (value, replicate)."""

    def __init__(self, fate=lambda value, replicate, time: None, size=3):
        self.fate, self.size = fate, size
        self.running, self.began, self.most_bytes, self.alone = {}, [], 0, []
        self.tries = {}

    @property
    def idle(self):
        return self.size - len(self.running)

    def submit(self, number, job):
        name = (job.scenario.server.listen.backlog, job.replicate)
        self.tries[name] = self.tries.get(name, 0) + 1
        self.running[number] = name
        self.began.append(name)

    def done(self, timeout):
        number = max(self.running)
        if self.tries[self.running[number]] == 2:
            self.alone.append(len(self.running) == 1)
        name = self.running.pop(number)
        error = self.fate(*name, self.tries[name])
        return [(number, None if error else SimpleNamespace(replicate=name[1]), error)]

    def close(self):
        pass


@pytest.fixture(autouse=True)
def results(monkeypatch):
    """A result is what its outcomes are."""
    def result(self, point, seeds, outcomes):
        return [outcome.replicate for outcome in outcomes]

    monkeypatch.setattr(Session, "result", result)


def point(backlog, seconds=1.0, nbytes=10):
    made = make_point({"backlog": backlog}, scenario(backlog=backlog))
    return dataclasses.replace(made, seconds=seconds, nbytes=nbytes)


def test_every_point_has_its_seeds_in_order_whatever_finishes_first():
    points = [point(1), point(2), point(3)]
    session = Session(Made())
    session.play((one, 4) for one in points)
    assert [session.found[one.key] for one in points] == [[0, 1, 2, 3]] * 3


def test_the_longest_begin_first_and_a_points_seeds_stay_together():
    pool = Made(size=1)
    points = [point(1, seconds=1.0), point(2, seconds=9.0), point(3, seconds=1.0)]
    Session(pool).play((one, 2) for one in points)
    assert [backlog for backlog, _ in pool.began] == [2, 2, 1, 1, 3, 3]


def test_no_more_is_admitted_than_fits_in_memory():
    pool = Made(size=8)
    used = []
    points = {n: point(n, nbytes=n) for n in (30, 40, 50, 60)}
    submit = pool.submit

    def noted(number, job):
        submit(number, job)
        used.append(sum(points[backlog].nbytes for backlog, _ in pool.running.values()))

    pool.submit = noted
    session = Session(pool, budget=100)
    session.play((one, 2) for one in points.values())
    assert len(session.found) == 4 and max(used) <= 100 and max(used) > 60


def test_a_point_that_never_fits_is_a_failed_point_and_the_others_go_on():
    session = Session(Made(), budget=100)
    big, small = point(1, nbytes=10**9), point(2)
    session.play([(big, 1), (small, 1)])
    assert list(session.found) == [small.key]
    assert session.failures[big.key].reason == "it takes about 1 GB of memory, 100 B may be used (--memory)"


LOST = WorkerLost("a worker process was ended by SIGKILL, perhaps for want of memory")


def test_a_task_whose_worker_was_lost_is_played_once_more_alone():
    pool = Made(lambda value, replicate, time: LOST if (value, replicate, time) == (2, 1, 1) else None)
    session = Session(pool)
    session.play((point(n), 3) for n in (1, 2, 3))
    assert len(session.found) == 3 and not session.failures
    assert pool.tries[(2, 1)] == 2 and pool.alone == [True]


@pytest.mark.parametrize("error", [LOST, MemoryError(), type("KilledWorker", (Exception,), {})("x")])
def test_lost_twice_the_point_has_failed(error):
    pool = Made(lambda value, replicate, time: error if (value, replicate) == (2, 1) else None)
    session = Session(pool)
    session.play((point(n), 3) for n in (1, 2, 3))
    assert len(session.found) == 2
    [failure] = session.failures.values()
    assert failure.replicate == 1 and failure.reason.endswith("; alone, too")


def test_an_error_of_the_task_itself_is_not_tried_again():
    pool = Made(lambda value, replicate, time: ValueError("no such host") if value == 2 else None, size=1)
    session = Session(pool)
    session.play((point(n), 3) for n in (1, 2, 3))
    assert [failure.reason for failure in session.failures.values()] == ["no such host"]
    assert len([name for name in pool.began if name[0] == 2]) == 1  # nor are the point's other seeds


def test_more_seeds_play_only_those_that_are_new():
    pool = Made()
    session = Session(pool, keep_outcomes=True)
    one = point(1)
    session.play([(one, 2)])
    session.play([(one, 4)])
    assert session.found[one.key] == [0, 1, 2, 3] and sorted(pool.began) == [(1, n) for n in range(4)]


def test_a_wish_to_stop_ends_it_with_what_there_is():
    pool, done = Made(size=1), []
    session = Session(pool, stop=lambda: len(done) >= 3, progress=lambda now, of, share: done.append(now))
    with pytest.raises(Stopped):
        session.play((point(n), 1) for n in range(1, 9))
    assert 1 <= len(session.found) < 8


def test_what_is_told_goes_by_the_cost_of_runs_and_never_back():
    """Also where more runs are asked for as others are judged, as a search does."""
    told = []
    session = Session(Made(size=1), progress=lambda done, of, share: told.append((done, of, share)))
    session.expected = 6
    dear, cheap = point(1), point(2)
    session.play([(dataclasses.replace(dear, seconds=3.0), 1), (dataclasses.replace(cheap, seconds=1.0), 1)])
    assert told == [(0, 6, 0.0), (1, 6, 0.75 * 2 / 6), (2, 6, 2 / 6)]
    session.play([(point(n), 1) for n in range(3, 9)])
    assert told[-1] == (8, 8, 1.0)
    shares = [share for _, _, share in told]
    assert shares == sorted(shares)


# -- processes -------------------------------------------------------------------------------


def work(job):
    import os
    import signal

    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "fail":
        raise ValueError("no")
    return job * 2


def test_a_process_that_is_killed_takes_its_own_job_with_it_and_no_other():
    pool = Pool(work, 2)
    jobs, done = ["a", "die", "b", "fail", "c"], {}
    waiting = list(enumerate(jobs))
    try:
        while waiting or len(done) < len(jobs):
            while waiting and pool.idle:
                pool.submit(*waiting.pop(0))
            done |= {number: (value, error) for number, value, error in pool.done(1.0)}
    finally:
        pool.close()
    assert [done[n][0] for n in (0, 2, 4)] == ["aa", "bb", "cc"]
    assert isinstance(done[1][1], WorkerLost) and "SIGKILL" in str(done[1][1])
    assert isinstance(done[3][1], ValueError)
    assert playing.is_lost(done[1][1]) and not playing.is_lost(done[3][1])
