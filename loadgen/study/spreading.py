"""Jobs on a pool: the shards or replicates of one scenario where `sweep` plays the points of a study.

Outcomes are in the order of the jobs, whatever is done first. A job whose worker was lost is played once
more; any other error is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadgen import signals
from loadgen.replicates import Job, Played, Progress, Stop, silent
from loadgen.study.pools import Pool, is_lost

_LOOK_S: Final = 0.1


def play_on(pool: Pool, jobs: Sequence[Job], progress: Progress | None, stop: Stop) -> Played:
    """Play each job on the pool, which is closed then. Once `stop` is true, what is done is all there is."""
    run = Played([None] * len(jobs), False)
    waiting = list(range(len(jobs)))[::-1]
    tell = progress or silent
    left, again = len(jobs), set[int]()
    try:
        while left and not run.interrupted:
            while waiting and pool.idle > 0:
                number = waiting.pop()
                pool.submit(number, jobs[number])
            for number, outcome, error in pool.done(_LOOK_S):
                if error is not None and (not is_lost(error) or number in again):
                    raise error
                if error is not None:
                    again.add(number)
                    waiting.append(number)
                    continue
                run.outcomes[number] = outcome
                left -= 1
                tell(len(jobs) - left, len(jobs))
            run.interrupted = left > 0 and stop()
    except KeyboardInterrupt:
        run.interrupted = True
    finally:
        pool.close()
    if run.interrupted:
        signals.honoured()
    return run
