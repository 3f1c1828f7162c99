"""`python -m tests.mutants [part of a behaviour's name ...]`; `make mutants` runs all."""

import sys

from tests.mutants.runner import main

sys.exit(main(sys.argv[1:]))
