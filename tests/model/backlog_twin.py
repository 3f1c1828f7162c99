"""Dumb twin of the listeners: a dict of listeners and plain lists, the admission rules as prose."""

from collections import deque

ADMIT, ADMIT_COOKIE, REFUSE_ACCEPT_FULL, REFUSE_QUEUE_FULL, REFUSE_RESERVE = range(5)
IDS = 65535


class Entry:
    def __init__(self, addr, port, limit, auto_accept):
        self.key, self.limit, self.auto_accept = (addr, port), limit, auto_accept
        self.half_open = []                   # True where mature
        self.waiting = deque()
        self.closing = False


class BacklogTwin:
    def __init__(self, policy, cookies, max_syn_backlog, retries):
        self.policy, self.cookies = policy, cookies
        self.max_syn_backlog, self.retries = max_syn_backlog, retries
        self.entries = {}                     # id -> Entry
        self.ids = deque(range(1, IDS + 1))   # in the order in which they will be given

    def open(self, addr, port, limit, auto_accept):
        if any(entry.key == (addr, port) and not entry.closing for entry in self.entries.values()):
            return 0
        listener = self.ids.popleft()
        self.entries[listener] = Entry(addr, port, limit, auto_accept)
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

    def admit(self, listener, proven):
        entry = self.entries[listener]
        queued, reserve = len(entry.half_open), self.max_syn_backlog // 4
        if len(entry.waiting) > entry.limit and not entry.auto_accept:
            return REFUSE_ACCEPT_FULL
        if self.cookies == 2:
            return ADMIT_COOKIE
        if queued > entry.limit:
            return ADMIT_COOKIE if self.cookies else REFUSE_QUEUE_FULL
        if self.policy == 0 and not self.cookies and not proven and self.max_syn_backlog - queued < reserve:
            return REFUSE_RESERVE
        return ADMIT

    def synack_retries(self, listener):
        entry = self.entries[listener]
        queued, young = len(entry.half_open), entry.half_open.count(False)
        allowed = self.retries
        if self.policy == 0 and 2 * queued > max(8, entry.limit):
            fit = 2 * young
            while allowed > 2 and queued >= fit:
                allowed, fit = allowed - 1, 2 * fit
        return allowed
