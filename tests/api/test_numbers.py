"""The public enums: their names, numbers and types, and that the dtypes are those of the structs."""

import pickle
from enum import IntEnum, IntFlag

import numpy as np
import pytest

import tcpcore
from tcpcore import BLOCK, EVENT, INFO, SEGMENT, Cause, Engine, EventKind, Flag, Option, State, segments

STATES = ["CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2",
          "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT"]


def test_states():
    assert issubclass(State, IntEnum) and [state.name for state in State] == STATES
    assert [int(state) for state in State] == list(range(11))
    assert repr(State.SYN_SENT) == "<State.SYN_SENT: 2>" and f"{State.SYN_SENT}" == "2"
    assert len(Engine(capacity=1).state_counts()) == len(State)


def test_flags_and_options():
    assert issubclass(Flag, IntFlag) and issubclass(Option, IntFlag)
    assert {flag.name: int(flag) for flag in Flag} == {
        "FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}
    assert {option.name: int(option) for option in Option} == {"MSS": 1, "WSCALE": 2, "SACK_OK": 4, "TS": 8}
    assert repr(Flag.SYN | Flag.ACK) == "<Flag.SYN|ACK: 18>" and Flag(3) == Flag.FIN | Flag.SYN


def test_causes_are_the_keys_of_causes():
    assert issubclass(Cause, IntEnum) and Cause.NONE == 0 and len(Cause) == 23
    assert [cause.name for cause in Cause][1:] == list(Engine(capacity=1).causes)
    assert [int(cause) for cause in Cause] == list(range(len(Cause)))


def test_events_carry_causes():
    eng = Engine(capacity=10, events=("refused",), somaxconn=0, tcp_syncookies=0)
    eng.listen("10.0.0.1", 80)
    eng.receive(segments(2, src="10.0.0.2", dst="10.0.0.1", sport=[1, 2], dport=80, flags=Flag.SYN), 0)
    event, = eng.events()
    assert Cause(event["cause"]) is Cause.SynQueueFull and event["kind"] == EventKind.REFUSED
    assert eng.causes[Cause.SynQueueFull.name] == 1


@pytest.mark.parametrize("member", [
    State.TIME_WAIT, Flag.SYN | Flag.ACK, Option.TS, Cause.NONE, Cause.TimedOut,
])
def test_members_are_pickled_by_name(member):
    assert pickle.loads(pickle.dumps(member)) is member
    assert type(member).__doc__ and type(member).__module__.startswith("tcpcore.")


@pytest.mark.parametrize(("dtype", "size"), [(SEGMENT, 40), (BLOCK, 64), (EVENT, 24), (INFO, 32)])
def test_dtypes_of_structs(dtype, size):
    assert dtype.itemsize == size and dtype.isalignedstruct
    assert not any(name.startswith("_") for name in dtype.names)
    two = np.concatenate([np.zeros(1, dtype), np.zeros(1, dtype)])
    assert two.dtype == dtype and two.dtype.itemsize == size
    assert pickle.loads(pickle.dumps(dtype)) == dtype


def test_every_public_name_is_there_and_has_a_docstring():
    for name in tcpcore.__all__:
        value = getattr(tcpcore, name)
        assert isinstance(value, np.dtype) or (value.__doc__ or "").strip(), name
