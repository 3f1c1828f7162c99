"""One laboratory for all tests here; skipped, with the reason, where the host cannot have one."""

import pytest

from tests.live.lab import Lab
from tests.live.namespace import why_not

#: Namespaces side by side.
SIZE = 60
REPORT = []


@pytest.fixture(scope="session")
def lab():
    if reason := why_not():
        pytest.skip(f"the live kernel {reason}")
    with Lab(SIZE) as lab:
        yield lab


@pytest.fixture(scope="session")
def live_report():
    """Lines for the end of the run."""
    return REPORT


def pytest_terminal_summary(terminalreporter):
    if REPORT:
        terminalreporter.section("the running kernel beside the engine")
        for line in REPORT:
            terminalreporter.write_line(line)
