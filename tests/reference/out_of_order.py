"""Reference implementation of the out-of-order record: ranges ahead of RCV.NXT, each with the FINs in it.

As Linux keeps its queue (tcp_data_queue_ofo), but that text without a FIN is one range with what it touches.
"""

from dataclasses import dataclass

from tests.reference.connection import SPACE, after

LIMIT = 4


@dataclass(frozen=True)
class Range:
    """Numbers received ahead of a gap; the last is a FIN if it has one, or text came right behind it."""

    first: int
    end: int
    fins: int = 0

    def place(self, origin):
        """(first, end) counted from `origin`."""
        return (self.first - origin) % SPACE, (self.end - origin) % SPACE


def with_range(ranges, new, rcv_nxt):
    """The ranges with `new`, in order; None where that is one more than fit."""
    def place(one):
        return one.place(rcv_nxt)

    first, end = place(new)
    if any(place(r)[0] <= first and end <= place(r)[1] for r in ranges):
        return ranges
    for r in ranges:
        if r.end == new.first and (r.fins or new.fins):
            longer = Range(r.first, new.end, r.fins + new.fins)
            return [longer if one is r else one for one in ranges]
    beside, kept = [new], []
    for r in ranges:
        if not r.fins and not new.fins and place(r)[0] <= end and first <= place(r)[1]:
            beside.append(r)
        elif place(r)[0] < first or place(r)[1] > end:
            kept.append(r)
    if len(kept) == LIMIT:
        return None
    whole = Range(min(beside, key=place).first, max(beside, key=lambda r: place(r)[1]).end, new.fins)
    return sorted([*kept, whole], key=place)


def taken(ranges, rcv_nxt):
    """(RCV.NXT behind all that is contiguous, up to a FIN; the FINs in the last range; what is left)."""
    left, fins = list(ranges), 0
    while left and not fins and not after(left[0].first, rcv_nxt):
        r = left.pop(0)
        if after(r.end, rcv_nxt):
            rcv_nxt, fins = r.end, r.fins
    return rcv_nxt, fins, left
