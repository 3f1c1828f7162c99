"""What seven small scenarios come to, and the number that says which behaviour that is.

`python -m tests.acceptance.behaviour` writes the file again. Whoever changes what a scenario and a seed come
to raises `loadgen.report.result.BEHAVIOUR` first: studies of another number are not gone on with, and a
comparison says that the two were played by different simulators.
"""

import json
from pathlib import Path

import loadgen
from loadgen.report.result import BEHAVIOUR
from loadgen.scenario import presets

FILE = Path(__file__).parent / "data" / "behaviour.json"
RUNS = {
    "handshake": ("handshake", {"connections": 300, "rate": "2k", "loss": "3%", "seed": 3}),
    "close": ("close", {"connections": 200, "closes": "turns", "loss": "2%", "seed": 3}),
    "churn with stalls": ("churn", {"rate": "400", "hold": "exp:50ms", "rtt": "40ms", "backlog": 15,
                                    "accept_stall": "200ms/1s", "duration": "5s", "seed": 3}),
    "server closes": ("churn", {"rate": "300", "hold": "20ms", "clients": 1, "ports": "40000,40199",
                                "closes": "server", "time_wait": "1s", "duration": "4s", "seed": 3}),
    "flood": ("flood", {"flood_rate": "2k", "rate": "50", "backlog": 64, "duration": "4s",
                        "server.knobs.tcp_syncookies": 0, "seed": 3}),
    "flood, cookies": ("flood", {"flood_rate": "2k", "rate": "50", "backlog": 64, "duration": "4s",
                                 "seed": 3}),
    "freebsd": ("churn", {"rate": "200", "profile": "freebsd", "loss": "5%", "duration": "4s", "seed": 3}),
}  # fmt: skip


def figures(name):
    """Counts alone, those that are not 0: they do not depend on how a processor rounds."""
    command, options = RUNS[name]
    found = loadgen.run(presets.preset(command, options)).to_dict()
    flat = {"outcomes": found["outcomes"], **found["counters"]}
    return {f"{side}.{key}": value for side, counts in flat.items() for key, value in counts.items() if value}


def document():
    return {"behaviour": BEHAVIOUR, "runs": {name: figures(name) for name in RUNS}}


if __name__ == "__main__":
    before = json.loads(FILE.read_text()) if FILE.exists() else {}
    now = json.loads(json.dumps(document()))
    if before.get("runs") != now["runs"] and before.get("behaviour") == BEHAVIOUR:
        raise SystemExit("the figures are others than before: raise loadgen.report.result.BEHAVIOUR first")
    FILE.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
