"""What a requirement test says of a profile, and the runs that follow from it.

A profile of which a test says nothing holds. "deviates" and "outside" are said in the test's marker::

    @pytest.mark.requirement("RFC9293 MUST-13", linux=deviates("2 MSL is a minute", time_wait_ms=240_000))
"""

from dataclasses import dataclass, field
from typing import Any

PROFILES = ("linux", "freebsd", "strict")


@dataclass(frozen=True)
class Deviation:
    """The requirement does not hold, and why; with `cure` it does. Without a cure no knob reaches it."""

    why: str
    cure: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outside:
    """The requirement is about something this profile does not have."""

    why: str


@dataclass(frozen=True)
class Case:
    """One run of one test: under this profile, with `knobs` turned, it passes or (deviates) fails."""

    profile: str
    knobs: dict[str, Any] = field(default_factory=dict)
    deviates: bool = False

    def __str__(self):
        turned = " ".join(f"{name}={value}" for name, value in self.knobs.items())
        return f"{self.profile}{' ' + turned if turned else ''}{' deviates' if self.deviates else ''}"


def deviates(why, **cure):
    return Deviation(why, cure)


def outside(why):
    return Outside(why)


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
            yield Case(profile, deviates=True)
            if said.cure:
                yield Case(profile, said.cure)
        elif said is None:
            yield Case(profile)
