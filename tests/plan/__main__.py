"""`python -m tests.plan` runs the commands of docs/planning.md and writes what they say into the page."""

from tests.plan.page import PAGE, regenerated

PAGE.write_text(regenerated(PAGE.read_text()))
