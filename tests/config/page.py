"""docs/knobs.md and the table of ADR 5, printed from tcpcore/knobs.py by `python -m tests.config`.

So is the second table of docs/kernel-versions.md, from tcpcore/linux_versions.py. The ADR and that page are
their authors' but for what stands between the two marks.
"""

from pathlib import Path

from tcpcore import Config
from tcpcore.config import DECLARED
from tcpcore.linux_versions import CHANGES, UNMODELLED, worded

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs" / "knobs.md"
ADR = ROOT / "docs" / "adr" / "0005-linux-or-rfc.md"
BEGIN, END = "<!-- knobs -->\n", "<!-- /knobs -->\n"
KERNELS = ROOT / "docs" / "kernel-versions.md"
KERNELS_BEGIN, KERNELS_END = "<!-- kernels -->\n", "<!-- /kernels -->\n"

PROFILES = {name: getattr(Config, name)() for name in ("linux", "freebsd", "strict")}
#: The first knob of each section of the list.
SECTIONS = {
    "capacity": "The engine",
    "somaxconn": "Queues of a listener",
    "tcp_synack_retries": "Resending",
    "tcp_fin_timeout": "Closing",
    "tcp_challenge_ack_limit": "Doubtful segments",
    "listen_drops_synfin": "Where the stacks and the RFCs part",
    "tcp_timestamps": "Options and windows",
    "ip_local_port_range": "Numbers",
}

HEAD = """\
# The knobs

Printed from `tcpcore/knobs.py` by `python -m tests.config`; a test fails when it is stale. Each is a keyword
of `Config`, a key of its TOML and an `-o` of `loadgen`; `loadgen profiles` prints the values beside those of
a host. Those named `tcp_...`, `somaxconn` and `ip_local_port_range` are read from `sysctl -a`; what else is,
FreeBSD's names and what older kernels do, is in `tcpcore/sysctl_keys.py` and `tcpcore/linux_versions.py`.
What differs from Linux is **bold**, and the last column says what the RFCs ask there; a section without a
number of an RFC is one of RFC 9293. `Engine.set_knobs` changes those with a `*` while the engine runs. The
rules are in [semantics.md](semantics.md), the reasons in [ADR 5](adr/0005-linux-or-rfc.md).
"""


def word(name, value):
    """A value of a knob as a reader wants it."""
    if value is None or (value == 2**31 - 1 and "none" in DECLARED[name].domain):
        return "none"
    if isinstance(value, tuple):
        return "-".join(map(str, value)) if value else "none"
    return str(value)


def values(name):
    """Profile -> the value there, bold where it is not Linux's."""
    linux = getattr(PROFILES["linux"], name)
    return [
        f"**{word(name, value)}**" if value != linux else word(name, value)
        for value in (getattr(config, name) for config in PROFILES.values())
    ]


def differs(name):
    return len({getattr(config, name) for config in PROFILES.values()}) > 1


def knob_list():
    """All of docs/knobs.md."""
    lines = [HEAD]
    for name, knob in DECLARED.items():
        if name in SECTIONS:
            lines += ["" if len(lines) > 1 else None, f"## {SECTIONS[name]}", "",
                      "| knob | values | linux | freebsd | strict | what it does | the RFCs |",
                      "|---|---|---|---|---|---|---|"]  # fmt: skip
        domain = f"{knob.domain} ({knob.unit})" if knob.unit else knob.domain
        live = " *" if knob.live else ""
        lines.append(f"| `{name}`{live} | {domain} | {' | '.join(values(name))} | {knob.doc} | {knob.rfc} |")
    return "\n".join(line for line in lines if line is not None) + "\n"


def differences():
    """The table of ADR 5: the knobs on which the profiles differ."""
    lines = ["| knob | linux | freebsd | strict | the letter |", "|---|---|---|---|---|"]
    for name, knob in DECLARED.items():
        if differs(name):
            unit = f", {knob.unit}" if knob.unit else ""
            lines.append(f"| `{name}`{unit}: {knob.doc} | {' | '.join(values(name))} | {knob.rfc} |")
    return "\n".join(lines) + "\n"


def adr():
    """ADR 5 with its table as it should be."""
    before, _, rest = ADR.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return before + BEGIN + "\n" + differences() + "\n" + END + after


def older_kernels():
    """The table of what an older kernel does, from `CHANGES` and `UNMODELLED`."""
    lines = ["| before | knob | value | commit, and what it changed | stable |", "|---|---|---|---|---|"]
    for change in CHANGES:
        value = word(change.knob, change.value)
        lines.append(f"| {worded(change.version)} | `{change.knob}` | {value} | {change.commit} | "
                     f"{'yes' if change.ported else ''} |")  # fmt: skip
    lines += [f"| {worded(version)} | | | not modelled: {rule} | |" for version, rule in UNMODELLED]
    return "\n".join(lines) + "\n"


def kernels():
    """docs/kernel-versions.md with its second table as it should be."""
    before, _, rest = KERNELS.read_text(encoding="utf-8").partition(KERNELS_BEGIN)
    after = rest.partition(KERNELS_END)[2]
    return before + KERNELS_BEGIN + "\n" + older_kernels() + "\n" + KERNELS_END + after


PAGES = {LIST: knob_list, ADR: adr, KERNELS: kernels}
