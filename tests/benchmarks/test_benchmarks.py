"""Tests that the benchmarks run and report what they measured; no test judges a time."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import tcpcore
from benchmarks import instructions, page, peers, revisions, targets, variants
from benchmarks.annotated import main as annotated
from benchmarks.annotated import nogil_functions
from benchmarks.bench_attack import attacks, bucket_attack, evicted, measured
from benchmarks.calls import Caller
from benchmarks.compare import SECTIONS as COMPARED
from benchmarks.compare import main as compare
from benchmarks.compare import merged, named
from benchmarks.harness import Measured, Stopwatch
from benchmarks.instructions import compared, per_connection, readable, self_costs
from benchmarks.lifecycle import PHASES, EnginePair, Lifecycle, NaivePair
from benchmarks.lookup_in_c import cython_against_c
from benchmarks.revisions import RevisionError
from benchmarks.sections import SECTIONS, section
from benchmarks.sections.pairs import bytes_per_connection
from benchmarks.sections.threads import Script, together
from benchmarks.sections.workloads import IN_THE_SYSTEM
from benchmarks.sides import POLICIES, ClientSide, Flood, Mixed, ServerSide
from benchmarks.skeleton import STAGES, Skeleton
from benchmarks.table import Row, Target, count, parsed_count
from benchmarks.timed import LAST, WAYS, Timed
from tcpcore import State

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")
N = 5000  # more than one batch, and the last one is not full


@pytest.mark.slow
def test_quick_run_prints_every_figure(tmp_path):
    told = tmp_path / "result.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--sizes",
        "10k,20k",
        "--cycles",
        "1",
        "--output",
        str(told),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(told.read_text())
    assert result["connections"] == 20_000 and result["revision"] and result["cpu"] and result["compiler"]
    names = [row["name"] for row in result["rows"]]
    assert len(set(named(result))) == len(names)
    for name in ("memory floor, 20k", "server side, 10k", "a pair's life, 20k", "SYN flood, drop"):
        assert name in names and name in done.stdout
    for row in result["rows"]:  # a system that had cleared pages at hand may bill no time for them
        assert row["value"]["median"] > 0 or row["name"].strip() == IN_THE_SYSTEM, row
    assert not any(str(ROOT) in text for text in (told.read_text(), done.stdout))


@pytest.mark.parametrize("pair", [EnginePair, NaivePair])
def test_every_phase_sees_every_connection(pair):
    life = Lifecycle(pair(N))
    for _ in range(2):  # the second one meets used blocks and a clock that has moved
        lap = life.cycle()
        assert list(lap) == [phase for phase, _ in PHASES]
        assert life.pair.left() == 0


def test_the_engines_of_a_cycle_are_sound():
    pair = EnginePair(N)
    Lifecycle(pair).cycle()
    for engine in (pair.client, pair.server):
        assert engine.check() == []
        assert set(engine.causes.values()) == {0}
    assert pair.client.counters["ActiveOpens"] == pair.server.counters["PassiveOpens"] == N
    assert pair.client.counters["TW"] >= N and pair.server.counters["RetransSegs"] == 0


def test_a_cycle_that_leaves_connections_is_no_measurement(monkeypatch):
    life = Lifecycle(EnginePair(N))
    monkeypatch.setattr(life.pair, "advance", lambda now: None)
    with pytest.raises(RuntimeError, match=f"{N} connections are left"):
        life.cycle()


def test_memory_keeps_its_limits():
    """At a million, where the limits are set: a huge page counts whole, 20 bytes of each of 100,000."""
    for knobs, most in (({}, 101), ({"tcp_timestamps": 0}, 85)):
        pair = EnginePair(1_000_000, **knobs)
        Lifecycle(pair).open()
        assert bytes_per_connection(pair) <= most


@pytest.mark.parametrize("timestamps", [0, 1])
def test_timed_batches_live_whole_lives(timestamps):
    timed = Timed(3 * N, tcp_timestamps=timestamps)
    assert set(timed.cycle()) == {*WAYS, *LAST}
    assert timed.engine.counters["InSegs"] == 2 * 3 * 3 * N and timed.engine.check() == []


@pytest.mark.parametrize("timestamps", [0, 1])
@pytest.mark.parametrize("side", [ServerSide, ClientSide, Mixed])
def test_one_end_lives_whole_lives(side, timestamps):
    life = side(N, batch=1024, tcp_timestamps=timestamps)
    for _ in range(2):
        lap = life.cycle()
        assert all(ns > 0 for ns in lap.values())
    engine, counters = life.engine, life.engine.counters
    assert engine.check() == []
    assert set(engine.causes.values()) == {0} and counters["RetransSegs"] == 0
    opened = counters["ActiveOpens"] + counters["PassiveOpens"]
    if side is Mixed:  # every fourth is established, the next fourth is answering a FIN
        assert opened == 2 * N + N // 2
        assert (
            list(engine.state_counts()[[State.SYN_RECEIVED, State.ESTABLISHED, State.LAST_ACK]])
            == [N // 4] * 3
        )
    else:
        assert opened == 2 * N
        assert engine.gauges()["blocks_used"] == 0


def test_a_resend_spoils_a_server_cycle(monkeypatch):
    life = ServerSide(N)
    monkeypatch.setattr(life, "step", 1_000_000_000)
    with pytest.raises(RuntimeError, match="sent again"):
        life.cycle()


@pytest.mark.parametrize("policy", POLICIES)
def test_flood_meets_a_full_queue(policy):
    flood = Flood(tcp_syncookies=0, synq_policy=policy)
    flood.cycle()
    before = flood.engine.gauges()["half_open"]
    flood.cycle()
    assert flood.engine.gauges()["half_open"] == before >= Flood.BACKLOG
    refused = sum(flood.engine.causes.values())
    assert refused == 2 * Flood.SYNS - before
    assert flood.engine.check() == []


def test_flood_with_cookies_answers_every_syn():
    flood = Flood(tcp_syncookies=1)
    flood.cycle()
    flood.cycle()
    assert flood.answered == Flood.SYNS


def test_the_c_reference_finds_what_the_table_finds():
    ours, theirs, ratio = cython_against_c(N, 1)  # which raises when either misses a flow
    assert min(ours.median, theirs.median, ratio.median) > 0


def test_two_threads_play_whole_lives():
    scripts = [Script(N, 1), Script(N, 2)]
    assert together(scripts) > 0
    for script in scripts:
        assert script.engine.counters["PassiveOpens"] == N
        assert script.engine.gauges()["blocks_used"] == 0


def test_peers_say_why_they_are_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "LWIP_HEADERS", tmp_path)
    with pytest.raises(peers.Missing, match="liblwip-dev"):
        peers.lwip(1, 0)
    monkeypatch.setattr(peers, "NS3_HEADERS", tmp_path)
    with pytest.raises(peers.Missing, match="libns3-dev"):
        peers.ns3(1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(peers.Missing, match="pip install simpy"):
        peers.simpy(1)
    with pytest.raises(peers.Missing, match="no namespace"):
        peers.sampled_by(script(tmp_path, "echo no namespace >&2; exit 3"))
    assert peers.sampled_by(script(tmp_path, "echo 1.5; echo 2.5")).median == 2.0


def script(directory, text):
    path = directory / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("target", "value", "floors", "mark"),
    [
        (None, 1.0, None, ""),
        (Target(25), 25.0, None, "ok"),
        (Target(25), 25.1, None, "BAD"),
        (Target(15, least=True), 14.9, None, "BAD"),
        (Target(2.8, "floors"), 99.0, 2.8, "ok"),
        (Target(2.8, "floors"), 1.0, 2.9, "BAD"),
    ],
)
def test_mark(target, value, floors, mark):
    row = Row("a", Measured.of([value]), "ns", floors and Measured.of([floors]), target)
    assert row.mark == mark
    assert row.line().endswith(mark)


DUMP = """\
desc: Trigger: Client Request: pair|SYN
fn=(1) __pyx_f_7tcpcore_4core_core_receive
10 5
+3 7
cfn=(2) __pyx_f_7tcpcore_10transition_arrives.constprop.0
calls=3 20
* 1000
fn=(2)
20 100
fn=(3) memcpy
0 11
"""


def test_instructions_are_those_of_the_function_itself(tmp_path):
    path = tmp_path / "out.1"
    path.write_text(DUMP)
    what, costs = self_costs(path)
    assert what == "pair|SYN"
    assert costs == {"core.core_receive": 12, "transition.arrives": 100, "memcpy": 11}


def test_phases_that_grow_by_more_than_a_percent_are_marked():
    before = {"SYN": Counter(a=800_000, b=200_000), "FIN": Counter(a=1_000_000)}
    after = {"SYN": Counter(a=1_010_001), "FIN": Counter(a=900_000), "accept": Counter(c=1)}
    lines = dict(compared(per_connection(before, 1000), per_connection(after, 1000)))
    assert list(lines.values()) == [True, False, True, False]
    assert [line.split() for line in lines] == [
        ["SYN", "500.0", "505.0", "+1.00", "%", "MORE"],
        ["FIN", "500.0", "450.0", "-10.00", "%"],
        ["accept", "0.0", "0.0", "+100.00", "%", "MORE"],
        ["total", "1,000.0", "955.0", "-4.50", "%"],
    ]


def test_instructions_of_two_revisions_side_by_side(tmp_path, monkeypatch, capsys):
    """Builds and valgrind are replaced; the exit status and the table are real."""
    costs = {tmp_path: 1000, instructions.ROOT: 1000}
    monkeypatch.setattr(instructions, "built_tree", lambda revision: tmp_path)
    monkeypatch.setattr(instructions, "counted", lambda tree, *_: {"server": {"SYN": Counter(a=costs[tree])}})
    monkeypatch.setattr(instructions.shutil, "which", str)
    monkeypatch.setattr(instructions, "HEADER", tmp_path)
    assert instructions.main(["--against", "v0", "server"]) == 0
    costs[instructions.ROOT] = 1020
    assert instructions.main(["--against", "v0", "server"]) == 1
    assert "MORE" in capsys.readouterr().out


def test_the_page_tells_what_was_recorded():
    assert page.main(["--check"]) == 0


def test_a_figure_typed_into_the_page_is_found():
    same = dict.fromkeys(
        ("cpu", "cpus", "load", "compiler", "flags", "python", "numpy", "system", "cython"), "x"
    )
    entry = {**same, "revision": "abc", "at": "2026-01-01T00:00:00Z", "table": ["a  1 ns", "b  2 ns"]}
    recorded = {"figures": [entry]}
    text = "before\n<!-- figures: begin (why) -->\nold\n<!-- figures: end -->\nafter\n"
    assert page.invented(text, recorded) == ["figures"]
    told = page.written(text, recorded)
    assert "a  1 ns\nb  2 ns" in told and told.startswith("before\n") and told.endswith("after\n")
    assert page.invented(told, recorded) == []
    assert page.invented(told, {"figures": [entry, entry | {"revision": "def"}]}) == []
    assert page.invented(told.replace("2 ns", "1 ns"), recorded) == ["figures"]


SOURCE = """\
cdef extern from "x.h" nogil:
    int f(int)

cdef int kernel(int a,
                int b,
                int c) noexcept nogil:
    return a

cdef int slow(int a):
    return a


cdef class Owner:
    cdef int method(self) noexcept nogil:
        return 1

    def call(self):
        with nogil:
            kernel(1, 2, 3)
"""


@pytest.mark.parametrize(
    ("yellow", "status"),
    [((), 0), ((10, 18, 19), 0), ((7,), 1), ((15,), 1)],  # lines, counted from 1
)
def test_yellow_lines_in_nogil_functions_are_found(tmp_path, capsys, yellow, status):
    (tmp_path / "tcp").mkdir()
    (tmp_path / "tcp" / "m.pyx").write_text(SOURCE)
    lines = [
        f'<pre class="cython line score-{5 if n in yellow else 0}" >+<span class="">{n:03}</span>: </pre>'
        for n in range(1, 21)
    ]
    (tmp_path / "tcp.m.html").write_text("\n".join(lines))
    assert [name for name, _ in nogil_functions(SOURCE.splitlines())] == ["kernel", "method"]
    assert annotated([str(tmp_path), "--sources", str(tmp_path)]) == status
    out = capsys.readouterr().out
    assert "2 nogil functions in 1 modules" in out
    assert all((f"tcp/m.pyx:{n}:" in out) == bool(status) for n in yellow)


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("__pyx_pw_7tcpcore_6engine_6Engine_25receive", "engine.Engine.receive"),
        ("__pyx_f_7tcpcore_9flowtable_flow_find", "flowtable.flow_find"),
        ("__pyx_f_7tcpcore_10components_10flow_table_flow_find", "components.flow_table.flow_find"),
        ("__pyx_f_7tcpcore_3tcp_6output_write_row.isra.0", "tcp.output.write_row"),
        ("_PyEval_EvalFrameDefault'2", "_PyEval_EvalFrameDefault"),
    ],
)
def test_readable_symbols(symbol, name):
    assert readable(symbol) == name


def test_spread_is_half_of_what_the_middle_half_covers():
    assert Measured.of([5.0]) == Measured(5.0, 0.0, 1)
    assert Measured.of([1.0, 2.0, 3.0, 4.0, 100.0]) == Measured(3.0, 1.0, 5)


def test_stopwatch_counts_sections_only():
    watch = Stopwatch()
    with watch.timing("a"):
        sum(range(10_000))
    before = watch()
    sum(range(100_000))
    assert watch() == before > 0
    assert watch.lap() == {"a": round(before * 1e9)} and watch.lap() == {} and watch() == before


def write_result(path, floors, spread=1.0, cpu="one", rate=10.0):
    def value(median, spread=spread):
        return {"median": median, "spread": spread, "samples": 5}

    rows = [
        {"name": "floor", "value": value(10 * floors), "judged": False},
        {"name": "life", "value": value(100.0), "floors": value(floors), "judged": True},
        {"name": "  bytes", "value": value(150.0, 0.0), "judged": True},
        {"name": "SYNs", "value": value(rate, 0.1), "judged": True, "rising": True},
    ]
    same = {"schema": 2, "connections": 1, "flags": "-O3", "python": "3"}
    path.write_text(json.dumps({"revision": path.stem, "cpu": cpu, "rows": rows} | same))
    return str(path)


@pytest.mark.parametrize(
    ("new", "status", "says"),
    [
        ({"floors": 50.0}, 0, "life: bytes"),
        ({"floors": 53.0}, 0, ""),  # within three spreads of both
        ({"floors": 56.0}, 1, "WORSE"),
        ({"floors": 51.0, "spread": 0.0}, 0, ""),  # less than 3 %
        ({"floors": 40.0}, 0, "better"),
        ({"floors": 50.0, "rate": 12.0}, 0, "better"),
        ({"floors": 50.0, "rate": 8.0}, 1, "WORSE"),
        ({"floors": 50.0, "cpu": "two"}, 2, "cannot be compared"),
    ],
)
def test_compare(tmp_path, capsys, new, status, says):
    old = write_result(tmp_path / "old.json", 50.0, new.get("spread", 1.0))
    assert compare([old, write_result(tmp_path / "new.json", **new)]) == status
    out, err = capsys.readouterr()
    assert says in out + err


def test_compare_needs_two_results(tmp_path, capsys):
    one = write_result(tmp_path / "one.json", 1.0)
    assert compare([one]) == 2
    assert compare([one, str(tmp_path / "none")]) == 2
    assert "only be compared with a file" in capsys.readouterr().err


def test_a_life_in_simpy():
    pytest.importorskip("simpy")
    importlib.import_module("benchmarks.peer_simpy").lives(20)


def test_pairs_and_floods_side_by_side(monkeypatch, capsys):
    """Every kind of work, by this tree and a copy of it."""
    monkeypatch.setattr(variants, "LEAST_LIVES", 1)
    monkeypatch.setattr(variants.Flood, "SYNS", 3000)
    assert variants.main([".", "--work", "pair,flood", "--sizes", "200", "--cycles", "2"]) in (0, 1)
    out = capsys.readouterr().out
    assert out.count(": same") == 2 + len(variants.FLOODS)
    with pytest.raises(SystemExit):
        variants.main([".", "--work", "nothing"])


def test_builds_side_by_side(monkeypatch):
    """This tree and a copy of it: each has types of its own, and both see every connection."""
    monkeypatch.setattr(variants, "LEAST_LIVES", 1)
    builds = variants.modules([variants.HERE])
    ours, copy = builds.values()
    assert ours is tcpcore and copy.Engine is not tcpcore.Engine
    assert Path(copy.__file__).is_relative_to(ROOT / "build/compare/same")
    ratios = variants.measured(builds, N, 2)
    assert [one.name for one in ratios] == [".", "same"]
    assert ratios[0].ratio == Measured(1.0, 0.0, 2) and all(one.ns.median > 0 for one in ratios)


@pytest.mark.parametrize(
    ("ratio", "spread", "same", "is_worse"),
    [
        (1.02, 0.001, 1.0, True),
        (1.009, 0.001, 1.0, False),
        (1.02, 0.03, 1.0, False),
        (1.03, 0.001, 0.98, False),
    ],
)
def test_a_build_is_worse_by_more_than_the_noise(ratio, spread, same, is_worse):
    ns = Measured.of([30.0])
    ratios = [
        variants.Ratio("A", ns, Measured(1.0, 0.0, 5)),
        variants.Ratio("B", ns, Measured(ratio, spread, 5)),
        variants.Ratio("same", ns, Measured(same, 0.0, 5)),
    ]
    assert [variants.worse(one, ratios) for one in ratios] == [False, is_worse, False]


def test_a_line_of_targets():
    ns, ratio = Measured.of([30.0]), Measured(0.5, 0.01, 3)
    ratios = [variants.Ratio("A", Measured.of([60.0]), Measured(1.0, 0.0, 3)), variants.Ratio(".", ns, ratio),
              variants.Ratio("same", ns, Measured(1.02, 0.0, 3))]
    slow = targets.by_turns(ratios, "a segment", "ns", 24, targets.ns_of)
    assert str(slow) == "| a segment | 60.0 ns | 30.0 ns | 0.500 ± 0.010 | 1.020 | ≤ 24 | not reached |"
    fast = targets.by_turns(ratios[:2], "flood", "M/s", 30, targets.millions_of, False)
    assert str(fast) == "| flood | 16.7 M/s | 33.3 M/s | 0.500 ± 0.010 |  | ≥ 30 | reached |"


def test_targets_refuses_what_it_cannot_measure(capsys):
    assert targets.main(["nothing-of-the-kind"]) == 2
    assert "no such revision" in capsys.readouterr().err


def test_variants_refuses_what_it_cannot_measure(capsys):
    assert variants.main(["nothing-of-the-kind"]) == 2
    assert "no such revision: 'nothing-of-the-kind'" in capsys.readouterr().err
    assert variants.main([".", "--sizes", "many"]) == 2
    with pytest.raises(SystemExit):
        variants.main([".", "."])


def test_the_stages_of_a_look_up_find_every_row():
    skeleton = Skeleton(N)
    for stage in range(len(STAGES)):
        assert skeleton.run(stage) is None
    skeleton.rows[0, 0] += 1
    with pytest.raises(RuntimeError, match="a flow was not found"):
        skeleton.run(len(STAGES) - 1)


def test_several_runs_are_one_with_the_larger_spread(tmp_path):
    files = [write_result(tmp_path / f"{floors}.json", floors, 0.5) for floors in (10.0, 20.0, 30.0)]
    whole = merged([json.loads(Path(file).read_text()) for file in files], "all")
    life = next(row for row in whole["rows"] if row["name"] == "life")
    assert life["floors"] == {"median": 20.0, "spread": 5.0, "samples": 3}
    assert life["value"] == {"median": 100.0, "spread": 0.5, "samples": 3}


def test_compare_builds_the_base_out_of_tree_with_these_benchmarks(tmp_path, monkeypatch):
    """Git and the copying are real, the compiler is not asked."""
    monkeypatch.setattr(revisions, "ROOT", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("# old\n")
    (tmp_path / "setup.py").write_text("open('compiled', 'w')\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(["git", "-C", tmp_path, *IDENTITY, *command], check=True)
    (tmp_path / "benchmarks" / "__init__.py").write_text("# new\n")
    assert revisions.default_base() == "HEAD"
    tree = revisions.built_tree("HEAD")
    assert (tree / "compiled").exists()
    assert (tree / "benchmarks" / "__init__.py").read_text() == "# new\n"
    (tree / "kept").touch()
    (tmp_path / "benchmarks" / "__init__.py").write_text("# newer\n")
    assert revisions.built_tree("HEAD") == tree and (tree / "kept").exists()
    assert (tree / "benchmarks" / "__init__.py").read_text() == "# newer\n"
    with pytest.raises(RevisionError, match="no such revision: 'nothing'"):
        revisions.built_tree("nothing")


def imported(module):
    """Module and names of each import in a benchmark, of every benchmark that it imports, too."""
    found, left = {}, [module]
    while left:
        name = left.pop()
        path = ROOT.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        found[name] = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found[name] += [(alias.name, None) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found[name] += [(node.module, alias.name) for alias in node.names]
        left += {other for other, _ in found[name] if other.startswith("benchmarks") and other not in found}
    return [pair for pairs in found.values() for pair in pairs]


def test_what_runs_in_other_revisions_needs_public_names_only():
    """Their tcpcore has the same public API as this one, but not the same modules."""
    compared_modules = [f"benchmarks.sections.{SECTIONS[name][0]}" for name in COMPARED.split(",")]
    for start in ["benchmarks.__main__", "benchmarks.instructions", *compared_modules]:
        for module, name in imported(start):
            top = module.partition(".")[0]
            assert top not in ("loadgen", "tests"), f"{start} imports {module}"
            assert top != "tcpcore" or (module == "tcpcore" and name in tcpcore.__all__), f"{module}: {name}"
    for source in ("floor.pyx", "callgrind.pyx"):
        assert not re.search(r"^\s*(from|c?import) tcpcore", (ROOT / "benchmarks" / source).read_text(), re.M)


TIMES = 6


def test_calls_of_one_do_what_they_are_called():
    """What is measured is not refused, not repeated on a dead connection, and leaves the engine sound."""
    caller = Caller()
    done = {}
    for name, (_, prepared, call) in caller.cases().items():
        for _ in range(TIMES):
            done[name] = [call(argument) for argument in prepared()]
    for name in ("connect", "connect, dotted address"):
        assert all(conns[0] and len(syn) == 1 for conns, syn in done[name])
    assert all(len(conns) == 1 for conns in done["accept"]) and all(conn[0] for conn in done["lookup"])
    for name in ("send", "send, array of one"):
        assert all(len(rows) == 1 for rows in done[name])
    assert all(taken[0] == 1 for name in ("recv", "recv, array of one") for taken, _ in done[name])
    assert all(info["state"][0] == State.ESTABLISHED for info in done["info"])
    opening = ("connect", "connect, dotted address", "close", "close, array of one", "shutdown", "abort")
    assert caller.engine.counters["ActiveOpens"] == 1 + TIMES * sum(len(done[name]) for name in opening)
    assert caller.engine.check() == []


def test_every_section_can_be_imported():
    assert all(callable(section(name)) for name in SECTIONS)


def test_counts_are_read_as_they_are_printed():
    for n in (1, 999, 1000, 1500, 10_000, 1_000_000, 50_000_000):
        assert parsed_count(count(n)) == n
    for text in ("", "k", "0", "-1", "1.5M", "10 k", "1e4", "10kM"):
        with pytest.raises(ValueError, match="such as 10k"):
            parsed_count(text)


def test_tuples_chosen_to_collide_do_not():
    """What a known key would cost shows that the attack is one; without the key it is far from that."""
    table = measured()["flow table"]
    control = table.pop("collide under the key (control)")
    assert control > 4 and max(table.values()) < control / 2


def test_nobody_can_aim_at_a_bucket():
    assert evicted(bucket_attack()) == evicted(attacks()["random"]) == 0
