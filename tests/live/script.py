"""Scenarios written down: a script grows step by step and remembers where both number spaces stand.

A station is a place in a connection's life that every stimulus can start from: the eleven states of RFC 9293,
several of them by more than one way, since the ways leave different things behind (an application or none,
a queue, unread data, a closed window).
"""

PEER, PORT, SECOND_PORT = "10.9.0.2", 80, 81
CLIENT_PORT, SERVER_PORT = 40000, 7000
BOUND_PORT = 50001
ISN = 1000
WINDOW = 64240
#: Between the segments of a handshake: the round trip that the stack measures.
ROUND_TRIP = 0.03
TSVAL = 100_000


#: A peer that offers nothing but its MSS, and one as most hosts are.
PLAIN = {"mss": 1460}
USUAL = {"mss": 1460, "wscale": 7, "sack_ok": True, "ts": True}


class Script:
    """Connections by label, `c1` first; times in seconds; numbers as in the recording."""

    def __init__(self, sysctl=None, backlog=16, peer=PLAIN, isn=ISN, base="default"):
        self.sysctl = dict(sysctl or {})
        self.peer = dict(peer)        # the options of its SYNs; "ecn": its SYNs ask for it
        self.stamped = peer.get("ts", False)
        self.backlog = backlog
        self.isn = isn
        self.base = base
        self.conns = {}
        self.steps = []
        self.places = {}              # label -> (r, l): the next numbers of the peer and of the stack
        self.tsval = TSVAL
        self.label = "c1"
        self.listening = set()

    @property
    def r(self):
        """The peer's next number, from its ISN."""
        return self.places.get(self.label, (0, 0))[0]

    @r.setter
    def r(self, number):
        self.places[self.label] = number, self.l

    @property
    def l(self):  # noqa: E743
        """The stack's next number, from its own."""
        return self.places.get(self.label, (0, 0))[1]

    @l.setter
    def l(self, number):  # noqa: E743
        self.places[self.label] = self.r, number

    def scenario(self, name=""):
        return {"name": name, "base": self.base, "sysctl": self.sysctl, "conns": self.conns,
                "steps": self.steps}

    # -- steps

    def meet(self, sport, dport, isn=None):
        self.conns[self.label] = {"src": PEER, "sport": sport, "dport": dport,
                                  "isn": self.isn if isn is None else isn}
        return self

    def listen(self, name="l1", port=PORT, **args):
        self.steps.append({"call": "listen", "port": port, "backlog": self.backlog, "name": name, **args})
        self.listening.add(name)
        return self

    def segment(self, flags, seq=None, ack=None, length=0, wnd=WINDOW, ts="auto", **opts):
        """From the peer; seq and ack are offsets from R and L, None the next numbers; seq may be a symbol."""
        spec = self.conns[self.label]
        seg = {"conn": self.label, "src": spec["src"], "sport": spec["sport"], "dport": spec["dport"],
               "flags": flags,
               "seq": seq if isinstance(seq, str) else f"R{self.r if seq is None else seq:+d}",
               "ack": f"L{self.l if ack is None else ack:+d}" if "A" in flags else 0,
               "len": length, "wnd": wnd}
        if ts == "auto":
            ts = [self.tsval, "last" if "A" in flags else 0] if self.stamped else None
            self.tsval += 1
        if ts:
            opts["ts"] = ts
        if opts:
            seg["opts"] = opts
        self.steps.append({"in": seg})
        return self

    def syn(self, flags="S", **args):
        """With the options that this peer offers; a SYN asks for ECN, a SYN-ACK agrees to it."""
        options = {name: value for name, value in self.peer.items() if name not in ("ts", "ecn")}
        if self.peer.get("ecn"):
            flags += "E" if "A" in flags else "EC"
        return self.speak(flags, **options, **args)

    def speak(self, flags, length=0, **args):
        """The segment of a peer that behaves: it takes its numbers."""
        self.segment(flags, length=length, **args)
        self.r += length + ("S" in flags) + ("F" in flags)
        return self

    def call(self, name, **args):
        spoken = {} if name == "accept" else {"conn": self.label}
        self.steps.append({"call": name, **spoken, **args})
        return self

    def accept(self):
        return self.call("accept", on="l1")

    def wait(self, seconds=ROUND_TRIP):
        self.steps.append({"within": seconds, "expect": []})
        return self

    def look(self):
        """At the state of every connection that something has happened to."""
        met = {step["in"]["conn"] if "in" in step else step.get("conn") for step in self.steps}
        if labels := [label for label in self.conns if label in met]:
            self.steps.append({"state": dict.fromkeys(labels)})
        return self

    def queues(self):
        self.steps.append({"queue": {"l1": None}})
        return self

    # -- the stack's own steps

    def finish(self, how):
        """shutdown or close; its FIN takes a number."""
        self.call(how).wait()
        self.l += 1
        return self

    # -- ways

    def half_open(self, wnd=WINDOW, **args):
        self.listen(**args).meet(CLIENT_PORT, PORT)
        self.syn(wnd=wnd).wait()
        self.l = 1
        return self

    def unaccepted(self, wnd=WINDOW, **args):
        return self.half_open(wnd, **args).segment("A", wnd=wnd).wait()

    def established(self, wnd=WINDOW, **args):
        return self.unaccepted(wnd, **args).accept()

    def connecting(self, **args):
        self.meet(SERVER_PORT, BOUND_PORT).call("connect", **args).wait()
        self.l = 1
        return self

    def connected(self):
        return self.connecting().syn("SA").wait()

    def crossed(self):
        """Simultaneous open, up to SYN_RECEIVED."""
        self.connecting().syn()
        return self.wait()


def time_wait(script, how="close"):
    script.established().finish(how)
    script.segment("A").wait()
    return script.speak("FA").wait()


def closing(script, how):
    """The FINs crossed: the peer's does not acknowledge ours."""
    script.established().finish(how)
    script.segment("FA", ack=script.l - 1)
    script.r += 1
    return script.wait()


def time_wait_active(script):
    """An active opener that closes first: its tuple is the one connect() may want again."""
    script.connected().finish("close").segment("A").wait()
    return script.speak("FA").wait()


def close_wait(script):
    return script.established().speak("FA").wait()


def queued(script, nbytes, how=None):
    """Text (and perhaps a FIN) waits behind a window that was closed from the start."""
    script.established(wnd=0).call("send", n=nbytes)
    if how:
        script.call(how)
    return script.wait()


def sent(script, nbytes, how=None):
    """Text (and perhaps a FIN) is on its way."""
    script.established().call("send", n=nbytes)
    script.l += nbytes
    if how:
        script.call(how)
        script.l += 1
    return script.wait()


STATIONS = {
    "closed": lambda s: s.meet(CLIENT_PORT, PORT),
    "listen": lambda s: s.listen().meet(CLIENT_PORT, PORT),
    "syn_sent": lambda s: s.connecting(),
    "syn_rcvd": lambda s: s.half_open(),
    "syn_rcvd_crossed": lambda s: s.crossed(),
    "unaccepted": lambda s: s.unaccepted(),
    "established": lambda s: s.established(),
    "established_active": lambda s: s.connected(),
    "established_unread": lambda s: s.established().speak("PA", 100).wait(),
    "established_small_buffer": lambda s: s.established(rcvbuf=4608).speak("PA", 1000).wait(),
    "established_gap": lambda s: s.established().segment("PA", seq=s.r + 100, length=50).wait(),
    "established_sent": lambda s: sent(s, 100),
    "established_queued": lambda s: queued(s, 100),
    "fin_wait_1": lambda s: s.established().finish("shutdown"),
    "fin_wait_1_orphan": lambda s: s.established().finish("close"),
    "fin_wait_1_queued": lambda s: queued(s, 100, "shutdown"),
    "fin_wait_1_queued_orphan": lambda s: queued(s, 100, "close"),
    "fin_wait_1_sent_orphan": lambda s: sent(s, 100, "close"),
    "fin_wait_1_crossed": lambda s: s.crossed().finish("shutdown"),
    "fin_wait_1_crossed_orphan": lambda s: s.crossed().finish("close"),
    "fin_wait_2": lambda s: s.established().finish("shutdown").segment("A").wait(),
    "fin_wait_2_orphan": lambda s: s.established().finish("close").segment("A").wait(),
    "close_wait": close_wait,
    "close_wait_unread": lambda s: s.established().speak("FPA", 100).wait(),
    "closing": lambda s: closing(s, "shutdown"),
    "closing_orphan": lambda s: closing(s, "close"),
    "last_ack": lambda s: close_wait(s).finish("shutdown"),
    "last_ack_orphan": lambda s: close_wait(s).finish("close"),
    "time_wait": time_wait,
    "time_wait_held": lambda s: time_wait(s, "shutdown"),
    "time_wait_active": time_wait_active,
    "time_wait_closing": lambda s: closing(s, "close").segment("A").wait(),
}


def station(name, **settings):
    return STATIONS[name](Script(**settings))
