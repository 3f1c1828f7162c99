"""Kernel beside engine: what differs, what is known to differ, how a scenario is printed and kept.

A difference that is not in `KNOWN` is a fault, and for `Config.linux()` the engine's.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
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


# -- known differences: rules over what both did ----------------------------------------------------------
#
# A rule gives the first step from which on it applies; a difference there or later is not looked into.


def number_of(symbol):
    """n of "R+n" and "L+n"; None of a number that counts from nowhere or from an edge."""
    found = re.fullmatch(r"[RL]([+-]\d+)", str(symbol))
    return int(found[1]) if found else None


def arrivals(steps):
    """(step, segment) of everything that arrives."""
    return [(number, step["in"]) for number, step in enumerate(steps) if "in" in step]


def rows(steps):
    """Text and FINs that a stack sent: (step, label, seq, length, end), by its offsets."""
    return [(number, seg["conn"], number_of(seg["seq"]), seg["len"],
             (number_of(seg["seq"]) or 0) + seg["len"] + ("F" in seg["flags"]))
            for number, step in enumerate(steps) for seg in step.get("expect", ())
            if (seg["len"] or "F" in seg["flags"]) and "R" not in seg["flags"]]


def first_resend(steps):
    """The step of the first row that goes over an old number, None without one."""
    seen = {}
    for number, label, seq, _, end in rows(steps):
        if seq is not None and seq < seen.get(label, -1 << 40):
            return number
        seen[label] = max(end, seen.get(label, -1 << 40))
    return None


def syns(steps, ours):
    """The options of the first SYN that the stack (`ours`) sent, or of the first that came; None without."""
    if ours:
        found = (seg for step in steps for seg in step.get("expect", ()) if "S" in seg["flags"])
    else:
        found = (seg for _, seg in arrivals(steps) if "S" in seg["flags"])
    return next((seg.get("opts", {}) for seg in found), None)


def least(numbers):
    return min(numbers, default=None)


def header_prediction(scenario, kernel, engine):
    told, window = {}, {}
    for number, step in enumerate(kernel):
        for seg in step.get("expect", ()):
            told[seg["conn"]] = seg["ack"]
        if "in" in step:
            seg = step["in"]
            plain = set(seg["flags"]) <= set("AP") and "A" in seg["flags"] and seg["len"]
            if (plain and seg["seq"] == told.get(seg["conn"]) and (number_of(seg["ack"]) or 0) <= 0
                    and seg["wnd"] == window.get(seg["conn"], seg["wnd"])):
                return number
            window[seg["conn"]] = seg["wnd"]
    return None


def edge_of_the_syn(scenario, kernel, engine):
    told, shifted = set(), syns(kernel, True) or {}
    if "wscale" not in shifted:
        return None
    for number, step in enumerate(kernel):
        for seg in step.get("expect", ()):
            if "S" not in seg["flags"]:
                told.add(seg["conn"])
        if "in" in step and step["in"]["conn"] not in told and str(step["in"]["seq"]).startswith("W"):
            return number
    return None


def window_after_text(scenario, kernel, engine):
    return least(number for number, seg in arrivals(engine) if seg["len"] and "S" not in seg["flags"])


def congestion_control(scenario, kernel, engine):
    first = first_resend(engine)
    new, highest = [], {}
    burst = {}
    for number, label, seq, _, end in rows(engine):
        if first is not None and number > first and seq is not None and seq >= highest.get(label, 1 << 40):
            new.append(number)
        highest[label] = max(end, highest.get(label, -1))
        burst[number, label] = burst.get((number, label), 0) + 1
        if burst[number, label] > INITIAL_WINDOW_ROWS:
            new.append(number)
    return least(new)


def cut_anew(scenario, kernel, engine):
    found = []
    for steps in (kernel, engine):
        seen, highest = set(), {}
        for number, label, seq, length, end in rows(steps):
            if seq is not None and seq < highest.get(label, -1 << 40) and (label, seq, length, end) not in seen:
                found.append(number)
            seen.add((label, seq, length, end))
            highest[label] = max(end, highest.get(label, -1 << 40))
    return least(found)


def inside_a_row(scenario, kernel, engine):
    ends = {(label, end) for _, label, _, _, end in rows(engine)} | {
        (label, end - 1) for _, label, _, length, end in rows(engine) if length}
    for number, seg in arrivals(engine):
        ack = number_of(seg["ack"]) if "A" in seg["flags"] else None
        sent = [row for row in rows(engine[:number]) if row[1] == seg["conn"]]
        if ack and any(row[2] < ack < row[4] for row in sent if row[2] is not None) and (
                seg["conn"], ack) not in ends:
            return number
    return None


def filled_window(scenario, kernel, engine):
    queued = {}
    for number, step in enumerate(engine):
        if step.get("call") == "send" and isinstance(step["result"], int):
            queued[step["conn"]] = queued.get(step["conn"], 0) + step["n"]
        if "in" in step and queued.get(step["in"]["conn"], 0) > 500 and 0 < step["in"]["wnd"] <= 2000:
            return number
    if max(queued.values(), default=0) > 500:
        narrow = [number for number, seg in arrivals(engine) if 0 < seg["wnd"] <= 2000]
        calls = [number for number, step in enumerate(engine) if step.get("call") == "send"]
        return max(min(narrow), min(calls)) if narrow else None
    return None


def crossing_syn(scenario, kernel, engine):
    ours = next((seg.get("opts", {}) for step in engine for seg in step.get("expect", ())
                 if seg["flags"].strip("EC") == "S"), None)
    if ours is None:
        return None
    return least(number for number, seg in arrivals(engine) if "S" in seg["flags"] and "A" not in seg["flags"]
                 and set(ours) - set(seg.get("opts", {})))


def consent(scenario, kernel, engine):
    opened = [number for number, seg in arrivals(engine) if seg["flags"] == "A" and number_of(seg["ack"]) == 0]
    timed = [number for number, step in enumerate(engine) for seg in step.get("expect", ())
             if "S" in seg["flags"] and seg["t"] - step["t"] > 0.001]
    return opened[0] if opened and timed else None


def ecn(scenario, kernel, engine):
    return least(number for number, seg in arrivals(engine) if set(seg["flags"]) & set("EC"))


def tail_loss_probe(scenario, kernel, engine):
    sack = all("sack_ok" in (syns(kernel, ours) or {}) for ours in (True, False))
    if not sack or scenario["sysctl"].get("tcp_early_retrans", 3) == 0:
        return None
    return least(number for number in (first_resend(kernel), first_resend(engine)) if number is not None)


@dataclass(frozen=True)
class Rule:
    """Why a difference is no fault: the kernel's function that it is in, the reason, from which step on."""

    function: str
    reason: str
    applies: Callable
    what: str = ""                    # only differences of this sort


RULES = {
    "header_prediction": Rule(
        "tcp_rcv_established", "its fast path takes text at RCV.NXT whose window is unchanged without looking "
        "whether its ACK is older than anything sent; pred_flags are an accident of the segments before",
        header_prediction),
    "edge_of_the_syn": Rule(
        "tcp_select_window", "a passive opener that has sent nothing since has the edge of its SYN-ACK, which is "
        "not rounded up to the shift; the engine does not remember which it told last", edge_of_the_syn),
    "window_after_text": Rule(
        "tcp_grow_window", "the size of a window after text: Linux accounts for what text takes in memory",
        window_after_text, "sent wnd"),
    "congestion_control": Rule(
        "tcp_cwnd_test", "the engine has none: Linux sends ten rows at first, one after a timeout",
        congestion_control),
    "cut_anew": Rule(
        "tcp_retransmit_skb", "the engine keeps lengths, not rows: what is resent may be cut otherwise", cut_anew),
    "inside_a_row": Rule(
        "tcp_clean_rtx_queue", "the engine keeps lengths, not rows: an ACK inside a row counts", inside_a_row),
    "filled_window": Rule(
        "tcp_mss_split_point", "the engine leaves the last part of a window that is narrower than a row empty "
        "(RFC 9293 3.8.6.2.1), Linux fills it with a part of a row", filled_window),
    "crossing_syn": Rule(
        "tcp_rcv_synsent_state_process", "the SYN-ACK of a simultaneous open has the options that both SYNs had "
        "(RFC 7323 3.2), Linux's has all it offered", crossing_syn),
    "consent": Rule(
        "retransmits_timed_out", "an ACK of its ISS opens a connection whose SYN Linux still resends; it has "
        "forgotten when it began to (retrans_stamp): after a resend the next timer takes the time since boot "
        "for silence and ends the connection, before one the RTO begins anew with 3 s", consent),
}
#: What is not there yet; each goes when it is.
PENDING = {
    "ecn": Rule("tcp_ecn_create_request", "ECN of the handshake is not built", ecn),
    "tail_loss_probe": Rule("tcp_schedule_loss_probe", "the probe is not built", tail_loss_probe),
}


def applying(scenario, kernel, engine):
    """name -> the first step of each rule that applies."""
    found = {name: rule.applies(scenario, kernel, engine) for name, rule in {**RULES, **PENDING}.items()}
    return {name: step for name, step in found.items() if step is not None}


def excuse(scenario, kernel, engine, difference):
    """The rule by which this difference is none; None where it is one."""
    found = applying(scenario, kernel, engine)
    rules = {**RULES, **PENDING}
    return next((name for name, step in found.items()
                 if step <= difference.step and rules[name].what in ("", difference.what)), None)


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
