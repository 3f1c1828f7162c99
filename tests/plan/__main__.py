"""`python -m tests.plan` writes what the commands of docs/planning.md print into it.

With `pages` it does so for the tutorials and guides instead, which takes seconds (tests/project/played.py).
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from tests.plan.page import PAGE, regenerated
from tests.project.played import PAGES, Player

if sys.argv[1:] == ["pages"]:
    os.environ["COLUMNS"] = "80"
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            player = Player(page, Path(folder))
            page.write_text(player.play())
            print(*(f"{page.name}: {wrong}" for wrong in player.wrong), sep="\n")
else:
    PAGE.write_text(regenerated(PAGE.read_text()))
