"""Conversations between a stack under test and peers that the test plays, told line by line.

A test reads as a dialogue: ``arrives`` is what the peer sends, ``expects`` is what the stack must send, and
when. Both fill in a template (the next segment an ordinary peer would send, the next one an ordinary stack
would) so that a line states only what differs. Numbers count from the two ISNs: ``seq=0`` of the peer is its
SYN, ``ack=1`` acknowledges ours. Everything the stack sends must be expected, and nothing may be left behind.

Both ISNs, the stack's 1 ms clock and the peer's timestamps wrap within the first few segments.
Times are seconds since the fixture was ready; the peer of a fixture answers after RTT.
"""

import errno

from tcpcore import Config, Flag, State, segments

SPACE = 1 << 32
TICK = 1_000_000                      # ns
SECOND = 1000 * TICK
RTT = 0.1

#: The last number but one: a SYN takes it, the FIN or the second byte after it crosses the wrap.
EDGE = SPACE - 2
#: The ISN clock of `Config(isn="rfc793", isn_tick_ns=TICK)` reads EDGE now, and so does any 1 ms clock.
START = EDGE * TICK

LOCAL, LOCAL_PORT = "10.0.0.1", 80
PEER, PEER_PORT = "10.0.0.2", 40_000
WINDOW = 64_240                       # 44 * 1460: what Linux makes of a buffer of 65535 bytes

SILENCE = None                        # expects(SILENCE): nothing is sent
LETTERS = dict(zip("FSRPAUEC", Flag, strict=True))
OPT_TS = 8


def configuration(profile="linux", **knobs):
    """A host with a clock for an ISN, and no options and no cookies unless a test is about them."""
    return getattr(Config, profile)(**{"capacity": 64, "local_addr": LOCAL, "isn": "rfc793",
                                       "isn_tick_ns": TICK,
                                       "tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0,
                                       "tcp_syncookies": 0, **knobs})


class Host:
    """The stack, the clock and the wire: what several conversations share."""

    def __init__(self, stack):
        self.stack = stack            # Engine or reference
        self.now = START
        self.heard = []               # (when, segment) sent and not yet expected
        self.listeners, self.handles = [], []

    def hear(self, segs):
        self.heard += [(self.now, row) for row in segs.copy()]

    def fire(self, due):
        """Let the clock strike the next deadline."""
        assert due >= self.now, "a deadline was missed"
        self.now = due
        self.hear(self.stack.advance(due))
        after = self.stack.next_timer()
        assert after is None or after > due, "next_timer does not move on"

    def run(self, until, *, quiet=False):
        """Let time pass up to `until`; with `quiet`, stop as soon as the stack has said something."""
        while (due := self.stack.next_timer()) is not None and due <= until:
            if quiet and self.heard:
                return
            self.fire(due)
        if not (quiet and self.heard):
            self.now = max(self.now, until)
            self.hear(self.stack.advance(self.now))

    def leave(self):
        """The end of a test: nothing unexpected was said, and when everybody has gone nothing is left."""
        stack = self.stack
        assert stack.check() == []
        assert not self.heard, [describe(row) for _, row in self.heard]
        for handle in self.handles:
            stack.abort(handle, self.now)
        for listener in self.listeners:
            stack.unlisten(listener, self.now)
        stack.advance(self.now + 700 * SECOND)        # FreeBSD waits 675 s for a FIN
        assert stack.check() == []
        assert stack.next_timer() is None
        assert not stack.state_counts().any()
        left = {name: stack.gauges()[name] for name in ("half_open", "accept_queue", "time_wait", "orphans",
                                                        "held_dead", "blocks_used")}
        assert not any(left.values()), left


class Dialogue:
    """One peer port talking to the host."""

    def __init__(self, host, port=PEER_PORT, irs=EDGE):
        self.host, self.port = host, port
        self.ready = host.now
        self.irs, self.iss = irs, None
        self.said = 0                 # the peer's next number, counted from irs
        self.next = 0                 # the stack's next number, counted from iss
        self.handle = 0               # what the application holds
        self.timestamps = False       # whether the peer's template carries the option
        self.tsval = 0                # the stack's latest, absolute

    def settled(self):
        """The fixture is ready: times count from here."""
        self.ready = self.host.now
        return self

    def another(self, port=PEER_PORT, irs=EDGE):
        """Another conversation with the same host; on the same port it is the next incarnation."""
        return Dialogue(self.host, port, irs)

    # -- the two verbs

    def arrives(self, flags, *, at=None, seq=None, ack=None, length=0, wnd=WINDOW, tsval=0, tsecr=0,
                **options):
        """The peer sends a segment: its next one, acknowledging everything, unless said otherwise.

        A stated `seq` is out of the ordinary and leaves the peer's next number alone. `tsval` counts from the
        peer's clock, `tsecr` from the stack's latest TSval. `options` are further fields of SEGMENT.
        """
        if at is not None:
            self.wait(at)
        if self.timestamps:
            options["tsval"] = (self.clock() + tsval) % SPACE
            options["tsecr"] = (self.tsval + tsecr) % SPACE
        number = self.said if seq is None else seq
        acked = (self.iss or 0) + (self.next if ack is None else ack) if "A" in flags else 0
        batch = segments(1, src=PEER, dst=LOCAL, sport=self.port, dport=LOCAL_PORT, flags=bits(flags),
                         seq=(self.irs + number) % SPACE, ack=acked % SPACE, wnd=wnd, payload_len=length,
                         **options)
        if seq is None:
            self.said += length + ("S" in flags) + ("F" in flags)
        self.host.hear(self.host.stack.receive(batch, self.host.now))

    def expects(self, flags, *, at=None, within=0.0, seq=None, ack=None, length=0, **stated):
        """The stack sends this segment: its next one, acknowledging everything, unless said otherwise.

        It is sent `at` that time, to the tick, or `within` so many seconds from now. PSH is the stack's own
        affair; a field in `stated` (wnd, mss, tsecr ...) is compared only where it is stated. With SILENCE
        nothing may be sent up to `at`.
        """
        host = self.host
        if at is None:
            host.run(host.now + round(within * SECOND), quiet=True)
        else:
            host.run(self.ready + round(at * SECOND) + (flags is not SILENCE) * TICK, quiet=True)
        if flags is SILENCE:
            assert not host.heard, f"expected silence, heard {[describe(row) for _, row in host.heard]}"
            return
        assert host.heard, f"expected {flags}, heard nothing"
        when, row = host.heard.pop(0)
        if at is not None:
            late = when - self.ready - round(at * SECOND)
            assert 0 <= late <= TICK, f"expected at {at}, heard {late / SECOND:+.3f} s off: {describe(row)}"
        if "S" in flags and self.iss is None:
            self.iss = int(row["seq"])
        if row["opts"] & OPT_TS:
            self.tsval = int(row["tsval"])
        number = 0 if "S" in flags else self.next
        acked = self.said if ack is None else ack
        want = {"port": self.port, "flags": flags, "seq": number if seq is None else seq,
                "ack": acked if "A" in flags else None, "length": length, **stated}
        got = {"port": int(row["dport"]), "flags": letters(row),
               "seq": signed(row["seq"], self.iss or 0), "length": int(row["payload_len"]),
               "ack": signed(row["ack"], self.irs) if row["flags"] & Flag.ACK else None,
               **{name: int(row[name]) for name in stated}}
        assert got == want, f"expected {want}, heard {got}"
        if "R" not in flags:
            self.next = max(self.next, want["seq"] + length + ("S" in flags) + ("F" in flags))

    def wait(self, at):
        """Let time pass, in silence."""
        self.expects(SILENCE, at=at)

    def clock(self):
        """The peer's timestamp clock: milliseconds, equal to the stack's."""
        return self.host.now // TICK % SPACE

    # -- the application

    def listen(self, **arguments):
        listener = self.host.stack.listen(LOCAL, LOCAL_PORT, **{"backlog": 16, **arguments})
        self.host.listeners.append(listener)
        return listener

    def unlisten(self):
        self.host.hear(self.host.stack.unlisten(self.host.listeners.pop(), self.host.now))

    def accept(self):
        """Take the oldest connection; whether there was one."""
        ready = self.host.stack.accept(self.host.listeners[-1], limit=1)
        self.hold(ready)
        return len(ready) == 1

    def connect(self, isn=EDGE, **arguments):
        """An active open from the service port; whether it got under way."""
        conns, segs = self.host.stack.connect(PEER, self.port, self.host.now,
                                              src=LOCAL, sport=LOCAL_PORT, isn=isn, **arguments)
        self.host.hear(segs)
        self.hold(conns)
        return bool(conns[0])

    def hold(self, conns):
        for handle in conns:
            if handle:
                self.handle = int(handle)
                self.host.handles.append(self.handle)

    def send(self, length):
        self.host.hear(self.host.stack.send(self.handle, length, self.host.now))

    def recv(self, length=None):
        """The bytes taken."""
        taken, segs = self.host.stack.recv(self.handle, length, self.host.now)
        self.host.hear(segs)
        return int(taken[0])

    def shutdown(self):
        self.host.hear(self.host.stack.shutdown(self.handle, self.host.now))

    def close(self, **arguments):
        self.host.hear(self.host.stack.close(self.handle, self.host.now, **arguments))

    def abort(self):
        self.host.hear(self.host.stack.abort(self.handle, self.host.now))

    # -- what is seen

    @property
    def state(self):
        """Of whatever the stack has under this 4-tuple; CLOSED when that is nothing."""
        found = self.host.stack.lookup(PEER, self.port, LOCAL, LOCAL_PORT)
        return State(self.host.stack.info(found)[0]["state"])

    @property
    def error(self):
        """The errno name the application would see, None without an error."""
        number = int(self.host.stack.info(self.handle)[0]["error"])
        return errno.errorcode[number] if number else None


def bits(flags):
    return sum(LETTERS[letter] for letter in flags)


def letters(row):
    """The flags of a segment in the order of a dialogue's line, without PSH."""
    return "".join(letter for letter in "SFRAUEC" if row["flags"] & LETTERS[letter])


def signed(number, origin):
    """`number` counted from `origin`, which may be behind it or ahead."""
    return (int(number) - origin + SPACE // 2) % SPACE - SPACE // 2


def describe(row):
    fields = ("dport", "seq", "ack", "payload_len", "wnd")
    return {"flags": letters(row), **{name: int(row[name]) for name in fields}}
