"""Many examples through the laboratory: play, compare, excuse, collect, shrink, class, report.

A difference does not end the run. One counts when it shows twice in runs that kept their schedule; runs that
the machine kept from it are done again. The namespaces never wait for each other.
"""

import json
import queue
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.corpus.interpreter import execute
from tests.live.base import host_of
from tests.live.comparison import differences, kind
from tests.live.differences import essentials, limit_edges, pending_timers, printed
from tests.live.lab import ATTEMPTS, LAG_MAX
from tests.live.rules import excuse
from tests.live.stimuli import example, scenario, simpler

#: How often a wait is stretched so that no timer is due at its end, and
#: how many examples a shrink may ask for.
STRETCHES, SHRINKS = 24, 60


@dataclass
class Case:
    """One example on its way: the engine's answers, how often the kernel was asked, what differed before."""

    number: int
    example: dict
    scenario: dict
    engine: list
    coverage: set
    attempts: int = 0
    seen: object = None
    steps: list | None = None         # the kernel's answers
    found: list = field(default_factory=list)


def prepare(drawn, number=0):
    """A `Case`, None where some timer is always due too close to the end of a step."""
    written = scenario(drawn)
    for _ in range(STRETCHES):
        host = host_of(written)
        steps = execute(written, host)
        faults = host.stack.check()
        assert not faults, f"{faults} after\n{printed(written['name'], written)}"
        late = pending_timers(steps, host.fired) or limit_edges(steps)
        if not late:
            return Case(number, drawn, written, steps, covered(steps))
        for step, more in late.items():
            written["steps"][step]["within"] = round(written["steps"][step]["within"] + more, 3)
    return None


def covered(steps):
    """(state, stimulus) and (state, timer) pairs that a run reaches: the state of c1 as last looked at."""
    pairs, state = set(), "-"
    for step in steps:
        if "in" in step:
            pairs.add((state, "segment"))
        elif "call" in step:
            pairs.add((state, step["call"]))
        elif "state" in step:
            new = step["state"].get("c1", state)
            pairs.add((state, f"-> {new}"))
            state = new
        for seg in step.get("expect", ()):
            if seg["t"] - step["t"] > 0.001:
                pairs.add((state, "timer " + "".join(sorted(set(seg["flags"]) - {"P"})) +
                           (" text" if seg["len"] else "")))
    return pairs


@dataclass
class Report:
    """What a campaign came to."""

    asked: int = 0
    agreed: int = 0
    excused: Counter = field(default_factory=Counter)
    shown: dict = field(default_factory=dict)     # rule -> its shortest case
    undecidable: int = 0
    missed: int = 0                   # runs that did not keep their schedule, and were done again
    given_up: int = 0                 # examples whose runs never did
    once: int = 0                     # differences that came once
    coverage: Counter = field(default_factory=Counter)
    kinds: dict = field(default_factory=lambda: defaultdict(list))

    @property
    def compared(self):
        return self.agreed + sum(map(len, self.kinds.values()))

    @property
    def dropped(self):
        return sum(self.excused.values())

    def lines(self):
        total = max(1, self.compared + self.dropped + self.undecidable + self.given_up)
        share = 100 * self.dropped / total
        yield (f"compared {self.compared}, dropped by rule {self.dropped} ({share:.1f} %), "
               f"undecidable {self.undecidable}, too busy {self.given_up}; runs repeated {self.missed}, "
               f"differences that came once {self.once}")
        for name, count in self.excused.most_common():
            yield f"  dropped by {name}: {count} ({100 * count / total:.2f} %)"
        pairs = self.coverage
        calls = [pair for pair in pairs if not pair[1].startswith(("->", "timer"))]
        timers = [pair for pair in pairs if pair[1].startswith("timer")]
        ways = [pair for pair in pairs if pair[1].startswith("->")]
        yield (f"coverage: {len(calls)} pairs of state and stimulus, {len(ways)} transitions, {len(timers)} "
               f"pairs of state and timer")
        for name, cases in sorted(self.kinds.items(), key=lambda item: -len(item[1])):
            yield f"differs {len(cases)} times: {name}"


class Campaign:
    """Examples number `first` and on of `seed` on a laboratory."""

    def __init__(self, lab, seed, patience=0.0, journal=None):
        self.lab, self.seed, self.patience = lab, seed, patience
        self.done = queue.SimpleQueue()
        self.flying = 0
        self.report = Report()
        self.journal = journal        # a path: what differs, a line each, as soon as it is decided

    def draw(self, number):
        return prepare(example(random.Random(f"{self.seed} {number}"), self.patience), number)

    def launch(self, case):
        case.attempts += 1
        self.flying += 1
        self.lab.start(case.scenario).add_done_callback(lambda future: self.done.put((case, future)))

    def land(self):
        """The next run that is over; its case if that is decided, else it flies again."""
        case, future = self.done.get()
        run = future.result()
        self.flying -= 1
        found = differences(run.steps, case.engine)
        case.steps, case.found = run.steps, found
        if not found:
            self.report.once += case.seen is not None
            return case
        first = (found[0].step, found[0].what)
        if run.lag > LAG_MAX:
            self.report.missed += 1
        elif case.seen == first:
            return case
        else:
            case.seen = first
        if case.attempts >= ATTEMPTS:
            case.found = None
            return case
        self.launch(case)
        return None

    def run(self, count=None, seconds=None):
        """`count` examples, or what `seconds` allow."""
        end = time.monotonic() + (seconds or 1e9)
        number, ahead = 0, self.lab.size + 8
        while True:
            more = (count is None or number < count) and time.monotonic() < end
            if more and self.flying < ahead:
                case = self.draw(number)
                number += 1
                self.report.asked += 1
                if case is None:
                    self.report.undecidable += 1
                else:
                    self.launch(case)
            elif self.flying:
                if case := self.land():
                    self.decide(case)
            else:
                self.confirm()
                return self.report

    def confirm(self):
        """Do what differs again when the machine is less busy; what agrees now came once."""
        report, kinds = self.report, self.report.kinds
        cases = [case for cases in kinds.values() for case in cases]
        for case in cases:
            self.launch(Case(case.number, case.example, case.scenario, case.engine, case.coverage))
        while self.flying:
            case = self.land()
            if case and case.found == []:
                report.once += 1
                report.agreed += 1
                for name, same in list(kinds.items()):
                    kinds[name] = [other for other in same if other.number != case.number]
                    if not kinds[name]:
                        del kinds[name]

    def decide(self, case):
        report = self.report
        if case.found is None:
            report.given_up += 1
            return
        report.coverage.update(case.coverage)
        if not case.found:
            report.agreed += 1
        elif name := excuse(case.scenario, case.steps, case.engine, case.found[0]):
            report.excused[name] += 1
            shown = report.shown.setdefault(name, case)
            if len(case.scenario["steps"]) < len(shown.scenario["steps"]):
                report.shown[name] = case
        else:
            report.kinds[kind(case.engine, case.found[0])].append(case)
            self.note(case)

    def note(self, case):
        """Into the journal: the counts so far and a case that differs."""
        if self.journal:
            found = [str(difference) for difference in case.found]
            with open(self.journal, "a") as file:
                json.dump({"counts": next(iter(self.report.lines())), "found": found,
                           "example": case.example, **essentials(case.scenario, case.steps)}, file)
                file.write("\n")

    # -- to the smallest example

    def different(self, examples):
        """The first of them that still differs and is not excused; all are played side by side."""
        cases = [case for case in map(prepare, examples) if case]
        for case in cases:
            self.launch(case)
        decided = []
        while self.flying:
            if case := self.land():
                decided.append(case)
        for case in cases:
            if any(case is one for one in decided) and case.found and not excuse(
                    case.scenario, case.steps, case.engine, case.found[0]):
                return case
        return None

    def shrink(self, cases):
        """The smallest case with that difference."""
        best = min(cases, key=lambda case: len(case.scenario["steps"]))
        asked = 0
        while asked < SHRINKS:
            tries = list(simpler(best.example))
            asked += len(tries)
            smaller = self.different(tries)
            if smaller is None:
                break
            smaller.number, best = best.number, smaller
        return best
