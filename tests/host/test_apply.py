"""`plan host`: what each line of a sysctl file does, by queue sizes, closed forms or the simulation."""

import math
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import loadgen.api
from loadgen.cli import main
from loadgen.host import apply as judged
from loadgen.host.apply import apply
from loadgen.host.verdicts import ABSENT, ACTS, CANNOT, NOT_MODELLED, REFUSED, UNDECIDED
from loadgen.scenario import presets
from loadgen.theory import queues

DATA = Path(__file__).parent.parent / "data" / "host"
NOW = DATA / "web1" / "sysctl.txt"
TUNING = """\
net.core.somaxconn = 65535
net.ipv4.tcp_max_syn_backlog = 65535
net.ipv4.tcp_fin_timeout = 10
net.ipv4.tcp_tw_reuse = 1
net.ipv4.tcp_tw_recycle = 1
net.netfilter.nf_conntrack_max = 1000000
"""


def web(**more):
    options = {"rate": "3k", "rtt": "80ms", "backlog": 511, "accept_time": "exp:120us",
               "accept_stall": "250ms/2s", "hold": "100ms", "duration": "8s", "sysctl": str(NOW)}  # fmt: skip
    return presets.churn(**{**options, **more})


def played(scenarios):
    return [loadgen.api.run(one) for one in scenarios]


def applied(tmp_path, text, scenario=None, play=played):
    path = tmp_path / "99.conf"
    path.write_text(text)
    found = apply(scenario or web(), str(path), play)
    return found, {row.name: row for row in found.rows}


def test_the_file_of_question_8(tmp_path):
    found, rows = applied(tmp_path, TUNING)
    assert {name: row.kind for name, row in rows.items()} == {
        "net.core.somaxconn": CANNOT, "tcp_max_syn_backlog": CANNOT, "tcp_fin_timeout": CANNOT,
        "tcp_tw_reuse": ACTS, "tcp_tw_recycle": ABSENT, "nf_conntrack_max": NOT_MODELLED,
    }  # fmt: skip
    first, _ = found.results
    share = first["first_try_ratio"]
    assert 0.9 < share < 1
    assert rows["net.core.somaxconn"].text.startswith("nothing: listen() asks for 511; first try")
    assert rows["net.core.somaxconn"].figures["first_try_ratio"] == (share, share)
    assert rows["net.core.somaxconn"].letters == "S"
    assert "only with tcp_syncookies=0" in rows["tcp_max_syn_backlog"].text
    assert "TIME_WAIT stays 60 s" in rows["tcp_fin_timeout"].text
    assert "removed in Linux 4.12: `sysctl -p` reports an error" in rows["tcp_tw_recycle"].text
    assert found.sentence == (
        "6 lines: 1 acts, 3 cannot act here, 1 does not exist, 1 not modelled. "
        "The line you need is not in the file: listen(..., 1023); listen() asks for 511."
    )


def test_where_the_clients_have_no_ports_the_backlog_is_not_named(tmp_path):
    """The accept queue overflows, too, but most are refused by their own hosts."""
    found, _ = applied(tmp_path, TUNING, web(clients=1, duration="16s"))
    assert found.results[1]["counters.server.ListenOverflows"] > 0
    assert "The limit is on the clients' side: " in found.sentence
    assert "refused for want of a port; first at" in found.sentence and "listen(..." not in found.sentence


def test_values_now_are_those_of_the_host(tmp_path):
    _, rows = applied(tmp_path, TUNING, play=lambda scenarios: [None] * len(scenarios))
    assert [row.before for row in rows.values()] == ["4096", "2048", "60", "2", "-", "-"]


def test_outgoing_ports_by_hand(tmp_path):
    """28,232 ports / (60 s + hold + round trip), and / (1 s + ...) with reuse."""
    _, rows = applied(tmp_path, "net.ipv4.tcp_tw_reuse = 1\n")
    before, after = rows["tcp_tw_reuse"].figures["outgoing_rate"]
    busy = 28232 / before - 60
    assert 0 < busy < 1
    assert after == pytest.approx(28232 / (1 + busy), rel=1e-6)
    _, rows = applied(tmp_path, "net.ipv4.ip_local_port_range = 1024 65535\n")
    assert rows["ip_local_port_range"].figures["outgoing_rate"][1] == pytest.approx(before * 64512 / 28232)
    _, rows = applied(tmp_path, "net.ipv4.ip_local_reserved_ports = 8080,40000-40231\n")
    after = rows["ip_local_reserved_ports"].figures["outgoing_rate"][1]
    assert after == pytest.approx(before * 28000 / 28232)


def test_orphans_and_the_cap_by_hand(tmp_path):
    scenario = web(rate="100", closes="mix:0.2")
    text = "net.ipv4.tcp_fin_timeout = 10\nnet.ipv4.tcp_max_tw_buckets = 1000\n"
    _, rows = applied(tmp_path, text, scenario)
    before, after = rows["tcp_fin_timeout"].figures["orphans"]
    assert (before, after) == (pytest.approx(1200), pytest.approx(200))  # 20 per second, 60 and 10 s
    assert rows["tcp_fin_timeout"].kind == ACTS and "1,200 -> 200" in rows["tcp_fin_timeout"].text
    before, after = rows["tcp_max_tw_buckets"].figures["time_wait_overflow"]
    assert before < 1e-9 and math.isclose(after, queues.erlang_b(1000, 1200.0))
    assert rows["tcp_max_tw_buckets"].kind == ACTS
    _, rows = applied(tmp_path, "net.ipv4.tcp_max_tw_buckets = 100000\n", scenario)
    assert rows["tcp_max_tw_buckets"].kind == CANNOT and "below both" in rows["tcp_max_tw_buckets"].text


def test_a_queue_that_grows_is_simulated_before_and_after(tmp_path):
    scenario = web(backlog=65535)
    scenario = scenario.replace({"server.knobs.somaxconn": 511})
    found, rows = applied(tmp_path, "net.core.somaxconn = 4096\n", scenario)
    row = rows["net.core.somaxconn"]
    assert row.kind == ACTS and "accept-queue places 512 -> 4,097" in row.text
    before, after = row.figures["first_try_ratio"]
    now, then = found.results
    assert (before, after) == (now["first_try_ratio"], then["first_try_ratio"]) and before < after


def test_lines_that_need_each_other_both_act(tmp_path):
    text = "net.ipv4.tcp_max_syn_backlog = 64\nnet.ipv4.tcp_syncookies = 0\n"
    _, rows = applied(tmp_path, text, web(accept_stall=None))
    assert rows["tcp_max_syn_backlog"].kind == rows["tcp_syncookies"].kind == ACTS
    assert "half-open places 512 -> 49" in rows["tcp_max_syn_backlog"].text
    _, rows = applied(tmp_path, text.splitlines()[0], web(accept_stall=None))
    assert rows["tcp_max_syn_backlog"].kind == CANNOT


def test_a_knob_that_changes_no_figure_cannot_act(tmp_path):
    text = "net.ipv4.tcp_synack_retries = 2\nnet.ipv4.tcp_retries2 = 8\nnet.ipv4.tcp_syncookies = 1\n"
    _, rows = applied(tmp_path, text, web(accept_stall=None))
    assert {row.kind for row in rows.values()} == {CANNOT}
    assert rows["tcp_synack_retries"].text == "nothing here: no figure of the simulation differs"
    assert rows["tcp_syncookies"].text == "nothing: the host has that value"


def test_what_no_formula_decides_is_undecided_without_a_simulation(tmp_path):
    text = "net.ipv4.tcp_synack_retries = 2\nnet.core.somaxconn = 65535\n"
    found, rows = applied(tmp_path, text, play=lambda scenarios: [None] * len(scenarios))
    assert rows["tcp_synack_retries"].kind == UNDECIDED and rows["net.core.somaxconn"].kind == CANNOT
    assert found.sentence == "2 lines: 1 cannot act here, 1 not decided."


def test_comments_behind_values_are_refused_line_by_line(tmp_path):
    sample = (DATA / "samples" / "03-sysctl.d-inline-comments.conf").read_text()
    _, rows = applied(tmp_path, sample, play=lambda scenarios: [None] * len(scenarios))
    assert rows["net.core.rmem_max"].kind == rows["ip_local_port_range"].kind == REFUSED
    assert "a comment needs a line of its own" in rows["ip_local_port_range"].text
    assert rows["net.core.netdev_max_backlog"].kind == rows["tcp_rmem"].kind == NOT_MODELLED
    assert rows["tcp_tw_reuse"].kind == ACTS


def test_what_a_listing_does_not_have_does_not_exist(tmp_path):
    text = "net.ipv4.tcp_finn_timeout = 3\nnet.ipv4.ip_forward = 1\nvm.swappiness = 1\n"
    _, rows = applied(tmp_path, text, play=lambda scenarios: [None] * len(scenarios))
    assert rows["tcp_finn_timeout"].kind == ABSENT
    assert "not among the settings" in rows["tcp_finn_timeout"].text
    assert rows["ip_forward"].kind == rows["vm.swappiness"].kind == NOT_MODELLED


def test_an_older_kernel_lacks_what_came_later(tmp_path):
    shutil.copy(NOW, tmp_path / "now.txt")
    text = (tmp_path / "now.txt").read_text().replace("6.18.44", "5.15.0")
    (tmp_path / "now.txt").write_text(text)
    _, rows = applied(tmp_path, "net.ipv4.tcp_rto_max_ms = 5000\n", web(sysctl=str(tmp_path / "now.txt")),
                      play=lambda scenarios: [None] * len(scenarios))  # fmt: skip
    assert rows["tcp_rto_max_ms"].text.startswith("since Linux 6.15: ")


def test_every_kind_has_a_name_in_the_sentence():
    assert set(judged.KINDS) == set(judged._SAID)


def test_the_command(tmp_path):
    (tmp_path / "99.conf").write_text(TUNING)
    words = ["plan", "host", "--sysctl", str(NOW), "--apply", str(tmp_path / "99.conf"), "--rate", "3k",
             "--rtt", "80ms", "--backlog", "511", "--accept-stall", "250ms/2s", "--effort", "quick",
             "--duration", "4s", "--seeds", "1"]  # fmt: skip
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 16 and max(map(len, lines)) <= 140
    assert "1 acts, 3 cannot act here, 1 does not exist, 1 not modelled" in " ".join(done.stdout.split())
    again = CliRunner().invoke(main, words)
    strip = [[line for line in one.stdout.splitlines() if "wall" not in line] for one in (done, again)]
    assert strip[0] == strip[1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "which file would be applied? give --apply FILE"),
        (["--apply", "none.conf"], "--apply: none.conf: No such file or directory"),
        (["--apply", str(DATA / "vmstat-z.txt")], "expected settings in lines like"),
    ],
)
def test_mistakes_are_one_line(more, said):
    done = CliRunner().invoke(main, ["plan", "host", "--sysctl", str(NOW), *more])
    assert done.exit_code == 3 and said in done.stderr and done.stderr.count("\n") == 1


def test_from_host_gives_the_host(tmp_path):
    (tmp_path / "99.conf").write_text(TUNING)
    words = ["plan", "host", "--from-host", str(DATA / "web1"), "--no-sim"]
    done = CliRunner().invoke(main, [*words, "--apply", str(tmp_path / "99.conf")])
    assert done.exit_code == 0, done.stderr
    assert "listen() asks for 511" in done.stdout and "--no-sim" in done.stdout
