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


class ReferenceHost:
    """Which ports a search may give, as Linux has it: the connections of one host, and where it listens."""

    def __init__(self, low, high):
        self.range = range(low, high + 1)
        self.connections = {}         # (laddr, lport, raddr, rport) -> whether a search gave the port
        self.listened = []            # ports

    def free(self, laddr, raddr, rport):
        """Not listened on, not bound by a connection of this address, and not taken towards the peer."""
        bound = {key[:2] for key, chosen in self.connections.items() if not chosen}
        return {port for port in self.range
                if port not in self.listened and (laddr, port) not in bound
                and (laddr, port, raddr, rport) not in self.connections}

    def name(self, laddr, lport, raddr, rport):
        """Others that have this port bind it, too."""
        self.connections[laddr, lport, raddr, rport] = False
        self.connections.update({key: False for key in self.connections if key[:2] == (laddr, lport)})

    def unlisten(self, port):
        """Connections on its port bind it, however they got it."""
        self.listened.remove(port)

    def listen(self, port):
        self.listened.append(port)
        self.connections.update({key: False for key in self.connections if key[1] == port})
