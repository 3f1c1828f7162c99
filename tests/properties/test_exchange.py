"""Two engines and one forged segment: the exchange ends or keeps to a documented rate (exchange.py)."""

import random

import pytest

from tests.properties.exchange import CASES, FLAGS, FORGED, LAST, PAIRS, PROFILES, allowed, land, play


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_one_forged_segment(pair):
    """A draw of the cases, and of what is forged in each; the module goes through all of them."""
    rng = random.Random("-".join(pair))
    for script, at, target in rng.sample(CASES, 4):
        assert play(pair, script, at, target, rng.sample(FORGED, 1500)) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_a_segment_from_itself(profile):
    for flags in FLAGS:
        for text in (0, 100):
            sent, wrong, config = land(profile, flags, text)
            assert wrong == []
            assert sent <= allowed(config, LAST), (flags, text)
