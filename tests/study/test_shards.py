"""Shards of a scenario: together they are given all of it, and their results are added exactly."""

import dataclasses
import json

import numpy as np
import pytest

from loadgen import entry
from loadgen.api import replicates_of
from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.hosts import resolve
from loadgen.scenario.model import Flood, Load, Scenario
from loadgen.study import shards
from loadgen.study.spreading import play_on
from loadgen.workers import WorkerLost

WEB = """schema = 1
seed = 3
[server]
listen = { backlog = 20, listeners = 4 }
accept = { time = "exp:1ms" }
[client]
hosts = %d
[[load]]
name = "web"
rate = "2k/s"
hold = "20ms"
[[load]]
name = "few"
rate = "inf"
count = 10
[[flood]]
rate = "100/s"
[link]
rtt = "2ms"
[run]
duration = "200ms"
series = "50ms"
seeds = 2
drain = true
"""


def web(hosts=2):
    return Scenario.from_toml(WEB % hosts)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("hosts", [1, 2, 4, 7])
def test_together_they_are_given_all_of_it(n, hosts):
    whole, parts = web(hosts), shards.split(web(hosts), n)
    assert sum(part.server.listen.listeners for part in parts) == 4
    assert sum(part.load[0].shape[0][1] for part in parts) == pytest.approx(2000)
    assert sum(part.load[1].count for part in parts) == 10
    assert sum(part.flood[0].rate for part in parts) == pytest.approx(100)
    ends = [resolve(part) for part in parts]
    cap = resolve(whole).server.tcp_max_tw_buckets
    assert sum(end.server.tcp_max_tw_buckets for end in ends) == cap
    tuples = set()
    for part, end in zip(parts, ends, strict=True):
        first = int(part.client.first_addr.rpartition(".")[2])
        low, high = end.client.ip_local_port_range
        mine = {(first + host, port) for host in range(part.client.hosts) for port in (low, high)}
        assert not tuples & mine
        tuples |= mine
    sizes = [
        part.client.hosts * (end.client.ip_local_port_range[1] - end.client.ip_local_port_range[0] + 1)
        for part, end in zip(parts, ends, strict=True)
    ]
    assert sum(sizes) == hosts * 28232


def test_a_trace_is_dealt_out():
    load = Load("trace", arrivals="trace:", times_ns=range(0, 10**7, 10**6))
    whole = dataclasses.replace(web(), load=[load], flood=[Flood("f", rate=1.0)])
    parts = shards.split(whole, 3)
    assert sorted(time for part in parts for time in part.load[0].times_ns) == list(load.times_ns)


def played(n):
    jobs = shards.jobs_of(web(), n)
    return [job.play() for job in jobs]


def test_counts_and_distributions_are_summed():
    parts = played(4)
    both = shards.merged(parts, 4)
    assert [one.replicate for one in both] == [0, 1] and not any(one.partial for one in both)
    for k, one in enumerate(both):
        mine = parts[4 * k : 4 * k + 4]
        for place, load in enumerate(one.loads):
            assert load.attempted == sum(part.loads[place].attempted for part in mine)
            assert load.connect.counts.sum() == sum(part.loads[place].connect.counts.sum() for part in mine)
            assert load.connect.max == max(part.loads[place].connect.max for part in mine)
        for side, counts in one.counters.items():
            assert counts["sent_by_client" if side == "link" else "InSegs"] == sum(
                part.counters[side]["sent_by_client" if side == "link" else "InSegs"] for part in mine
            )
        assert one.left == {"client": 0, "server": 0} and one.floods[0].sent == sum(
            part.floods[0].sent for part in mine
        )
    assert len({tuple(part.series["load"]["web.attempted"]) for part in parts}) == len(parts)


def test_series_are_added_on_one_time_axis():
    parts = played(4)[:4]
    one = shards.merge(parts, 0)
    times = one.series["time"]["time_ns"]
    assert list(times) == sorted({int(time) for part in parts for time in part.series["time"]["time_ns"]})
    at = list(times).index(100_000_000)
    for name in ("ESTABLISHED", "TIME_WAIT"):
        expected = sum(
            int(part.series["client"][name][list(part.series["time"]["time_ns"]).index(100_000_000)])
            for part in parts
        )
        assert one.series["client"][name][at] == expected
    for name in ("web.attempted", "web.served"):
        assert (np.diff(one.series["load"][name]) >= 0).all()
        assert one.series["load"][name][-1] == sum(part.series["load"][name][-1] for part in parts)
    assert one.peaks["client.time_wait"] == one.series["client"]["time_wait"].max()
    assert one.peaks["server.accept_queue"] >= max(part.peaks["server.accept_queue"] for part in parts)


def test_one_shard_is_the_scenario_itself():
    [one, _] = shards.merged(played(1), 1)
    alone = replicates_of(web())[0].play()
    for load, same in zip(one.loads, alone.loads, strict=True):
        for field in ("attempted", "served", "ghost", "refused", "first_try", "tries"):
            assert getattr(load, field) == getattr(same, field), field
    assert one.counters == {side: dict(counts) for side, counts in alone.counters.items()}


def test_what_is_missing_is_partial():
    parts = played(2)
    parts[1] = None
    first, second = shards.merged(parts, 2)
    assert first.partial and not second.partial
    assert shards.merged([None, None], 2) == [None]


def test_each_shard_of_a_host_has_as_many_ports_that_are_not_reserved():
    reserved = "32768-40000,50000,60990-61100"
    scenario = web(2).replace({"client.knobs.ip_local_reserved_ports": reserved})
    whole = resolve(scenario).client
    ranges, given = [], []
    for shard in shards.split(scenario, 4):
        config = resolve(shard).client
        ranges.append(config.ip_local_port_range)
        given.append(config.ports())
    assert sum(given) == whole.ports() == 20_988 and max(given) - min(given) <= 1
    assert ranges[0][0] == 40_001 and ranges[-1][1] == 60_989
    assert all(low == high + 1 for (_, high), (low, _) in zip(ranges, ranges[1:], strict=False))
    few = scenario.replace({"client.knobs.ip_local_reserved_ports": "32768-60996"})
    with pytest.raises(ScenarioError, match="shards: 3 ports of a client host are too few"):
        shards.split(few, 4)


def test_what_cannot_be_divided_says_so():
    with pytest.raises(ScenarioError, match="shards: expected 1 to 4 .*, got 5"):
        shards.split(web(), 5)
    few = dataclasses.replace(web(), load=[Load("users", concurrency=2)])
    with pytest.raises(ScenarioError, match="load.users.concurrency: 2 are too few"):
        shards.split(few, 4)


def test_the_command_gives_the_same_with_any_number_of_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.toml").write_text(WEB % 2)
    found = []
    for name, args in (("a", ("--shards",)), ("b", ("--shards", "4", "--jobs", "2"))):
        assert entry.run(["run", "web.toml", *args, "-O", f"{name}.json"]) == 0
        document = json.loads((tmp_path / f"{name}.json").read_text())
        document.pop("wall"), document.pop("command"), document.pop("reproduce")
        found.append(document)
    assert found[0] == found[1]
    assert any("4 shards: ports" in line for line in found[0]["not_modelled"])
    assert entry.run(["run", "web.toml", "--shards", "5"]) == 3


def test_the_command_gives_the_same_on_any_executor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.toml").write_text(WEB % 4)
    said = []
    for name, args in (("here", ()), ("threads", ("--executor", "tests.study.made:threads"))):
        assert entry.run(["run", "web.toml", "--shards", *args, "-O", f"{name}.json"]) == 0
        said.append(json.loads((tmp_path / f"{name}.json").read_text()))
        del said[-1]["wall"], said[-1]["command"]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("executor", "code", "what"),
    [
        ("cloud", 3, "expected processes, dask:ADDRESS"),
        ("tests.study.made:no_executor", 3, "it gave a int"),
    ],
)
def test_an_executor_that_cannot_be_had(tmp_path, monkeypatch, capsys, executor, code, what):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.toml").write_text(WEB % 4)
    assert entry.run(["run", "web.toml", "--shards", "--executor", executor]) == code
    assert what in capsys.readouterr().err


class Losing:
    """A pool that loses the worker of each job as many times as it is told."""

    def __init__(self, losses):
        self.losses, self.waiting, self.closed = losses, [], False

    @property
    def idle(self):
        return 2 - len(self.waiting)

    def submit(self, number, job):
        self.waiting.append((number, job))

    def done(self, timeout):
        number, job = self.waiting.pop()
        if self.losses.get(number, 0):
            self.losses[number] -= 1
            return [(number, None, WorkerLost("it was killed"))]
        return [(number, job.play(), None)]

    def close(self):
        self.closed = True


def test_a_job_whose_worker_was_lost_is_played_once_more():
    jobs = shards.jobs_of(web(4), 4)
    pool = Losing({0: 1, 5: 1})
    run = play_on(pool, jobs, lambda done, of: None, lambda: False)
    assert pool.closed and not run.interrupted and None not in run.outcomes
    assert [one.counters for one in run.outcomes] == [job.play().counters for job in jobs]
    with pytest.raises(WorkerLost, match="killed"):
        play_on(Losing({1: 2}), jobs, lambda done, of: None, lambda: False)


def test_a_stop_keeps_what_is_done():
    jobs = shards.jobs_of(web(4), 4)
    told = []
    run = play_on(Losing({}), jobs, lambda done, of: told.append(done), lambda: len(told) >= 3)
    assert run.interrupted and told == [1, 2, 3]
    assert sum(one is not None for one in run.outcomes) == 3
