"""The state machine has not changed unnoticed: the printed tables are those that were reviewed."""

import pytest

from tests.golden.table import GOLDEN, printed


@pytest.mark.parametrize("profile", GOLDEN)
def test_transition_table(profile):
    was, now = GOLDEN[profile].read_text().splitlines(), printed(profile).splitlines()
    changed = [f"-{old}\n+{new}" for old, new in zip(was, now, strict=False) if old != new]
    told = "\n".join(changed[:10])
    assert len(was) == len(now) and not changed, (
        f"{len(changed)} lines differ ({len(was)} lines reviewed, {len(now)} now); "
        f"`make golden` and review the diff\n{told}"
    )
