"""One laboratory for all tests here; skipped, with the reason, where the host cannot have one."""

import pytest

from tests.live.lab import Lab
from tests.live.namespace import why_not

#: Namespaces side by side.
SIZE = 40


@pytest.fixture(scope="session")
def lab():
    if reason := why_not():
        pytest.skip(f"the live kernel {reason}")
    with Lab(SIZE) as lab:
        yield lab
