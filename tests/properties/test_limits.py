"""Knobs at the ends of their ranges: everything that has a limit ends (limits.py)."""

import random

import pytest

from tests.properties.limits import ENDS, PAIRS, PROFILES, SINGLE, STORIES, play


def test_the_knobs_that_matter_are_there():
    assert len(ENDS) > 40
    assert {0, 127, 255} <= set(ENDS["tcp_retries2"]) and 2**30 - 1 in ENDS["tcp_rto_max_ms"]


@pytest.mark.parametrize("profile", PROFILES)
def test_each_knob_alone(profile):
    for i, knobs in enumerate(SINGLE):
        for story in STORIES[i % 3::3]:
            assert play(profile, knobs, story) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_pairs_of_knobs(profile):
    """A draw; the module goes through all of them."""
    rng = random.Random(profile)
    for knobs in rng.sample(PAIRS, 300):
        assert play(profile, knobs, rng.choice(STORIES)) == []
