"""The interpreter's `Target` over the public API of the engine or of the reference engine.

A host in miniature: it owns the virtual clock, the sockets (listeners by name, connections by label) and what
a socket layer adds to the rules of TCP, i.e. which errno a call gives and that an error is told once.
Source of the errno names: accept(2), connect(2), recv(2), send(2), shutdown(2), tcp(7).
"""

import errno
from dataclasses import fields

from tcpcore import Config, Flag, State, segments

ADDRESS = "10.9.0.1"
SECOND = 1_000_000_000
KNOBS = {field.name for field in fields(Config)}

LETTERS = dict(zip("FSRPAUEC", Flag, strict=True))
#: AE is not in SEGMENT, whose flags are one byte; by default nothing in Linux depends on it.
WITHOUT_FLAG = "N"
OPT_MSS, OPT_WSCALE, OPT_SACK_OK, OPT_TS = 1, 2, 4, 8

#: By the names a scenario gives them.
OPTIONS = {"mss": OPT_MSS, "wscale": OPT_WSCALE, "sack_ok": OPT_SACK_OK, "ts": OPT_TS}

OPENING = {State.SYN_SENT, State.SYN_RECEIVED}
SENDING = {State.ESTABLISHED, State.CLOSE_WAIT}
AFTER_FIN = {State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK, State.TIME_WAIT}
#: Where Linux has already parted the socket from the connection.
GONE = {State.CLOSED, State.TIME_WAIT}


def without_counterpart(scenario):
    """The sysctls a scenario sets that are no knob; what the base setting alone names is off there."""
    return sorted(scenario["sysctl"].keys() - KNOBS)


def configuration(base_sysctl, sysctl):
    """A host with these sysctls, as far as they are knobs."""
    settings = {name: value for name, value in {**base_sysctl, **sysctl}.items() if name in KNOBS}
    return Config.linux(capacity=256, local_addr=ADDRESS, rcv_buf=65535, auto_read=False, **settings)


class Host:
    """A stack with one application on it, at scenario time 0."""

    def __init__(self, stack):
        self.stack = stack            # Engine or reference
        self.now = 0                  # ns
        self.sent = []                # since the last run_until
        self.listeners = {}           # name -> listener id
        self.sockets = {}             # label -> handle
        self.flows = {}               # handle -> flow, of every connection seen alive
        self.ended = set()            # handles whose peer has sent its FIN
        self.given_up = set()         # handles of attempts that a shutdown ended
        self.told = {}                # handle -> the error the application has been told

    # -- the wire and the clock

    def inject(self, seg):
        options = seg.get("opts", {})
        fields = {name: options[name] for name in ("mss", "wscale") if name in options}
        fields["opts"] = sum(bit for name, bit in OPTIONS.items() if name in options)
        if "ts" in options:
            fields["tsval"], fields["tsecr"] = options["ts"]
        header = {name: seg[name] for name in ("src", "sport", "dport", "seq", "ack", "wnd")}
        flags = sum(LETTERS[letter] for letter in seg["flags"] if letter not in WITHOUT_FLAG)
        batch = segments(1, **header, dst=ADDRESS, payload_len=seg["len"], flags=flags, **fields)
        self.hear(self.stack.receive(batch, self.now))
        handle = self.find((seg["src"], seg["sport"], seg["dport"]))
        if self.look(handle)["state"] in AFTER_FIN:
            self.ended.add(handle)

    def run_until(self, t):
        end = round(t * SECOND)
        while (due := self.stack.next_timer()) is not None and due <= end:
            assert due >= self.now, f"a deadline at {due} was missed at {self.now}"
            self.now = due
            self.hear(self.stack.advance(due))
            after = self.stack.next_timer()
            assert after is None or after > due, f"next_timer stays at {due}"
        self.now = end
        self.hear(self.stack.advance(end))
        sent, self.sent = self.sent, []
        return sent

    def hear(self, segs):
        """Note what the stack sends, at the time it is sent."""
        self.sent += [self.describe(row) for row in segs]

    def describe(self, row):
        flags = "".join(letter for letter, bit in LETTERS.items() if row["flags"] & bit)
        options = {}
        if row["opts"] & OPT_MSS:
            options["mss"] = int(row["mss"])
        if row["opts"] & OPT_WSCALE:
            options["wscale"] = int(row["wscale"])
        if row["opts"] & OPT_SACK_OK:
            options["sack_ok"] = True
        if row["opts"] & OPT_TS:
            options["ts"] = [int(row["tsval"]), int(row["tsecr"])]
        return {"t": self.now / SECOND, "src": dotted(row["dst"]), "sport": int(row["dport"]),
                "dport": int(row["sport"]), "flags": flags, "seq": int(row["seq"]), "ack": int(row["ack"]),
                "len": int(row["payload_len"]), "wnd": int(row["wnd"]), "opts": options}

    # -- what can be seen from outside

    def find(self, flow):
        """The handle of a living connection, 0 when there is none."""
        src, sport, dport = flow
        handle = int(self.stack.lookup(src, sport, ADDRESS, dport)[0])
        if handle:
            self.flows[handle] = flow
        return handle

    def look(self, handle):
        return self.stack.info(handle)[0]

    def state(self, flow):
        state = State(self.look(self.find(flow))["state"])
        return "SYN_RCVD" if state == State.SYN_RECEIVED else state.name

    def queue(self, port):
        """The gauges are the engine's, so the listener must be its only one."""
        assert len(self.listeners) == 1
        gauges = self.stack.gauges()
        return {"syn": gauges["half_open"], "accept": gauges["accept_queue"]}

    # -- the application's calls

    def call(self, name, args, flow):
        if name in ("listen", "accept", "connect"):
            return getattr(self, name)(args, flow)
        if "on" in args:
            self.hear(self.stack.unlisten(self.listeners.pop(args["on"]), self.now))
            return "ok"
        if name == "unreachable":
            self.hear(self.stack.unreachable(self.find(flow), self.now, args["code"]))
            return "ok"
        handle = self.sockets.get(args["conn"])
        return getattr(self, name)(handle, args) if handle else "EBADF"

    def adopt(self, label, handle):
        self.sockets[label] = handle

    def listen(self, args, _):
        try:
            listener = self.stack.listen(ADDRESS, args["port"], args["backlog"], rcv_buf=args.get("rcvbuf"),
                                         defer_accept=args.get("defer"), **asked(args))
        except OSError as error:
            return errno.errorcode[error.errno]
        self.listeners[args["name"]] = listener
        return "ok"

    def accept(self, args, _):
        ready = self.stack.accept(self.listeners[args["on"]], limit=1)
        return (int(ready[0]), self.flows[int(ready[0])]) if len(ready) else "EAGAIN"

    def connect(self, args, flow):
        dst, dport, sport = flow
        conns, segs = self.stack.connect(dst, dport, self.now, src=ADDRESS, sport=sport, isn=args.get("isn"),
                                         **asked(args))
        self.hear(segs)
        if not conns[0]:
            return "EADDRNOTAVAIL"
        self.sockets[args["conn"]] = int(conns[0])
        return "EINPROGRESS"

    def send(self, handle, args):
        state = self.look(handle)["state"]
        if state not in SENDING and (pending := self.take_error(handle)):
            return pending
        if state not in SENDING:
            return "EAGAIN" if state in OPENING else "EPIPE"
        self.hear(self.stack.send(handle, args["n"], self.now))
        return args["n"]

    def recv(self, handle, args):
        state = self.look(handle)["state"]
        taken, segs = self.stack.recv(handle, args["n"], self.now)
        self.hear(segs)
        if taken[0]:
            return int(taken[0])
        if handle in self.ended:
            return "EOF"
        if state == State.CLOSED:
            return self.take_error(handle) or ("ENOTCONN" if handle in self.given_up else "EOF")
        return "EAGAIN"

    def shutdown(self, handle, _):
        if self.look(handle)["state"] in GONE:
            return "ENOTCONN"
        if self.look(handle)["state"] == State.SYN_SENT:
            self.given_up.add(handle)
        self.hear(self.stack.shutdown(handle, self.now))
        return "ok"

    def close(self, handle, args):
        self.hear(self.stack.close(handle, self.now, linger_s=args.get("linger_s")))
        del self.sockets[args["conn"]]
        return "ok"

    def abort(self, handle, args):
        self.hear(self.stack.abort(handle, self.now))
        del self.sockets[args["conn"]]
        return "ok"

    def error(self, handle, _):
        return self.take_error(handle) or "ok"

    def take_error(self, handle):
        """The pending error's name, once: a socket forgets it with the telling, `info` does not."""
        number = int(self.look(handle)["error"])
        if not number or self.told.get(handle) == number:
            return None
        self.told[handle] = number
        return errno.errorcode[number]


def asked(args):
    """Of a listener's connections or of an active open."""
    return {name: args[name] for name in ("keepalive", "user_timeout_ms") if name in args}


def dotted(address):
    return ".".join(str(byte) for byte in int(address).to_bytes(4, "big"))
