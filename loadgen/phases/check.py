"""`loadgen flood --check`: what the closed forms say of a flood, and what the simulation says over seeds.

Each seed is a run of its own, looked at when its warm-up is over: five lives of an entry, or five times as
long as a queue that evicts takes to fill, and a random share of a life more, because entries that all live
equally long leave in the order and at the distances in which they came for many lives. The runs make the
assumptions true that the user's own may break: SYNs are a Poisson process, clients try once, and where
places are evicted they are few beside the flood; the paced flood and the retries have runs of their own. A
form that no run can meet exactly is printed with its bias and without a verdict.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadgen import signals
from loadgen.phases import theory
from loadgen.phases.flood import Flood, FloodSettings
from loadgen.phases.link import Kind
from loadgen.phases.metrics import Result
from loadgen.phases.streams import Purpose, Stream
from loadgen.phases.theory import Form
from loadgen.phases.workload import room_of
from loadgen.workers import spread

SEEDS: Final = 10
_FEW_SEEDS: Final = 4  # of what gets no verdict
_LIVES: Final = 5  # of warm-up
_SECOND: Final = 1_000_000_000
_FEW_CLIENTS: Final = 100  # spoofed SYNs for each client's, at least, where entries are evicted
_ONCE: Final = 0.9  # of the first SYN's timeout: so long a client waits that is to try once
_BUCKETS: Final = 512  # of FreeBSD; they share the places evenly
_PRUNED: Final = 2  # retries from which on Linux prunes none
NOT_MEASURED: Final = "not measured"  # the verdict where an interrupted check had too few runs

#: Nobody is refused, and each is answered whatever the queue holds.
COOKIES: Final = Form(
    "cookies",
    "0",
    "the accept queue has room, the answer comes while the cookie is good",
    "RFC 4987 3.6",
)

_SHORTER: Final[dict[str, str]] = {
    "linux": "too high: pruning ends entries at 7 or 15 s",
    "short-timer": "too high: entries of a full queue are not resent to",
}


class NoForm(ValueError):
    """There is no closed form for what was asked; the message says why."""


@dataclass(frozen=True)
class Question:
    """A form, its value for these settings, and the figure of a run that it is about."""

    name: str
    form: Form
    expected: float
    run: str  # which of `runs` it is asked of
    figure: str  # of `figures`


@dataclass(frozen=True)
class Queue:
    """The queue and its customers in the units of the forms."""

    places: int
    rate: float  # spoofed SYNs per second
    clients: float  # per second
    rtt: float  # s
    life: float  # s of an entry that nobody answers
    retries: int

    @classmethod
    def of(cls, settings: FloodSettings) -> Queue:
        knobs = settings.knobs
        first = knobs.rto_initial_ms / 1000
        return cls(
            int(room_of(settings)["half_open_max"]),
            settings.flood_rate / 1000,
            settings.rate / 1000,
            settings.path.rtt_ns / _SECOND,
            theory.life(knobs.tcp_synack_retries, first),
            knobs.tcp_synack_retries,
        )

    @property
    def load(self) -> float:
        """Erlangs: who is answered leaves after the round trip."""
        return theory.offered((self.rate, self.life), (self.clients, self.rtt))

    @property
    def per_rtt(self) -> float:
        """SYNs within a round trip."""
        return (self.rate + self.clients) * self.rtt


# -- what to ask --------------------------------------------------------------------------------------


def questions(settings: FloodSettings) -> list[Question]:
    """The forms for this policy. Raises NoForm when there is none, or none for these options."""
    _require(settings)
    queue, knobs = Queue.of(runs(settings)["once"]), settings.knobs
    if settings.kind == "ack":
        odds = theory.forgery_odds(
            theory.LINUX_COOKIES if knobs.cookie_encoding == "linux" else theory.FREEBSD_COOKIES
        )
        return [Question("forged_acks_taken", theory.FORGERY, odds, "once", "forged")]
    if knobs.tcp_syncookies:
        return _with_cookies(settings, queue)
    if knobs.synq_policy == "evict-random":
        loss = theory.evict_random_loss(queue.places, queue.rate + queue.clients, queue.rtt)
        return [Question("clients_lost", theory.RANDOM_VICTIM, loss, "once", "lost")]
    if knobs.synq_policy == "evict-oldest":
        loss = theory.poisson_tail(queue.per_rtt, queue.places)
        return [Question("clients_lost", theory.POISSON_TAIL, loss, "once", "lost")]
    if knobs.synq_policy == "freebsd":
        loss = theory.poisson_tail(queue.per_rtt / _BUCKETS, queue.places // _BUCKETS)
        return [Question("clients_lost", theory.BUCKET_TAIL, loss, "once", "lost")]
    return _refusing(settings, queue)


def _with_cookies(settings: FloodSettings, queue: Queue) -> list[Question]:
    found = [Question("clients_lost", COOKIES, 0.0, "once", "lost")]
    if settings.knobs.tcp_syncookies == 2:
        value = theory.backscatter(0)
        found.append(Question("backscatter", theory.BACKSCATTER, value, "once", "backscatter"))
    elif _keeps(settings):
        # with a place 1 + retries answers, without one the cookie
        loss = theory.erlang_b(queue.places, queue.load)
        value = theory.backscatter(queue.retries, loss) + theory.backscatter(0, 1 - loss)
        found.append(Question("backscatter", theory.BACKSCATTER, value, "once", "backscatter"))
    return found


def _keeps(settings: FloodSettings) -> bool:
    """With cookies on overflow: who has a place keeps it for the whole life."""
    return settings.knobs.synq_policy in ("drop-new", "evict-oldest", "evict-random") or _unpruned(settings)


def _refusing(settings: FloodSettings, queue: Queue) -> list[Question]:
    policy = settings.knobs.synq_policy
    fluid = theory.FLUID
    if policy != "drop-new" and not _unpruned(settings):
        fluid = dataclasses.replace(fluid, bias=_SHORTER[policy])
        loss = theory.fluid_loss(queue.places, queue.load)
        return [Question("syns_refused", fluid, loss, "few", "refused")]
    loss = theory.erlang_b(queue.places, queue.load)
    scatter = theory.backscatter(queue.retries, loss)
    found = [
        Question("syns_refused", theory.ERLANG_B, loss, "once", "refused"),
        Question("clients_lost", theory.ERLANG_B, loss, "once", "lost"),
        Question("backscatter", theory.BACKSCATTER, scatter, "once", "backscatter"),
        Question("syns_refused_fluid", fluid, theory.fluid_loss(queue.places, queue.load), "once", "refused"),
        Question(
            "syns_refused_paced",
            theory.PACED,
            theory.paced_loss(queue.places, queue.rate, queue.life),
            "paced",
            "refused",
        ),
    ]
    tries = tries_within(settings)
    if tries > 1:
        lost = 1 - theory.retried(loss, tries)
        found.append(Question(f"clients_lost_in_{tries}_tries", theory.RETRIES, lost, "patient", "lost"))
    return found


def _unpruned(settings: FloodSettings) -> bool:
    return settings.knobs.synq_policy == "linux" and settings.knobs.tcp_synack_retries <= _PRUNED


def tries_within(settings: FloodSettings) -> int:
    """SYNs that a client sends before its application's patience is over."""
    knobs = settings.knobs
    linear = knobs.tcp_syn_linear_timeouts
    at = tries = 0
    while at * 1_000_000 < settings.patience_ns and tries <= knobs.tcp_syn_retries + linear:
        tries += 1
        at += min(knobs.rto_initial_ms << max(0, tries - 1 - linear), knobs.tcp_rto_max_ms)
    return tries


def _require(settings: FloodSettings) -> None:
    """Refuse what would break every assumption."""
    queue, knobs, path = Queue.of(settings), settings.knobs, settings.path
    if settings.kind not in ("syn", "ack"):
        raise NoForm(f"--kind: no closed form for a flood of {settings.kind.upper()} segments")
    if settings.kind == "ack" and knobs.tcp_syncookies != 2:
        raise NoForm("--kind ack: the odds of a forgery are those with --cookies always")
    if not settings.rate and settings.kind == "syn":
        raise NoForm("--clients: expected some to ask, got 0")
    if not path.perfect:
        raise NoForm("--loss, --jitter, --reorder: the closed forms know a clean link only")
    if settings.on_ns or settings.start_ns or settings.stop_ns is not None or settings.count is not None:
        raise NoForm("--on, --off, --start, --stop, --count: the closed forms know a steady flood only")
    if settings.accept_delay_ns:
        raise NoForm("--accept-delay: the closed forms know an application that accepts at once")
    if path.rtt_ns >= _ONCE * knobs.rto_initial_ms * 1_000_000:
        raise NoForm(f"--rtt: expected less than {_ONCE} of rto_initial_ms, or clients try twice")
    if _evicts(settings):
        least = 2 * queue.places / queue.life
        if queue.rate + queue.clients < least:
            raise NoForm(
                f"--rate: expected more than {least:.0f}/s, or entries time out before the queue is full "
                "and evicts"
            )


def _evicts(settings: FloodSettings) -> bool:
    knobs = settings.knobs
    return not knobs.tcp_syncookies and knobs.synq_policy in ("evict-oldest", "evict-random", "freebsd")


# -- the runs -----------------------------------------------------------------------------------------


def warm_up_ns(settings: FloodSettings) -> int:
    """Until a run has forgotten that its queue was empty."""
    queue = Queue.of(settings)
    memory, cookies = queue.life, settings.knobs.tcp_syncookies
    if settings.kind == "ack" or cookies == 2:
        memory = queue.rtt
    elif _evicts(settings) or (cookies and not _keeps(settings)):
        memory = min(memory, queue.places / queue.rate)
    return int(_LIVES * max(memory, queue.rtt) * _SECOND)


def runs(settings: FloodSettings) -> dict[str, FloodSettings]:
    """The settings as the assumptions want them; `duration_ns` is what is measured, after the warm-up."""
    rate = settings.rate
    if _evicts(settings):
        rate = min(rate, max(settings.flood_rate // _FEW_CLIENTS, 1000))
    patient = dataclasses.replace(settings, rate=rate, check_bursts=0, spacing="poisson")
    once = dataclasses.replace(
        patient, patience_ns=int(_ONCE * settings.knobs.rto_initial_ms * 1_000_000)
    )
    return {
        "once": once,
        "few": once,
        "paced": dataclasses.replace(once, spacing="paced", rate=0),
        "patient": patient,
    }


def lengthened(settings: FloodSettings, warm_up: int) -> FloodSettings:
    """With so many ns before what is measured; no client comes later than that."""
    duration = warm_up + (settings.duration_ns or 0)
    return dataclasses.replace(
        settings, duration_ns=duration, connections=duration * settings.rate // 10**12
    )


class Measured(Flood):
    """A flood whose counts begin when its warm-up is over."""

    def __init__(self, settings: FloodSettings, warm_up: int) -> None:
        super().__init__(settings)
        self._warm_up = warm_up
        self._before = self._counts()

    def _play(self) -> None:
        self.runner.post(self._warm_up, self._mark)
        super()._play()

    def _mark(self) -> None:
        self._before = self._counts()

    def _counts(self) -> dict[str, int]:
        counters, causes = self.server.counters, self.server.causes
        return {
            "admitted": counters["SynQueueAdded"] + counters["SyncookiesSent"],
            "refused": causes["SynQueueFull"] + causes["SynQueueReserve"],
            "spoofed": self.spoofer.sent,
            "answers": self.link.outside[Kind.SYN_ACK],
            "forged": counters["SyncookiesRecv"] - self.served,
        }

    def figures(self) -> dict[str, tuple[int, int]]:
        """Each as a part of a whole: after `run()`."""
        seen = {name: now - self._before[name] for name, now in self._counts().items()}
        asked = self.opened_at[: self.attempted] >= self._warm_up
        lost = asked & (self.served_at[: self.attempted] < 0)
        return {
            "lost": (int(lost.sum()), int(asked.sum())),
            "refused": (seen["refused"], seen["refused"] + seen["admitted"]),
            "backscatter": (seen["answers"], seen["spoofed"]),
            "forged": (seen["forged"], seen["spoofed"]),
        }


Job = tuple[str, FloodSettings]  # which run
Figures = dict[str, tuple[int, int]]


def _measure(job: Job) -> tuple[str, int, Figures, int]:
    name, settings = job
    warm_up = warm_up_ns(settings)
    phase = Stream(settings.seed, settings.replicate, Purpose.PHASE).uniform(1, warm_up // _LIVES)
    warm_up += int(phase[0])
    run = Measured(lengthened(settings, warm_up), warm_up)
    if run.run().partial:
        raise KeyboardInterrupt
    return name, settings.replicate, run.figures(), run.runner.segments


def _measured(jobs: Sequence[Job], workers: int) -> Iterator[tuple[str, int, Figures, int]]:
    if workers <= 1 or len(jobs) <= 1:
        yield from map(_measure, jobs)
        return
    yield from spread(_measure, jobs, workers)


# -- the result ---------------------------------------------------------------------------------------


def check(
    settings: FloodSettings,
    seeds: int = SEEDS,
    workers: int = 1,
    done: Callable[[int, int], None] = lambda n, of: None,
) -> Result:
    """Ask every question of `seeds` runs, fewer where the form is approximate. Raises NoForm.

    An interrupted check answers with the runs that are finished and is marked partial.
    """
    began = time.perf_counter()
    asked = questions(settings)
    given = runs(settings)
    jobs = [
        (name, dataclasses.replace(given[name], replicate=replicate))
        for name in dict.fromkeys(question.run for question in asked)
        for replicate in range(seeds if name == "once" else min(seeds, _FEW_SEEDS))
    ]
    samples: dict[str, dict[int, Figures]] = {job[0]: {} for job in jobs}
    segments = n = 0
    partial = False
    try:
        for name, replicate, figures, passed in _measured(jobs, workers):
            samples[name][replicate] = figures
            segments, n = segments + passed, n + 1
            done(n, len(jobs))
    except KeyboardInterrupt:
        partial = True
        signals.honoured()
    with signals.later():
        ordered = {name: [one for _, one in sorted(found.items())] for name, found in samples.items()}
        return _result(settings, asked, ordered, segments, time.perf_counter() - began, partial)


def outline(settings: FloodSettings) -> Result:
    """Every figure that `check` will have, of runs that never were."""
    asked = questions(settings)
    nothing = {"lost": (0, 1), "refused": (0, 1), "backscatter": (0, 1), "forged": (0, 1)}
    return _result(settings, asked, {question.run: [nothing, nothing] for question in asked}, 0, 1.0)


def _result(
    settings: FloodSettings,
    asked: list[Question],
    samples: dict[str, list[Figures]],
    segments: int,
    elapsed_s: float,
    partial: bool = False,
) -> Result:
    exact = sum(question.form.exact for question in asked)
    rows = {}
    for question in asked:
        found = samples[question.run]
        if partial and not _suffice(found, question.figure):
            rows[question.name] = _unanswered(question, len(found))
        else:
            rows[question.name] = _row(question, found, exact)
    outside = [name for name, row in rows.items() if row["verdict"] == "OUTSIDE"]
    return Result(
        command="flood",
        config=_config(runs(settings)["once"]),
        seed=settings.seed,
        results={"check": rows, "outside": len(outside), "verdict": _verdict(rows, outside, partial)},
        wall={
            "elapsed_s": elapsed_s,
            "segments": segments,
            "segments_per_s": segments / elapsed_s if elapsed_s else None,
        },
        partial=partial,
    )


def _suffice(samples: list[Figures], figure: str) -> bool:
    """Whether there is an interval: of two runs or more, each with something to measure."""
    return len(samples) > 1 and all(sample[figure][1] for sample in samples)


def _row(question: Question, samples: list[Figures], points: int) -> dict[str, Any]:
    parts, wholes = zip(*(sample[question.figure] for sample in samples), strict=True)
    form = question.form
    if not all(wholes):
        what = question.name.replace("_", " ")
        raise NoForm(f"{what}: a run had nothing to measure: longer --duration, more --clients or --rate")
    if form is theory.FORGERY or form is COOKIES:  # so rare that the runs say nothing of their spread
        own = theory.of_counts(sum(parts), sum(wholes))
        family = theory.of_counts(sum(parts), sum(wholes), theory.of_family(points))
    else:
        shares = [part / whole for part, whole in zip(parts, wholes, strict=True)]
        own = theory.over_seeds(shares)
        family = theory.over_seeds(shares, theory.of_family(points))
    if not form.exact:
        verdict = f"off by {own.mean - question.expected:+.4f}"
    elif question.expected in own or _certain(own, question.expected):
        verdict = "inside"
    else:
        verdict = "by chance" if question.expected in family else "OUTSIDE"
    return _said(question, own, len(samples), verdict)


def _unanswered(question: Question, seeds: int) -> dict[str, Any]:
    """The row of a check that was interrupted before this question had enough runs."""
    return _said(question, None, seeds, NOT_MEASURED)


def _said(question: Question, own: theory.Interval | None, seeds: int, verdict: str) -> dict[str, Any]:
    form = question.form
    return {
        "form": form.name,
        "formula": form.formula,
        "expected": question.expected,
        "simulated": None if own is None else own.mean,
        "low": None if own is None else own.low,
        "high": None if own is None else own.high,
        "seeds": seeds,
        "verdict": verdict,
        "assumes": form.assumes,
        "bias": form.bias,
    }


def _certain(interval: theory.Interval, expected: float) -> bool:
    """An outcome that no seed changes has no spread but that of its arithmetic."""
    return abs(interval.mean - expected) < 1e-12


def _config(settings: FloodSettings) -> dict[str, Any]:
    queue, knobs = Queue.of(settings), settings.knobs
    return {
        "policy": knobs.synq_policy,
        "tcp_syncookies": knobs.tcp_syncookies,
        "places": queue.places,
        "flood_rate_per_s": queue.rate,
        "clients_per_s": queue.clients,
        "rtt_ms": settings.path.rtt_ns / 1e6,
        "life_ms": queue.life * 1000,
        "warm_up_ms": warm_up_ns(settings) / 1e6,
        "measured_ms": (settings.duration_ns or 0) / 1e6,
        "spacing": settings.spacing,
        "patience_ms": settings.patience_ns / 1e6,
        "confidence": 0.99,
    }


def _verdict(rows: dict[str, dict[str, Any]], outside: list[str], partial: bool) -> str:
    if outside:
        return f"Outside of its closed form: {', '.join(outside)}."
    exact = sum(row["bias"] == "" for row in rows.values())
    if partial:
        hold = sum(row["bias"] == "" and row["verdict"] != NOT_MEASURED for row in rows.values())
        return f"Interrupted: {hold} of {exact} exact forms were measured and hold."
    if not exact:
        return "There is no exact form for this policy: the figures say how far the approximate one is off."
    return f"All {exact} exact forms hold." if exact > 1 else "The exact form holds."
