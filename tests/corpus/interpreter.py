"""The recording's format: put a scenario's stimuli to a stack, compare two runs of one scenario.

Knows neither kernel nor engine: a `Target` is anything with six methods. A scenario names connections by
label and numbers by symbol (``R+n`` from the peer's ISN, ``L+n`` from the stack's, ``W+n`` from the right
edge of the window that the stack told), so that two stacks with different ISNs, clocks and buffers can be
compared. Only a ``within`` step lets time pass.

Source: recordings of Linux 6.18 through a TUN device, in ``tests/data/corpus.json``.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as made
from pathlib import Path
from typing import Protocol

SPACE = 1 << 32
#: A number further than this from an ISN was not counted from it.
REACH = 1 << 26
#: Of 0: it may be no number at all, a RST that answers a segment without ACK has none.
REACH_OF_0 = 1 << 16
#: The right edge of a stack that has told none yet, from the peer's ISN: 44 rows of 1460 bytes.
FIRST_EDGE = 1 + 64240
#: What the recording machine adds to every time: scheduling, a 4 ms jiffy, a delayed acknowledgement.
SLACK = 0.05
#: What its timer wheel adds to a timer (never early, up to 10 % late), as a share of the timer.
SHARE = 0.12


#: The kinds of step, by the key that tells the kind, and what a segment cannot do without.
STEPS = ("in", "call", "within", "state", "queue")
SEGMENT = ("conn", "flags", "seq", "ack", "len", "wnd")


class NotACorpus(ValueError):
    """A file that no interpreter of this format can play, with the first thing that is wrong."""


def load(path):
    """The corpus in the file `path`, known to be one as far as its shape goes."""
    try:
        corpus = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NotACorpus(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NotACorpus(f"{path}: not JSON: {error}") from None
    for where, wrong in flaws(corpus):
        raise NotACorpus(f"{path}: not a corpus: {where}: {wrong}")
    return corpus


def flaws(corpus):
    """(where, what is wrong) for everything about a corpus's shape that playing it would trip over."""
    if not isinstance(corpus, dict):
        yield "top level", f"expected an object, got {type(corpus).__name__}"
        return
    about = corpus.get("about")
    if not isinstance(about, dict) or not isinstance(about.get("base_sysctl"), dict):
        yield "about", "expected an object with base_sysctl"
    scenarios = corpus.get("scenarios")
    if not isinstance(scenarios, list) or not scenarios:
        yield "scenarios", "expected a list with something in it"
        return
    names = set()
    for number, scenario in enumerate(scenarios):
        where = f"scenario {number}"
        if not isinstance(scenario, dict) or not isinstance(scenario.get("name"), str):
            yield where, "expected an object with a name"
            continue
        where = f"scenario {scenario['name']}"
        if scenario["name"] in names:
            yield where, "a second one of this name"
        names.add(scenario["name"])
        for key, kind in (("steps", list), ("conns", dict), ("sysctl", dict)):
            if not isinstance(scenario.get(key), kind):
                yield where, f"expected {key}, {'a list' if kind is list else 'an object'}"
                break
        else:
            yield from step_flaws(where, scenario)


def step_flaws(where, scenario):
    """The same for the steps of one scenario."""
    for number, step in enumerate(scenario["steps"]):
        here = f"{where}, step {number}"
        kinds = [kind for kind in STEPS if isinstance(step, dict) and kind in step]
        if len(kinds) != 1 or not isinstance(step.get("t"), (int, float)):
            yield here, f"expected a time t and one of {', '.join(STEPS)}"
        elif kinds == ["in"] and (missing := [key for key in SEGMENT if key not in step["in"]]):
            yield here, f"the segment lacks {', '.join(missing)}"
        elif kinds == ["in"] and step["in"]["conn"] not in scenario["conns"]:
            yield here, f"no connection {step['in']['conn']!r} in conns"


class Target(Protocol):
    """A stack under test.

    ``flow`` is (peer address, peer port, the stack's port); times are seconds from 0; a segment is a dict of
    src, sport (both the peer's, whoever sends), dport, flags, seq, ack, len, wnd, opts with absolute numbers.
    """

    def inject(self, seg: dict) -> None:
        """A segment arrives now."""

    def run_until(self, t: float) -> list[dict]:
        """Let time pass; what was sent since the last call, in order, each segment with its time ``t``."""

    def call(self, name: str, args: dict, flow: tuple | None):
        """A non-blocking call: "ok", a count, "EOF", an errno name, or (handle, flow) when accepted."""

    def adopt(self, label: str, handle) -> None:
        """The accepted connection is called `label` from now on."""

    def state(self, flow: tuple) -> str:
        """The name of the state; "CLOSED" when there is nothing."""

    def queue(self, port: int) -> dict:
        """Of the listener on `port`: {"syn": half-open entries, "accept": completed and not yet accepted}."""


CORPUS = load(Path(__file__).parent.parent / "data" / "corpus.json")


@dataclass
class Incarnation:
    """One labelled life of a 4-tuple: where its two number spaces start, and the stack's latest TSval."""

    label: str
    flow: tuple
    irs: int
    iss: int | None = None
    tsval: int = 0
    shifts: list = made(default_factory=lambda: [None, None])    # of the windows: the peer's, the stack's
    edge: int = FIRST_EDGE            # the right edge that the stack told, from irs
    told: bool = False                # it has told one

    def absolute(self, number):
        if isinstance(number, int):
            return number % SPACE
        letter, offset = re.fullmatch(r"([LRW])([+-]\d+)", number).groups()
        origin = {"R": self.irs, "L": self.iss or 0, "W": self.irs + self.edge}[letter]
        return (origin + int(offset)) % SPACE

    def offered(self, side, seg):
        """The first SYN of the peer (0) or of the stack (1) offers a shift, or none (-1)."""
        if self.shifts[side] is None:
            self.shifts[side] = seg.get("opts", {}).get("wscale", -1)

    def tell_edge(self, seg):
        """The right edge never moves back (RFC 9293 3.8.6); the window of a SYN is not scaled."""
        agreed = all(shift is not None and shift >= 0 for shift in self.shifts)
        shift = min(self.shifts[1], 14) if agreed and "S" not in seg["flags"] else 0
        self.edge = max(self.edge if self.told else 0,
                        (seg["ack"] - self.irs) % SPACE + (seg["wnd"] << shift))
        self.told = True


def symbol(letter, origin, number):
    """`number` counted from `origin`, or None when it is out of reach."""
    if origin is None:
        return None
    offset = (number - origin + SPACE // 2) % SPACE - SPACE // 2
    return f"{letter}{offset:+d}" if abs(offset) < (REACH if number else REACH_OF_0) else None


class Performance:
    """One run of a scenario: the connections met so far and the clock."""

    def __init__(self, scenario, target):
        self.scenario, self.target = scenario, target
        self.lives = {}               # label -> Incarnation, the newest last
        self.ports = {}               # listener name -> port
        self.t = 0.0

    def run(self):
        return [self.perform(step) for step in self.scenario["steps"]]

    def perform(self, step):
        """The step as this target answered it."""
        done = {key: value for key, value in step.items() if key not in ("expect", "result")} | {"t": self.t}
        life = self.meet(step)
        if "in" in step:
            self.arrive(step["in"], life)
        elif "call" in step:
            done["result"] = self.call(done, life)
        elif "within" in step:
            self.t = round(self.t + step["within"], 3)
            done["expect"] = [self.describe(seg) for seg in self.target.run_until(self.t)]
        elif "state" in step:
            done["state"] = {label: self.target.state(self.lives[label].flow) for label in step["state"]}
        else:
            done["queue"] = {name: self.target.queue(self.ports[name]) for name in step["queue"]}
        return done

    def meet(self, step):
        """The incarnation a step speaks of, None when it speaks of none."""
        label = subject(step)
        if label not in self.lives and label in self.scenario["conns"]:
            spec = self.scenario["conns"][label]
            self.lives[label] = Incarnation(label, (spec["src"], spec["sport"], spec["dport"]), spec["isn"])
        return self.lives.get(label)

    def arrive(self, template, life):
        src, sport, dport = life.flow
        seg = template | {"src": src, "sport": sport, "dport": dport,
                          "seq": life.absolute(template["seq"]), "ack": life.absolute(template["ack"])}
        if "S" in seg["flags"]:
            life.offered(0, seg)
        if "ts" in seg.get("opts", ()):
            tsval, tsecr = seg["opts"]["ts"]
            seg["opts"] = seg["opts"] | {"ts": [tsval, life.tsval if tsecr == "last" else tsecr]}
        self.target.inject(seg)

    def call(self, step, life):
        args = step | {"seq": life.absolute(step["seq"])} if "seq" in step else step
        result = self.target.call(step["call"], args, life.flow if life else None)
        if step["call"] == "listen":
            self.ports[step["name"]] = step["port"]
        if isinstance(result, tuple):
            handle, flow = result
            result = next(label for label in reversed(self.lives) if self.lives[label].flow == flow)
            self.target.adopt(result, handle)
        return result

    def describe(self, seg):
        """A segment the stack sent, in symbols. A SYN with an unknown number tells the stack's ISN."""
        said = {"t": round(seg["t"], 3), "conn": None,
                **{field: seg[field] for field in ("flags", "seq", "ack", "len", "wnd")}}
        flow = seg["src"], seg["sport"], seg["dport"]
        lives = [life for life in self.lives.values() if life.flow == flow]
        if not lives:
            return said
        *earlier, newest = lives
        if "S" in seg["flags"] and newest.iss != seg["seq"]:
            if newest.iss is not None:
                said["newisn"] = True
            for old in earlier:
                if origin := symbol("L", old.iss, seg["seq"]):
                    said["isn_from"] = f"{old.label} {origin}"
            newest.iss = seg["seq"]
        life = next((life for life in reversed(lives) if symbol("L", life.iss, seg["seq"])), newest)
        said["conn"] = life.label
        said["seq"] = symbol("L", life.iss, seg["seq"]) or seg["seq"]
        if "S" in seg["flags"]:
            life.offered(1, seg)
        if "A" in seg["flags"]:
            said["ack"] = symbol("R", life.irs, seg["ack"]) or seg["ack"]
            if "R" not in seg["flags"] and said["ack"] != seg["ack"]:
                life.tell_edge(seg)
        if seg.get("opts"):
            said["opts"] = dict(seg["opts"])
            if "ts" in seg["opts"]:
                life.tsval, tsecr = seg["opts"]["ts"]
                said["opts"]["ts"] = ["T", tsecr]
        return said


def execute(scenario, target):
    """The steps of `scenario`, answered by `target` instead of the recorded stack."""
    return Performance(scenario, target).run()


def subject(step):
    """The label a stimulus is about, None for a step that is about none."""
    return step["in"]["conn"] if "in" in step else step.get("conn")


def compare(recorded, played, name=""):
    """What differs between the recorded steps and the played ones, a line each; [] when they agree.

    Compared per connection: the order, SYN FIN RST ACK URG ECE CWR, numbers, lengths, TSecr, whether a
    window is closed, and times. Not compared: PSH, the size of an open window, the window of a RST, options
    of a SYN, and the order between connections (which is the order of the recording machine's timer wheel).
    Of the ACKs for text and FINs that one step sends, only the last counts: the recorded ones may have been
    delayed. Where entries of a queue expire together (by `name`), only how many of them remain counts.
    """
    if recorded_as_count(name):
        recorded, played = counted(recorded), counted(played)
    differences = []
    stirred = {}                      # label -> when it last did something: where its timers were started
    for number, (want, got) in enumerate(zip(recorded, played, strict=True)):
        where = f"step {number} t={want['t']}"
        if subject(want):
            stirred[subject(want)] = want["t"]
        for field in ("result", "state", "queue"):
            if want.get(field) != got.get(field):
                differences.append(f"{where}: {field} {want.get(field)} became {got.get(field)}")
        if "expect" in want:
            lines = compare_sent(want["expect"], got["expect"], stirred)
            differences += [f"{where}: {line}" for line in lines]
    return differences


def recorded_as_count(name):
    """Scenarios in which chance (the order of a timer wheel) picks the survivors, never how many."""
    return name.startswith("syn_queue_prune")


def counted(steps):
    """The steps with what each connection does replaced by how many do so: states, and rows sent by kind."""
    out = []
    for step in steps:
        step = dict(step)
        if "state" in step:
            step["state"] = dict(Counter(step["state"].values()))
        if "expect" in step:
            kinds = Counter((seg["flags"].replace("P", ""), seg["len"]) for seg in step["expect"])
            step["result"] = sorted((*kind, n) for kind, n in kinds.items())
            step["expect"] = []
        out.append(step)
    return out


def last_acks(segs):
    """Without the pure ACKs that a later segment of the same connection outdoes."""
    kept, reached = [], {}
    for seg in reversed(segs):
        reach = offset(seg["ack"]) if "A" in seg["flags"] and "R" not in seg["flags"] else None
        outdone = reach is not None and reached.get(seg["conn"], -SPACE) > reach
        if not (outdone and seg["flags"] == "A" and seg["len"] == 0):
            kept.append(seg)
        if reach is not None:
            reached[seg["conn"]] = max(reach, reached.get(seg["conn"], -SPACE))
    return kept[::-1]


def offset(number):
    """n of "R+n"; None of a number that counts from nowhere."""
    return int(number[1:]) if isinstance(number, str) else None


def compare_sent(want, got, stirred):
    """The same for the segments of one step; `stirred` moves on with the recorded ones."""
    want, got = by_connection(last_acks(want)), by_connection(last_acks(got))
    if [essence(seg) for seg in want] != [essence(seg) for seg in got]:
        yield f"expected {[essence(seg) for seg in want]}, sent {[essence(seg) for seg in got]}"
        return
    for recorded, played in zip(want, got, strict=True):
        late = played["t"] - recorded["t"]
        allowed = SLACK + SHARE * (recorded["t"] - stirred.get(recorded["conn"], 0.0))
        delayable = recorded["flags"] == "A" and recorded["len"] == 0
        if late > allowed or (late < -allowed and not delayable):
            yield f"{recorded['conn']} {recorded['flags']} at {recorded['t']} came at {played['t']}"
        stirred[recorded["conn"]] = recorded["t"]


def by_connection(segs):
    return sorted(segs, key=lambda seg: seg["conn"] or "")


def essence(seg):
    """What two stacks must agree on."""
    flags = "".join(sorted(set(seg["flags"]) - {"P"}))
    tsecr = seg.get("opts", {}).get("ts", [None, None])[1]
    shut = seg["wnd"] == 0 and "R" not in flags
    return seg["conn"], flags, seg["seq"], seg["ack"], seg["len"], tsecr, shut
