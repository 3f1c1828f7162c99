"""docs/metrics.md, printed from loadgen/report/metrics.py by `python -m tests.report`."""

from pathlib import Path

from loadgen.report.metrics import MEAN, SEEDS, TABLE

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"

HEAD = """\
# The metrics

Printed from `loadgen/report/metrics.py` by `python -m tests.report`; a test fails when it is stale.
`loadgen metrics [PATTERN]` prints the same. Each name is what `--threshold` takes, a key of `metrics` in a
result's JSON, and `result["..."]` in Python.

* SIDE stands for `client` or `server`, NAME for the name of a load or flood.
* Units: `ns` (a threshold takes `50ms`), `1/s`, `ratio` (1 is all; a threshold takes `99.9%`), `bytes`,
  `count`.
* Of several seeds a figure is the mean, unless its row says otherwise, and from four seeds on it has a 95 %
  interval (Student's t). A ratio is sum / sum, with numerator and denominator; a percentile is that of all
  samples together and has the seeds' spread; a largest value has no interval.
* With fewer seeds, means over the series, rates and some ratios have the interval of batch means: ten batches
  a run, where twice as many are long enough and do not go together. Else there is none, and the table says
  "one run".
* `p99.9` is told of 10,000 samples or more. A metric without samples has no value, and a threshold on it is
  missed.
* Counters have the names of the Linux MIB (`nstat`) where Linux has them. Those that are 0 are not listed in
  `metrics`; asked for they are 0.
"""
#: The first row of each section.
SECTIONS = {
    "attempted": "All loads together",
    "accept_wait.count": "Waiting to be accepted",
    "load.NAME.attempted": "Each load",
    "ports.in_use_peak": "Ports",
    "half_open.peak": "Queues and populations",
    "flood.sent": "Floods",
    "memory.kernel.SIDE.half_open": "Kernel memory of a host",
    "counters.SIDE.ActiveOpens": "Counters",
    "causes.SIDE.AcceptQueueFull": "Causes",
    "refused.AcceptQueueFull": "Refused, by cause",
    "states.SIDE.CLOSED": "States at the end",
}


def page():
    """All of docs/metrics.md."""
    lines = [HEAD]
    for metric in TABLE:
        if metric.name in SECTIONS:
            lines += [""] * (len(lines) > 1) + [f"## {SECTIONS[metric.name]}", ""]
            lines += ["| metric | unit | better | meaning |", "|---|---|---|---|"]
        over = f" ({SEEDS[metric.kind]})" if metric.kind not in (MEAN, "ratio", "times") else ""
        better = "" if metric.better == "none" else metric.better
        lines.append(f"| `{metric.name}` | {metric.unit} | {better} | {metric.meaning}{over} |")
    return "\n".join(lines) + "\n"


PAGES = {PAGE: page}
