"""Whatever is wrong with a question is one line before any run: the place, and the nearest right word."""

import pytest

from tests.plan.page import run

#: Command behind `loadgen plan` -> what the line says.
WRONG = {
    # two unknowns
    "ports": "--rate and --clients are unknown: give one, or use sweep",
    "ports --rate ? --clients ?": "--rate and --clients are unknown: give one, or use sweep",
    "accept --rate 3k": "--accept-time and --backlog are unknown",
    "backlog": "--rate and --accept-stall are unknown",
    "herd": "--clients is unknown",
    "flood": "--flood-rate is unknown",
    "memory": "give --established, --rate, or both",
    # words
    "bakclog": "no topic is called 'bakclog'; did you mean 'backlog'?",
    "backlog --rate 3k --threshold first_tri_ratio>=0.9": "did you mean first_try_ratio?",
    "backlog --rate 3k -o somaxcon=3": "-o somaxcon: somaxcon: no such place and no such knob; did you mean "
                                       "'somaxconn'?",
    "ports --rate 1k --clients 1 --vs backlg=3": "--vs backlg=3: backlg: no such place and no such knob; did "
                                                 "you mean 'backlog'?",
    "ports --rate 1k --clients 1 --vs x": "--vs: expected NAME=VALUE, several joined by +, got 'x'",
    "ports --rate 1k --clients 1 --within 3s": "--within: not of plan ports",
    "memory --established 1M --bytes half=3": "did you mean 'half_open'?",
    "backlog --rate 3k --remedies": "--remedies: of plan ports alone, not of plan backlog",
    "host --apply x.conf --vs rate=3k": "--vs: not of plan host: the alternative is the file of --apply",
    # numbers
    "ports --rate 0 --clients 2": "--rate: load.0.rate: expected more than 0/s",
    "flood --flood-rate 0": "--flood-rate: flood.0.rate: expected more than 0/s",
    "backlog --rate 3k --backlog 1000000000000": "--backlog: server.listen.backlog: expected 0 to 2147483647",
    "ports --rate 1k --clients 1 --vs rate=3q": "--vs rate=3q: load.rate: expected a rate",
    "herd --clients 3 --within 3secs": "--within: expected a time with its unit",
    "herd --clients 3 --horizon 0": "--horizon: expected more than 0",
    # what cannot be answered
    "conntrack": "conntrack tables are not modelled",
    "backlog --rate 3k --threshold cpu<=0.3": "CPU time is not modelled",
    "backlog --rate 3k --threshold bytes_per_s>=3": "congestion control, which is not modelled",
    "ports --rate 1k --clients 1 -o nf_conntrack_max=3": "conntrack tables are not modelled",
    "quic": "UDP and QUIC are not modelled",
    "accept --rate 10k --accept-time exp:120us --backlog 511": "no steady state; give --duration",
    "backlog --rate 10k --accept-time exp:120us --backlog 511": "overload has no steady state",
    "memory --established 1M --profile freebsd": "no figure is known for freebsd",
    "backlog --rate 3k --backlog best --accept-stall 1s/2s": "'best' has no meaning without a target",
    "backlog --rate 30 --duration 2s --seeds 1 --threshold connect.p99.9<=1s": "10,000 are needed",
    "ports nofile.toml": "nofile.toml: No such file or directory",
}  # fmt: skip


@pytest.mark.parametrize("command", WRONG)
def test_a_mistake_is_one_line(command):
    code, printed, errors = run(f"loadgen plan {command}")
    assert (code, printed) == (3, "")
    assert WRONG[command] in errors
    assert errors.count("\n") == 1, errors


@pytest.mark.parametrize("command", [
    "ports --rate 5x --clients 2", "ports --rate 1k --clients 1 --format csv", "ports --effort much",
])  # fmt: skip
def test_what_cannot_be_read_is_a_usage_error(command):
    code, printed, errors = run(f"loadgen plan {command}")
    assert (code, printed) == (2, "") and "Invalid value for" in errors


def test_an_unverified_profile_says_so():
    _, printed, _ = run("loadgen plan ports --rate 1k --clients 1 --profile freebsd --no-sim")
    assert "model of FreeBSD 14, verified by" in " ".join(printed.split())


def test_a_target_that_is_missed_where_nothing_is_solved_for():
    command = "loadgen plan herd --clients 500 --accept-time 10ms --backlog 7 --horizon 3s --effort quick"
    code, printed, errors = run(f"{command} --threshold success_ratio>=0.999")
    assert code == 99 and "missed" in printed and "not met" in errors


def test_print_config_is_a_scenario(tmp_path):
    code, printed, _ = run("loadgen plan ports --rate 100 --clients 2 --print-config")
    assert code == 0
    (tmp_path / "it.toml").write_text(printed)
    code, _, errors = run(f"loadgen plan ports {tmp_path / 'it.toml'} --no-sim")
    assert (code, errors) == (0, "")


def test_several_values_are_the_first_and_alternatives():
    command = "loadgen plan backlog --rate 2k --backlog {} --accept-stall 200ms/2s --no-sim"
    one, other = run(command.format("128,1024")), run(command.format("128") + " --vs backlog=1024")
    assert one[0] == other[0] == 0 and "backlog=1024: enough, 463 places needed, 1,025 there" in one[1]
    assert one[1].partition("reproduce")[0] == other[1].partition("reproduce")[0]


def test_an_alternative_of_a_knob_that_acts_on_one_side_is_of_that_side():
    code, printed, errors = run("loadgen plan ports --rate 600 --clients 1 --no-sim --vs tcp_tw_reuse=1")
    assert (code, errors) == (0, "") and "tcp_tw_reuse=1: " in printed


def test_a_file_that_accepts_at_once_is_asked_how_slow_it_may_be(tmp_path):
    (tmp_path / "web.toml").write_text('schema = 1\n[[load]]\nrate = "3k/s"\n')
    for topic in ("accept", "all"):
        code, printed, errors = run(f"loadgen plan {topic} {tmp_path / 'web.toml'} --no-sim")
        assert (code, errors) == (0, "") and "accept() may take 333 us on average" in printed


def test_a_stall_that_the_backlog_does_not_hold_is_told():
    _, printed, _ = run("loadgen plan accept --rate 500 --backlog 128 --accept-stall 1s/30s --no-sim")
    assert "the stall given, 1 s every 30 s, is longer than 195 ms" in " ".join(printed.split())


def test_what_is_needed_without_a_simulation_names_none():
    _, printed, _ = run("loadgen plan backlog --rate 3 --no-sim --accept-stall 1ms/1s")
    assert "simulation" not in printed.partition("need ")[2].partition("also")[0]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("backlog --accept-time 200us --backlog 1024", "at +10 % load none is enough: more come"),
        ("memory --rate 2k", "hold 0 s (not given); clients close first: TIME_WAIT is theirs"),
        ("herd --clients 50k", "assumed accept() at once (no --accept-time)"),
        ("ports --rate 400", "need 1 client host or gateway; at"),
        ("time-wait --rate 2k --closes server -o tcp_max_tw_buckets=50000",
         "120,000 TIME_WAIT are wanted and tcp_max_tw_buckets keeps 50,000: 58.3 % of closes keep none"),
    ],
)  # fmt: skip
def test_what_was_not_given_and_what_cannot_be_is_said(command, said):
    code, printed, errors = run(f"loadgen plan {command} --no-sim")
    assert (code, errors) == (0, "") and said in " ".join(printed.split())
    assert "2,147,483,647" not in printed
