"""The sentence that answers: how many were served, and what kept the others, from this run's own counters.

A queue is named only where that queue's own counters say that it refused or lost something. When it was
full is exact; only results of before, without it, have it from their series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from loadgen.report import figures as making
from loadgen.report import names, thresholds, words

if TYPE_CHECKING:
    from loadgen.report.result import Result

PORTS: Final = "refused.PortsExhausted"


def verdict(result: Result) -> dict[str, Any]:
    """The answer as a figure, and the sentence."""
    metric = "refused_ratio" if _largest_loss(result) == PORTS else "success_ratio"
    figure = result.figure(metric)
    return {
        "metric": metric,
        "answer": figure.value,
        "unit": figure.unit,
        "low": figure.low,
        "high": figure.high,
        "source": figure.source,
        "sentence": sentence(result),
    }


def sentence(result: Result) -> str:
    """One or two clauses, without the final full stop."""
    said = _answer(result)
    if not result.partial:
        return said
    done, wanted = len(result.replicates), result.scenario.run.seeds
    last = result.replicates[-1]["virtual_ns"] if done else 0
    when = f"in run {done} of {wanted}" if wanted > 1 else f"at {words.time(last)}"
    left = result.outcomes["not_started"]
    late = f"; {words.plural(left, 'client')} had not begun" if left else ""
    return f"cut short {when}: {said}{late}"


def _runs(result: Result) -> str:
    n = len(result.replicates)
    return f" in {n} runs" if n > 1 else ""


def losses(result: Result) -> dict[str, int]:
    """What kept connections from being served, most first."""
    kept = ("served", "not_started") if result.partial else ("served",)
    lost = {name: n for name, n in making.ends(result.outcomes).items() if n and name not in kept}
    return dict(sorted(lost.items(), key=lambda item: -item[1]))


def lacks_ports(result: Result) -> bool:
    """True if most of those who were not served found no port."""
    return _largest_loss(result) == PORTS


def _largest_loss(result: Result) -> str | None:
    return next(iter(losses(result)), None)


def begun(result: Result) -> int:
    """Clients that tried, or would have: of a run that was cut short only those that had begun."""
    attempted: int = result.outcomes["attempted"]
    return attempted - result.outcomes["not_started"] if result.partial else attempted


def _answer(result: Result) -> str:
    attempted, served = begun(result), result.outcomes["served"]
    if not attempted:
        return _nobody(result)
    worst = _largest_loss(result)
    if worst is None:
        return _all_served(result)
    if lacks_ports(result):
        return _no_port(result)
    if list(losses(result)) == ["pending"] and losses(result)["pending"] < thresholds.FEW * attempted:
        return _all_served(result)
    share = words.percent(served / attempted)
    clients = words.plural(attempted, "client") + _runs(result)
    return f"{share} of {clients} {_were(attempted)} served: {_why(result, worst)}"


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


def _nobody(result: Result) -> str:
    sent = sum(flood["sent"] for flood in result.floods.values())
    if not sent:
        return "no client connected and no flood was sent"
    queue = queue_trouble(result)
    peak = result["half_open.peak"]
    seen = f"at most {words.number(peak)} half-open entries" if peak is not None else ""
    rest = "; ".join(filter(None, [queue, _cookies(result), seen]))
    return f"{words.plural(sent, 'spoofed segment')}, no client" + (f": {rest}" if rest else "")


def _all_served(result: Result) -> str:
    """Nobody was lost; some may have been under way when the run ended."""
    attempted, first = begun(result), result.outcomes["first_try"]
    open_ = result.outcomes["pending"]
    lead = "the one client was served"
    if open_:
        served = f"{words.number(result.outcomes['served'])} of {words.plural(attempted, 'client')}"
        lead = f"{served}{_runs(result)} were served, none was lost "
        lead += f"({words.number(open_)} under way at the end)"
    elif attempted > 1:
        lead = f"all {words.number(attempted)} clients{_runs(result)} were served"
    if first + open_ == attempted:
        return f"{lead}, {'' if attempted == 1 else 'all '}at the first try{_connect_time(result)}"
    reason = queue_trouble(result) or _cookies(result) or link_trouble(result)
    rest = f": {reason}" if reason else _connect_time(result)
    return f"{lead}, {words.percent(first / attempted)} at the first try{rest}"


def _connect_time(result: Result) -> str:
    name = "connect.p99"
    value = result[name]
    return "" if value is None else f"; {name} {words.time(value)}"


def _no_port(result: Result) -> str:
    attempted, refused = begun(result), result.outcomes["refused"]["PortsExhausted"]
    said = f"{words.percent(refused / attempted)} of {words.plural(attempted, 'connect')}{_runs(result)} "
    said += f"{_were(attempted)} refused for want of a port"
    first, rate = result["ports.first_refusal"], result["ports.sustainable_rate"]
    if first is not None:
        said += f"; first at {words.time(first)}"
    if rate is not None:
        said += f"; {words.rate(rate)} can be sustained"
    return said


def _why(result: Result, worst: str) -> str:
    """What kept most of those who were not served."""
    n = losses(result)[worst]
    count = words.number(n)
    if worst.startswith("refused."):
        cause = worst.partition(".")[2]
        return f"{count} {_were(n)} refused, {names.CAUSES.get(cause, cause)}"
    queue = queue_trouble(result)
    if worst == "pending" and queue:
        return f"{queue}; {_unfinished(result)}"
    if worst == "gave_up":
        return queue or f"{count} gave up" + (f", {link}" if (link := link_trouble(result)) else "")
    said = {
        "ghost": f"{count} {'is a ghost' if n == 1 else 'are ghosts'}, connected but never served",
        "reset": f"{count} {_were(n)} reset",
    }.get(worst) or _unfinished(result)
    return said + (f"; {queue}" if queue else "")


def _unfinished(result: Result) -> str:
    """What the end of the run left open."""
    said = {"pending": "still trying at the end", "not_started": "not started"}
    found = [f"{words.number(n)} {_were(n)} {said[end]}" for end, n in losses(result).items() if end in said]
    return " and ".join(found)


def queue_trouble(result: Result) -> str | None:
    """What the server's queues lost, the worse of the two; None where they lost nothing."""
    counters, causes = result.counters.get("server", {}), result.causes.get("server", {})
    full = max(counters.get("TCPReqQFullDrop", 0), causes.get("SynQueueFull", 0))
    found = {
        "accept": max(counters.get("ListenOverflows", 0), causes.get("AcceptQueueFull", 0)),
        "full": full,
        "reserve": causes.get("SynQueueReserve", 0),
        "evicted": max(counters.get("SynQueueEvicted", 0), causes.get("SynQueueEvicted", 0)),
    }
    worst = max(found, key=lambda name: found[name])
    n = found[worst]
    if not n:
        return None
    if worst == "accept":
        when = _since(result, "accept_queue")
        return f"the accept queue was full{when}{',' * when.startswith(',')} and overflowed {_times(n)}"
    if worst == "evicted":
        return f"{words.plural(n, 'half-open entry', 'half-open entries')} gave way to others"
    when = _since(result, "half_open")
    if worst == "reserve":
        return f"the half-open queue was full for unknown peers{when}"
    return f"the half-open queue was full{when}" + ("" if when else f" and dropped {words.plural(n, 'SYN')}")


def _cookies(result: Result) -> str | None:
    """What the half-open queue had no place for and a cookie answered."""
    sent = result.counters.get("server", {}).get("TCPReqQFullDoCookies", 0)
    return f"the half-open queue was full and cookies answered {words.plural(sent, 'SYN')}" if sent else None


def link_trouble(result: Result) -> str | None:
    """What the link lost."""
    lost = result.counters.get("link", {}).get("lost", 0)
    return f"the link lost {words.plural(lost, 'segment')}" if lost else None


def _times(n: int) -> str:
    return "once" if n == 1 else f"{words.number(n)} times"


def _since(result: Result, queue: str) -> str:
    """` from 0.02 s on` where it stayed full, `, first at 0.02 s` where not; nothing where nobody looked.

    By the loop's own watch; of results without it, by the series.
    """
    first, lasted = result[f"{queue}.full_from"], result[f"{queue}.full_for"]
    if first is not None and lasted is not None:
        stays = lasted >= 0.5 * (result.scenario.run.duration_ns - first)
        return f" from {first / 1e9:.3g} s on" if stays else f", first at {first / 1e9:.3g} s"
    return _in_series(result, queue)


def _in_series(result: Result, queue: str) -> str:
    first = making.full_from_ms(result.series, queue)
    if first is None:
        return ""
    values = result.series[f"{making.home(queue)}.{queue}"]
    later = values[result.series.times_ms >= first]
    stays = (later >= 0.9 * values.max()).mean() >= 0.5 and len(later) > 1
    return f" from {first / 1e3:.3g} s on" if stays else f", first at {first / 1e3:.3g} s"
