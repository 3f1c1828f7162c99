"""The rules for what is known to differ between kernel and engine, each as narrow as the kernel's condition.

A rule gives the first step of a scenario from which on it applies; a difference there or later, of the rule's
sort, is not looked into. `RULES` are no faults, each with the kernel's function and the reason; `PENDING` is
what is not built or not mended yet.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

#: What is sent so long after a segment or call is no answer to it, s.
LATE = 0.02
#: Rows that Linux sends before anything is acknowledged.
INITIAL_WINDOW_ROWS = 10


def number_of(symbol):
    """n of "R+n" and "L+n"; None of a number that counts from nowhere or from an edge."""
    found = re.fullmatch(r"[RL]([+-]\d+)", str(symbol))
    return int(found[1]) if found else None


def arrivals(steps):
    """(step, segment) of everything that arrives."""
    return [(number, step["in"]) for number, step in enumerate(steps) if "in" in step]


def rows(steps):
    """SYNs, text and FINs that a stack sent: (step, label, seq, length, end), by its offsets."""
    return [(number, seg["conn"], number_of(seg["seq"]), seg["len"],
             (number_of(seg["seq"]) or 0) + seg["len"] + len(set(seg["flags"]) & set("SF")))
            for number, step in enumerate(steps) for seg in step.get("expect", ())
            if (seg["len"] or set(seg["flags"]) & set("SF")) and "R" not in seg["flags"]]


def first_resend(steps):
    """The step of the first row that goes over an old number, None without one. The first SYN-ACK after a SYN
    is none."""
    seen, answered = {}, set()
    for number, step in enumerate(steps):
        if any({"S", "A"} <= set(seg["flags"]) and seg["conn"] not in answered
               for seg in step.get("expect", ())):
            answered |= {seg["conn"] for seg in step["expect"] if {"S", "A"} <= set(seg["flags"])}
            continue
        for _, label, seq, _, end in rows([step]):
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


def sack_agreed(steps):
    return all("sack_ok" in (syns(steps, ours) or {}) for ours in (True, False))


def least(numbers):
    return min(numbers, default=None)


def header_prediction(scenario, kernel, engine):
    told, windows = {}, set()
    for number, step in enumerate(kernel):
        for seg in step.get("expect", ()):
            told[seg["conn"]] = seg["ack"]
        if "in" in step:
            seg = step["in"]
            plain = set(seg["flags"]) <= set("AP") and "A" in seg["flags"] and seg["len"]
            old = (number_of(seg["ack"]) or 0) <= 0 or seg["wnd"] == 0
            if plain and seg["seq"] == told.get(seg["conn"]) and old and (seg["conn"], seg["wnd"]) in windows:
                return number
            windows.add((seg["conn"], seg["wnd"]))
    return None


def window_after_text(scenario, kernel, engine):
    return least(number for number, seg in arrivals(engine) if seg["len"] and "S" not in seg["flags"])


def at_the_edge(scenario, kernel, engine):
    """A SYN, or a segment without ACK, which the answer acknowledges."""
    text = window_after_text(scenario, kernel, engine)
    return least(number for number, seg in arrivals(engine) if text is not None and number > text
                 and ("S" in seg["flags"] or "A" not in seg["flags"]) and str(seg["seq"]).startswith("W"))


def while_an_ack_is_delayed(kernel, engine):
    """(step, segment, what the kernel has acknowledged, what the engine has) of each arrival that finds the
    kernel behind."""
    told = {}
    for number, (theirs, ours) in enumerate(zip(kernel, engine, strict=True)):
        for side, step in enumerate((theirs, ours)):
            for seg in step.get("expect", ()):
                told[side, seg["conn"]] = max(number_of(seg["ack"]) or 0, told.get((side, seg["conn"]), 0))
        if "in" in theirs:
            label = theirs["in"]["conn"]
            behind, ahead = told.get((0, label), 0), told.get((1, label), 0)
            if behind < ahead:
                yield number, theirs["in"], behind, ahead


def echo_of_a_delayed_ack(scenario, kernel, engine):
    return least(number for number, seg, _, _ in while_an_ack_is_delayed(kernel, engine)
                 if "ts" in seg.get("opts", ()))


def old_since_the_last_ack(scenario, kernel, engine):
    """A segment that ends before RCV.NXT, but not before the last ACK that the kernel has sent."""
    found = []
    for number, seg, behind, ahead in while_an_ack_is_delayed(kernel, engine):
        seq = number_of(seg["seq"])
        if seq is not None and behind <= seq + seg["len"] + len(set(seg["flags"]) & set("SF")) < ahead:
            found.append(number)
    return least(found)


def eof_taken(scenario, kernel, engine):
    """What ends beyond the edge after the FIN has left the queue: by a read of the end or of the last text
    before it, or a close after both have shut down."""
    ended, shut, told, taken, fins = set(), set(), {}, {}, {}
    tuples = {label: (spec["src"], spec["sport"], spec["dport"]) for label, spec in scenario["conns"].items()}
    for number, step in enumerate(engine):
        conn, called = tuples.get(step.get("conn")), step.get("call")
        for seg in step.get("expect", ()):
            told[tuples.get(seg["conn"])] = number_of(seg["ack"]) or 0
        finished = conn in fins and fins[conn] == told.get(conn)
        if called == "recv" and isinstance(step["result"], int):
            taken[conn] = taken.get(conn, 0) + step["result"]
            finished = finished and taken[conn] >= told[conn] - 2             # SYN and FIN are no text
        if step.get("result") == "EOF" or (finished and (called == "recv" or (called == "close"
                                                                              and conn in shut))):
            ended.add(conn)
        shut |= {conn} if called == "shutdown" else set()
        if "in" in step:
            conn = tuples.get(step["in"]["conn"])
            if "F" in step["in"]["flags"]:
                fins.setdefault(conn, (number_of(step["in"]["seq"]) or 0) + step["in"]["len"] + 1)
            if conn in ended and str(step["in"]["seq"]).startswith("W"):
                return number
    return None


def syn_on_the_third(scenario, kernel, engine):
    """An ACK of our SYN-ACK with the peer's old SYN on it, and a FIN or text."""
    entries = set()
    for number, step in enumerate(kernel):
        entries |= {seg["conn"] for seg in step.get("expect", ()) if {"S", "A"} <= set(seg["flags"])}
        if "in" in step:
            seg, flags = step["in"], set(step["in"]["flags"])
            acked = seg["conn"] in entries and "A" in flags and number_of(seg["ack"]) == 1
            if acked and "S" in flags and not flags & set("R") and (seg["len"] or "F" in flags):
                return number
            if acked and "S" not in flags and number_of(seg["seq"]) == 1:
                entries.discard(seg["conn"])
    return None


def congestion_control(scenario, kernel, engine):
    """New rows after a resend, or more than the initial window's before anything comes back."""
    first, highest, flight, una, found = first_resend(engine), {}, {}, {}, []
    for number, step in enumerate(engine):
        if "in" in step and "A" in step["in"]["flags"]:
            label, ack = step["in"]["conn"], number_of(step["in"]["ack"]) or 0
            if ack > una.get(label, 0):
                una[label] = ack
                flight.pop(label, None)
        for _, label, seq, _, end in rows([step]):
            new = seq is not None and seq >= highest.get(label, -1)
            flight[label] = flight.get(label, 0) + new
            if new and (first is not None and number > first or flight[label] > INITIAL_WINDOW_ROWS):
                found.append(number)
            highest[label] = max(end, highest.get(label, -1))
    return least(found)


def cut_anew(scenario, kernel, engine):
    found = []
    for steps in (kernel, engine):
        seen, highest = set(), {}
        for number, label, seq, length, end in rows(steps):
            again = seq is not None and seq < highest.get(label, -1 << 40)
            if again and (label, seq, length, end) not in seen:
                found.append(number)
            seen.add((label, seq, length, end))
            highest[label] = max(end, highest.get(label, -1 << 40))
    return least(found)


def acked_in_part(scenario, kernel, engine):
    """An ACK of something new that ends inside a row."""
    sent, una = {}, {}
    for number, step in enumerate(kernel):
        for _, label, seq, _, end in rows([step]):
            if seq is not None:
                sent.setdefault(label, set()).add((seq, end))
        if "in" in step and "A" in step["in"]["flags"]:
            label, ack = step["in"]["conn"], number_of(step["in"]["ack"])
            if ack is None or ack <= una.get(label, 0):
                continue
            una[label] = ack
            if any(seq < ack < end for seq, end in sent.get(label, ())):
                return number
    return None


def full_socket_by_rto(scenario, kernel, engine):
    """The first arrival after a resend from which on 3.5 RTO are more than a minute: its interval doubles."""
    before, late = {}, set()
    for number, step in enumerate(engine):
        if "in" in step and step["in"]["conn"] in late:
            return number
        for seg in step.get("expect", ()):
            row = seg["conn"], seg["seq"]
            if seg["t"] - before.get(row, seg["t"]) > 60 / 3.5 / 2:
                late.add(seg["conn"])
            before[row] = seg["t"]
    return None


def filled_window(scenario, kernel, engine):
    queued, wnd = {}, {}
    for number, step in enumerate(engine):
        label = step.get("conn")
        if step.get("call") == "send" and isinstance(step["result"], int):
            queued[label] = queued.get(label, 0) + step["n"]
        elif "in" in step:
            label = step["in"]["conn"]
            wnd[label] = step["in"]["wnd"]
        if queued.get(label, 0) > 500 and 0 < wnd.get(label, 0) <= 2000:
            return number
    return None


def consent(scenario, kernel, engine):
    opened = [number for number, seg in arrivals(engine)
              if "A" in seg["flags"] and not set(seg["flags"]) & set("SR") and number_of(seg["ack"]) == 0]
    timed = [number for number, step in enumerate(engine) for seg in step.get("expect", ())
             if "S" in seg["flags"] and seg["t"] - step["t"] > 0.001]
    return opened[0] if opened and timed else None


def cookie_clock(scenario, kernel, engine):
    """The first row that a timer sends on a connection with timestamps that a cookie opened."""
    if scenario["sysctl"].get("tcp_syncookies") != 2:
        return None
    cookies = {seg["conn"] for step in engine for seg in step.get("expect", ())
               if {"S", "A"} <= set(seg["flags"]) and "ts" in seg["opts"]}
    return least(number for steps in (kernel, engine) for number, step in enumerate(steps)
                 for seg in step.get("expect", ()) if seg["conn"] in cookies and seg["t"] - step["t"] > LATE)


def given_up_by_time(scenario, kernel, engine):
    """A step in which one stack resends the same a last time that the other does not, after ten at least: the
    kernel's timers are late, each a little more."""
    sent = Counter(), Counter()
    for number, pair in enumerate(zip(kernel, engine, strict=True)):
        for rows, step in zip(sent, pair, strict=True):
            rows.update((seg["conn"], seg["seq"], seg["len"]) for seg in step.get("expect", ()))
        theirs, ours = sent
        if any(min(theirs[row], ours[row]) > 10 and abs(theirs[row] - ours[row]) == 1 for row in theirs):
            return number
    return None


def closed_before_established(scenario, kernel, engine):
    """The peer's FIN after close() in SYN-RECEIVED of a simultaneous open."""
    opening, closed = {}, set()
    for number, step in enumerate(kernel):
        for seg in step.get("expect", ()):
            if {"S", "A"} <= set(seg["flags"]) and seg["conn"] in opening:
                opening[seg["conn"]] = "crossed"
        if "in" in step:
            label = step["in"]["conn"]
            if label in closed and "F" in step["in"]["flags"]:
                return number
            if "A" in step["in"]["flags"] and label not in closed:
                opening.pop(label, None)
        elif step.get("call") == "connect":
            opening[step["conn"]] = "sent"
        elif step.get("call") == "close" and opening.get(step.get("conn")) == "crossed":
            closed.add(step["conn"])
    return None


def sack_blocks(scenario, kernel, engine):
    if not sack_agreed(kernel):
        return None
    told = {}
    for number, step in enumerate(kernel):
        for seg in step.get("expect", ()):
            told[seg["conn"]] = number_of(seg["ack"])
        if "in" in step and "S" not in (flags := step["in"]["flags"]) and (step["in"]["len"] or "F" in flags):
            seq = number_of(step["in"]["seq"])
            if seq is None or seq != told.get(step["in"]["conn"], seq):
                return number
    return None


@dataclass(frozen=True)
class Rule:
    """Why a difference is no fault: the kernel's function that it is in, the reason, from which step on."""

    function: str
    reason: str
    applies: Callable
    what: tuple = ()                  # only differences of this sort


RULES = {
    "header_prediction": Rule(
        "tcp_rcv_established",
        "its fast path takes text at RCV.NXT whose window is unchanged without looking whether its "
        "ACK is older than anything sent, and without starting the probe timer of a closed window anew; "
        "pred_flags are an accident of the segments before",
        header_prediction,
    ),
    "at_the_edge": Rule(
        "tcp_grow_window",
        "where the edge is after text (see window_after_text) is where a segment begins that comes there, "
        "and what the answer to it acknowledges",
        at_the_edge, what=("sent ack",),
    ),
    "echo_of_a_delayed_ack": Rule(
        "tcp_replace_ts_recent",
        "a timestamp is kept if its segment begins at or before the last ACK sent, which the kernel "
        "delays and the engine does not",
        echo_of_a_delayed_ack, what=("sent tsecr",),
    ),
    "old_since_the_last_ack": Rule(
        "tcp_sequence",
        "what ends before the last ACK sent is old; the kernel delays that ACK and the engine does not",
        old_since_the_last_ack,
    ),
    "eof_taken": Rule(
        "tcp_sequence",
        "text may reach over the edge while the receive queue is empty; a FIN leaves it when the "
        "application has read the end, or closes after both have shut down; the engine keeps it",
        eof_taken,
    ),
    "window_after_text": Rule(
        "tcp_grow_window",
        "the size of a window after text: Linux accounts for what text takes in memory",
        window_after_text, what=("sent wnd",),
    ),
    "congestion_control": Rule(
        "tcp_cwnd_test",
        "the engine has none: Linux sends ten rows at first, one after a timeout",
        congestion_control,
    ),
    "cut_anew": Rule(
        "tcp_retransmit_skb",
        "the engine keeps lengths, not rows: what is resent may be cut otherwise",
        cut_anew,
    ),
    "syn_on_the_third": Rule(
        "tcp_check_req",
        "a third segment that has the old SYN on it, and more, makes a connection that stays in SYN-RECEIVED "
        "in the accept queue, without a timer; the engine keeps the half-open entry",
        syn_on_the_third,
    ),
    "full_socket_by_rto": Rule(
        "tcp_fin_time",
        "an orphan in FIN-WAIT-2 is a full socket as long as its time exceeds a minute; for the engine that "
        "time is tcp_fin_timeout, for Linux 3.5 RTO if that is more, which takes an RTO backed off to 18 s",
        full_socket_by_rto,
    ),
    "acked_in_part": Rule(
        "tcp_clean_rtx_queue",
        "the engine keeps lengths, not rows: an ACK of a part of a row is news to it and begins its timer "
        "anew, on Linux the row stays as it is and the timer goes on",
        acked_in_part, what=("sent", "time"),
    ),
    "filled_window": Rule(
        "tcp_mss_split_point",
        "the engine leaves the last part of a window that is narrower than a row empty (RFC 9293 "
        "3.8.6.2.1), Linux fills it with a part of a row",
        filled_window,
    ),
    "cookie_clock": Rule(
        "cookie_init_timestamp",
        "a cookie's TSval is up to 63 ms old, as its low bits are options: how old the kernel's is, and so "
        "its first RTT sample, is an accident of its clock",
        cookie_clock,
    ),
    "given_up_by_time": Rule(
        "retransmits_timed_out",
        "the time that tcp_retries2 stands for is looked at whenever the timer fires, and the kernel's fires "
        "later each time: where intervals are short for long that is one resend",
        given_up_by_time, what=("sent",),
    ),
    "closed_before_established": Rule(
        "tcp_init_transfer",
        "a connection closed in SYN-RECEIVED of a simultaneous open never comes by where its buffer is set "
        "up: the peer's FIN takes nothing from its window",
        closed_before_established, what=("sent wnd",),
    ),
    "sack_blocks": Rule(
        "tcp_established_options",
        "the engine sends no SACK blocks; on Linux they take room from the text of a row",
        sack_blocks, what=("sent len", "sent flags,len"),
    ),
    "consent": Rule(
        "retransmits_timed_out",
        "an ACK of its ISS opens a connection whose SYN Linux still resends; it has forgotten when it "
        "began to (retrans_stamp): after a resend the next timer takes the time since boot for "
        "silence and ends the connection, before one the RTO begins anew with 3 s or that of the echo; its "
        "SYN-ACK tells an MSS less what timestamps take",
        consent,
    ),
}
#: Found here, not mended yet; and what others build. Each goes when it is.
PENDING = {}


def applying(scenario, kernel, engine):
    """name -> the first step of each rule that applies."""
    found = {name: rule.applies(scenario, kernel, engine) for name, rule in {**RULES, **PENDING}.items()}
    return {name: step for name, step in found.items() if step is not None}


def excuse(scenario, kernel, engine, difference):
    """The rule by which this difference is none; None where it is one."""
    rules, what = {**RULES, **PENDING}, difference.what
    return next((name for name, step in applying(scenario, kernel, engine).items()
                 if step <= difference.step and what in (rules[name].what or (what,))), None)
