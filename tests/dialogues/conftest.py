"""A fixture per RFC 9293 state, each built on the previous one, for the engine and for its reference.

``@pytest.mark.knobs(tcp_rfc1337=1)`` configures the host of a test,
``profile("freebsd")`` chooses its profile.
"""

import pytest

from tcpcore import Engine, State
from tests.dialogue import RTT, Dialogue, Host, configuration
from tests.reference.engine import ReferenceEngine


def pytest_configure(config):
    config.addinivalue_line("markers", "knobs(**knobs): the host's configuration in a dialogue")
    config.addinivalue_line("markers", "profile(name): the host's profile in a dialogue, linux unless said")


def knobs(request):
    marker = request.node.get_closest_marker("knobs")
    return marker.kwargs if marker else {}


@pytest.fixture(params=[Engine, ReferenceEngine], ids=["engine", "reference"])
def host(request):
    profile = request.node.get_closest_marker("profile")
    host = Host(request.param(configuration(*(profile.args if profile else ()), **knobs(request))))
    yield host
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
    """The same without TIME-WAIT."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=("close_wait", "closing", "last_ack"))
def after_fin(request, host):
    """The states behind the peer's FIN, TIME-WAIT aside."""
    return request.getfixturevalue(request.param)
