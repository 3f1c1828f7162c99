"""Reference implementation of the port counts: the set of (destination, port) in use, ports of the range."""


class ReferencePorts:
    def __init__(self, low, size):
        self.low, self.size = low, size
        self.used = set()

    def count(self, destination):
        return sum(1 for other, _ in self.used if other == destination)

    def counts(self, port):
        """Whether a port is one of the range: no other is counted, however it was bound."""
        return self.low <= port < self.low + self.size

    def is_free(self, destination, port):
        return (destination, port) not in self.used

    def exhausted(self, destination):
        return self.count(destination) == self.size

    def first_free(self, destination, candidates):
        """Index of the first candidate that is not in use."""
        return next(i for i, port in enumerate(candidates) if (destination, port) not in self.used)

    def take(self, destination, port):
        self.used.add((destination, port))

    def release(self, destination, port):
        self.used.remove((destination, port))
