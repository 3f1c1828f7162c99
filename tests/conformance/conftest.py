"""Every requirement test under every profile, on the dialogues' fixtures.

The bench: numbers that wrap soon and no options unless a test is about them, as in the other dialogues. All
else is the profile's own. Only the engine is asked: whether the reference does the same is asked elsewhere.
"""

import pytest

from tcpcore import Config, Engine
from tests.conformance import verdicts
from tests.dialogue import LOCAL, TICK, Host
from tests.dialogues.conftest import (  # noqa: F401  the fixtures of every state
    after_fin,
    close_wait,
    closed,
    closing,
    connected,
    established,
    fin_wait_1,
    fin_wait_2,
    last_ack,
    listening,
    syn_received,
    syn_sent,
    synchronized,
    time_wait,
)  # fmt: skip

BENCH = {"capacity": 64, "local_addr": LOCAL, "isn": "rfc793", "isn_tick_ns": TICK, "rcv_buf": 64_240,
         "tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0}  # fmt: skip


def pytest_configure(config):
    for line in ("requirement(*ids, **verdicts): what of the RFCs a test shows, and under which profiles not",
                 "knobs(**knobs): the host's configuration in a dialogue"):  # fmt: skip
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("requirement")
    if marker:
        assert marker.args, f"{metafunc.definition.nodeid} shows nothing"
        metafunc.parametrize("case", list(verdicts.cases(marker)), ids=str)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that is to deviate must fail, and then it is fine."""
    case = pyfuncitem.callspec.params.get("case") if hasattr(pyfuncitem, "callspec") else None
    if case is None or not case.deviates:
        return (yield)
    host = pyfuncitem.funcargs.get("host")
    try:
        yield
        if host is not None:
            host.leave()                  # what was said and not expected may be the deviation
    except AssertionError:
        pyfuncitem.stash[DEVIATED] = True
        return True
    pytest.fail(f"{case.profile} does what is required: it deviates no more")


DEVIATED = pytest.StashKey()


@pytest.fixture
def config(request, case):
    """The profile on the bench, with what the test and the case turn."""
    marker = request.node.get_closest_marker("knobs")
    turned = marker.kwargs if marker else {}
    return getattr(Config, case.profile)(**{**BENCH, **turned, **case.knobs})


@pytest.fixture
def profile(case):
    """The profile as it is, off the bench, with what the case turns."""
    return getattr(Config, case.profile)(**{"capacity": 64, "local_addr": LOCAL, **case.knobs})


@pytest.fixture
def host(request, config):
    host = Host(Engine(config))
    yield host
    if not request.node.stash.get(DEVIATED, False):
        host.leave()
