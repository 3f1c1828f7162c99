"""Reference implementation of the port counts: the set of (destination, port) in use, ports of the range."""


class ReferencePorts:
    def __init__(self, low, span):
        self.low, self.span = low, span
        self.used = set()
        self.barred = {}              # port -> reasons

    def count(self, destination):
        return sum(1 for other, _ in self.used if other == destination)

    def counts(self, port):
        """Whether a port is one of the range: no other is counted, however it was bound, and none barred."""
        return self.low <= port < self.low + self.span and not self.barred.get(port)

    def is_free(self, destination, port):
        return (destination, port) not in self.used

    def exhausted(self, destination):
        return self.count(destination) == sum(map(self.counts, range(self.low, self.low + self.span)))

    def first_free(self, destination, candidates):
        """Index of the first candidate that is not in use; None: of an odd range one end is left out."""
        return next((i for i, port in enumerate(candidates)
                     if self.counts(port) and self.is_free(destination, port)), None)

    def bar(self, port, reason, on):
        reasons = self.barred.setdefault(port, set())
        reasons.add(reason) if on else reasons.discard(reason)

    def take(self, destination, port):
        self.used.add((destination, port))

    def release(self, destination, port):
        self.used.remove((destination, port))
