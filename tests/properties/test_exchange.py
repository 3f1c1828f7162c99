"""Two engines and one forged segment: the exchange ends or keeps to a documented rate (exchange.py)."""

import random

import pytest

from tcpcore import State
from tests.properties.exchange import CASES, FLAGS, FORGED, LAST, PAIRS, PROFILES, allowed, land, play


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_one_forged_segment(pair):
    """All cases, which meet every state; of what is forged a draw with every set of flags. The module goes
    through all of it."""
    rng, states = random.Random("-".join(pair)), set()
    for script, at, target in CASES:
        forged = rng.sample(FORGED, 800)
        assert {one[0] for one in forged} == set(FLAGS)
        assert play(pair, script, at, target, forged, states) == []
    assert states == set(State) - {State.LISTEN}              # CLOSED: a listener, or nobody


@pytest.mark.parametrize("profile", PROFILES)
def test_a_segment_from_itself(profile):
    for flags in FLAGS:
        for text in (0, 100):
            sent, wrong, config = land(profile, flags, text)
            assert wrong == []
            assert sent <= allowed(config, LAST), (flags, text)
