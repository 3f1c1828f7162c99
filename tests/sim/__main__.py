"""`python -m tests.sim [EXAMPLES]`: the event loop against its reference over many random scenarios."""

import sys

from hypothesis import given, settings

from tests.sim import test_reference
from tests.sim.scenarios import scenarios


def main(arguments):
    examples = int(arguments[0]) if arguments else 5000
    thorough = settings(max_examples=examples, suppress_health_check=test_reference.SLOW, deadline=None)
    for check in (test_reference.does_what_the_reference_does, test_reference.does_the_same_by_ones):
        thorough(given(scenarios())(check))()
        print(f"{check.__name__}: {examples} scenarios", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
