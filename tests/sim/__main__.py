"""`python -m tests.sim [EXAMPLES]`: the event loop against its reference over many random scenarios."""

import sys

from hypothesis import settings

from tests.sim import test_reference


def main(arguments):
    examples = int(arguments[0]) if arguments else 5000
    for name in ("test_the_loop_does_what_the_reference_does", "test_the_batch_changes_nothing"):
        test = getattr(test_reference, name)
        settings(test_reference.THOROUGH, max_examples=examples)(test)()
        print(f"{name}: {examples} scenarios", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
