"""docs/scenario-file.md: its code runs as it stands, and its tables have every key with its default."""

import re
import tomllib
from pathlib import Path

import pytest

import loadgen
from loadgen.scenario.model import Event, Flood, Link, Load, Scenario, Threshold, Tries
from loadgen.scenario.schema import Knobs, Part, Rows, Table, plain
from loadgen.scenario.tables import LOAD, SCENARIO, SERVER, TRIES
from loadgen.scenario.toml import print_config, value_text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scenario-file.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(EXAMPLE,) = [text for kind, text in BLOCKS if kind == "toml"]

#: Heading -> a default of that table, and its keys.
HEADINGS = {
    "The file itself": (Scenario(), SCENARIO),
    "[server]": (Scenario().server, SERVER),
    "[server.listen]": (Scenario().server.listen, SERVER["listen"].keys),
    "[server.accept]": (Scenario().server.accept, SERVER["accept"].keys),
    "[client]": (Scenario().client, SCENARIO["client"].keys),
    "[[load]]": (Load(), LOAD),
    "[load.tries]": (Tries(), TRIES),
    "[[flood]]": (Flood(), SCENARIO["flood"].keys),
    "[[event]]": (Event(), SCENARIO["event"].keys),
    "[link]": (Link(), SCENARIO["link"].keys),
    "[link.burst]": (Link().burst, SCENARIO["link"].keys["burst"].keys),
    "[link.late]": (Link(), SCENARIO["link"].keys["late"].keys),
    "[run]": (Scenario().run, SCENARIO["run"].keys),
    "[[threshold]]": (Threshold(), SCENARIO["threshold"].keys),
}


def test_the_code_runs_and_prints_what_is_shown(capsys):
    names = {"__name__": "page"}
    for i, (kind, text) in enumerate(BLOCKS):
        if kind == "python":
            exec(compile(text, f"{PAGE.name}, block {i + 1}", "exec"), names)
        elif kind == "text":
            assert capsys.readouterr().out == text
    assert capsys.readouterr().out == ""


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The scenario of the example, beside the sysctl file that it names."""
    monkeypatch.chdir(tmp_path)
    Path("now.txt").write_text("net.core.somaxconn = 8192\nnet.ipv4.tcp_ecn_fallback = 1\n")
    Path("web.toml").write_text(EXAMPLE)
    return loadgen.Scenario.from_toml("web.toml")


def test_the_example_is_read(example):
    assert example.name == "edge-web" and example.seed == 7
    assert example.server.listen.backlog == 511 and example.client.hosts == 200
    assert (example.server.accept.stall_ns, example.server.accept.stall_every_ns) == (250_000_000, 2 * 10**9)
    assert example.load[0].shape[2] == (61 * 10**9, 12_000.0) and example.load[0].response == 30_000
    assert example.link.loss == {"all": 0.001, "third-ack": 0.01} and example.link.late_share == 1e-7
    assert example.run.warmup_ns is None and example.run.drain
    assert example.event[0].reconnect_within_ns == 100_000_000
    assert (example.threshold[0].test, example.threshold[0].bound) == (">=", 0.999)


def test_the_example_comes_back_from_what_it_is_written_as(example):
    assert loadgen.Scenario.from_toml(example.to_toml()) == example
    assert loadgen.Scenario.from_toml(print_config(example)) == example


def test_every_table_has_every_key_and_its_default():
    found, wanted = {}, {}
    for heading, (owner, keys) in HEADINGS.items():
        text = TEXT.partition(f"### {heading}\n")[2].partition("\n#")[0]
        found[heading] = dict(re.findall(r"^\| `(\w+)` \| (?:`(.*?)` )?\|", text, re.MULTILINE))
        default = plain(owner, keys, None)
        wanted[heading] = {
            name: "" if isinstance(node, Knobs) or name not in default else value_text(default[name])
            for name, node in keys.items()
            if not isinstance(node, (Rows, Part)) and (
                not isinstance(node, Table) or not isinstance(default[name], dict))
        }  # fmt: skip
    assert found == wanted


def test_the_page_has_a_heading_for_every_table():
    def tables(keys, before):
        for name, node in keys.items():
            if isinstance(node, Rows):
                yield f"[[{name}]]"
                yield from tables(node.keys, f"{name}.")
            elif isinstance(node, (Table, Part)):
                yield f"[{before}{name}]"
                yield from tables(node.keys, f"{before}{name}.")

    assert set(tables(SCENARIO, "")) - {"[server.closes]"} == set(HEADINGS) - {"The file itself"}


def test_the_example_is_toml_that_python_reads():
    assert tomllib.loads(EXAMPLE)["schema"] == 1
