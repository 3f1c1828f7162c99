"""A scenario on the engine, and on paper: how it is played there, printed and kept.

A difference from the kernel that no rule (tests.live.rules) explains is a fault, and for `Config.linux()` the
engine's.
"""

import hashlib
import json
from pathlib import Path

from tests.corpus.interpreter import SHARE, execute
from tests.live.base import host_of

KEPT = Path(__file__).parent / "regressions"
#: In which one connection's segments that are not acceptable are answered once (tcp_invalid_ratelimit), s.
RATE_LIMIT = 0.5
#: So much earlier may it be, as the round trip that it saw was shorter, s.
EARLY = 0.01
#: What a timer of the kernel's may add to the engine's at least, s.
JITTER = 0.06


def on_engine(scenario, **knobs):
    """The steps as the engine answers them."""
    host = host_of(scenario, **knobs)
    steps = execute(scenario, host)
    faults = host.stack.check()
    assert not faults, f"{faults} after\n{printed(scenario['name'], scenario)}"
    return steps


def pending_timers(steps, fired):
    """step -> how much longer it must be, s, where a timer of the engine's is due so late in it that the
    kernel's may be in the next. `fired`: when the engine's timers did."""
    late, before = {}, None
    for number, step in enumerate(steps):
        if "within" not in step:
            continue
        end = step["t"] + step["within"]
        for t in fired:
            if before is not None and step["t"] < t < step["t"] + EARLY:
                late[before] = t - step["t"] + JITTER
            if step["t"] + 0.001 < t <= end + 0.000_001:
                more = t + max(JITTER, SHARE * (t - begun(steps, t))) - end
                if more > 0:
                    late[number] = max(late.get(number, 0.0), more + 0.01)
        before = number
    return late


def limit_edges(steps):
    """The same for arrivals at the end of the time in which one connection is answered once: whether the
    kernel answers them is an accident of its clock."""
    late, answers, waited = {}, [], None
    for number, step in enumerate(steps):
        answers += [(seg["t"], seg["conn"]) for seg in step.get("expect", ())
                    if seg["flags"] == "A" and not seg["len"] and seg["t"] - step["t"] < 0.001]
        waited = number if "within" in step else waited
        if "in" in step and waited is not None:
            for t, label in answers:
                if label[:2] == step["in"]["conn"][:2] and -JITTER < step["t"] - t - RATE_LIMIT < JITTER:
                    late[waited] = JITTER + RATE_LIMIT + t - step["t"] + 0.01
    return late


def begun(steps, t):
    """From when on the lateness of a timer that fires at `t` adds up: since its row was sent first, or, where
    it sends none, the last that each connection sent before."""
    rows = [(seg["t"], seg["conn"], seg["seq"]) for step in steps for seg in step.get("expect", ())]
    now = {(label, seq) for at, label, seq in rows if abs(at - t) < 0.0005}
    if not now:
        timed = [(seg["t"], seg["conn"], seg["seq"]) for step in steps for seg in step.get("expect", ())
                 if seg["t"] < t - 0.001 and (seg["len"] or set(seg["flags"]) & set("SF")
                                              or seg["t"] - step["t"] > 0.001)]
        now = set({label: (label, seq) for _, label, seq in timed}.values())
    same = [at for at, label, seq in rows if (label, seq) in now and at < t - 0.001]
    before = [at for at, _, _ in rows if at < t - 0.001]
    arrivals = [step["t"] for step in steps if ("in" in step or "call" in step) and step["t"] < t - 0.001]
    return min([*same, max(before, default=0.0), max(arrivals, default=0.0)])


# -- scenarios on paper ----------------------------------------------------------------------------------


def essentials(scenario, steps):
    """What is kept: the corpus format, with the kernel's answers."""
    return {"name": scenario["name"], "kind": "linux",
            **({"base": scenario["base"]} if "base" in scenario else {}), "sysctl": scenario["sysctl"],
            "conns": scenario["conns"], "steps": steps}


def printed(title, scenario):
    """In the corpus format, a step a line."""
    lines = [f"  {json.dumps(step)}" for step in scenario["steps"]]
    return "\n".join([title, json.dumps({key: scenario[key] for key in ("sysctl", "conns")}), *lines])


def keep(scenario, steps):
    """Among the regressions; the path."""
    kept = essentials(scenario, steps)
    name = scenario["name"] or hashlib.sha256(json.dumps(kept["steps"]).encode()).hexdigest()[:12]
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{name}.json"
    head = {key: value for key, value in kept.items() if key != "steps"}
    lines = ",\n".join(f"  {json.dumps(step)}" for step in kept["steps"])
    path.write_text(f'{json.dumps(head)[:-1]}, "steps": [\n{lines}\n]}}\n')
    return path


def kept_scenarios():
    return [json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))]
