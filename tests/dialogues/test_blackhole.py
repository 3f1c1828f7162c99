"""`blackhole`: a closed port that does not answer (FreeBSD blackhole(4))."""

import pytest

from tests.dialogues.dialogue import SILENCE


@pytest.mark.knobs(blackhole=1)
def test_1_swallows_syns_and_nothing_else(closed):
    closed.arrives("S")
    closed.expects(SILENCE)
    closed.arrives("A", ack=77)
    closed.expects("R", seq=77)
    closed.arrives("F", seq=0)
    closed.expects("RA", seq=0, ack=1)


@pytest.mark.knobs(blackhole=2)
@pytest.mark.parametrize("flags", ["S", "A", "F", "SA", ""])
def test_2_swallows_everything(closed, flags):
    closed.arrives(flags, ack=77)
    closed.expects(SILENCE)


@pytest.mark.knobs(blackhole=2)
def test_an_open_port_answers_all_the_same(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA")
    listening.arrives("A", ack=77)
    listening.expects("R", seq=77)
