"""30 floods against a Linux 6.18 kernel, and the same against the `linux` profile.

The recording had 450 clients; SyncookiesSent tells how long it was. How the engine is flooded: `flood`. The
last six, with five resends as a host has by default, are means of two to five floods.
"""

from dataclasses import astuple

import pytest

from tests.corpus.flood import TABLE, differences, played


def row_of(*settings):
    return next(row for row in TABLE if astuple(row)[:5] == settings)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_profile_matches_the_kernel(row):
    ours = played(row)
    assert differences(ours, row) == [], ours


@pytest.mark.parametrize(("row", "knobs"), [
    (row_of(256, 1024, 1000, 5, 0), {"synq_policy": "drop-new"}),         # no pruning
    (row_of(1024, 1024, 1000, 5, 0), {"synq_policy": "drop-new"}),
    (row_of(1024, 1024, 1000, 1, 0), {"synq_policy": "drop-new"}),        # no reserve
    (row_of(1024, 256, 1000, 1, 0), {"tcp_max_syn_backlog": 259}),        # 195 places, not 193
    (row_of(256, 1024, 1000, 0, 0), {"tcp_synack_retries": 1}),           # three seconds, not one
    (row_of(64, 1024, 10000, 1, 1), {"tcp_syncookies": 2}),
], ids=str)  # fmt: skip
def test_the_table_tells_another_stack_from_it(row, knobs):
    assert differences(played(row, **knobs), row)
