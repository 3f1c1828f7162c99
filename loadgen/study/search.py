"""Where a target begins to be missed: a bracket, for each point of the grid.

Both ends first. Then each gap between a value that meets the target and one that does not is cut in four,
until it is narrower than the tolerance: three values at a time whatever the number of jobs, or the values
tried, and so the result, would depend on it. A value is met or missed when the interval clears the target;
else its seeds are doubled, up to a limit. The looks share 5 % of error (Bonferroni), so each has a wider
interval than a single look would. What stays undecided is said, and so is a pass above a miss. An effort
bounds the work by its estimate: what it has no more of is not begun, and the bracket stays as wide as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from loadgen.report import words
from loadgen.report.estimate import at_confidence
from loadgen.report.result import Result
from loadgen.report.thresholds import MET, MISSED, UNDECIDED, judge
from loadgen.scenario.model import Scenario
from loadgen.scenario.numbers import write_time
from loadgen.study.costs import EFFORTS
from loadgen.study.playing import Session
from loadgen.study.quantities import Quantity, between
from loadgen.study.space import Span, label
from loadgen.study.spec import Point, Search, Spec
from loadgen.theory.relaxation import accept_queue, too_short

FAILED, TOO_SHORT = "failed", "undecided: too short"
FOUND, NO_BRACKET, NOT_MONOTONE = "found", "no bracket", "not monotone"
ERROR: Final = 0.05  # of all looks at a value together
_QUARTERS: Final = (Decimal("0.25"), Decimal("0.5"), Decimal("0.75"))
_NICE: Final = (1, 2, 3, 5, 10)
_DURATION: Final = "run.duration"


@dataclass
class Trial:
    """A value that was tried."""

    value: Quantity
    point: Point
    state: str = ""  # met | missed | undecided | undecided: too short | failed
    result: Result | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)  # the target, as judged
    cut: bool = False  # more seeds would have been more work than the effort has

    @property
    def seeds(self) -> int:
        return 0 if self.result is None else len(self.result.replicates)


@dataclass
class Cell:
    """The search at one point of the grid."""

    values: dict[str, str]
    span: Span
    lengthened: str = ""  # the duration of the longest runs, where some were made longer
    trials: dict[Decimal, Trial] = field(default_factory=dict)
    status: str = ""  # "" while it goes on
    sentence: str = ""
    spent: float = 0.0  # seconds of one processor, by the estimate
    beyond: list[Trial] = field(default_factory=list)  # not played: more work than the effort has

    def ordered(self) -> list[Trial]:
        """From the end that is met to the other one; from the lower end where neither or both are."""
        trials = [self.trials[number] for number in sorted(self.trials)]
        return trials if trials[0].state == MET or trials[-1].state != MET else trials[::-1]

    def bracket(self) -> tuple[Trial, Trial, list[Trial]]:
        """The last that is met, the first that is missed, and what is undecided between them."""
        trials = self.ordered()
        states = [trial.state for trial in trials]
        last = max(place for place, state in enumerate(states) if state == MET)
        first = states.index(MISSED)
        return trials[last], trials[first], trials[last + 1 : first]

    def to_dict(self) -> dict[str, Any]:
        """As search.json has it."""
        trials = [self.trials[number] for number in sorted(self.trials)]
        document: dict[str, Any] = {
            "point": self.values,
            "path": self.span.path,
            "status": self.status,
            "sentence": self.sentence,
            "duration": self.lengthened or None,
            "trials": [
                {"value": one.value.text, "key": one.point.key, "state": one.state, "seeds": one.seeds,
                 "thresholds": one.rows}
                for one in trials
            ],
        }  # fmt: skip
        if self.status == FOUND:
            met, missed, unclear = self.bracket()
            document["met"], document["missed"] = met.value.text, missed.value.text
            document["undecided"] = [one.value.text for one in unclear]
            document["beyond"] = [one.value.text for one in self.beyond]
        return document


@dataclass(frozen=True)
class Effort:
    """What a search will take, about, in seconds of one processor; and its points, the ends first."""

    points: list[Point]
    values: int  # that are tried
    seconds: float  # with the first number of seeds
    more_s: float  # of each value that needs the most seeds


def effort_of(spec: Spec, values: dict[str, str]) -> Effort:
    """Of the search at these values of the grid: both ends, and the values by which it is cut, about."""
    assert spec.search is not None
    cell, rounds = _cell(spec, spec.search, values), _rounds(spec.search)
    ends = [_point(spec, cell, end) for end in (cell.span.low, cell.span.high)]
    middle = between(cell.span.low, cell.span.high, _QUARTERS[1], log=cell.span.log, whole=cell.span.whole)
    inner = spec.point(_values(cell, middle, cell.lengthened))  # as long as the longest: it is near the knee
    least = spec.seeds * sum(end.seconds for end in ends)
    left = max(0.0, EFFORTS[spec.search.effort] - least)
    seconds = spec.seeds * rounds * len(_QUARTERS) * inner.seconds
    number = 2 + round(rounds * len(_QUARTERS) * min(1.0, left / seconds if seconds else 1.0))
    more = min((spec.search.max_seeds - spec.seeds) * inner.seconds, max(0.0, left - seconds))
    return Effort([*ends, inner] if number > 2 else ends, number, least + min(seconds, left), more)


def _rounds(search: Search) -> int:
    """How often a bracket is cut, about: in the middle each time."""
    span, rounds = search.span, 0
    low, high = sorted((span.low, span.high), key=lambda value: value.number)
    while _is_wide(search, low, high):
        inner = [between(low, high, share, log=span.log, whole=span.whole) for share in _QUARTERS[1:]]
        if not low.number < inner[0].number < inner[1].number:
            break
        (low, high), rounds = inner, rounds + 1
    return rounds


def _is_wide(search: Search, low: Quantity, high: Quantity) -> bool:
    size = max(abs(low.number), abs(high.number))
    return float(high.number - low.number) > search.tolerance * float(size)


def _cell(spec: Spec, search: Search, values: dict[str, str]) -> Cell:
    cell = Cell(values, search.span)
    ends = [_point(spec, cell, end) for end in (cell.span.low, cell.span.high)]
    duration = _duration([end.scenario for end in ends], ends[0], search.longest_ns)
    if duration is not None:
        cell.lengthened = write_time(duration)
    return cell


def _values(cell: Cell, value: Quantity, duration: str) -> dict[str, str]:
    more = {_DURATION: duration} if duration else {}
    return {**cell.values, cell.span.path: value.text, **more}


def _point(spec: Spec, cell: Cell, value: Quantity) -> Point:
    """The point of a value, as long as its own queue needs: far from load 1 that is not long."""
    assert spec.search is not None
    duration = ""
    if cell.lengthened:
        point = spec.point(_values(cell, value, ""))
        queue, has = accept_queue(point.scenario, point.hosts.server), point.scenario.run.duration_ns
        needed = has if queue is None else max(has, _nice_ns(queue.needed_s))
        duration = write_time(min(needed, max(has, spec.search.longest_ns)))
    return spec.point(_values(cell, value, duration))


Told = Callable[[Cell, Trial], None]


def looks(seeds: int, most: int) -> int:
    """How often a value may be looked at: with `seeds`, twice as many, and so on, no more than `most`."""
    return 1 + (int(math.log2(most / seeds)) if most > seeds else 0)


class SearchRun:
    """A search under way: `run` plays it to its end; `cells` is what is known, also when it was stopped."""

    def __init__(self, spec: Spec, session: Session) -> None:
        assert spec.search is not None
        self._spec = spec
        self._search: Search = spec.search
        self._session = session
        self._session.keep_outcomes = True
        self.cells = [_cell(spec, self._search, values) for values in spec.space.points()]
        session.expected = len(self.cells) * spec.seeds * (2 + len(_QUARTERS) * _rounds(self._search))

    def run(self, told: Told | None = None) -> list[Cell]:
        """Every cell's bracket. `told` hears of each value when it is judged."""
        ends = [
            (cell, self._end_of(cell, end)) for cell in self.cells for end in (cell.span.low, cell.span.high)
        ]
        self._judge(ends, told)
        for cell in self.cells:
            self._check_ends(cell)
        while True:
            inner = [(cell, trial) for cell in self.cells if not cell.status for trial in self._next(cell)]
            if not inner:
                return self.cells
            self._judge(inner, told)
            for cell in self.cells:
                if not cell.status:
                    self._check_order(cell)

    # -- values ----------------------------------------------------------------------------------

    def _end_of(self, cell: Cell, value: Quantity) -> Trial:
        """An end is played whatever it costs."""
        trial = cell.trials[value.number] = Trial(value, _point(self._spec, cell, value))
        cell.spent += self._spec.seeds * trial.point.seconds
        return trial

    def _next(self, cell: Cell) -> list[Trial]:
        """The values that cut the gaps of a bracket; none when it is as narrow as was asked, or as the
        effort allows."""
        met, missed, unclear = cell.bracket()
        gaps = [(met, unclear[0]), (unclear[-1], missed)] if unclear else [(met, missed)]
        found = []
        for value in [value for one, other in gaps for value in self._inner(cell, one, other)]:
            trial = Trial(value, _point(self._spec, cell, value))
            if self._affords(cell, trial, self._spec.seeds):
                cell.trials[value.number] = trial
                found.append(trial)
            else:
                cell.beyond.append(trial)
        if not found:
            self._finish(cell)
        return found

    def _affords(self, cell: Cell, trial: Trial, seeds: int) -> bool:
        """Whether the effort has so many seeds more of a value; they count as spent then."""
        cost = seeds * trial.point.seconds
        if cell.spent + cost > EFFORTS[self._search.effort]:
            return False
        cell.spent += cost
        return True

    def _inner(self, cell: Cell, one: Trial, other: Trial) -> list[Quantity]:
        low, high = sorted((one.value, other.value), key=lambda value: value.number)
        if not _is_wide(self._search, low, high):
            return []
        found = {}
        for share in _QUARTERS:
            value = between(low, high, share, log=cell.span.log, whole=cell.span.whole)
            if low.number < value.number < high.number:
                found[value.number] = value
        return list(found.values())

    # -- judgement -------------------------------------------------------------------------------

    def _judge(self, trials: Sequence[tuple[Cell, Trial]], told: Told | None) -> None:
        """Play and judge, with more seeds for those that are undecided."""
        seeds, most = self._spec.seeds, self._search.max_seeds
        confidence = 1 - ERROR / looks(seeds, most)
        open_ones = list(trials)
        while open_ones:
            self._session.play([(trial.point, seeds) for _, trial in open_ones])
            still = []
            for cell, trial in open_ones:
                self._look(trial, self._session.found.get(trial.point.key), confidence)
                if trial.state == UNDECIDED and 2 * max(seeds, trial.seeds) <= most:
                    trial.cut = not self._affords(cell, trial, seeds)
                    if not trial.cut:
                        still.append((cell, trial))
                        continue
                if told is not None:
                    told(cell, trial)
            open_ones, seeds = still, 2 * seeds

    def _look(self, trial: Trial, result: Result | None, confidence: float) -> None:
        trial.result = result
        if result is None:
            trial.state = FAILED
            return
        trial.rows = [
            judge(one, at_confidence(result.figure(one.metric), confidence))
            for one in trial.point.scenario.threshold
        ]
        if too_short(trial.point.scenario, trial.point.hosts.server) is not None:
            trial.state = TOO_SHORT
            return
        trial.state = together([row["state"] for row in trial.rows])

    def _check_ends(self, cell: Cell) -> None:
        low, high = (cell.trials[end.number] for end in (cell.span.low, cell.span.high))
        name = cell.span.path
        if FAILED in (low.state, high.state):
            self._fail(cell)
        elif low.state == high.state and low.state in (MET, MISSED):
            which = "both ends meet" if low.state == MET else "both ends miss"
            said = f"{which} the target, {name}={low.value.text} and {high.value.text}"
            self._end(cell, NO_BRACKET, said + (_lost_by(low) if low.state == MISSED else ""))
        elif {low.state, high.state} != {MET, MISSED}:
            unclear = [end for end in (low, high) if end.state not in (MET, MISSED)]
            said = " and ".join(f"{name}={end.value.text} ({_why(end)})" for end in unclear)
            self._end(cell, NO_BRACKET, f"an end is undecided: {said}")

    def _check_order(self, cell: Cell) -> None:
        if any(trial.state == FAILED for trial in cell.trials.values()):
            self._fail(cell)
            return
        trials = cell.ordered()
        first = next(place for place, trial in enumerate(trials) if trial.state == MISSED)
        above = [trial for trial in trials[first:] if trial.state == MET]
        if above:
            self._end(
                cell,
                NOT_MONOTONE,
                f"{cell.span.path}={trials[first].value.text} misses the target and {above[0].value.text}, "
                "further off, meets it: no answer",
            )

    def _finish(self, cell: Cell) -> None:
        met, missed, unclear = cell.bracket()
        which = "largest" if met.value.number < missed.value.number else "smallest"
        said = f"{which} {cell.span.path} that holds: between {met.value.text} and {missed.value.text}"
        if unclear:
            told = ", ".join(f"{one.value.text} ({_why(one)})" for one in unclear)
            said += f"; undecided: {told}"
        inside = [
            one for one in cell.beyond
            if min(met.value.number, missed.value.number) < one.value.number
            < max(met.value.number, missed.value.number)
        ]  # fmt: skip
        if inside or any(one.cut for one in unclear):
            said += f"; --effort {self._search.effort} goes no nearer"
        if inside:
            least = min(inside, key=lambda one: one.point.seconds)
            lasts = write_time(least.point.scenario.run.duration_ns)
            said += f": {least.value.text} takes {self._spec.seeds} runs of {lasts}"
        self._end(cell, FOUND, said)

    def _fail(self, cell: Cell) -> None:
        lost = next(trial for trial in cell.trials.values() if trial.state == FAILED)
        why = self._session.failures[lost.point.key].reason
        self._end(cell, FAILED, f"{cell.span.path}={lost.value.text} failed: {why}")

    def _end(self, cell: Cell, status: str, sentence: str) -> None:
        cell.status = status
        cell.sentence = f"{label(cell.values)}: {sentence}" if cell.values else sentence


def together(states: Sequence[str]) -> str:
    """Of several targets: missed if one is, met if all are."""
    if MISSED in states:
        return MISSED
    return MET if all(state == MET for state in states) else UNDECIDED


def _lost_by(trial: Trial) -> str:
    """What became of most clients that were not served, by the outcomes of that run."""
    if trial.result is None:
        return ""
    outcomes = trial.result.outcomes
    causes = {name.replace("_", " "): n for name, n in outcomes["refused"].items()}
    causes |= {name.replace("_", " "): outcomes[name] for name in ("ghost", "gave_up", "reset", "pending")}
    worst = max(causes, key=lambda name: causes[name], default="")
    if not worst or not causes[worst]:
        return ""
    share = causes[worst] / outcomes["attempted"]
    said = f"; at {trial.value.text} most of what is not served is {worst}: {words.percent(share)} of clients"
    if worst == "pending" and not trial.point.scenario.run.drain:
        said += ", on their way when the run ended (run.drain = true waits for them)"
    return said


def _why(trial: Trial) -> str:
    if trial.state == TOO_SHORT:
        needed = too_short(trial.point.scenario, trial.point.hosts.server)
        return f"too short: the accept queue needs {needed:,.0f} s"
    return f"with {trial.seeds} seeds{', no more within the effort' if trial.cut else ''}"


def _duration(scenarios: Sequence[Scenario], end: Point, longest_ns: int) -> int | None:
    """A longer run for a cell, where its queue needs one; None where it does not."""
    has = scenarios[0].run.duration_ns
    queues = [accept_queue(scenario, end.hosts.server) for scenario in scenarios]
    known = [queue for queue in queues if queue is not None]
    if not known:
        return None
    needed = max(queue.needed_s for queue in known)
    loads = [queue.load for queue in known]
    if min(loads) <= 1 <= max(loads):
        needed = max(needed, *(queue.needed_at_worst_s for queue in known))
    wanted = min(max(longest_ns, has), _nice_ns(needed))
    return wanted if wanted > has else None


def _nice_ns(seconds: float) -> int:
    """1, 2, 3 or 5 times a power of ten, no less."""
    power = 10.0 ** math.floor(math.log10(seconds))
    nice = next(one for one in _NICE if one * power >= seconds * (1 - 1e-12))
    return round(nice * power * 1e9)

