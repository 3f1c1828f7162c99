"""Reference implementation of the listeners: a dict and plain lists."""

from collections import deque

IDS = 65535


class Entry:
    def __init__(self, addr, port, room, auto_accept):
        self.key, self.room, self.auto_accept = (addr, port), room, auto_accept
        self.half_open = []                   # True where mature
        self.waiting = deque()
        self.closing = False


class ReferenceListeners:
    def __init__(self):
        self.entries = {}                     # id -> Entry
        self.ids = deque(range(1, IDS + 1))   # in the order in which they will be given

    def open(self, addr, port, room, auto_accept):
        if any(entry.key == (addr, port) and not entry.closing for entry in self.entries.values()):
            return 0
        listener = self.ids.popleft()
        self.entries[listener] = Entry(addr, port, room, auto_accept)
        return listener

    def find(self, addr, port):
        for key in ((addr, port), (0, port)):
            for listener, entry in self.entries.items():
                if entry.key == key and not entry.closing:
                    return listener
        return 0

    def close(self, listener):
        self.entries[listener].closing = True
        self.settle(listener)

    def settle(self, listener):
        entry = self.entries[listener]
        if entry.closing and not entry.half_open and not entry.waiting:
            del self.entries[listener]
            self.ids.append(listener)

    def half_gone(self, listener, mature):
        self.entries[listener].half_open.remove(mature)
        self.settle(listener)

    def pop(self, listener):
        waiting = self.entries[listener].waiting
        ref = waiting.popleft() if waiting else 0
        self.settle(listener)
        return ref

    def accept_full(self, listener):
        entry = self.entries[listener]
        return len(entry.waiting) >= entry.room and not entry.auto_accept
