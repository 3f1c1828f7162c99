"""Many scenarios against the running kernel at once: one thread, one namespace, one run at a time each.

A run is mostly waiting, so dozens go side by side. What they wait for is real time: a run that the machine
kept from keeping its schedule says nothing and is done again.
"""

import queue
import threading
from concurrent.futures import Future

from tests.corpus.interpreter import CORPUS, execute
from tests.live.kernel import Kernel
from tests.live.namespace import Namespace

#: How late a step may begin, s, and how often a run that was later is done again.
LAG_MAX, ATTEMPTS = 0.03, 4
#: Settings whose effect adds up over a namespace: such a run gets a new one.
ADDS_UP = {"tcp_max_tw_buckets", "tcp_challenge_ack_limit"}
#: Peers of runs 1 .. 240 are in 10.10 .. 10.249.
NETWORKS = 240


class TooLate(Exception):
    """The machine was too busy for real time, every time."""


class Lab:
    """`play` scenarios on `size` namespaces; a context manager."""

    def __init__(self, size):
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
        """A future of the steps as the kernel answered them."""
        future = Future()
        self.work.put((scenario, future))
        return future

    def play(self, scenarios):
        return [future.result() for future in [self.start(scenario) for scenario in scenarios]]

    def serve(self):
        namespace, runs = None, 0
        while (job := self.work.get()) is not None:
            scenario, future = job
            try:
                for _ in range(ATTEMPTS):
                    if namespace and (runs == NETWORKS or ADDS_UP & scenario["sysctl"].keys()):
                        namespace.close()
                        namespace = None
                    if namespace is None:
                        namespace, runs = Namespace(), 0
                    runs += 1
                    steps, lag = play_once(scenario, namespace, runs)
                    if lag <= LAG_MAX:
                        future.set_result(steps)
                        break
                else:
                    raise TooLate(f"{lag * 1000:.0f} ms behind")
            except BaseException as error:
                future.set_exception(error)
        if namespace:
            namespace.close()


def play_once(scenario, namespace, run):
    """The steps as the kernel answered them, and how far real time fell behind."""
    namespace.sysctl({**CORPUS["about"]["base_sysctl"], **scenario["sysctl"]})
    kernel = Kernel(namespace, run)
    try:
        return execute(scenario, kernel), kernel.lag
    finally:
        kernel.leave()
