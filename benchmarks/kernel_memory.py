"""Bytes that this host's kernel takes for a connection in each state: `python -m benchmarks.kernel_memory`.

Opens connections over the loopback of a network namespace of its own and reads /proc/slabinfo before and
after; an object counts with its share of a slab's pages. Root, Linux. Caches that the kernel merges with
others of their size stand under one name (eventpoll_epi for the two records of a port, for instance), so
that objects are told by size, too. Other programs disturb dentry and filp.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable

CLONE_NEWNET = 0x40000000
ADDRESS = "10.1.0.1"
MOST = 8000
OTHERS = ("ext4", "radix", "proc_inode", "btrfs", "xfs")  # of other programs
Slabs = dict[str, tuple[int, int, float]]


def slabs() -> Slabs:
    """Cache -> objects in use, size, share of the pages."""
    found = {}
    with open("/proc/slabinfo", encoding="ascii") as file:
        for line in file.readlines()[2:]:
            name, used, _, size, each, pages = line.split()[:6]
            found[name] = (int(used), int(size), int(pages) * 4096 / int(each))
    return found


def told(title: str, n: int, step: Callable[[], None]) -> None:
    """What a step added for each of n connections."""
    before = slabs()
    step()
    time.sleep(0.5)  # frees wait for RCU
    total = 0.0
    print(title)
    for name, (used, size, share) in slabs().items():
        more = (used - before.get(name, (0, 0, 0.0))[0]) / n
        if abs(more) > 0.3 and not name.startswith(OTHERS):
            print(f"  {name:20} {more:6.2f} x {size:5} bytes, {share:7.1f} with its share of the slab")
            total += more * share
    print(f"  {'together':20} {total:24,.0f} bytes\n")


class Ends:
    """Connections of both ends, a listener each time so that ports differ."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server((ADDRESS, port), backlog=65535)
        self.clients: list[socket.socket] = []
        self.servers: list[socket.socket] = []

    def connect(self, n: int) -> None:
        self.clients = [socket.create_connection(self.listener.getsockname()) for _ in range(n)]

    def accept(self, n: int) -> None:
        self.servers = [self.listener.accept()[0] for _ in range(n)]

    def close(self, sockets: list[socket.socket]) -> None:
        for one in sockets:
            one.close()
        sockets.clear()


def namespace() -> None:
    """A network of our own, with limits that do not act."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())} (root is needed)")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/16", "dev", "lo"], check=True)
    for name, value in (
        ("core/somaxconn", "65535"), ("ipv4/tcp_max_syn_backlog", "65535"),
        ("ipv4/ip_local_port_range", "10000 65000"),
    ):  # fmt: skip
        with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
            file.write(value)


def main() -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    n = min(MOST, (files - 100) // 2)
    namespace()
    print(f"Linux {platform.release()}, {platform.machine()}, {n:,} connections\n")
    one = Ends(80)
    told("connected; the server has not accepted", n, lambda: one.connect(n))
    told("accepted: in addition", n, lambda: one.accept(n))
    told("clients closed (FIN_WAIT_2 orphan): in addition", n, lambda: one.close(one.clients))
    told("servers closed, too (clients TIME_WAIT): in addition", n, lambda: one.close(one.servers))
    two = Ends(81)

    def server_first() -> None:
        two.connect(n)
        two.accept(n)
        two.close(two.servers)
        two.close(two.clients)

    told("TIME_WAIT of an end that listens", n, server_first)
    three = Ends(82)

    def orphaned() -> None:
        three.connect(n)
        three.accept(n)
        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
        three.close(three.servers)
        three.close(three.clients)

    told("orphans whose FIN nobody answers (FIN_WAIT_1)", 2 * n, orphaned)


if __name__ == "__main__":
    main()
