"""`python -m tests.requirements`: print docs/conformance.md again; with `--flaws` say what it lacks."""

import sys

from tests.requirements.page import PAGE, flaws, printed

if sys.argv[1:] == ["--flaws"]:
    print(*flaws(), sep="\n")
elif sys.argv[1:] == ["--stdout"]:
    print(printed(), end="")
else:
    PAGE.write_text(printed(), encoding="utf-8")
    print(PAGE)
