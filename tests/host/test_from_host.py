"""`--from-host`: what the files set, who wins over them, and what was measured beside what is simulated."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from loadgen.host import folder
from loadgen.host.changes import changes, of_clients
from loadgen.scenario.errors import Mistake

WEB1 = Path(__file__).parent.parent / "data" / "host" / "web1"
SHORT = ("--rtt", "1ms", "--duration", "200ms")


def run(*args):
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def made(tmp_path, *args):
    out = tmp_path / "out.json"
    result = run(*args, "-O", out)
    assert result.exit_code == 0, result.stderr
    return json.loads(out.read_text())


def test_files_become_limits_and_load():
    found = changes(folder.read(WEB1))
    assert found.values == {
        "server.measured": str(WEB1), "server.sysctl": str(WEB1 / "sysctl.txt"),
        "server.bytes": str(WEB1 / "slabinfo.txt"), "server.listen.port": 443,
        "server.listen.backlog": 511, "server.listen.listeners": 2, "load.rate": 300.0,
        "load.hold": "exp:200000000ns", "server.closes": "mix:0.300",
    }  # fmt: skip
    assert found.origins["load.rate"] == f"host {WEB1 / 'counters-2.txt'}"
    assert any("accept queue of port 443 was full" in note for note in found.notes)
    assert any("ListenOverflows 2.0/s" in note for note in found.notes)


def test_a_host_that_connects_too_tells_its_rate_only(tmp_path):
    shutil.copytree(WEB1, tmp_path / "w")
    path = tmp_path / "w" / "counters-2.txt"
    path.write_text(path.read_text().replace(" 1060 518000 ", " 9000 518000 "))
    found = changes(folder.read(tmp_path / "w"))
    assert found.values["load.rate"] == 300.0
    assert not {"load.hold", "server.closes"} & set(found.values)
    assert any("ActiveOpens 133.3/s" in note for note in found.notes)


def test_which_of_several_listeners_is_asked_for(tmp_path):
    shutil.copytree(WEB1, tmp_path / "w")
    with open(tmp_path / "w" / "ss-ltn.txt", "a") as file:
        file.write("LISTEN 0      128          0.0.0.0:22        0.0.0.0:*\n")
    host = folder.read(tmp_path / "w")
    said = r"which listener is meant \(-o port=22\), got ports 22 \(backlog 128\), 443"
    with pytest.raises(Mistake, match=said):
        changes(host)
    assert changes(host, port=443).values["server.listen.backlog"] == 511
    assert "server.listen.backlog" not in changes(host, {"server.listen.backlog"}).values
    with pytest.raises(Mistake, match="expected a listener on port 80, got ports 22, 25, 443"):
        changes(host, port=80)
    result = run("churn", "--from-host", tmp_path / "w", *SHORT)
    assert result.exit_code == 3 and "-o port=22" in result.stderr
    assert run("churn", "--from-host", tmp_path / "w", "-o", "port=443", *SHORT).exit_code == 0


def test_options_win_and_every_line_says_who_set_it(tmp_path):
    result = run("churn", "--from-host", WEB1, "--backlog", "7", "--rate", "50", *SHORT, "--print-config")
    lines = {}
    for line in result.stdout.splitlines():
        lines.setdefault(line.partition(" = ")[0], line)  # the server stands before the clients
    assert lines["backlog"].startswith("backlog = 7 ") and lines["backlog"].endswith("# flag --backlog")
    assert '"50/s"' in lines["rate"] and lines["rate"].endswith("# flag --rate")
    assert lines["closes"].endswith(f"# host {WEB1 / 'counters-2.txt'}")
    assert lines["sysctl"].endswith(f"# host {WEB1 / 'sysctl.txt'}")


def test_what_is_printed_gives_the_same_bytes(tmp_path):
    args = ("churn", "--from-host", WEB1, *SHORT)
    first = made(tmp_path, *args)
    (tmp_path / "again.toml").write_text(run(*args, "--print-config").stdout)
    second = made(tmp_path, "run", tmp_path / "again.toml")
    first.pop("wall"), second.pop("wall")
    assert first == second


def test_a_scenario_file_wins_and_that_is_told(tmp_path):
    path = tmp_path / "web.toml"
    path.write_text(
        '[server]\nlisten = { port = 443, backlog = 9 }\n[[load]]\nname = "a"\nshape = [["0s", "20/s"]]\n'
        '[link]\nrtt = "1ms"\n[run]\nduration = "200ms"\n'
    )
    result = run("run", path, "--from-host", WEB1, "--print-config")
    assert "backlog = 9 " in result.stdout and "20/s" in result.stdout
    assert f'measured = "{WEB1}"' in result.stdout
    assert "load.rate = 300.0 of the host is not taken" in result.stderr


def test_limits_say_where_their_values_are_from(tmp_path):
    result = made(tmp_path, "churn", "--from-host", WEB1, *SHORT)
    limits = {row["name"]: row for row in result["limits"]}
    assert (limits["accept_queue"]["set_by"], limits["accept_queue"]["from"]) == ("backlog", "listen()")
    assert limits["time_wait.server"]["from"] == f"sysctl {WEB1 / 'sysctl.txt'}"
    assert limits["time_wait.client"]["from"] == "default"
    freebsd = made(tmp_path, "churn", "--profile", "freebsd", "-o", "somaxconn=9", *SHORT)
    limits = {row["name"]: row for row in freebsd["limits"]}
    assert (limits["accept_queue"]["set_by"], limits["accept_queue"]["from"]) == ("somaxconn", "knobs")


def test_what_was_measured_stands_beside_what_is_simulated(tmp_path):
    args = ("churn", "--from-host", WEB1, "--clients", "200", "--rtt", "40ms", "--duration", "150s")
    result = made(tmp_path, *args)
    rows = {row["name"]: row for row in result["measured"]}
    assert rows["PassiveOpens"]["measured"] == 300.0 and rows["PassiveOpens"]["source"] == "R"
    assert rows["PassiveOpens"]["state"] == rows["TW"]["state"] == rows["timewait"]["state"] == "agree"
    simulated = result["counters"]["server"]["PassiveOpens"] / 150
    assert rows["PassiveOpens"]["simulated"] == pytest.approx(simulated)
    assert rows["ListenOverflows"]["state"] == "differs"  # why it lost some, the files do not say
    assert rows["TCPReqQFullDrop"]["state"] == "not judged"
    assert any("PassiveOpens" in text for text in result["assumptions"])
    other = {row["name"]: row["state"] for row in made(tmp_path, *args, "--rate", "100")["measured"]}
    assert other.pop("PassiveOpens") == "differs" and set(other.values()) == {"not judged"}


def test_the_table_shows_both(tmp_path):
    text = run("churn", "--from-host", WEB1, *SHORT).stdout
    assert "measured on the host (R) and simulated" in text and "R 300/s" in text


@pytest.mark.parametrize("command", ["churn", "run"])
def test_a_folder_that_is_none_is_exit_3(tmp_path, command):
    (tmp_path / "f.toml").write_text('[[load]]\nname = "a"\nshape = [["0s", "20/s"]]\n')
    before = [tmp_path / "f.toml"] if command == "run" else []
    result = run(command, *before, "--from-host", tmp_path / "none", "--duration", "1ms")
    assert result.exit_code == 3
    assert result.stderr == f"Error: --from-host: {tmp_path / 'none'}: No such file or directory\n"


def test_freebsd_is_a_freebsd_host(tmp_path):
    data = WEB1.parent
    shutil.copy(data / "samples" / "05-freebsd-loader-sysctl.conf", tmp_path / "sysctl.txt")
    shutil.copy(data / "vmstat-z.txt", tmp_path / "z")
    found = changes(folder.read(tmp_path))
    assert found.values["server.profile"] == "freebsd" and found.values["server.bytes"] == str(tmp_path / "z")


@pytest.fixture
def proxy(tmp_path):
    """A folder of a host that opened 50 connections per second and closed half of them first."""
    shutil.copytree(WEB1, tmp_path / "proxy")
    for name, counts, waits in (("1", " 57000 1060 ", 0), ("2", " 60000 1060 ", 1500)):
        path = tmp_path / "proxy" / f"counters-{name}.txt"
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            words = line.split()
            if words[:2] == ["Tcp:", "1"]:
                lines[number] = " ".join([*words[:5], *counts.split(), *words[7:]])
            elif words[0] == "TcpExt:" and words[1].isdecimal():
                head = lines[number - 1].split()
                words[head.index("TW")] = str(waits)
                words[head.index("TCPTimeWaitOverflow")] = "0"
                lines[number] = " ".join(words)
        path.write_text("\n".join(lines) + "\n")
    return tmp_path / "proxy"


def test_the_files_of_a_host_that_connects_are_the_clients(proxy):
    found = of_clients(folder.read(proxy))
    assert found.values["client.sysctl"] == str(proxy / "sysctl.txt")
    assert (found.values["load.rate"], found.values["client.hosts"]) == (50.0, 1)
    assert found.values["server.closes"] == "mix:0.500" and str(found.values["load.hold"]).startswith("exp:")
    assert not [path for path in found.values if path.startswith("server.") and path != "server.closes"]


def test_a_host_that_connects_in_a_question(proxy):
    result = run("plan", "ports", "--client-from-host", proxy, "--destinations", "1", "--no-sim")
    assert result.exit_code == 0, result.stderr
    assert "the ports last" in " ".join(result.stdout.split())
    given = ("--rate", "9", "--clients", "2", "--print-config")
    printed = run("plan", "ports", "--client-from-host", proxy, *given)
    assert '"9/s"' in printed.stdout and "hosts = 2" in printed.stdout and "sysctl.txt" in printed.stdout
    assert "load.rate" not in printed.stderr  # an option won: nothing to tell


def test_the_servers_load_wins_over_the_clients(proxy):
    result = run("churn", "--from-host", WEB1, "--client-from-host", proxy, *SHORT, "--print-config")
    assert '"300/s"' in result.stdout and "load.rate = 50.0 of the host is not taken" in result.stderr


def test_a_study_takes_a_hosts_files(tmp_path):
    (tmp_path / "web.toml").write_text('schema = 1\n[[load]]\nrate = "50/s"\n')
    given = ("--profile", "linux", "--grid", "backlog=7,9", "--seeds", "1", "--duration", "100ms")
    given = ("--from-host", WEB1, *given, "--jobs", "1", "-O", tmp_path / "study")
    result = run("sweep", tmp_path / "web.toml", *given)
    assert result.exit_code == 0, result.stderr
    assert "load.rate = 300.0 of the host is not taken" in result.stderr
    point = next((tmp_path / "study" / "points").glob("*/*.json"))
    words = json.loads(point.read_text())["command"].split()
    assert words[:2] == ["loadgen", "run"] and "--from-host" in words and "--profile" in words
    assert run(*words[1:], "-O", tmp_path / "again.json").exit_code == 0
