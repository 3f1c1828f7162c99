"""The knobs that `set_knobs` takes, and the two smallest values of each."""

from tcpcore.config import DECLARED

LIVE = [name for name, knob in DECLARED.items() if knob.live]


def small(name):
    """(least, next): what the knob may be set to."""
    for value in range(100):
        try:
            DECLARED[name].check(name, value)
        except ValueError:
            continue
        return value, value + 1
    raise AssertionError(f"{name} takes nothing below 100")
