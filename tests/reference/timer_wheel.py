"""Reference implementation of the timer wheel: one sorted list of (tick, order of arming, slot)."""

from bisect import insort


class ReferenceWheel:
    def __init__(self, clock=0):
        self.clock = clock
        self.order = 0
        self.entries = []

    @property
    def live(self):
        return len(self.entries)

    def arm(self, slot, tick):
        self.cancel(slot)
        self.order += 1
        insort(self.entries, (max(tick, self.clock), self.order, slot))

    def cancel(self, slot):
        self.entries = [entry for entry in self.entries if entry[2] != slot]

    def next(self):
        return self.entries[0][0] if self.entries else None

    def pop(self, tick, limit=None):
        """(slot, tick) of everything due, oldest first; the clock follows."""
        popped = []
        while self.entries and self.entries[0][0] <= tick and (limit is None or len(popped) < limit):
            self.clock, _, slot = self.entries.pop(0)
            popped.append((slot, self.clock))
        if limit is None or len(popped) < limit:
            self.clock = max(self.clock, tick)
        return popped
