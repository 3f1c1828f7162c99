"""The flow table as a dict, and its pool as a list: what `tcpcore.components.flow_table` must do."""

from tests.reference.siphash import derive_key, siphash, tuple_bytes


class ReferenceTable:
    def __init__(self, capacity, seed=0):
        self.capacity = capacity
        self.key = derive_key(seed, 0), derive_key(seed, 1)
        self.flows = {}                          # (raddr, rport, laddr, lport) -> reference
        self.freed = []
        self.fresh = 1
        self.reserved = 2
        while self.reserved < 2 * capacity:
            self.reserved *= 2
        self.heads = min(1024, self.reserved)

    def hash(self, flow):
        return siphash(1, 3, *self.key, tuple_bytes(*flow)) & 0xFFFFFFFF

    def insert(self, flow):
        if flow in self.flows:
            return self.flows[flow]
        if self.freed:
            ref = self.freed.pop()
        elif self.fresh <= self.capacity:
            ref = self.fresh
            self.fresh += 1
        else:
            return 0
        self.flows[flow] = ref
        if 2 * len(self.flows) > self.heads and self.heads < self.reserved:
            self.heads *= 2
        return ref

    def find(self, flow):
        return self.flows.get(flow, 0)

    def remove(self, flow):
        ref = self.flows.pop(flow, 0)
        if ref:
            self.freed.append(ref)
        return ref
