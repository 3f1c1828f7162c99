"""The interpreter's `Target` over the running kernel: a TUN device for the peers, sockets for ours.

Real time. Each run has peers of its own: 10.9.x.y of a scenario is 10.r.x.y in run r - 9, so that what
earlier runs left behind in the namespace is neither met nor heard.
"""

import errno
import select
import socket
import struct
import threading
import time

from tests.live.namespace import LOCAL
from tests.live.packets import decode, encode, encode_unreachable

TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, SEND_QUEUE, REPAIR_OFF_NO_WP = 19, 20, 21, 2, -1
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
NAMES = {1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RCVD", 4: "FIN_WAIT_1", 5: "FIN_WAIT_2", 6: "TIME_WAIT",
         7: "CLOSED", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RCVD"}
LISTEN = 10
SCENARIO_NETWORK = "10.9."


class Kernel:
    """A run on this namespace; time 0 is now."""

    def __init__(self, namespace, run):
        self.namespace = namespace
        self.network = f"10.{9 + run}."
        self.sockets = {}             # label -> socket
        self.listeners = {}           # name -> socket
        self.lag = 0.0                # the latest a step has begun, s
        while namespace.receive() is not None:
            pass
        self.began = time.monotonic()
        self.now = 0.0                # scenario time

    def leave(self):
        """Close every socket; what they leave behind speaks to nobody who listens."""
        for sock in [*self.sockets.values(), *self.listeners.values()]:
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                sock.close()

    # -- addresses of this run

    def outside(self, address):
        """A scenario's 10.9.x.y as an address of this run."""
        return self.network + address[len(SCENARIO_NETWORK):]

    def inside(self, address):
        """The reverse; None for a peer of another run."""
        if not address.startswith(self.network):
            return None
        return SCENARIO_NETWORK + address[len(self.network):]

    # -- the wire and the clock

    def late(self):
        self.lag = max(self.lag, time.monotonic() - self.began - self.now)

    def inject(self, seg):
        self.late()
        self.namespace.send(encode(seg | {"src": self.outside(seg["src"])}, LOCAL))

    def run_until(self, t):
        sent = []
        end = self.began + t
        poll = select.poll()
        poll.register(self.namespace.fd, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            poll.poll(left * 1000)
            self.drain(sent, t)
        self.drain(sent, t)
        self.now = t
        return sent

    def drain(self, sent, t):
        while (packet := self.namespace.receive()) is not None:
            seg = decode(packet)
            src = seg and self.inside(seg["src"])
            if src:
                sent.append(seg | {"src": src, "t": min(time.monotonic() - self.began, t)})

    # -- what can be seen from outside

    def rows(self):
        """(local port, peer address, peer port, state, receive queue) of every socket of the namespace."""
        with open("/proc/thread-self/net/tcp") as table:
            next(table)
            for line in table:
                _, local, peer, state, queues = line.split()[:5]
                address = socket.inet_ntoa(struct.pack("=I", int(peer[:8], 16)))
                yield (int(local[9:], 16), address, int(peer[9:], 16), int(state, 16), int(queues[9:], 16))

    def state(self, flow):
        src, sport, dport = flow
        wanted = dport, self.outside(src), sport
        return next((NAMES[row[3]] for row in self.rows() if row[:3] == wanted), "CLOSED")

    def queue(self, port):
        rows = [row for row in self.rows() if row[0] == port]
        return {"syn": sum(row[3] == 3 and self.inside(row[1]) is not None for row in rows),
                "accept": sum(row[4] for row in rows if row[3] == LISTEN)}

    # -- the application's calls

    def call(self, name, args, flow):
        self.late()
        if name == "close" and "on" in args:
            self.listeners.pop(args["on"]).close()
            return "ok"
        if name not in ("listen", "accept", "connect", "unreachable") and args["conn"] not in self.sockets:
            return "EBADF"
        try:
            return getattr(self, name)(args, flow)
        except OSError as error:
            return errno.errorcode[error.errno]

    def adopt(self, label, handle):
        self.sockets[label] = handle

    def listen(self, args, _):
        sock = new_socket()
        if "rcvbuf" in args:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, args["rcvbuf"])
        set_options(sock, args)
        if "defer" in args:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, args["defer"])
        self.listeners[args["name"]] = sock
        sock.bind((LOCAL, args["port"]))
        sock.listen(args["backlog"])
        return "ok"

    def accept(self, args, _):
        sock, (address, port) = self.listeners[args["on"]].accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, (self.inside(address), port, sock.getsockname()[1])

    def connect(self, args, flow):
        dst, dport, sport = flow
        sock = new_socket()
        sock.bind((LOCAL, sport))
        set_options(sock, args)
        if "isn" in args:
            start_at(sock, args["isn"])
        number = sock.connect_ex((self.outside(dst), dport))
        if number == errno.EINPROGRESS:
            self.sockets[args["conn"]] = sock
        else:
            sock.close()
        return errno.errorcode.get(number, "ok")

    def send(self, args, _):
        return self.sockets[args["conn"]].send(b"y" * args["n"])

    def recv(self, args, _):
        return len(self.sockets[args["conn"]].recv(args["n"])) or "EOF"

    def shutdown(self, args, _):
        self.sockets[args["conn"]].shutdown(socket.SHUT_WR)
        return "ok"

    def close(self, args, _):
        sock = self.sockets.pop(args["conn"])
        if "linger_s" in args:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, args["linger_s"]))
        if args.get("linger_s"):
            threading.Thread(target=sock.close, daemon=True).start()      # which returns when it is over
        else:
            sock.close()
        return "ok"

    def abort(self, args, flow):
        self.sockets[args["conn"]].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        return self.close(args, flow)

    def unreachable(self, args, flow):
        """The network says that the peer is: with the number `seq` of a segment that did not get there."""
        src, sport, dport = flow
        self.namespace.send(encode_unreachable(self.outside(src), sport, dport, LOCAL, args["seq"],
                                               args["code"]))
        return "ok"

    def error(self, args, _):
        number = self.sockets[args["conn"]].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return errno.errorcode[number] if number else "ok"


def new_socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def set_options(sock, args):
    """What a listener's connections inherit, or an active open has: keepalive, TCP_USER_TIMEOUT."""
    if "keepalive" in args:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, args["keepalive"])
    if "user_timeout_ms" in args:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, args["user_timeout_ms"])


def start_at(sock, isn):
    """The next connect() uses this ISN: a checkpoint tool's way to set SND.NXT of a closed socket."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, struct.pack("I", isn))
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR_OFF_NO_WP)
