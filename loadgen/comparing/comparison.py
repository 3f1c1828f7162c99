"""Two results, or two studies point by point, compared: rows with verdicts, and the exit code.

Rows are of the metrics that both have. What is judged, `judging` decides; of the others a row has moved if
its interval is on one side of 0, by Holm over all of them, and a percentile if it differs by more than a
bucket of its histogram. Codes: 0 none is worse, 99 one is or two runs of
one thing differ, 1 an input failed or is partial. Undecided is 0 with a warning, 99 if `strict`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from loadgen.comparing import judging, settings
from loadgen.comparing.differences import EXACT, Difference, difference, holm, seeds_of
from loadgen.comparing.judging import Allowed
from loadgen.comparing.settings import Change, NotComparable
from loadgen.comparing.wall import Wall, compare_wall
from loadgen.report import histograms, thresholds
from loadgen.report.estimate import Figure
from loadgen.report.metrics import find
from loadgen.report.reading import Points
from loadgen.report.reading import settings as flat_settings
from loadgen.report.result import COMPLETE, Result

FINE, FAILED, REGRESSION = 0, 1, 99


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    allowed: tuple[Allowed, ...] = ()
    allow_change: tuple[str, ...] = ()  # patterns of metrics
    allow_partial: bool = False
    strict: bool = False
    wall: float | None = None  # how much longer it may take


@dataclass
class Row:
    """A figure of both results."""

    metric: str
    old: Figure
    new: Figure
    difference: Difference | None
    judged: bool = False
    verdict: str = judging.SAME
    target: str = ""  # met | missed | undecided, of the new result

    @property
    def moved(self) -> bool:
        return self.verdict not in (judging.SAME, judging.UNKNOWN)


@dataclass
class Pair:
    """Two results side by side."""

    old: Result
    new: Result
    label: str = ""  # of the point in a study
    changes: list[Change] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    same_run: bool = False
    changed: list[str] = field(default_factory=list)  # of two runs of one thing: what is not the same
    allowed_changes: list[str] = field(default_factory=list)


@dataclass(repr=False)
class Comparison:
    """All pairs, what stands alone, and what was concluded; its text is the table of `loadgen compare`."""

    pairs: list[Pair]
    only: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))  # points of one study alone
    problems: list[str] = field(default_factory=list)  # exit 1
    warnings: list[str] = field(default_factory=list)
    wall: Wall | None = None
    options: Options = Options()

    def __repr__(self) -> str:
        from loadgen.comparing import text

        return text.as_table(self).rstrip("\n")

    def to_text(self, everything: bool = False) -> str:
        """The table; `everything` lists what did not move, too."""
        from loadgen.comparing import text

        return text.as_table(self, everything=everything)

    def to_markdown(self, everything: bool = False) -> str:
        """As a comment of a pull request."""
        from loadgen.comparing import text

        return text.as_markdown(self, everything=everything)

    def to_json(self) -> str:
        """As a program reads it."""
        from loadgen.comparing import text

        return text.as_json(self)

    def rows(self, wanted: Callable[[Row], bool]) -> list[tuple[Pair, Row]]:
        """The rows of all pairs that are wanted."""
        return [(pair, row) for pair in self.pairs for row in pair.rows if wanted(row)]

    @property
    def worse(self) -> list[tuple[Pair, Row]]:
        return self.rows(lambda row: row.judged and row.verdict == judging.WORSE)

    @property
    def undecided(self) -> list[tuple[Pair, Row]]:
        """Judged, and not decided."""
        open_ = (judging.UNDECIDED, judging.UNKNOWN)
        return self.rows(lambda row: row.judged and row.verdict in open_)

    @property
    def behaviour_changed(self) -> list[Pair]:
        """Pairs of one run each that are not the same."""
        return [pair for pair in self.pairs if pair.changed]

    @property
    def code(self) -> int:
        """The exit code."""
        if self.problems:
            return FAILED
        wall_open = self.wall is not None and self.wall.verdict == judging.UNDECIDED
        if self.worse or self.behaviour_changed or (self.wall and self.wall.verdict == judging.WORSE):
            return REGRESSION
        alone = bool(self.only[0] or self.only[1])
        return REGRESSION if self.options.strict and (self.undecided or wall_open or alone) else FINE


def compare(old: Result | Points, new: Result | Points, options: Options = Options()) -> Comparison:
    """Raises NotComparable."""
    if isinstance(old, Result) != isinstance(new, Result):
        raise NotComparable("one is a result, the other a study")
    if isinstance(old, Result) and isinstance(new, Result):
        done = Comparison([Pair(old, new)], options=options)
    else:
        assert isinstance(old, Points) and isinstance(new, Points)
        done = _matched(old, new)
        done.options = options
    for pair in done.pairs:
        try:
            settings.require_comparable(pair.old, pair.new)
        except NotComparable as error:
            raise NotComparable(f"{pair.label}: {error}" if pair.label else str(error)) from None
        _fill(pair, options)
    _partial(done)
    _judge(done.pairs, options)
    if options.wall is not None:
        done.wall = compare_wall([(pair.old, pair.new) for pair in done.pairs], options.wall)
    _warn(done)
    return done


def _matched(old: Points, new: Points) -> Comparison:
    """Points of equal values in the settings that vary within either study."""
    varied = list(dict.fromkeys([*old.varied, *new.varied]))

    def keyed(study: Points) -> dict[str, tuple[str, Result]]:
        found = {}
        for point in study.points:
            config = flat_settings(point.result)
            found[repr([config.get(path) for path in varied])] = (point.label, point.result)
        return found

    before, after = keyed(old), keyed(new)
    pairs = [Pair(before[key][1], after[key][1], before[key][0] or "the only point")
             for key in before if key in after]  # fmt: skip
    if not pairs:
        raise NotComparable("the two studies have no point in common")
    alone = [label for key, (label, _) in before.items() if key not in after]
    added = [label for key, (label, _) in after.items() if key not in before]
    failed = [f"{study.path}: point {key} failed: {why}" for study in (old, new) for key, why in study.failed]
    return Comparison(pairs, (alone, added), failed)


def _partial(done: Comparison) -> None:
    for pair in done.pairs:
        for name, result in (("old", pair.old), ("new", pair.new)):
            if result.status != COMPLETE:
                runs = f"{len(result.replicates)} of {result.scenario.run.seeds} runs"
                done.problems.append(f"{pair.label or name}: {name} is {result.status}, {runs}")
    if done.options.allow_partial:
        done.warnings += done.problems
        done.problems = []


def _fill(pair: Pair, options: Options) -> None:
    """Everything of a pair but the verdicts."""
    pair.changes = settings.changes(pair.old, pair.new)
    seeds = seeds_of(pair.old), seeds_of(pair.new)
    one_load = len(pair.old.loads) == len(pair.new.loads) == 1  # its figures are those of all loads
    wanted = _wanted(pair, options)
    for name in dict.fromkeys([*pair.old.figures, *pair.new.figures]):
        again = one_load and name.startswith("load.") and name not in wanted
        if name in pair.old and name in pair.new and not again:
            before, after = pair.old.figure(name), pair.new.figure(name)
            pair.rows.append(Row(name, before, after, difference(before, after, seeds)))
    _require_judged(pair, options)
    pair.same_run = settings.is_same_run(pair.old, pair.new)
    if pair.same_run:
        metrics, parts = settings.exact(pair.old, pair.new)
        pair.allowed_changes = [name for name in metrics if _matches(name, options.allow_change)]
        pair.changed = [name for name in metrics if name not in pair.allowed_changes]
        if not metrics:  # with a metric its parts have changed, too
            pair.changed += [name for name in parts if not _matches(name, options.allow_change)]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _require_judged(pair: Pair, options: Options) -> None:
    known = {row.metric for row in pair.rows}
    for allowed in options.allowed:
        if allowed.metric in known:
            continue
        missing = "old" if allowed.metric not in pair.old else "new"
        if allowed.metric in pair.old and allowed.metric in pair.new:  # counters that are 0 in both
            figures = pair.old.figure(allowed.metric), pair.new.figure(allowed.metric)
            pair.rows.append(Row(allowed.metric, *figures, Difference(0.0, EXACT, error=0.0)))
        else:
            raise NotComparable(f"{allowed.metric}: the {missing} result has no such metric")


def _judge(pairs: Sequence[Pair], options: Options) -> None:
    """Verdicts: of what is judged by Holm over all of that, of the rest by Holm over the rest."""
    chosen: list[tuple[Row, Allowed]] = []
    rest: list[Row] = []
    for pair in pairs:
        wanted = _wanted(pair, options)
        for row in pair.rows:
            row.judged = row.metric in wanted
            row.target = _target(row, pair.new)
            if row.judged:
                chosen.append((row, wanted[row.metric]))
            else:
                rest.append(row)
    p = _known({str(at): judging.p_worse(row.difference, allowed, row.old.value)
                for at, (row, allowed) in enumerate(chosen)})  # fmt: skip
    for at, (row, allowed) in enumerate(chosen):
        row.verdict = judging.verdict(row.difference, allowed, row.old.value, p.get(str(at)))
        if row.verdict != judging.UNKNOWN and _is_resolution(row):
            row.verdict = judging.SAME
    p = _known({str(at): row.difference.p_of() if row.difference else None for at, row in enumerate(rest)})
    for at, row in enumerate(rest):
        row.verdict = _moved(row, p.get(str(at)))


def _known(p: Mapping[str, float | None]) -> dict[str, float]:
    return holm({name: value for name, value in p.items() if value is not None})


def _moved(row: Row, p: float | None) -> str:
    """Of a row that is not judged."""
    if row.difference is None:
        return judging.SAME if row.old.value == row.new.value else judging.UNKNOWN
    if p is None:
        return judging.UNKNOWN if row.old.value != row.new.value else judging.SAME
    if p > judging.ALPHA or _is_resolution(row):
        return judging.SAME
    worse = judging.direction(row.metric) * row.difference.value
    return judging.MOVED if not worse else judging.WORSE if worse > 0 else judging.BETTER


def _is_resolution(row: Row) -> bool:
    """Whether a percentile differs by no more than a bucket of its histogram is wide."""
    metric = find(row.metric)
    if metric is None or metric.part not in histograms.PERCENTILES or row.difference is None:
        return False
    most = max(row.old.value or 0, row.new.value or 0)
    return abs(row.difference.value) <= histograms.bucket_width(most)


def _wanted(pair: Pair, options: Options) -> dict[str, Allowed]:
    """The metrics that are judged, the targets of either result first."""
    found: dict[str, Allowed] = {}
    for result in (pair.old, pair.new):
        for target in result.thresholds:
            name = target["metric"]
            way = judging.direction(name) or (-1 if target["is"].startswith(">") else 1)
            found[name] = Allowed(name, way, text="a target")
    return found | {one.metric: one for one in options.allowed}


def _target(row: Row, new: Result) -> str:
    states = [one["state"] for one in new.thresholds if one["metric"] == row.metric]
    for state in (thresholds.MISSED, thresholds.UNDECIDED):
        if state in states:
            return state
    return thresholds.MET if states else ""


_MANY: Final = 5


def _warn(done: Comparison) -> None:
    for pair, row in done.undecided:
        where = f"{pair.label}: " if pair.label else ""
        done.warnings.append(f"{where}{row.metric}: not decided, {_why(row)}")
    for which, labels in zip(("old", "new"), done.only, strict=True):
        if labels:
            more = f" and {len(labels) - _MANY} more" if len(labels) > _MANY else ""
            done.warnings.append(f"only in the {which} study: {', '.join(labels[:_MANY])}{more}")
    if done.wall is not None and done.wall.verdict == judging.UNDECIDED:
        done.warnings.append(f"wall time is not judged: {done.wall.why}")


def _why(row: Row) -> str:
    if row.difference is None:
        return "no samples"
    return row.difference.said() if row.verdict == judging.UNKNOWN else "the interval holds what is allowed"
