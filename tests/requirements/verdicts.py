"""What a requirement's dialogue says of a profile, and the runs that follow from it.

A profile of which a test says nothing holds. "deviates" and "outside" are said in the test's marker::

    @requirement("MUST-13", linux=deviates("2 MSL is a minute", time_wait_ms=240_000))

An id stands for RFC 9293 unless it names another RFC: ``@requirement("MUST-15", "RFC5961 3.2 (1)")``.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

PROFILES = ("linux", "freebsd", "strict")
NOTHING = object()

requirement = pytest.mark.requirement


@dataclass(frozen=True)
class Deviation:
    """The requirement does not hold, and why; with `cure` it does.

    Where no knob reaches there is no cure: then `expect` is what comes of it instead.
    """

    why: str
    cure: dict[str, Any] = field(default_factory=dict)
    expect: Any = NOTHING


@dataclass(frozen=True)
class Outside:
    """The requirement is about something this profile does not have."""

    why: str


@dataclass(frozen=True)
class Case:
    """One run of one test: under this profile, with `knobs` turned.

    It passes, unless it deviates. A deviation with a cure must fail; one without must come to `expect`.
    """

    profile: str
    knobs: dict[str, Any] = field(default_factory=dict)
    deviates: bool = False
    expect: Any = NOTHING

    @property
    def must_fail(self):
        return self.deviates and self.expect is NOTHING

    def __str__(self):
        turned = " ".join(f"{name}={value}" for name, value in self.knobs.items())
        return f"{self.profile}{' ' + turned if turned else ''}{' deviates' if self.deviates else ''}"


def deviates(why, *, expect=NOTHING, **cure):
    assert bool(cure) != (expect is not NOTHING), f"{why}: either knobs that cure it or what to expect"
    return Deviation(why, cure, expect)


def outside(why):
    return Outside(why)


def full_name(name):
    """The RFC and the row: RFC 9293 is meant where none is named."""
    return name if name.startswith("RFC") else f"RFC9293 {name}"


def verdict(marker, profile):
    """What a marker says of a profile: a Deviation, an Outside, or None where it holds."""
    return marker.kwargs.get(profile)


def cases(marker):
    """The runs a marker asks for."""
    unknown = set(marker.kwargs) - set(PROFILES)
    assert not unknown, f"no such profile: {', '.join(unknown)}"
    for profile in PROFILES:
        said = verdict(marker, profile)
        if isinstance(said, Deviation):
            yield Case(profile, deviates=True, expect=said.expect)
            if said.cure:
                yield Case(profile, said.cure)
        elif said is None:
            yield Case(profile)
