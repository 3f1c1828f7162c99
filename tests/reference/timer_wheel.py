"""Reference implementation of the timer wheel: one sorted list of (tick, order of arming, slot)."""

from bisect import insort


class ReferenceWheel:
    def __init__(self, clock=0):
        self.clock = self.floor = clock
        self.order = 0
        self.entries = []

    @property
    def live(self):
        return len(self.entries)

    def arm(self, slot, tick):
        self.cancel(slot)
        self.order += 1
        insort(self.entries, (max(tick, self.floor), self.order, slot))

    def cancel(self, slot):
        self.entries = [entry for entry in self.entries if entry[2] != slot]

    def next(self):
        return self.entries[0][0] if self.entries else None

    def pop(self, tick, limit=None):
        """(slot, tick) of everything due, oldest first; the clock follows."""
        popped = []
        while self.entries and self.entries[0][0] <= tick and (limit is None or len(popped) < limit):
            at, _, slot = self.entries.pop(0)
            self.clock, self.floor = max(self.clock, at), at
            popped.append((slot, at))
        if limit is None or len(popped) < limit:
            self.catch_up(tick)
        return popped

    def catch_up(self, tick):
        """The clock moves, and what is due before it stays: it may be armed anew where it was."""
        if tick >= self.clock:
            self.clock = tick
            if not self.entries or self.entries[0][0] >= tick:
                self.floor = tick
