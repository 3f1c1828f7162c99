"""Q2 and Q10 of docs/planning.md at --effort long: does the simulation's interval hold M/M/1/K?

Q10's queue is asked of `plan accept`, in which who is refused does not come again, as the form has it; the
search of `sweep` plays the kernel's second tries, of which no form knows.
"""

import json

from tests.plan.page import run

LONG = (
    "loadgen plan accept --rate 3k --backlog 511,1023,2047,4095 --threshold listen_drop_ratio<=1e-4",
    "loadgen plan accept --accept-time exp:100us --backlog 511 --rtt 40ms --threshold first_try_loss<=0.001",
)


def covered(command, effort="long", more="--jobs 1"):
    """Whether every row of an exact form for the refused is inside the simulated interval; says each."""
    code, printed, errors = run(f"{command} --effort {effort} {more} --format json")
    assert code == 0, errors
    document = json.loads(printed)
    rows = [row for row in document["theory"] if "M/M/1/" in row["row"]]
    for row in rows:
        print(f"{row['row']}: F {row['value']:.4g}, S {row['low']:.4g} .. {row['high']:.4g}: {row['state']}")
    return bool(rows) and all(
        row["low"] <= row["value"] <= row["high"] and row["state"] == "agree" for row in rows
    )
