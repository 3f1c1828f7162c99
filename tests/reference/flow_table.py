"""The flow table as a dict, and its pool as a list: what `tcpcore.components.flow_table` must do."""

from tests.reference.siphash import derive_key, siphash, tuple_bytes


class ReferenceTable:
    def __init__(self, capacity, seed=0):
        self.capacity = capacity
        self.key = derive_key(seed, 0), derive_key(seed, 1)
        self.flows = {}                          # (raddr, rport, laddr, lport) -> reference
        self.freed = []
        self.fresh = 1
        self.reserved = 1
        while 8 * self.reserved < capacity:
            self.reserved *= 2
        self.buckets = min(64, self.reserved)

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
        if len(self.flows) > 8 * self.buckets and self.buckets < self.reserved:
            self.buckets *= 2
        return ref

    def find(self, flow):
        return self.flows.get(flow, 0)

    def remove(self, flow):
        ref = self.flows.pop(flow, 0)
        if ref:
            self.freed.append(ref)
        return ref
