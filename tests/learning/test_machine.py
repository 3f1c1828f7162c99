"""The machine learned from the engine is the reference's, and what docs/state-machine.svg shows."""

import random

import pytest

from tcpcore import Engine, State
from tests.learning import figure
from tests.learning.conversation import ALPHABET, CONFIG, Conversation
from tests.learning.machine import Picture, answers, difference, learn
from tests.learning.picture import PAGE, draw
from tests.reference.engine import ReferenceEngine


@pytest.fixture(scope="module")
def machine():
    return learn(Engine)


@pytest.fixture(scope="module")
def picture(machine):
    return Picture(machine, Engine)


def heard(stack, word, **knobs):
    """What a stack itself answers."""
    subject = Conversation(stack, CONFIG.replace(**knobs))
    subject.pre()
    return [subject.step(letter) for letter in word]


def test_the_reference_learns_the_same_machine(machine):
    assert difference(machine, learn(ReferenceEngine)) is None


def test_every_state_of_the_rfc_was_found(picture):
    assert all(picture.states().values())


def test_the_machine_says_what_the_engine_says(machine):
    """On longer words than it was learned from."""
    draws = random.Random(5)
    for _ in range(200):
        word = draws.choices(ALPHABET, k=25)
        assert answers(machine, word) == heard(Engine, word), word


@pytest.mark.parametrize("knobs, word", [
    ({"tcp_rfc1337": 1}, ("CONNECT", "SYN+ACK", "CLOSE", "FIN+ACK", "RST")),
    ({"epipe_in_close_wait": 0}, ("LISTEN", "SYN", "FIN+ACK", "RST")),
    ({"refused_in_syn_received": 1}, ("CONNECT", "SYN", "RST")),
    ({"time_wait_ms": 0}, ("CONNECT", "SYN+ACK", "CLOSE", "ACK", "FIN+ACK")),
], ids=str)  # fmt: skip
def test_another_rule_is_another_machine(machine, knobs, word):
    assert answers(machine, word) == heard(Engine, word)
    assert answers(machine, word) != heard(Engine, word, **knobs)


def test_a_difference_is_found_and_named(machine):
    """One transition led astray in a copy of the machine."""
    other = learn_copy(machine)
    state = other.initial_state.transitions["CONNECT"]
    state.transitions["SYN+ACK"] = other.initial_state
    word = difference(machine, other)
    assert word[:2] == ("CONNECT", "SYN+ACK")
    assert answers(machine, word) != answers(other, word)


def learn_copy(machine):
    copy = machine.copy()
    assert difference(machine, copy) is None
    return copy


# -- beside the figure


def test_what_the_figure_has_and_the_machine_lacks_is_explained(picture):
    assert {arrow.move for arrow in figure.lacking(picture.moves())} == set(figure.LACKS)


def test_what_the_machine_has_and_the_figure_lacks_is_explained(picture):
    assert set(figure.beyond(picture.moves())) == set(figure.KINDS)


def test_the_figure_is_whole():
    """20 arrows in figure 5, LISTEN's SEND among them; every state is entered and left."""
    assert len(figure.FIGURE_5) == len({arrow.move for arrow in figure.FIGURE_5}) == 20
    for end in ("here", "there"):
        assert {getattr(arrow, end) for arrow in figure.FIGURE_5} == set(State)


def test_the_drawing_is_what_was_learned(picture):
    assert draw(picture) == PAGE.read_text(encoding="utf-8"), "stale: make state-machine"
