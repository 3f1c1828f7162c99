"""`handshake`, `close` and `flood` give what they gave before scenarios: runs of the code of then, as data.

Without random choices and payload every counter, cause and figure is the same. With them each figure's mean
over seeds is compared: both are means of runs of their own, and differ by less than 4.5 standard errors of
their difference (about one in 100,000 for each by chance; the seeds are fixed). Where the figure of then was
wrong, `changed` of the entry says what it is now and why; CHANGELOG.md lists these.
"""

import json
import math
import shlex
from pathlib import Path
from statistics import mean, stdev

import pytest
from click.testing import CliRunner

from loadgen.cli import main

BEFORE = json.loads(
    (Path(__file__).parent / "data" / "before-one-simulator.json").read_text(encoding="utf-8")
)
SEEDS = 6
ERRORS = 4.5


def played(line, seed=0):
    words = shlex.split(line)[1:]
    outcome = CliRunner().invoke(main, [*words, "--seed", str(seed), "--format", "json"])
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


def some(counts):
    """What is not 0."""
    return {name: n for name, n in counts.items() if n}


def figure(tree, name):
    for part in name.split("."):
        tree = tree[part]
    return tree


@pytest.mark.parametrize("pin", BEFORE["exact"], ids=lambda pin: pin["name"])
def test_what_leaves_nothing_to_chance_is_the_same(pin):
    now, changed = played(pin["now"]), pin.get("changed", {})
    for side in ("client", "server"):
        for what in ("counters", "causes"):
            assert some(now[what][side]) == some(pin[what][side] | changed.get(f"{what}.{side}", {}))
    link = now["counters"]["link"]
    expected = pin["link"] | changed.get("link", {})
    assert {name: link.get(name, 0) for name in expected} == expected
    results = pin["results"] | changed.get("results", {})
    for name in ("virtual_ms", *changed.get("dropped", ())):
        results.pop(name, None)  # by its duration
    assert {name: now["results"][name] for name in results} == results
    for name, value in pin["handshake_ms"].items():
        seen = now["results"]["handshake_ms"][name]
        if name != "p99.9":  # which wants 10,000 samples now
            assert seen == value or seen == pytest.approx(value, rel=0.008), name


@pytest.mark.parametrize(("line", "clients"), [("--loss 100%", 20), ("--backlog 0 -o tcp_syncookies=0", 200)])
def test_a_run_lasts_until_connect_gives_up(line, clients):
    """131 s with Linux's knobs: whoever gets no answer has failed, nobody is pending."""
    results = played(f"loadgen handshake -n {clients} {line}")["results"]
    assert results["pending"] == 0
    assert results["failed"] == clients - results["connected"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("pin", BEFORE["random"], ids=lambda pin: pin["name"])
def test_what_is_left_to_chance_has_the_same_mean(pin):
    runs = [played(pin["now"], seed) for seed in pin["seeds"][:SEEDS]]
    for part in ("results", "counters"):
        for name, before in pin[part].items():
            now = [figure(run[part], name) for run in runs]
            error = math.sqrt(stdev(before) ** 2 / len(before) + stdev(now) ** 2 / len(now))
            assert abs(mean(now) - mean(before)) <= ERRORS * error + 0.5, (name, before, now)
