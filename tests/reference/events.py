"""Reference implementation of the event queue: a list."""


class ReferenceEvents:
    def __init__(self, kinds, bound):
        self.kinds, self.bound = set(kinds), bound
        self.queue, self.lost = [], 0

    def tell(self, *event):
        if event[3] not in self.kinds:
            return
        if len(self.queue) < self.bound:
            self.queue.append(event)
        else:
            self.lost += 1

    def drain(self):
        drained, self.queue = self.queue, []
        return drained
