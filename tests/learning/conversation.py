"""One connection's life as a black box: a letter goes in, what the stack sends and tells comes out.

The adapter plays the other end and the application. It keeps the peer's numbers right, so that a letter is
always the peer's next segment in order: a FIN that has been taken is the same FIN again, a SYN to a half-open
entry the same SYN again, and a SYN to nobody or to TIME-WAIT begins a new incarnation with a greater number.
It acknowledges all it has heard; only "FIN crossing" was sent before our FIN came, if none of its segments
has acknowledged that yet.
What it knows of the stack it hears on the wire. The application takes what it can accept, and forgets a
connection that has died. Time stands still but for TIMEOUT, which lets it run until something has changed.
"""

import errno

from aalpy.base import SUL

from tcpcore import Config, Flag, State, segments

SPACE = 1 << 32
LOCAL, LOCAL_PORT = "10.0.0.1", 80
PEER, PEER_PORT = "10.0.0.2", 40_000

CALLS = ("LISTEN", "CONNECT", "CLOSE", "ABORT")
SEGMENTS = {"SYN": Flag.SYN, "SYN+ACK": Flag.SYN | Flag.ACK, "ACK": Flag.ACK, "FIN+ACK": Flag.FIN | Flag.ACK,
            "FIN crossing": Flag.FIN | Flag.ACK, "RST": Flag.RST | Flag.ACK, "data": Flag.ACK}  # fmt: skip
ALPHABET = (*SEGMENTS, *CALLS, "TIMEOUT")
NOTHING = "-"
NAMES = {Flag.SYN: "SYN", Flag.FIN: "FIN", Flag.RST: "RST", Flag.ACK: "ACK"}
PATIENCE = 200                        # firings a TIMEOUT waits for a change

#: Linux, without the pace of answers (time stands still) and without options and cookies.
CONFIG = Config.linux(capacity=8, local_addr=LOCAL, tcp_invalid_ratelimit=0, tcp_syncookies=0,
                      tcp_timestamps=0, tcp_sack=0, tcp_window_scaling=0)  # fmt: skip


class Conversation(SUL):
    """A stack (Engine or reference) under learning: `pre` begins a life, `step` is one letter of it."""

    def __init__(self, stack, config=CONFIG):
        super().__init__()
        self.make, self.config = stack, config

    def pre(self):
        self.stack, self.now = self.make(self.config), 1_000_000_000
        self.listener = self.handle = None
        self.irs = SPACE - (1 << 20) - 2          # the peer's ISN
        self.heard = 0                            # what its next ACK acknowledges, absolute
        self.reborn()

    def post(self):
        """The next life begins with a new stack."""

    def step(self, letter):
        if letter in SEGMENTS:
            said = self.hear(self.stack.receive(self.segment(letter), self.now))
        elif letter == "TIMEOUT":
            said = self.wait()
        else:
            said = self.call(letter)
        self.take()
        told = self.told()
        return ", ".join(said + told) or NOTHING

    # -- the peer

    def segment(self, letter):
        """The peer's next segment of this kind."""
        state = self.state
        if letter == "SYN" and state in (State.CLOSED, State.TIME_WAIT):
            self.reborn()
        number = self.said
        if "SYN" in letter and state in (State.SYN_SENT, State.SYN_RECEIVED):
            number = 0
        elif "FIN" in letter and number:
            number = self.fin = self.fin if self.finished else number
        flags = SEGMENTS[letter]
        ack = self.heard
        if letter == "FIN crossing" and self.our_fin is not None:
            ack = self.our_fin
        elif flags & Flag.ACK and not flags & Flag.SYN:
            self.our_fin = None
        return segments(1, src=PEER, dst=LOCAL, sport=PEER_PORT, dport=LOCAL_PORT, wnd=60_000, flags=flags,
                        seq=(self.irs + number) % SPACE, ack=ack if flags & Flag.ACK else 0,
                        payload_len=10 if letter == "data" else 0)  # fmt: skip

    def reborn(self):
        """The peer's next incarnation, its numbers above the last one's."""
        self.irs = (self.irs + (1 << 20)) % SPACE
        self.said = 0                             # its next number, counted from there
        self.fin, self.finished = None, False     # its FIN's number, and whether that is acknowledged
        self.our_fin = None                       # our FIN's, while no letter has acknowledged it

    def hear(self, rows):
        """What the stack sends, in words; the peer notes the numbers."""
        said = []
        for row in rows:
            flags = Flag(int(row["flags"])) & (Flag.SYN | Flag.FIN | Flag.RST | Flag.ACK)
            said.append("+".join(name for flag, name in NAMES.items() if flags & flag))
            if not flags & Flag.RST:
                taken = bool(flags & Flag.SYN) + bool(flags & Flag.FIN) + int(row["payload_len"])
                self.heard = (int(row["seq"]) + taken) % SPACE
                if flags & Flag.FIN:
                    self.our_fin = (self.heard - 1) % SPACE
                if flags & Flag.ACK:
                    self.said = (int(row["ack"]) - self.irs) % SPACE
                    self.finished = self.fin is not None and self.said == self.fin + 1
        return said

    # -- the application

    def call(self, letter):
        if letter == "LISTEN":
            if self.listener is not None:
                return ["error"]
            self.listener = self.stack.listen(LOCAL, LOCAL_PORT, backlog=4)
        elif letter == "CONNECT":
            (conn,), rows = self.stack.connect(PEER, PEER_PORT, self.now, src=LOCAL, sport=LOCAL_PORT)
            if not conn:
                return ["error"]
            self.handle = int(conn)
            self.reborn()
            return self.hear(rows)
        elif self.handle is not None:
            rows = (self.stack.shutdown if letter == "CLOSE" else self.stack.abort)(self.handle, self.now)
            if letter == "ABORT":
                self.handle = None
            return self.hear(rows)
        elif letter == "CLOSE" and self.listener is not None:
            rows = self.stack.unlisten(self.listener, self.now)
            self.listener = None
            return self.hear(rows)
        else:
            return ["error"]
        return []

    def take(self):
        if self.listener is not None:
            for conn in self.stack.accept(self.listener):
                self.handle = int(conn)

    def told(self):
        """What a connection that has died tells its application, which then forgets it."""
        if self.handle is None:
            return []
        (status,) = self.stack.info(self.handle)
        if status["state"] != State.CLOSED:
            return []
        self.stack.abort(self.handle, self.now)
        self.handle = None
        number = int(status["error"])
        return [errno.errorcode[number]] if number else ["closed"]

    # -- the clock

    def wait(self):
        """Until the state changes or no timer is left; what was sent meanwhile, each thing once."""
        state, said = self.state, []
        for _ in range(PATIENCE):
            due = self.stack.next_timer()
            if due is None or self.state != state:
                break
            self.now = max(self.now, due)
            said += [word for word in self.hear(self.stack.advance(self.now)) if word not in said]
        return said

    # -- not for the learner: what the picture calls a learned state

    @property
    def state(self):
        """Of the connection; CLOSED when there is none."""
        found = self.stack.lookup(PEER, PEER_PORT, LOCAL, LOCAL_PORT)
        return State(int(self.stack.info(found)[0]["state"]))

    def place(self, word):
        """Where a word leads: the RFC's state, and whether somebody listens besides."""
        self.pre()
        for letter in word:
            self.step(letter)
        state, listening = self.state, self.listener is not None
        if state == State.CLOSED and listening:
            return State.LISTEN, True
        return state, listening
