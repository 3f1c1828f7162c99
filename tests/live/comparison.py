"""Two runs of one scenario beside each other: what the kernel did, what the engine did.

Compared per connection: every segment with its step and time, flags (ECN bits, too), numbers, length, TSecr,
the options of a SYN, the window's value; results of calls, states, queues. Not compared: PSH, TSval, SACK
blocks, the window of a RST, and the order between connections.

An ACK of new text or of a FIN may be delayed, or ride on another segment: it must come, and not before the
other stack knows what it acknowledges. Source: tcp_send_delayed_ack (TCP_DELACK_MAX).
"""

import re
from dataclasses import dataclass

from tests.corpus.interpreter import SHARE, SLACK, offset

#: The longest that the kernel delays an ACK, s.
DELAY = 0.2
#: A first row that a timer sends, a probe or one that waited, has no earlier one to count from, s.
NEXT_TIMER = 0.3


@dataclass(frozen=True)
class Difference:
    """At `step`, of connection `label`: `what` was `kernel` there and `engine` here."""

    step: int
    label: str | None
    what: str
    kernel: object
    engine: object

    def __str__(self):
        return f"step {self.step} {self.label or ''} {self.what}: kernel {self.kernel}, engine {self.engine}"


def sent(steps):
    """label -> [(step, segment)] in order."""
    found = {}
    for number, step in enumerate(steps):
        for seg in step.get("expect", ()):
            found.setdefault(seg["conn"], []).append((number, seg))
    return found


def acks(seg):
    """The offset that a segment acknowledges, None when it has none."""
    return offset(seg["ack"]) if "A" in seg["flags"] and isinstance(seg["ack"], str) else None


def without_plain_acks(rows):
    """(the rows without ACKs of something new, those ACKs as (step, t, ack), all that was acknowledged)."""
    kept, plain, told, reached = [], [], [], None
    for step, seg in rows:
        ack = acks(seg)
        new = ack is not None and (reached is None or ack > reached)
        if new:
            told.append((seg["t"], ack))
        if new and reached is not None and set(seg["flags"]) <= set("AEP") and not seg["len"]:
            plain.append((step, seg["t"], ack))
        else:
            kept.append((step, seg))
        if new:
            reached = ack
    return kept, plain, told


def essence(seg):
    """What both must agree on, by name."""
    flags = "".join(sorted(set(seg["flags"]) - {"P"}))
    options = seg.get("opts", {})
    said = {"flags": flags, "seq": seg["seq"], "ack": seg["ack"], "len": seg["len"],
            "tsecr": options.get("ts", [None, None])[1]}
    if "R" not in flags:
        said["wnd"] = seg["wnd"]
    if "S" in flags:
        said["opts"] = {name: "ts" if name == "ts" else value for name, value in sorted(options.items())}
    return said


def short(seg):
    """A segment in a few words."""
    said = essence(seg)
    return " ".join(f"{value}" if name == "flags" else f"{name}={value}" for name, value in said.items()
                    if value not in (None, {}) and (name, value) != ("len", 0))


def differences(kernel, engine):
    """All of them, in the order of their steps."""
    found = []
    for number, (theirs, ours) in enumerate(zip(kernel, engine, strict=True)):
        for field in ("result", "queue"):
            if theirs.get(field) != ours.get(field):
                what = theirs.get("call", field)
                found.append(Difference(number, theirs.get("conn"), what, theirs.get(field), ours.get(field)))
        for label, state in theirs.get("state", {}).items():
            if state != ours["state"][label]:
                found.append(Difference(number, label, "state", state, ours["state"][label]))
    theirs, ours = sent(kernel), sent(engine)
    end = kernel[-1]["t"] + kernel[-1].get("within", 0) if kernel else 0     # what is due later is not seen
    for label in sorted(theirs.keys() | ours.keys(), key=str):
        gone = any(step.get("state", {}).get(label) == "CLOSED" for step in kernel)   # and its delayed ACK
        found += compared(label, theirs.get(label, []), ours.get(label, []), 0 if gone else end)
    return sorted(found, key=lambda difference: difference.step)


def compared(label, theirs, ours, end):
    """Of the segments of one connection."""
    yield from acknowledged(label, theirs, ours, end)
    merged = late_acks(theirs, ours)
    theirs, ours = without_plain_acks(theirs)[0], without_plain_acks(ours)[0]
    ours = without_merged(theirs, ours, merged)
    began = {}                        # seq -> when it was sent first: timers add up from there
    for (at, want), (here, got) in zip(theirs, ours, strict=False):
        if at != here:
            first, kernel, engine = (at, short(want), "-") if at < here else (here, "-", short(got))
            yield Difference(first, label, "sent", kernel, engine)
            return
        names = [name for name, value in essence(want).items() if essence(got).get(name) != value]
        if names:
            yield Difference(at, label, "sent " + ",".join(names), short(want), short(got))
            if names != ["wnd"]:
                return
        allowed = SLACK + SHARE * (want["t"] - began.setdefault(want["seq"], want["t"]))
        if abs(got["t"] - want["t"]) > allowed + SHARE * NEXT_TIMER:
            yield Difference(at, label, "time", f"{short(want)} at {want['t']}", f"at {got['t']}")
            return
    if len(theirs) != len(ours):
        more = (theirs if len(theirs) > len(ours) else ours)[min(len(theirs), len(ours))]
        both = (short(more[1]), "-") if len(theirs) > len(ours) else ("-", short(more[1]))
        yield Difference(more[0], label, "sent", *both)


def plain_ack(seg):
    return set(seg["flags"]) <= set("AEP") and "A" in seg["flags"] and not seg["len"]


def late_acks(theirs, ours):
    """{(step, ack)} of delayed ACKs of the kernel's that came as the answer to something later."""
    told = without_plain_acks(ours)[2]
    return {(step, ack) for step, t, ack in without_plain_acks(theirs)[1]
            if any(reach >= ack and at < t - 0.02 for at, reach in told)}


def without_merged(theirs, ours, merged):
    """Our rows without those answers that the kernel's delayed ACKs were: it sent one ACK for both."""
    kept = []
    for step, seg in ours:
        again = plain_ack(seg) and (step, acks(seg)) in merged
        if again and sum(at == step and plain_ack(other) for at, other in theirs) < sum(
                at == step and plain_ack(other) for at, other in ours):
            merged = merged - {(step, acks(seg))}
        else:
            kept.append((step, seg))
    return kept


def acknowledged(label, theirs, ours, end):
    """The plain ACKs of something new: the other stack must acknowledge that, too, in time."""
    ours_plain, ours_told = without_plain_acks(ours)[1:]
    theirs_plain, theirs_told = without_plain_acks(theirs)[1:]
    for step, t, ack in ours_plain:
        last = t + DELAY + SLACK
        if last < end and not any(at <= last and reach >= ack for at, reach in theirs_told):
            yield Difference(step, label, "ack", "-", f"ack R+{ack}")
            return
    for step, t, ack in theirs_plain:
        if not any(at <= t + SLACK and reach >= ack for at, reach in ours_told):
            yield Difference(step, label, "ack", f"ack R+{ack}", "-")
            return


def stimulus(steps, number):
    """In a few words what was done before step `number`."""
    before = next((step for step in reversed(steps[:number + 1]) if "in" in step or "call" in step), None)
    if before is None:
        return "nothing"
    if "call" in before:
        return before["call"]
    seg = before["in"]
    beside = "" if re.fullmatch(r"R.*", str(seg["seq"])) else " at the edge"
    return f"{''.join(sorted(seg['flags'])) or 'flagless'}{' text' if seg['len'] else ''}{beside}"


def kind(steps, difference):
    """What differences have in common that are likely to have one cause."""
    state = next((step["state"].get(difference.label) for step in reversed(steps[:difference.step])
                  if "state" in step), None)
    generic = re.compile(r"=?\b[RLW]?[+-]?\d+(\.\d+)?")
    sides = [generic.sub("", str(side)) for side in (difference.kernel, difference.engine)]
    return f"{state} | {stimulus(steps, difference.step)} | {difference.what} | {sides[0]} | {sides[1]}"
