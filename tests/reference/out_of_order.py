"""Reference implementation of the out-of-order record: the set of byte numbers received ahead of RCV.NXT."""

LIMIT = 4


class ReferenceRanges:
    """Numbers are offsets from some origin, so that they never wrap here."""

    def __init__(self):
        self.numbers = set()

    def pairs(self, numbers=None):
        numbers = self.numbers if numbers is None else numbers
        lefts = sorted(number for number in numbers if number - 1 not in numbers)
        rights = sorted(number + 1 for number in numbers if number + 1 not in numbers)
        return list(zip(lefts, rights, strict=True))

    def add(self, left, right):
        together = self.numbers | set(range(left, right))
        if len(self.pairs(together)) > LIMIT:
            return False
        self.numbers = together
        return True

    def take(self, rcv_nxt):
        for left, right in self.pairs():
            if left <= rcv_nxt:
                self.numbers -= set(range(left, right))
                rcv_nxt = max(rcv_nxt, right)
        return rcv_nxt
