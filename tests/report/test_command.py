"""`loadgen metrics`."""

import csv
import io
import json

from click.testing import CliRunner

from loadgen.cli.metrics import metrics
from loadgen.report.metrics import TABLE


def called(*args):
    return CliRunner().invoke(metrics, args)


def test_it_prints_what_matches():
    done = called("ports.in_use_peak")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "ports.in_use_peak  [count]"
    assert called("connect.p99").stdout.startswith("connect.p99  [ns, lower is better]\n    from the first")
    assert max(map(len, called().stdout.splitlines())) <= 80


def test_all_of_it_as_json_and_csv():
    rows = json.loads(called("--format", "json").stdout)
    assert [row["name"] for row in rows] == [metric.name for metric in TABLE]
    assert list(csv.DictReader(io.StringIO(called("--format", "csv").stdout))) == rows


def test_what_matches_nothing_is_exit_3_with_the_nearest():
    done = called("prots")
    assert done.exit_code == 3
    assert done.stderr.strip() == "Error: no metric matches 'prots'; nearest: ports.in_use_peak"
    assert called("qqqqqq").stderr.strip() == "Error: no metric matches 'qqqqqq'"


def test_it_is_written_to_a_file(tmp_path):
    done = called("--output", str(tmp_path / "m.csv"))
    assert (done.exit_code, done.stdout) == (0, "")
    assert (tmp_path / "m.csv").read_text().startswith("name,unit,better,seeds,meaning\n")
