"""The law has not changed unnoticed: the table printed from the code is the one that was reviewed."""

from tests.golden.table import GOLDEN, printed


def test_transition_table():
    was, now = GOLDEN.read_text().splitlines(), printed().splitlines()
    changed = [f"-{old}\n+{new}" for old, new in zip(was, now, strict=False) if old != new]
    told = "\n".join(changed[:10])
    assert len(was) == len(now) and not changed, (
        f"{len(changed)} lines differ ({len(was)} lines reviewed, {len(now)} now); "
        f"`make golden` and review the diff\n{told}"
    )
