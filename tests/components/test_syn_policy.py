"""The SYN-queue policies by themselves: the table of syn_policy.pxd, line by line, and FreeBSD's pause."""

import pytest

from tests.extensions.syn_policy import POLICIES, accept_room, pauses, synack_retries, verdict

ADMIT, COOKIE, REFUSE_ACCEPT_FULL, REFUSE, RESERVE, EVICT_OLDEST, EVICT_RANDOM, PAUSE = range(8)
SECOND = 1_000_000_000
OVERFLOW = {                   # policy -> without cookies
    "linux": REFUSE, "drop-new": REFUSE, "short-timer": REFUSE,
    "evict-oldest": EVICT_OLDEST, "evict-random": EVICT_RANDOM,
}  # fmt: skip
every = pytest.mark.parametrize("policy", POLICIES)
per_listener = pytest.mark.parametrize("policy", OVERFLOW)


@per_listener
@pytest.mark.parametrize("backlog", [0, 1, 3, 1024, 2**31 - 1])
def test_backlog_plus_one_entries_fit(policy, backlog):
    for cookies, said in ((0, OVERFLOW[policy]), (1, COOKIE)):
        for half_open in {0, backlog // 2, backlog}:
            answer = verdict(policy, backlog=backlog, half_open=half_open, tcp_syncookies=cookies,
                           tcp_max_syn_backlog=2**31 - 1, proven=True)
            assert answer == ADMIT
        for half_open in (backlog + 1, 2**32 - 1):
            assert verdict(policy, backlog=backlog, half_open=half_open, tcp_syncookies=cookies) == said


def test_freebsd_asks_the_bucket_and_not_the_backlog():
    crowd = {"backlog": 3, "half_open": 10_000}
    for cookies, said in ((0, EVICT_OLDEST), (1, PAUSE)):
        assert verdict("freebsd", tcp_syncookies=cookies, **crowd) == ADMIT
        assert verdict("freebsd", tcp_syncookies=cookies, bucket_full=True, **crowd) == said
        assert verdict("freebsd", tcp_syncookies=cookies, paused=True, **crowd) == COOKIE


@every
def test_cookies_always_and_a_full_accept_queue_before_that(policy):
    for half_open, full in ((0, False), (100, True)):
        assert verdict(policy, half_open=half_open, bucket_full=full, tcp_syncookies=2) == COOKIE
        for cookies in (0, 1, 2):
            assert verdict(policy, half_open=half_open, bucket_full=full, tcp_syncookies=cookies,
                           accept_full=True) == REFUSE_ACCEPT_FULL


@pytest.mark.parametrize(("limit", "fit"), [(16, 13), (256, 193), (1024, 769), (0, 1), (3, 4)])
def test_linux_keeps_the_last_quarter_for_proven_peers(limit, fit):
    """Recorded: M - M // 4 + 1 entries; without a quarter to keep, M itself limits signed."""
    def said(half_open, **knobs):
        return verdict("linux", backlog=4096, half_open=half_open, tcp_max_syn_backlog=limit, **knobs)

    assert said(fit - 1) == ADMIT and said(fit) == RESERVE
    assert said(fit, proven=True) == said(fit, tcp_syncookies=1) == ADMIT
    assert said(4097, proven=True) == REFUSE


@every
def test_only_linux_keeps_a_reserve(policy):
    answer = verdict(policy, backlog=100, half_open=90, tcp_max_syn_backlog=16)
    assert answer == (RESERVE if policy == "linux" else ADMIT)


def patience(policy, queued, young, backlog, retries=5):
    return synack_retries(policy, retries, backlog=backlog, half_open=queued, young=young)


@pytest.mark.parametrize(("queued", "young", "backlog", "retries"), [
    (4, 0, 0, 5),          # 8 is not above 8
    (5, 0, 0, 2),
    (8, 0, 16, 5),         # exactly half is not above half
    (9, 0, 16, 2),
    (9, 9, 16, 5),         # all young: 18 do not fit
    (9, 4, 16, 4),         # 8 fit, 16 do not
    (9, 2, 16, 3),         # 4, 8 fit, 16 do not
    (9, 1, 16, 2),
])  # fmt: skip
def test_linux_prunes(queued, young, backlog, retries):
    assert patience("linux", queued, young, backlog) == retries


@pytest.mark.parametrize("policy", ["linux", "short-timer"])
@pytest.mark.parametrize("retries", [0, 1, 2])
def test_pressure_never_adds_retries(policy, retries):
    assert all(patience(policy, queued, 0, 9, retries) <= retries for queued in range(100))
    assert policy != "linux" or patience(policy, 50, 0, 1, retries) == retries


def test_a_short_timer_sinks_in_a_line_to_nothing():
    """Backlog 9 has room for ten: five are no pressure; then a fifth of the retries less for each."""
    assert [patience("short-timer", n, 0, 9) for n in range(13)] == [5] * 6 + [4, 3, 2, 1, 0, 0, 0]
    assert [patience("short-timer", n, 0, 9, 1) for n in range(11)] == [1] * 6 + [0] * 5
    assert [patience("short-timer", n, n, 3, 255) for n in range(5)] == [255, 255, 255, 127, 0]
    assert [patience("short-timer", n, 0, 0) for n in range(3)] == [5, 0, 0]
    assert [patience("short-timer", n, 0, 2**31 - 1) for n in (2**30, 2**31)] == [5, 0]


@pytest.mark.parametrize("policy", ["drop-new", "evict-oldest", "evict-random", "freebsd"])
def test_the_others_are_patient_with_all(policy):
    assert {patience(policy, n, 0, 9) for n in range(30)} == {5}


def test_how_many_may_wait_for_accept():
    assert [accept_room(backlog, False) for backlog in (0, 1, 2, 3, 2**31 - 1)] == [1, 2, 3, 4, 2**31]
    assert [accept_room(backlog, True) for backlog in (0, 1, 2, 3, 128)] == [1, 1, 3, 4, 192]
    assert accept_room(2**31 - 1, True) == 3 * (2**31 - 1) // 2


def test_a_pause_is_fifteen_seconds():
    assert pauses([0]) == [15 * SECOND]
    assert pauses([3 * SECOND, 4 * SECOND, 18 * SECOND - 1]) == [18 * SECOND], "no pause begins in one"


def test_a_renewed_attack_doubles_the_pause():
    """Renewed: within the length of the last pause after its end."""
    assert pauses([0, 15 * SECOND]) == [15 * SECOND, 45 * SECOND]
    assert pauses([0, 30 * SECOND - 1])[1] == 60 * SECOND - 1
    assert pauses([0, 30 * SECOND])[1] == 45 * SECOND
    assert pauses([0, 15 * SECOND, 75 * SECOND - 1])[2] == 135 * SECOND - 1
    assert pauses([0, 15 * SECOND, 75 * SECOND])[2] == 90 * SECOND, "quiet for 30 s: from the start again"


def test_a_pause_is_never_above_sixteen_minutes():
    times, lengths = [0], []
    for _ in range(9):
        end = pauses(times)[-1]
        lengths.append((end - times[-1]) // SECOND)
        times.append(end)
    assert lengths == [15, 30, 60, 120, 240, 480, 960, 960, 960]
