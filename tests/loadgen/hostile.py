"""What a hostile caller may give to each option of each command, generated from the commands themselves.

`python -m tests.loadgen.hostile 10000` makes so many random invocations in a folder of its own and says what
came of them; the suite makes a few hundred. An invocation passes when it ends with an exit code of the
contract, says what is wrong in a few lines of readable length, shows no traceback and writes nothing outside
of its folder.
"""

import contextlib
import functools
import io
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click

import loadgen
from loadgen import entry
from loadgen.cli import COMMANDS
from loadgen.cli import main as group
from loadgen.scenario.traces import LARGEST_TEXT

DATA = Path(__file__).parents[1] / "data"
EXIT_CODES = {0, 1, 2, 3, 99, 130}
LONGEST_LINE, MOST_LINES = 320, 9
PATIENCE_S = 10  # then the invocation is interrupted, as by Ctrl-C
#: A hostile value's, in CPU time. The longest that has an end takes 1.5 s; 1e9/s has none.
PATIENCE_CPU_S = 3

#: For any option.
HOSTILE = (
    "", " ", "0", "-1", "-0", "1e9", "1e-9", "1" + "0" * 30, "9" * 5000, "9999999999999999999", "9999999d",
    "1G", "0.1", "\N{SUPERSCRIPT TWO}",
    "\N{ARABIC-INDIC DIGIT THREE}", "\N{FULLWIDTH DIGIT FOUR}", "nan",
    "inf", "-inf", "1e400", "0x10", "\0", "a\0b", "\udcff", "[bold]", "[/x]", "[link=x]", "\x1b[31mred",
    ":warning:", "=", "a=b", "=1", "a=", ",", ",,", "%", "%s%n", "--", "-", "--rtt", "none", "true", "{}",
    "\n\n\n\n\n\n\n\n\n\n\n\n", ".", "/", "no/such/file", "@", "@.", "@no-such-file", "n" * 300,
    "x" * 1_000_000,
    "name=" + "x" * 1_000_000,
)  # fmt: skip

#: Where more is known about the form.
HOSTILE_FOR = {
    "vs": ("rate", "rate=", "=1", "+", "rate=1+", "rate=nan", "ratte=3", "backlog=[bold]", "isn=\0",
           "ports=9-1", "within=nan", "topic=ports"),
    "bytes_": ("established=", "=3", "established=nan", "x=1", "time_wait=[bold]"),
    "topic": ("portz", "udp", "[bold]", "x" * 5000),
    "knobs": (
        "isn=\N{SUPERSCRIPT TWO}", "port_selection=" + "9" * 5000, "somaxconn=" + "9" * 5000, "capacity=1G",
        "capacity=0", "ip_local_port_range=1,\N{SUPERSCRIPT TWO}", "ip_local_port_range=9,1", "seed=1",
        "events=lost", "isn=[bold]", "tcp_syncookies=nan", "mss=0", "mss=\0", "local_addr=x", "rcv_buf=-1",
        "tcp_retries2=1e9", "somaxconn=none", "somaxconn=true", "rto_min_rule=3", "time_wait_ms=1e9",
    ),
    "threshold": (
        "served>=" + "9" * 300, "served>=nan", "[bold]>=1", "served>=1e400", "x" * 5000 + ">=1",
        "served==\N{SUPERSCRIPT TWO}",
        "handshake_ms.p99<9999999d", "served>=[/x]",
    ),
    "config": (
        "deep.toml", "nul.toml", "latin1.toml", "large.toml", "digits.toml", "markup.toml", "odd.toml",
        "folder", "no\0", "n" * 300,
    ),
    "sysctl": ("deep.toml", "nul.toml", "latin1.toml", "large.toml", "markup.toml", "folder"),
    "sources": (
        "@nul.toml", "@latin1.toml", "@large.toml", "@folder", "0.0.0.0/0",
        "::1", "1.2.3.4/\N{SUPERSCRIPT TWO}",
    ),
    "output": ("folder", "no/such/file", "x.html", "[bold].txt", "n" * 255 + ".txt", "x.\N{SUPERSCRIPT TWO}"),
    "rate": ("1/d", "1G/ns", "0/s", "1/0"),
    "loss": ("syn=nan", "syn=", "syn=1%,syn=[bold]", "fin=200%"),
    "hold": ("exp:", "exp:0", "exp:-1s", "exp:nan", "normal:1s", "lognormal:1s,nan", "trace:", "trace:folder",
             "trace:nul.toml", "trace:large.toml", "uniform:2s,1s", "exp:9999d"),
    "tries": ("0", "3,", "3,1s", "3,1s*0", "3,1s*nan,2", "9" * 300 + ",1s*2"),
    "late": ("1s", "1s:", ":1", "1s:2", "1s:nan"), "ports": ("9-1", "0-70000", "-", "1024-", "1-1"),
    "accept_stall": ("1s", "2s/1s", "0/0", "1s/1s", "/"), "closes": ("mix:2", "mix:", "reset:nan", "nobody"),
    "arrivals": ("trace:", "trace:folder", "trace:latin1.toml", "trace:no/such/file"),
    "file": ("deep.toml", "nul.toml", "latin1.toml", "large.toml", "markup.toml", "odd.toml", "folder",
             "empty.toml", "wrong.toml"),
    "grid": ("backlog=", "backlog=1..", "backlog=..", "backlog=1..9/0", "backlog=1..9/1e9",
             "backlog=1..9/" + "9" * 50, "backlog=9..1/3", "load.rate=0..1/3:log", "rtt=1ms..1/2",
             "backlog=1,,2", "backlog=1,1", "x.y.z=1", "load.hold=exp:1ms..exp:2us/3",
             "server.profile=[bold]", "seed=1..9/3", "run.seeds=1,2",
             "backlog=" + ",".join(map(str, range(20_000)))),
    "zip_": ("backlog=1,2,3", "client.hosts=1..2/9"),
    "only": ("backlog >", "backlgo>1", "__import__('os')", "backlog**9**9**9", "(" * 300, "1/0",
             "-" * 400 + "1", "backlog.__class__", "backlog > 1e400", "backlog > 5 parsecs", "backlog > 'x'",
             "backlog > 9999"),
    "search": ("load.rate=9..1", "load.rate=1..9:log", "load.rate=0..1:log", "backlog=1..1", "load.rate=1"),
    "executor": ("dask", "dask:", "nobody:at", "os:nothing", "os:getcwd", "a:b:c", "..:x", "tests:"),
    "memory": ("1", "1E", "-5"), "tolerance": ("0", "200%", "1e-99"), "shards": ("2", "65537"),
    "longest": ("9999d",),
    "duration": ("0", "9999d"), "series": ("1ns",), "listeners": ("0", "1G"), "destinations": ("0", "1G"),
}  # fmt: skip

#: What gives a small run; an option that is not here is a Choice, a flag or a number from 1 on.
GOOD = {
    "connections": ("1", "7", "20", "0.1k"), "rtt": ("0", "1ms", "40ms"), "jitter": ("0", "2ms"),
    "loss": ("0", "1%", "syn=5%,third-ack=1%"), "reorder": ("0", "10%"), "reorder_delay": ("1ms", "20ms"),
    "hold": ("0", "1s"), "backlog": ("0", "1", "64"), "clients": ("0", "3"),
    "seed": ("0", "1", str(2**64 - 1), "random"),
    "knobs": ("tcp_syncookies=0", "isn=random", "ip_local_port_range=2000,3000", "somaxconn=4k", "isn=1"),
    "batch": ("1", "100", "4096"), "threshold": ("success_ratio>=0.5", "connected>0"),
    "config": ("good.toml",), "sysctl": ("good.sysctl",), "output": ("r.json", "r.csv", "r.txt", "r", "link"),
    "duration": ("10ms", "50ms"), "duplicates": ("0", "5%"), "duplicate_delay": ("0", "1s"),
    "syn_data": ("0", "100"), "close_delay": ("0", "1ms"), "half_close": ("0", "10%"),
    "half_close_bytes": ("0", "10k"), "data": ("0", "1k"), "last_ack_loss": ("0", "5%"),
    "time_wait": ("0", "1s", "60s"), "sources": ("random", "203.0.113.0/24", "198.51.100.7,198.51.100.9"),
    "on": ("5ms",), "off": ("5ms",), "count": ("1", "10"), "start": ("0", "1ms"), "stop": ("5ms",),
    "patience": ("10ms", "1s"), "accept_delay": ("0", "1ms"), "client_addresses": ("0", "2"),
    "policy": ("linux", "evict-random"), "compare_": ("linux", "drop-new,freebsd"), "workers": ("1",),
    "seeds": ("2",), "rate": ("300/s", "500/s"),
    "arrivals": ("poisson", "paced", "trace:times.csv"), "concurrency": ("0", "2"), "request": ("0", "600"),
    "response": ("0", "30k"), "requests_per_connection": ("1", "3"), "idle_timeout": ("0", "1s"),
    "tries": ("os", "3", "2,10ms*2", "3,1s*2,0.5"), "destinations": ("1", "2"), "ports": ("1024-65535",),
    "listeners": ("1", "2"), "accept_time": ("0", "exp:1ms"), "accept_workers": ("1", "2"),
    "accept_stall": ("1ms/10ms",), "closes": ("client", "server", "mix:0.3", "reset:0.1"),
    "late": ("1s:10%",), "flood_rate": ("0/s", "200/s"), "warmup": ("0", "auto", "5ms"),
    "series": ("0", "5ms"), "profile": ("linux", "freebsd", "strict"), "client_profile": ("linux", "strict"),
    "client_sysctl": ("good.sysctl",), "jobs": ("1",), "file": ("scenario.toml",),
    "pattern": ("served", "ports.*"), "grid": ("backlog=1,5", "load.rate=100..300/3:log"),
    "zip_": ("rtt=1ms,2ms",),
    "only": ("backlog > 1", "backlog*2 < 100"), "search": ("load.rate=100..200",), "tolerance": ("50%",),
    "max_seeds": ("8",), "shards": ("0", "1"), "longest": ("1s",),
    "executor": ("processes",), "memory": ("8G",),
    "topic": ("ports", "time-wait"), "from_host": ("web1",), "client_from_host": ("web1",),
    "kernel": ("5.15", "6.6"), "client_kernel": ("4.18",), "bytes": ("slabinfo.txt",),
    "apply": ("good.sysctl",),
    "old": ("result.json",), "new": ("result.json",),
    "allow_change": ("served", "ports.*"), "wall": ("5%",), "interval": ("60", "1"),
    "vs": ("client.tcp_tw_reuse=1", "rate=100,200", "time_wait=1s+destinations=2"), "within": ("10ms",),
    "horizon": ("1s",), "established": ("1k",), "bytes_": ("30k",),
    "by": ("client", "mix"), "kind": ("ack",), "cookies": ("off",),
    "during": ("1ms,5ms", "0,end"), "bursts": ("1ms/1ms",), "flood_count": ("1", "10"),
}

#: Where an option of one command takes other values than of the others.
GOOD_FOR = {
    ("churn", "hold"): ("0", "1ms", "exp:1ms", "uniform:1ms,2ms"), ("churn", "rtt"): ("0", "normal:2ms,1ms"),
    ("churn", "sources"): ("203.0.113.0/24", "reflect:5"), ("churn", "clients"): ("1", "3"),
    ("churn", "knobs"): ("tcp_syncookies=0", "client.tcp_tw_reuse=1", "both.time_wait_ms=5", "link.rtt=1ms"),
    ("run", "knobs"): ("backlog=5", "client.hosts=2", "load.rate=200/s", "both.mss=1000"),
    ("plan", "hold"): ("1ms", "exp:1ms"), ("plan", "clients"): ("1", "3"),
    ("plan", "sources"): ("203.0.113.0/24", "reflect:5"), ("plan", "config"): ("churn.toml",),
    ("plan", "knobs"): ("tcp_syncookies=0", "client.tcp_tw_reuse=1", "both.time_wait_ms=5", "link.rtt=1ms"),
    ("churn", "config"): ("churn.toml",), ("run", "config"): ("run.toml",),
    ("sweep", "knobs"): ("tcp_syncookies=0", "client.hosts=2"), ("sweep", "config"): ("run.toml",),
    ("sweep", "output"): ("study",), ("sweep", "seeds"): ("1", "2"),
    ("sweep", "grid"): ("load.hold=1ms,2ms",),
    ("report", "file"): ("result.json",), ("report", "output"): ("page.html",),
    ("compare", "threshold"): ("first_try_ratio: -0.1%",), ("compare", "output"): ("moved.md",),
    ("churn", "warmup"): ("0", "5ms"), ("run", "seeds"): ("1", "2"),
    ("flood", "clients"): ("1", "3"), ("handshake", "clients"): ("1", "3"), ("close", "clients"): ("1", "3"),
    ("flood", "client_addresses"): ("2",),
    ("completion", "shell"): ("bash", "zsh", "fish"),
}  # fmt: skip

#: What keeps an invocation small, before the options that are tried.
BASE = {
    "handshake": ("-n", "5"),
    "close": ("-n", "5"),
    "flood": ("--duration", "20ms", "--patience", "20ms", "--flood-rate", "200/s", "--rate", "50/s",
              "--backlog", "8", "--seeds", "2", "-o", "run.honest_bursts=0"),  # fmt: skip
    "profiles": (),
    "metrics": (),
    "collect": (),
    "doctor": (),
    "completion": ("bash",),
    "compare": ("result.json", "result.json"),
    "report": ("result.json", "-O", "page.html"),
    "plan": ("host", "--rate", "500", "--no-sim", "--apply", "good.toml"),
    "churn": ("--rate", "500", "--duration", "20ms", "--clients", "1"),
    "run": ("scenario.toml",),
    "sweep": ("scenario.toml", "--grid", "backlog=2,3", "-O", "study", "--dry-run"),  # a study: tests/study
}

FILES = {
    "good.toml": b"seed = 5\n[knobs]\ntcp_synack_retries = 2\n",
    "good.sysctl": b"net.core.somaxconn = 64\nnet.ipv4.tcp_syn_retries = 2\nvm.swappiness = 60\n",
    "deep.toml": b"a = " + b"[" * 100_000,
    "nul.toml": b"seed = 1\0\n",
    "latin1.toml": b"seed = \"\xe9\"\n",
    "digits.toml": b"seed = " + b"9" * 5000 + b"\n",
    "markup.toml": b"command = '[bold]'\n'[/x]' = 1\n",
    "churn.toml": b"seed = 5\nrtt = '2ms'\n[knobs]\ntcp_synack_retries = 2\n",
    "run.toml": b"seed = 5\nseries = '5ms'\n",
    "scenario.toml": b"schema = 1\n[[load]]\nrate = 300\n[run]\nduration = '20ms'\n",
    "empty.toml": b"",
    "wrong.toml": b"schema = 1\n[server.listen]\nbaklog = 5\n[[load]]\nhold = 'exp:-1s'\n",
    "times.csv": b"1ms\n2ms\n5ms\n",
    "odd.toml": b"seed = nan\nrtt = 1979-05-27\n[knobs]\nisn_tick_ns = nan\nmss = {a = [1]}\n",
}


def options(command):
    """The options of a command that take part, by parameter name."""
    return {p.name: p for p in command.params if p.name != "help"}


def command_of(name):
    return group.get_command(click.Context(group), name)


def cases():
    """(command, parameter name) of every option there is."""
    return [(name, option) for name in COMMANDS for option in options(command_of(name))]


def hostile_values(option):
    return (*HOSTILE, *HOSTILE_FOR.get(option, ()))


def words(option, value):
    """An option, or an argument, as it is typed."""
    if isinstance(option, click.Argument):
        return ["--", value]
    name = max(option.opts, key=len)
    if option.is_flag:
        return [name]
    return [f"{name}={value}"] if name.startswith("--") else [name, value]


@functools.cache
def result():
    """A result file, of a run that is as small as one can be."""
    load = loadgen.Load(rate="300/s")
    return loadgen.run(loadgen.Scenario(load=[load], run=loadgen.Run(duration="20ms"))).to_text_json()


def furnish(folder):
    """The files that values name."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "result.json").write_text(result())
    shutil.copytree(DATA / "host" / "web1", folder / "web1")
    shutil.copy(DATA / "host" / "web1" / "slabinfo.txt", folder)
    settings = folder / "web1" / "sysctl.txt"  # -v lists all that are no knobs
    kept = [line for line in settings.read_text().splitlines(True) if "somaxconn" in line or "syn" in line]
    settings.write_text("".join(kept))
    with open(folder / "large.toml", "wb") as file:
        file.truncate(LARGEST_TEXT + 1)
    (folder / "folder").mkdir()
    (folder / "target").write_text("")
    (folder / "link").symlink_to("target")


@dataclass
class Outcome:
    code: int
    stdout: str
    stderr: str
    wrong: list = field(default_factory=list)

    @property
    def ran(self):
        """Whether there is a result: everything but help and errors."""
        return self.code in (0, 99)


_written = []
_watching = False
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate",
            "os.chmod", "os.chown")  # fmt: skip


def _audit(event, args):
    if not _watching:
        return
    if event == "open" and isinstance(args[0], (str, bytes)):
        if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _written.append(os.fsdecode(args[0]))
    elif event in _CHANGES:
        _written.extend(os.fsdecode(arg) for arg in args[:2] if isinstance(arg, (str, bytes)))


def _stop(number, frame):
    raise KeyboardInterrupt


@contextlib.contextmanager
def watched(cpu_s):
    """Every file that is changed is noted, and what takes too long is interrupted; cpu_s 0 is no limit."""
    global _watching
    if not getattr(sys, "_hostile_audit", False):
        sys._hostile_audit = True
        sys.addaudithook(_audit)
    _written.clear()
    before = {number: signal.signal(number, _stop) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S, 1)
    signal.setitimer(signal.ITIMER_PROF, cpu_s, 1)
    _watching = True
    try:
        yield
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def invoke(args, cpu_s=0):
    """`loadgen ARGS` in this process and folder, with what is wrong about it; cpu_s as of `watched`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), watched(cpu_s):
        code = entry.run(args)
    outcome = Outcome(code, out.getvalue(), err.getvalue())
    outcome.wrong = list(complaints(outcome))
    here = os.path.realpath(".")
    outside = {p for p in _written if not os.path.realpath(os.path.join(here, p)).startswith(here + os.sep)}
    outcome.wrong += [f"changed {path}" for path in sorted(outside)]
    return outcome


def complaints(outcome):
    """What the contract forbids."""
    if outcome.code not in EXIT_CODES:
        yield f"exit code {outcome.code}"
    if "Traceback" in outcome.stderr + outcome.stdout or "please report" in outcome.stderr:
        yield "an unexpected error"
    lines = outcome.stderr.splitlines()
    if len(lines) > MOST_LINES:
        yield f"{len(lines)} lines on standard error"
    if (longest := max(map(len, lines), default=0)) > LONGEST_LINE:
        yield f"a line of {longest} characters"
    if any(not c.isprintable() and c != "\n" for c in outcome.stderr):
        yield "control characters on standard error"
    if outcome.code in (1, 2, 3) and not lines:
        yield "no word about what is wrong"


class Fuzzer:
    """Random invocations: mostly good values, so that many run, with hostile ones between them."""

    def __init__(self, seed):
        self._dice = random.Random(seed)
        self.used = Counter()

    def invocation(self):
        """Words of the command line; the options that were used least come first."""
        dice = self._dice
        command = dice.choice(COMMANDS)
        known = options(command_of(command))
        names = sorted(known, key=lambda name: (self.used[command, name] // 5, dice.random()))
        chosen = names[: dice.choice((1, 2, 3))]
        chosen += dice.sample(list(known), min(len(known), dice.choice((0, 0, 1, 2))))
        chosen = list(dict.fromkeys(chosen))
        hostile = dice.random() < 0.5
        bad = dice.choice(chosen) if hostile else None
        args = [command, *BASE[command]]
        for name in chosen:
            self.used[command, name] += 1
            value = dice.choice(hostile_values(name)) if name == bad else self._good(command, known[name])
            if not isinstance(known[name], click.Argument):
                args += words(known[name], value)
            elif name == bad:
                args[1:2] = [value]
        return args

    def _good(self, command, option):
        if getattr(option, "is_flag", False):
            return ""
        if isinstance(option.type, click.Choice):
            return self._dice.choice(list(option.type.choices))
        return self._dice.choice(GOOD_FOR.get((command, option.name)) or GOOD[option.name])


def fuzz(n, seed, report=None):
    """So many invocations: failures, exit codes, how many ran to a result, how often each option was used."""
    fuzzer, failures, codes, ran = Fuzzer(seed), [], Counter(), 0
    for i in range(n):
        args = fuzzer.invocation()
        outcome = invoke(args, PATIENCE_CPU_S)
        codes[outcome.code] += 1
        ran += outcome.ran
        if outcome.wrong:
            failures.append((args, outcome))
        if report is not None:
            report(i + 1, args, outcome)
    return failures, codes, ran, fuzzer.used


def shown(args):
    short = (word if len(word) < 60 else f"{word[:40]}...{len(word):,}" for word in args)
    return " ".join(map(repr, short))


def _main():
    n, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0

    def report(i, args, outcome):
        if outcome.wrong:
            print(f"{shown(args)}: {outcome.wrong}\n{outcome.stderr[-500:]}", flush=True)
        elif outcome.code == 130:
            print(f"took too long: {shown(args)}", flush=True)
        if i % 1000 == 0:
            print(f"{i} ...", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "work")
        folder.mkdir()
        os.chdir(folder)
        os.environ["MPLCONFIGDIR"] = str(folder / "matplotlib")
        furnish(folder)
        invoke(["handshake", "-n", "1"])  # modules that are imported late
        failures, codes, ran, used = fuzz(n, seed, report)
        beside = [path.name for path in Path(name).iterdir()]
        os.chdir("/")
    least = min(used[case] for case in cases())
    print(f"{n} invocations, {ran} to a result, each option at least {least} times")
    print("exit codes:", dict(sorted(codes.items())), "failures:", len(failures))
    print("in the folder above:", beside)
    sys.exit(bool(failures) or beside != ["work"])


if __name__ == "__main__":
    _main()
