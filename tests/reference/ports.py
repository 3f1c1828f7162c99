"""Reference implementation of the port counts: the set of (destination, port) in use."""


class ReferencePorts:
    def __init__(self, size):
        self.size = size
        self.used = set()

    def count(self, destination):
        return sum(1 for other, _ in self.used if other == destination)

    def exhausted(self, destination):
        return self.count(destination) == self.size

    def first_free(self, destination, candidates):
        """Index of the first candidate that is not in use."""
        return next(i for i, port in enumerate(candidates) if (destination, port) not in self.used)

    def take(self, destination, port):
        self.used.add((destination, port))

    def release(self, destination, port):
        self.used.remove((destination, port))
