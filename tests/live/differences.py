"""Kernel beside engine: what differs, what is known to differ, how a scenario is printed and kept.

A difference that is not in `KNOWN` is a fault, and for `Config.linux()` the engine's.
"""

import hashlib
import json
import re
from pathlib import Path

from tests.corpus.interpreter import SHARE, execute
from tests.live.base import host_of

KEPT = Path(__file__).parent / "regressions"
#: What a timer of the kernel's may add to the engine's at least, s.
JITTER = 0.03
INITIAL_WINDOW_ROWS = 10


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
    late = {}
    for number, step in enumerate(steps):
        if "within" not in step:
            continue
        end = step["t"] + step["within"]
        for t in fired:
            if step["t"] + 0.001 < t <= end:
                more = t + max(JITTER, SHARE * (t - begun(steps, t))) - end
                if more > 0:
                    late[number] = max(late.get(number, 0.0), more + 0.01)
    return late


def begun(steps, t):
    """When the timer that fires at `t` was started at the earliest: with the last row before it."""
    rows = [seg["t"] for step in steps for seg in step.get("expect", ()) if seg["t"] < t - 0.001]
    arrivals = [step["t"] for step in steps if ("in" in step or "call" in step) and step["t"] < t - 0.001]
    return min(max(rows, default=0.0), max(arrivals, default=0.0))


# -- known differences: each a predicate over the scenario as the engine has played it ------------------


def offset(number):
    """n of "R+n" and "L+n"; None of a number that counts from nowhere."""
    found = re.fullmatch(r"[RL]([+-]\d+)", str(number))
    return int(found[1]) if found else None


def arrivals(steps):
    return [step["in"] for step in steps if "in" in step]


def rows(steps):
    """Text and FINs that the stack sent: (step, seq, length)."""
    return [(i, seg["seq"], seg["len"]) for i, step in enumerate(steps) for seg in step.get("expect", ())
            if seg["len"] or "F" in seg["flags"]]


def resent(steps):
    """The step of the first row that goes over an old number, None without one."""
    seen = set()
    for i, seq, _ in rows(steps):
        if seq in seen:
            return i
        seen.add(seq)
    return None


def stale_ack_on_text(steps):
    return any("A" in seg["flags"] and seg["len"] and (offset(seg["ack"]) or 0) <= 0
               for seg in arrivals(steps))


def text_after_loss(steps):
    """Something new goes out after something was resent, or more at once than ten rows."""
    first = resent(steps)
    sent = rows(steps)
    calls = ("send", "close", "shutdown")
    later = first is not None and any(step.get("call") in calls for step in steps[first + 1:])
    return later or any(sum(row[0] == i for row in sent) > INITIAL_WINDOW_ROWS for i, _, _ in sent)


def rows_of_their_own(steps):
    """A resend where the engine cannot know the rows any more: several sends, or an ACK inside a row."""
    sends = [step["n"] for step in steps if step.get("call") == "send"]
    ends = {1, *(offset(seq) + length + fin for _, seq, length in rows(steps) for fin in (0, 1))}
    inside = any("A" in seg["flags"] and offset(seg["ack"]) not in ends and (offset(seg["ack"]) or 0) > 1
                 for seg in arrivals(steps))
    return bool(sends) and (inside or resent(steps) is not None and len(sends) > 1)


def edge_after_text(steps):
    """The right edge of the window is tried when text or a FIN has already come."""
    taken = False
    for seg in arrivals(steps):
        if taken and (offset(seg["seq"]) or 0) > 1000:
            return True
        taken |= seg["len"] > 0 or "F" in seg["flags"]
    return False


def window_narrower_than_text(steps):
    """More than one MSS is queued where the peer's window ends within it."""
    queued = sum(step["n"] for step in steps if step.get("call") == "send")
    return queued > 500 and any(seg["wnd"] < queued for seg in arrivals(steps) if "R" not in seg["flags"])


def syn_without_stamp_crosses(steps):
    """Our SYN offered timestamps, the peer's that crosses it does not."""
    offered = any(seg["flags"] == "S" and "ts" in seg.get("opts", ()) for step in steps
                  for seg in step.get("expect", ()))
    return offered and any("S" in seg["flags"] and "A" not in seg["flags"] and "ts" not in seg.get("opts", ())
                           for seg in arrivals(steps))


def consent_and_two_resends(steps):
    """An ACK of our ISS ends a simultaneous open, and our SYN is resent twice, before that or after it."""
    consent = any(seg["flags"] == "A" and offset(seg["ack"]) == 0 for seg in arrivals(steps))
    timed = [seg for step in steps for seg in step.get("expect", ())
             if "S" in seg["flags"] and seg["t"] - step["t"] > 0.001]
    return consent and len(timed) > 1


#: name -> (why it is no fault, when it applies)
KNOWN = {
    "header_prediction": (
        "Linux's fast path takes text that comes at RCV.NXT without looking whether its ACK is older than "
        "anything sent; which segments take that path is an accident of the ones before", stale_ack_on_text),
    "congestion_control": (
        "the engine has none: Linux sends ten rows at first and one after a timeout", text_after_loss),
    "rows": (
        "the engine keeps lengths, not rows: what is resent is cut anew", rows_of_their_own),
    "receive_window": (
        "Linux accounts for its buffers in pages and grows the window as text comes; a FIN that was read "
        "leaves the buffer", edge_after_text),
    "filled_window": (
        "the engine leaves the last part of a window that is narrower than a row empty (RFC 9293 3.8.6.2.1), "
        "Linux fills it with a part of a row", window_narrower_than_text),
    "crossing_syn": (
        "the SYN-ACK of a simultaneous open has the options that both SYNs had (RFC 7323 3.2), Linux's has "
        "all it offered", syn_without_stamp_crosses),
    "consent": (
        "an ACK of its ISS opens a connection whose SYN Linux still resends; it has forgotten when it began "
        "to (retrans_stamp): after a resend the next timer takes the time since boot for silence and ends "
        "the connection, before one the RTO begins anew with 3 s; the engine goes on up to tcp_retries2",
        consent_and_two_resends),
}


def known(steps):
    """The names of what may differ here."""
    return [name for name, (_, applies) in KNOWN.items() if applies(steps)]


def excuse(scenario, kernel, engine, difference):
    """The rule by which this difference is none."""
    names = known(engine)
    return names[0] if names else None


# -- scenarios on paper ----------------------------------------------------------------------------------


def essentials(scenario, steps):
    """What is kept: the corpus format, with the kernel's answers."""
    return {"name": scenario["name"], "kind": "linux", "sysctl": scenario["sysctl"],
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
