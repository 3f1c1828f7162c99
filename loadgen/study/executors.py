"""Executors by their names: `processes`, `dask:ADDRESS`, `dask:local`, `module:factory`.

What cannot be reached is said at once, with what to start. A cluster's workers must have this very behaviour
of the simulator: they are asked before anything is played.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

from loadgen.behaviour import BEHAVIOUR
from loadgen.replicates import PROCESSES
from loadgen.report.figures import versions
from loadgen.study.pools import Futures, Pool, processes

LOCAL: Final = "dask:local"
_PATIENCE: Final = "10s"
_EXPECTED: Final = "expected processes, dask:ADDRESS, dask:local or MODULE:FACTORY"


class NoExecutor(Exception):
    """What was asked for cannot be: a name that says nothing, or a library that is not installed."""


class Unreachable(Exception):
    """Nobody answers, or nobody who could work; says what to start."""


def make_pool(text: str, jobs: int, window: int | None = None) -> Pool:
    """The pool that a text names. Raises NoExecutor, Unreachable."""
    name, colon, rest = text.partition(":")
    if text == PROCESSES:
        return processes(jobs)
    if name == "dask" and rest:
        return _dask(rest, jobs, window)
    if not colon or not rest or not all(part.isidentifier() for part in name.split(".")):
        raise NoExecutor(f"{_EXPECTED}, got {text[:80]!r}")
    return _by_factory(name, rest, window)


# -- module:factory ------------------------------------------------------------------------------


def _by_factory(module: str, name: str, window: int | None) -> Pool:
    def make() -> Executor:
        try:
            executor = factory()
        except Exception as error:
            raise Unreachable(f"{module}:{name}: {type(error).__name__}: {error}") from None
        if not all(callable(getattr(executor, need, None)) for need in ("submit", "shutdown")):
            kind = type(executor).__name__
            raise NoExecutor(f"{module}:{name}: expected a concurrent.futures.Executor, it gave a {kind}")
        return executor  # type: ignore[no-any-return]

    factory = _factory(module, name)
    return Futures(make(), make, window=window)


def _factory(module: str, name: str) -> Callable[[], Any]:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # as `python -m` has it; spawned workers inherit it
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise NoExecutor(f"{module}:{name}: {error}") from None
    except AttributeError:
        raise NoExecutor(f"{module}:{name}: the module {module} has no {name}") from None
    except Exception as error:
        raise NoExecutor(f"{module}:{name}: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise NoExecutor(f"{module}:{name}: expected a function that gives an executor")
    return found  # type: ignore[no-any-return]


# -- Dask ----------------------------------------------------------------------------------------


def _dask(address: str, jobs: int, window: int | None) -> Pool:
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise NoExecutor("dask is not installed: pip install 'tcpcore[dask]'") from None
    cluster = None
    if address == "local":
        cluster = distributed.LocalCluster(
            n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None
        )
    try:
        client = distributed.Client(
            cluster or address, timeout=_PATIENCE, set_as_default=False, name="loadgen"
        )
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            raise NoExecutor(f"dask:{address}: {error}") from None
        raise Unreachable(
            f"no Dask scheduler answers at {address}: start `dask scheduler` there, and "
            f"`dask worker {address}` on every machine that is to work"
        ) from None

    def end() -> None:
        client.close(timeout=2)
        if cluster is not None:
            cluster.close(timeout=2)

    try:
        _require_workers(client, address)
    except BaseException:
        end()
        raise
    executor = client.get_executor(pure=False, retries=0)
    return Futures(executor, end=end, window=window)


def _require_workers(client: Any, address: str) -> None:
    if not client.scheduler_info(n_workers=-1)["workers"]:
        raise Unreachable(
            f"the scheduler at {address} has no workers: start `dask worker {address}` on every machine "
            "that is to work"
        )
    try:
        answers = client.run(versions, BEHAVIOUR)
    except Exception as error:
        raise Unreachable(
            f"a worker of {address} cannot import loadgen ({type(error).__name__}: {error}): install the "
            "same version of tcpcore there"
        ) from None
    ours = versions(BEHAVIOUR)
    for worker, theirs in answers.items():
        if theirs != ours:
            raise Unreachable(
                f"the worker {worker} has tcpcore {theirs['tcpcore']} of another behaviour, here it is "
                f"{ours['tcpcore']}: install the same version there"
            )
