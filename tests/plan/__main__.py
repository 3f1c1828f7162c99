"""`python -m tests.plan` writes what the commands of docs/planning.md print into it.

With `pages` it does so for the tutorials and guides instead, which takes seconds (tests/project/played.py).
With `long` it plays the two questions about a busy accept queue at --effort long, minutes of one processor,
and fails unless the intervals hold M/M/1/K's share of refused clients (`make theory`).
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from tests.plan.long import LONG, covered
from tests.plan.page import PAGE, regenerated
from tests.project.played import PAGES, Player

if sys.argv[1:] == ["pages"]:
    os.environ["COLUMNS"] = "80"
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            player = Player(page, Path(folder))
            page.write_text(player.play())
            print(*(f"{page.name}: {wrong}" for wrong in player.wrong), sep="\n")
elif sys.argv[1:] == ["long"]:
    found = [covered(command) for command in LONG]
    sys.exit(not all(found))
else:
    PAGE.write_text(regenerated(PAGE.read_text()))
