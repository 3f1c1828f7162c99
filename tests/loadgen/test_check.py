"""`loadgen flood --check`: which forms are asked, what they say, and that a wrong one is found out."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from loadgen.phases import check as checking
from loadgen.phases import theory
from loadgen.phases.check import NoForm, Queue, check, questions
from loadgen.phases.flood import FloodSettings
from loadgen.phases.flood_compare import with_policy
from loadgen.phases.link import Path, Rates
from loadgen.phases.report import as_csv, as_json, as_table
from tcpcore import Config

MS = 1_000_000
SECOND = 1000 * MS
LIFE = 0.2                             # s, of an entry here


def flood(policy, cookies=0, *, backlog=4, rate=40, clients=10, rtt_ms=4, **more):
    """Settings whose entries live for 200 ms, so that a check is quick."""
    knobs = Config.linux(rto_initial_ms=200, tcp_synack_retries=0, tcp_max_syn_backlog=1024, seed=3)
    settings = FloodSettings(
        rate=clients * 1000, duration_ns=5 * SECOND, patience_ns=SECOND, backlog=backlog, knobs=knobs, seed=3,
        path=Path(rtt_ns=rtt_ms * MS), flood_rate=rate * 1000)  # fmt: skip
    return dataclasses.replace(with_policy(settings, policy, cookies), **more)


def asked(settings):
    return {question.name: question for question in questions(settings)}


# -- what is asked


def test_a_refusing_queue_is_asked_for_erlangs_loss():
    found = asked(flood("drop-new"))
    loss = theory.erlang_b(5, 40 * LIFE + 10 * 0.004)
    assert found["syns_refused"].expected == found["clients_lost"].expected == pytest.approx(loss)
    assert found["backscatter"].expected == pytest.approx(1 - loss)
    assert found["syns_refused_paced"].expected == pytest.approx(1 - 5 / 8)
    assert found["clients_lost_in_5_tries"].expected == pytest.approx(loss**5)


@pytest.mark.parametrize(("policy", "form", "loss"), [
    ("evict-oldest", theory.POISSON_TAIL, lambda rate: theory.poisson_tail(rate * 0.1, 5)),
    ("evict-random", theory.RANDOM_VICTIM, lambda rate: theory.evict_random_loss(5, rate, 0.1)),
])  # fmt: skip
def test_an_evicting_queue_with_few_clients_beside_the_flood(policy, form, loss):
    question = asked(flood(policy, rate=1000, clients=500, rtt_ms=100))["clients_lost"]
    assert question.form is form and question.expected == pytest.approx(loss(1010))


def test_freebsds_buckets():
    question = asked(flood("freebsd", rate=400_000, rtt_ms=40))["clients_lost"]
    assert question.expected == pytest.approx(theory.poisson_tail(400_010 * 0.04 / 512, 30))


def test_linux_without_cookies_keeps_a_quarter_and_prunes():
    settings = flood("linux", backlog=2000)
    assert Queue.of(settings).places == 1024 - 256 + 1
    assert asked(settings)["syns_refused"].form is theory.ERLANG_B
    pruned = asked(dataclasses.replace(settings, knobs=settings.knobs.replace(tcp_synack_retries=5)))
    assert list(pruned) == ["syns_refused"] and "pruning" in pruned["syns_refused"].form.bias
    assert not pruned["syns_refused"].form.exact


def test_cookies_lose_nobody():
    assert {name: question.expected for name, question in asked(flood("linux", 2)).items()} == {
        "clients_lost": 0.0, "backscatter": 1.0}
    # on overflow a place is worth its resends, and the cookie one answer
    retried = flood("drop-new", 1)
    retried = dataclasses.replace(retried, knobs=retried.knobs.replace(tcp_synack_retries=1))
    loss = theory.erlang_b(5, 40 * 0.6 + 10 * 0.004)
    assert asked(retried)["backscatter"].expected == pytest.approx(2 * (1 - loss) + loss)


def test_a_forged_ack():
    assert asked(flood("linux", 2, kind="ack"))["forged_acks_taken"].expected == 2**-29
    assert asked(flood("freebsd", 2, kind="ack"))["forged_acks_taken"].expected == 2**-24


@pytest.mark.parametrize(("settings", "message"), [
    (flood("drop-new", kind="fin"), "--kind: no closed form for a flood of FIN"),
    (flood("drop-new", kind="ack"), "--kind ack: .* --cookies always"),
    (flood("drop-new", clients=0), "--clients: expected some"),
    (flood("drop-new", path=Path(rtt_ns=MS, loss=Rates.everywhere(0.1))), "--loss, .* clean link"),
    (flood("drop-new", on_ns=SECOND, off_ns=SECOND), "--on, .* steady flood"),
    (flood("drop-new", count=7), "--count"),
    (flood("drop-new", accept_delay_ns=MS), "--accept-delay"),
    (flood("drop-new", rtt_ms=190), "--rtt: expected less than 0.9"),
    (flood("evict-oldest", rate=20), "--rate: expected more than 50/s"),
    (flood("freebsd", rate=100_000), "--rate: expected more than 153600/s"),
])  # fmt: skip
def test_what_no_form_knows(settings, message):
    with pytest.raises(NoForm, match=message):
        questions(settings)


# -- what is found


@pytest.mark.parametrize("settings", [
    flood("drop-new"),
    flood("linux", rate=100),
    flood("evict-oldest", rate=400, rtt_ms=12),
    flood("evict-random", rate=400, rtt_ms=12),
    flood("drop-new", 1),
    flood("linux", 2),
], ids=lambda settings: settings.knobs.synq_policy + "-" * settings.knobs.tcp_syncookies)  # fmt: skip
def test_simulation_and_exact_forms_agree(settings):
    result = check(settings, 6)
    rows = result.results["check"]
    assert result.results["outside"] == 0, rows
    for row in rows.values():
        assert row["low"] <= row["simulated"] <= row["high"]
        assert row["assumes"] and (row["verdict"] in ("inside", "by chance")) == (row["bias"] == "")


def test_places_that_come_free_on_a_tick_are_shared_by_flood_and_clients():
    """One SYN and one free place a tick: neither is always the first there."""
    result = check(flood("drop-new", rate=1000, backlog=49, clients=100, rtt_ms=20), 6)
    assert result.results["check"]["clients_lost"]["verdict"] == "inside", result.results["check"]


@pytest.mark.parametrize("policy", ["drop-new", "evict-oldest"])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_capacity_off_by_one_is_found(monkeypatch, policy, more):
    """The formula is told of a place more or less than the simulated queue has."""
    real = Queue.of

    def off_by_one(given):
        queue = real(given)
        return dataclasses.replace(queue, places=queue.places + more)

    monkeypatch.setattr(Queue, "of", off_by_one)
    settings = flood(policy) if policy == "drop-new" else flood(policy, rate=4000, clients=50, rtt_ms=1)
    result = check(dataclasses.replace(settings, duration_ns=4 * SECOND), 6)
    assert result.results["outside"] > 0, result.results["check"]
    assert result.results["verdict"].startswith("Outside of its closed form: ")


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers():
    settings = dataclasses.replace(flood("evict-random", rate=400, rtt_ms=12), duration_ns=SECOND)
    one, two = (check(settings, 3, workers).as_dict() | {"wall": None} for workers in (1, 2))
    assert json.dumps(one) == json.dumps(two)
    other = check(dataclasses.replace(settings, seed=4), 3).results
    assert other != one["results"]


def interrupted_after(finished, settings, monkeypatch, seeds=4):
    """A check whose next run is interrupted when so many are finished."""
    measure, calls = checking._measure, []

    def stop(job):
        calls.append(job)
        if len(calls) > finished:
            raise KeyboardInterrupt
        return measure(job)

    monkeypatch.setattr(checking, "_measure", stop)
    return check(dataclasses.replace(settings, duration_ns=SECOND), seeds)


@pytest.mark.parametrize("finished", [0, 1, 2, 3, 5])
def test_what_was_measured_before_an_interrupt_is_said(finished, monkeypatch):
    settings = flood("drop-new", rate=40, backlog=4, clients=10)
    result = interrupted_after(finished, settings, monkeypatch)
    rows = result.results["check"]
    assert result.partial
    assert [row["seeds"] for row in rows.values()][:4] == [min(finished, 4)] * 4
    assert rows["syns_refused_paced"]["seeds"] == max(0, finished - 4)
    for name, row in rows.items():
        measured = row["seeds"] >= 2
        assert (row["verdict"] == checking.NOT_MEASURED) == (not measured), name
        assert (row["simulated"], row["low"], row["high"]) == (None,) * 3 or measured
    held = 3 if finished >= 2 else 0
    assert result.results["verdict"] == f"Interrupted: {held} of 3 exact forms were measured and hold."
    assert (result.wall["segments"] > 0) == (finished > 0)


def test_an_interrupted_check_in_every_format(monkeypatch, tmp_path):
    settings = flood("drop-new", rate=40, backlog=4, clients=10)
    result = interrupted_after(1, settings, monkeypatch)
    table = as_table(result, [], colour=False)
    assert "INTERRUPTED, partial result" in table and "not measured" in table
    assert json.loads(as_json(result))["partial"] is True
    assert "check.clients_lost.simulated,\n" in as_csv(result)


def test_a_run_with_nothing_to_measure_does_not_hide_an_interrupt(monkeypatch):
    settings = flood("drop-new", rate=40, backlog=4, clients=10)
    monkeypatch.setattr(checking.Measured, "figures", lambda self: dict.fromkeys(
        ("lost", "refused", "backscatter", "forged"), (0, 0)))  # fmt: skip
    rows = interrupted_after(2, settings, monkeypatch).results["check"]
    assert {row["verdict"] for row in rows.values()} == {checking.NOT_MEASURED}


def test_warm_up_is_five_lives_or_five_times_the_filling():
    assert checking.warm_up_ns(flood("drop-new")) == 5 * LIFE * SECOND
    assert checking.warm_up_ns(flood("evict-oldest", rate=100)) == 5 * 5 / 100 * SECOND


# -- the command

QUICK = ("flood --rate 40 --clients 10/s --backlog 4 --rtt 4ms --duration 2s -o rto_initial_ms=200 "
         "-o tcp_synack_retries=0 --cookies off --check --seeds 3 --workers 1").split()


def run(*more):
    return CliRunner().invoke(main, [*QUICK, *more])


def test_a_table_with_the_assumption():
    result = run("--policy", "drop-new")
    assert result.exit_code == 0, result.output
    for text in ("Erlang B: B(0) = 1", "assumes: SYNs come as a Poisson process", "known bias: ", "inside"):
        assert text in result.stdout


def test_json_and_thresholds():
    result = run("--policy", "evict-random", "--rate", "400", "--format", "json", "--threshold",
                 "check.clients_lost.simulated<0.001")
    assert result.exit_code == 99
    row = json.loads(result.stdout)["results"]["check"]["clients_lost"]
    assert row["form"] == "random victim" and row["seeds"] == 3


def test_exit_1_when_a_form_does_not_hold(monkeypatch):
    monkeypatch.setattr(theory, "erlang_b", lambda places, load: 0.01)
    result = run("--policy", "drop-new")
    assert result.exit_code == 1 and "OUTSIDE" in result.stdout


def test_bad_input():
    assert run("--policy", "drop-new", "--kind", "rst").exit_code == 3
    assert run("--compare", "all").exit_code == 2
    assert run("--policy", "drop-new", "--loss", "1%").exit_code == 3
