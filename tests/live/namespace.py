"""A private network for the calling thread: a namespace of its own, one TUN device, one address.

`unshare` moves only the thread that calls it; nothing outside is touched, and all is gone when the thread
and its descriptors are. Sockets belong to the namespace of the thread that makes them.
Source: unshare(2), network_namespaces(7), rtnetlink(7), Documentation/networking/tuntap.
"""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

DEVICE = b"tun0"
#: The stack's address; every other one of the network is a peer, behind the device.
LOCAL, PREFIX = "10.9.0.1", 8

CLONE_NEWNET = 0x4000_0000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x4004_54CA, 0x0001, 0x1000
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCGIFINDEX = 0x8916, 0x891C, 0x8914, 0x8933
IFF_UP, IFF_RUNNING = 0x1, 0x40

NLM_REQUEST, NLM_ACK, NLM_REPLACE, NLM_CREATE = 0x1, 0x4, 0x100, 0x400
RTM_NEWROUTE, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST = 24, 254, 4, 253, 1
RTA_DST, RTA_OIF, RTA_METRICS, RTAX_QUICKACK = 1, 4, 8, 15

SYSCTL = Path("/proc/sys/net")


def why_not():
    """Why this host cannot make one; None when it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "needs /dev/net/tun"
    return None


class Namespace:
    """Made in, and used by, one thread."""

    def __init__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", DEVICE, IFF_TUN | IFF_NO_PI))
        self.defaults = {}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
            netmask = socket.inet_ntoa(struct.pack("!I", -1 << 32 - PREFIX & 0xFFFF_FFFF))
            fcntl.ioctl(door, SIOCSIFADDR, interface_address(LOCAL))
            fcntl.ioctl(door, SIOCSIFNETMASK, interface_address(netmask))
            fcntl.ioctl(door, SIOCSIFFLAGS, struct.pack("16sH14x", DEVICE, IFF_UP | IFF_RUNNING))
            index = fcntl.ioctl(door, SIOCGIFINDEX, struct.pack("16s16x", DEVICE))
        self.index = struct.unpack("16xi12x", index)[0]
        self.quick = False

    def quickack(self, quick):
        """Whether the stack never delays an ACK (`ip route ... quickack 1`), as in the recordings."""
        if quick != self.quick:
            routes(self.index, int(quick))
            self.quick = quick

    def close(self):
        os.close(self.fd)

    def sysctl(self, settings):
        """Set these and put every other one that was ever set here back."""
        for name, value in {**self.defaults, **settings}.items():
            path = sysctl_path(name)
            self.defaults.setdefault(name, path.read_text().strip())
            if path.read_text().split() != str(value).split():
                path.write_text(str(value))

    def send(self, packet):
        os.write(self.fd, packet)

    def receive(self):
        """The next packet the stack has sent, None when there is none."""
        try:
            return os.read(self.fd, 65535)
        except BlockingIOError:
            return None


def sysctl_path(name):
    return SYSCTL / ("core" if name == "somaxconn" else "ipv4") / name


def interface_address(address):
    return struct.pack("16sHH4s8x", DEVICE, socket.AF_INET, 0, socket.inet_aton(address))


def attribute(kind, body):
    return struct.pack("HH", 4 + len(body), kind) + body + b"\0" * (-len(body) % 4)


def routes(index, quick):
    """Routes to the peers with this `quickack`. The two halves of the network are more specific than the
    route that came with the address."""
    for half in ("10.0.0.0", "10.128.0.0"):
        route = struct.pack("BBBBBBBBI", socket.AF_INET, PREFIX + 1, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC,
                            RT_SCOPE_LINK, RTN_UNICAST, 0)
        route += attribute(RTA_DST, socket.inet_aton(half)) + attribute(RTA_OIF, struct.pack("i", index))
        route += attribute(RTA_METRICS, attribute(RTAX_QUICKACK, struct.pack("I", quick)))
        flags = NLM_REQUEST | NLM_ACK | NLM_CREATE | NLM_REPLACE
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
            netlink.send(struct.pack("IHHII", 16 + len(route), RTM_NEWROUTE, flags, 1, 0) + route)
            error = struct.unpack_from("i", netlink.recv(4096), 16)[0]
            if error:
                raise OSError(-error, "route")


def states():
    """Of every socket of this thread's namespace, the kernel's numbers."""
    with open("/proc/thread-self/net/tcp") as table:
        next(table)
        return [int(line.split()[3], 16) for line in table]


def counters(names):
    """Those of the TcpExt counters of this thread's namespace."""
    with open("/proc/thread-self/net/netstat") as table:
        lines = [line.split() for line in table if line.startswith("TcpExt:")]
    found = dict(zip(lines[0][1:], map(int, lines[1][1:]), strict=True))
    return {name: found[name] for name in names}
