"""Many scenarios against the running kernel at once: one thread, one namespace, one run at a time each.

A run is mostly waiting, so dozens go side by side. What they wait for is real time: a run that the machine
kept from keeping its schedule may agree, but where it differs it says nothing and is done again.
"""

import os
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass

from tests.corpus.interpreter import compare, execute
from tests.live.base import base_sysctl, is_default
from tests.live.comparison import differences
from tests.live.kernel import Kernel
from tests.live.namespace import Namespace

#: How late a step may begin, s, for a difference to count, and how often a run may be done again.
LAG_MAX, ATTEMPTS = 0.02, 6
#: How long the conversations of test_differential go on, s.
SECONDS = float(os.environ.get("LIVE_SECONDS", 40))
#: Settings whose effect adds up over a namespace: such a run gets a new one.
ADDS_UP = {"tcp_max_tw_buckets", "tcp_challenge_ack_limit"}
#: Peers of runs 1 .. 240 are in 10.10 .. 10.249.
NETWORKS = 240
#: What a waiting thread asks of the scheduler.
NICE = -15


@dataclass
class Run:
    """A scenario as the kernel answered it, and the latest that a step began, s."""

    steps: list
    lag: float


class Lab:
    """Plays scenarios on `size` namespaces; a context manager."""

    def __init__(self, size):
        self.size = size
        self.work = queue.SimpleQueue()
        self.threads = [threading.Thread(target=self.serve, daemon=True) for _ in range(size)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _ in self.threads:
            self.work.put(None)
        for thread in self.threads:
            thread.join()

    def start(self, scenario):
        """A future `Run`."""
        future = Future()
        self.work.put((scenario, future))
        return future

    def play(self, scenarios):
        return [future.result() for future in [self.start(scenario) for scenario in scenarios]]

    def differences(self, pairs):
        """For each (scenario, other steps): how the kernel's answers differ from those, [] if they do not.

        None where the machine was too busy, every time, to tell.
        """
        found = [None] * len(pairs)
        todo = range(len(pairs))
        for attempt in range(ATTEMPTS):
            runs = self.play([pairs[i][0] for i in todo])
            again = []
            for i, run in zip(todo, runs, strict=True):
                differences = compared(pairs[i][0], run.steps, pairs[i][1])
                if differences and (run.lag > LAG_MAX or attempt == 0):
                    again.append(i)           # a difference that is real shows twice
                else:
                    found[i] = differences
            todo = again
            if not todo:
                break
        return found

    def serve(self):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        namespace, runs = None, 0
        while (job := self.work.get()) is not None:
            scenario, future = job
            try:
                if namespace and (runs == NETWORKS or ADDS_UP & scenario["sysctl"].keys()):
                    namespace.close()
                    namespace = None
                if namespace is None:
                    namespace, runs = Namespace(), 0
                runs += 1
                future.set_result(play(scenario, namespace, runs))
            except BaseException as error:
                future.set_exception(error)
        if namespace:
            namespace.close()


def compared(scenario, kernel, other):
    """What differs, [] for nothing; a host as it comes is compared closely, a recording as it was made."""
    return differences(kernel, other) if is_default(scenario) else compare(kernel, other)


def play(scenario, namespace, number):
    """Run number `number` on this namespace."""
    namespace.sysctl({**base_sysctl(scenario), **scenario["sysctl"]})
    namespace.quickack(not is_default(scenario))
    kernel = Kernel(namespace, number)
    try:
        return Run(execute(scenario, kernel), kernel.lag)
    finally:
        kernel.leave()
