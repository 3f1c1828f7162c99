"""A fixture per RFC 9293 state, each built on the previous one, for the engine and for the reference.

A test without markers shows what Linux does. ``@pytest.mark.profile("freebsd")`` chooses another profile and
``@pytest.mark.knobs(tcp_rfc1337=1)`` configures the host. A test with ``@requirement(...)`` runs under every
profile, as its verdicts say (tests/requirements/verdicts.py). Each test runs on the engine and on the
reference implementation; NOT_IN_THE_REFERENCE is the one place that says where the reference cannot follow.
"""

import pytest

from tcpcore import Config, Engine, State
from tests.dialogues.dialogue import LOCAL, RTT, TICK, Dialogue, Host, configuration
from tests.reference.engine import ReferenceEngine
from tests.requirements import verdicts

#: What ``@pytest.mark.engine_only`` may name: what the reference lacks, and why.
NOT_IN_THE_REFERENCE = {
    "keys": "ISNs, timestamps and ports that depend on a key cannot be computed twice independently: "
            "the reference has plain functions in their places and takes the first free port",
    "cookies": "the reference has no SYN cookies, and no numbers that could be cookies",
    "arguments": "the reference does not check arguments: it is only called with good ones",
    "size": "the reference is a dictionary of objects: so many connections take it minutes",
}  # fmt: skip

#: The host of a requirement: numbers that wrap soon, no options unless a test is about them, and a buffer
#: that is the same window under every profile. All else is the profile's own.
BENCH = {"capacity": 64, "local_addr": LOCAL, "isn": "rfc793", "isn_tick_ns": TICK, "rcv_buf": 64_240,
         "tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0}  # fmt: skip

DEVIATED = pytest.StashKey()


def pytest_configure(config):
    for line in ("knobs(**knobs): the host's configuration in a dialogue",
                 "profile(name): the host's profile in a dialogue, linux unless said",
                 "engine_only(what): not on the reference, which lacks this"):  # fmt: skip
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc):
    node = metafunc.definition
    if marker := node.get_closest_marker("requirement"):
        assert marker.args, f"{node.nodeid} shows nothing"
        assert not node.get_closest_marker("profile"), f"{node.nodeid}: a requirement is for every profile"
        metafunc.parametrize("case", list(verdicts.cases(marker)), ids=str)
    if "stack" in metafunc.fixturenames:
        lacking = [what for mark in node.iter_markers("engine_only") for what in mark.args]
        assert set(lacking) <= set(NOT_IN_THE_REFERENCE), f"{node.nodeid}: {lacking}"
        stacks = {"engine": Engine} if lacking else {"engine": Engine, "reference": ReferenceEngine}
        metafunc.parametrize("stack", stacks.values(), ids=stacks)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that is to deviate must fail, and then it is fine."""
    case = pyfuncitem.callspec.params.get("case") if hasattr(pyfuncitem, "callspec") else None
    if case is None or not case.must_fail:
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


def knobs(request):
    marker = request.node.get_closest_marker("knobs")
    return marker.kwargs if marker else {}


@pytest.fixture
def case():
    """The run of a requirement; None where a test is none."""


@pytest.fixture
def config(request, case):
    """The host's configuration: the bench with what the test and its case turn."""
    if case is not None:
        return getattr(Config, case.profile)(**{**BENCH, **knobs(request), **case.knobs})
    profile = request.node.get_closest_marker("profile")
    return configuration(*(profile.args if profile else ()), **knobs(request))


@pytest.fixture
def profile(case):
    """The profile as it is, off the bench, with what the case turns."""
    return getattr(Config, case.profile)(**{"capacity": 64, "local_addr": LOCAL, **case.knobs})


@pytest.fixture
def outcome(case):
    """``outcome(required)``: what must come of it, which where no knob reaches is what the case expects."""
    return lambda required: required if case.expect is verdicts.NOTHING else case.expect


@pytest.fixture
def host(request, stack, config):
    host = Host(stack(config))
    yield host
    if not request.node.stash.get(DEVIATED, False):
        host.leave()


@pytest.fixture
def closed(request, host):
    """CLOSED: nobody listens; the peer uses timestamps if the host does."""
    dialogue = Dialogue(host)
    dialogue.timestamps = bool(knobs(request).get("tcp_timestamps"))
    return dialogue


@pytest.fixture
def listening(closed):
    """LISTEN, with room for 17."""
    closed.listen()
    return closed


@pytest.fixture
def syn_received(listening):
    """SYN-RECEIVED, the SYN-ACK just sent."""
    listening.arrives("S", mss=1460)
    listening.expects("SA")
    assert listening.state == State.SYN_RECEIVED
    return listening.settled()


@pytest.fixture
def syn_sent(closed):
    """SYN-SENT, the SYN just sent."""
    assert closed.connect()
    closed.expects("S")
    assert closed.state == State.SYN_SENT
    return closed.settled()


@pytest.fixture
def crossed(syn_sent):
    """SYN-RECEIVED by a simultaneous open, the SYN-ACK just sent."""
    syn_sent.arrives("S", mss=1460)
    syn_sent.expects("SA")
    assert syn_sent.state == State.SYN_RECEIVED
    return syn_sent.settled()


@pytest.fixture
def established(syn_received):
    """ESTABLISHED by a passive open, accepted."""
    syn_received.arrives("A", at=RTT)
    assert syn_received.accept()
    assert syn_received.state == State.ESTABLISHED
    return syn_received.settled()


@pytest.fixture
def fin_wait_1(established):
    """FIN-WAIT-1, the FIN just sent, the application still attached."""
    established.shutdown()
    established.expects("FA")
    assert established.state == State.FIN_WAIT_1
    return established.settled()


@pytest.fixture
def fin_wait_2(fin_wait_1):
    """FIN-WAIT-2, the application still attached."""
    fin_wait_1.arrives("A", at=RTT)
    assert fin_wait_1.state == State.FIN_WAIT_2
    return fin_wait_1.settled()


@pytest.fixture
def closing(fin_wait_1, host):
    """CLOSING: both FINs crossed, the peer's just acknowledged."""
    fin_wait_1.arrives("FA", ack=1, at=RTT)
    if host.stack.config.ack_repeats_control:
        fin_wait_1.expects("FA", seq=1)
    else:
        fin_wait_1.expects("A")
    assert fin_wait_1.state == State.CLOSING
    return fin_wait_1.settled()


@pytest.fixture
def time_wait(fin_wait_2):
    """TIME-WAIT, just entered."""
    fin_wait_2.arrives("FA", at=RTT)
    fin_wait_2.expects("A")
    assert fin_wait_2.state == State.TIME_WAIT
    return fin_wait_2.settled()


@pytest.fixture
def close_wait(established):
    """CLOSE-WAIT, the peer's FIN just acknowledged."""
    established.arrives("FA", at=RTT)
    established.expects("A")
    assert established.state == State.CLOSE_WAIT
    return established.settled()


@pytest.fixture
def last_ack(close_wait):
    """LAST-ACK, the FIN just sent."""
    close_wait.shutdown()
    close_wait.expects("FA")
    assert close_wait.state == State.LAST_ACK
    return close_wait.settled()


SYNCHRONIZED = ("established", "fin_wait_1", "fin_wait_2", "close_wait", "closing", "last_ack", "time_wait")


@pytest.fixture(params=SYNCHRONIZED)
def synchronized(request, host):
    """Each of the states after the handshake (RFC 9293 3.3.2)."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=SYNCHRONIZED[:-1])
def connected(request, host):
    """Each of those states but TIME-WAIT."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=("close_wait", "closing", "last_ack"))
def after_fin(request, host):
    """The states behind the peer's FIN, TIME-WAIT aside."""
    return request.getfixturevalue(request.param)
