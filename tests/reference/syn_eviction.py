"""Reference implementation of the eviction queues: lists of the living entries; nothing is removed late."""

from tests.reference.siphash import derive_key, siphash


class ReferenceEviction:
    def __init__(self, queues):
        self.queues = [[] for _ in range(queues)]

    def add(self, queue, ref):
        self.queues[queue].append(ref)

    def leave(self, ref):
        for entries in self.queues:
            if ref in entries:
                entries.remove(ref)

    def oldest(self, queue):
        return self.queues[queue].pop(0) if self.queues[queue] else 0

    def full(self, queue, limit):
        return len(self.queues[queue]) >= limit

    def forget(self, queue):
        self.queues[queue].clear()


def bucket(seed, raddr, rport, lport):
    peer = raddr.to_bytes(4, "little") + rport.to_bytes(2, "little") + lport.to_bytes(2, "little")
    return siphash(2, 4, derive_key(seed, 0), derive_key(seed, 1), peer) % 512
