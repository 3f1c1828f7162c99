"""Reference implementation of the simulator's link and floods (docs/simulation.md, sections 5 and 8)."""

from ipaddress import IPv4Address, IPv4Network

import numpy as np

from tcpcore import SEGMENT, Flag
from tests.reference.draws import (
    FLOOD,
    LAST_ACK,
    LINK,
    SPREAD,
    below,
    draw,
    log_of,
    stream,
    unit,
    unit_above_zero,
    word,
)

FIRST_LAST_ACK = 0x100  # beside flags: the FIN came to an end that had sent its own and waited for it
KINDS = ("syn", "syn-ack", "third-ack", "data", "ack", "fin", "last-ack", "rst")
FLOOD_FLAGS = {"syn": Flag.SYN, "ack": Flag.ACK, "rst": Flag.RST, "fin": Flag.FIN | Flag.ACK}


def kind_of(seg, answered):
    """S5.2; `answered`: the flags of the segment that this one answers, 0 if it answers none."""
    flags = int(seg["flags"])
    if flags & Flag.RST:
        return "rst"
    if flags & Flag.SYN:
        return "syn-ack" if flags & Flag.ACK else "syn"
    if flags & Flag.FIN:
        return "fin"
    if seg["payload_len"]:
        return "data"
    if answered & Flag.SYN and answered & Flag.ACK:
        return "third-ack"
    return "last-ack" if answered & Flag.FIN else "ack"


def chance(shares, kind):
    return 1 - (1 - shares.get("all", 0.0)) * (1 - shares.get(kind, 0.0)) if shares.get("all") else \
        shares.get(kind, 0.0)  # fmt: skip


class Link:
    """What becomes of a segment; `world.deliver(host, seg, at)` takes what arrives."""

    def __init__(self, world, scenario, replicate):
        self.world = world
        self.facts = scenario.link
        self.keys = {
            end: stream(scenario.seed, replicate, LINK, i) for i, end in enumerate(("server", "client"))
        }
        self.last_ack_keys = {
            end: stream(scenario.seed, replicate, LAST_ACK, i) for i, end in enumerate(("server", "client"))
        }
        self.last_acks = {"server": 0, "client": 0}
        self.spread = stream(scenario.seed, replicate, SPREAD, 0)
        self.half = int(self.facts.rtt.mean + 0.5) // 2
        self.longest = self.half
        self.bad = {"server": False, "client": False}
        self.cut_until = 0
        self.sent = {"server": 0, "client": 0}
        self.by_kind = {}  # (end, kind): [sent, lost]
        self.duplicated = self.reordered = self.late = self.backscatter = 0
        self.outside = {}  # backscatter by kind
        link = self.facts
        self.perfect = link.rtt.family == "const" and not (
            any(link.loss.values()) or any(link.duplicate.values()) or link.burst.enter or link.reorder
            or link.jitter_ns or link.late_share or link.last_ack_loss
            or any(event.do == "partition" for event in scenario.event)
        )  # fmt: skip

    def server_of(self, src, dst, sport, dport):
        """S1.4."""
        key = word(self.spread, int(src) << 32 | int(dst))
        return word(key, int(sport) << 16 | int(dport)) % len(self.world.servers)

    def receiver(self, end, seg):
        """The host that gets it, None if nobody has the address."""
        if end == "client":
            number = self.server_of(seg["src"], seg["dst"], seg["sport"], seg["dport"])
            return self.world.servers[number]
        return self.world.client_of(int(seg["dst"]))

    def send(self, end, segs, answered=0):
        for seg in segs:
            self.send_one(end, seg, answered)

    def send_one(self, end, seg, answered):
        link, now, n = self.facts, self.world.now, self.sent[end]
        self.sent[end] += 1
        words = [word(self.keys[end], 8 * n + i) for i in range(8)]
        kind = kind_of(seg, answered)
        count = self.by_kind.setdefault((end, kind), [0, 0])
        count[0] += 1
        delay = draw(link.rtt, words[0], n) // 2
        lost = unit(words[1]) < chance(link.loss, kind)
        if link.burst.enter > 0:
            change = unit(words[6]) < (link.burst.leave if self.bad[end] else link.burst.enter)
            self.bad[end] ^= change
            lost = lost or (self.bad[end] and unit(words[7]) < link.burst.loss)
        if link.last_ack_loss and kind == "last-ack" and answered & FIRST_LAST_ACK:
            lost = lost or unit(word(self.last_ack_keys[end], self.last_acks[end])) < link.last_ack_loss
            self.last_acks[end] += 1
        if lost or now < self.cut_until:
            count[1] += 1
            return
        host = self.receiver(end, seg)
        if host is None:
            self.scatter(seg)
            return
        if link.jitter_ns:
            delay += int(unit(words[3]) * link.jitter_ns)
        if unit(words[4]) < link.reorder:
            self.reordered += 1
            delay += link.reorder_after_ns
        self.longest = max(self.longest, delay)
        self.world.deliver(host, seg, now + delay)
        if unit(words[2]) < max(link.duplicate.get("all", 0.0), link.duplicate.get(kind, 0.0)):
            self.duplicated += 1
            self.world.deliver(host, seg, now + delay + link.duplicate_after_ns)
        if unit(words[5]) < link.late_share:
            self.late += 1
            self.world.deliver(host, seg, now + link.late_after_ns)

    def scatter(self, seg):
        """S5.4 and S8.4."""
        self.backscatter += 1
        outside = f"outside.{kind_of(seg, 0)}"
        self.outside[outside] = self.outside.get(outside, 0) + 1
        flags = int(seg["flags"])
        if flags & Flag.RST or not any(flood.reflects(int(seg["dst"])) for flood in self.world.floods):
            return
        rst = np.zeros((), SEGMENT)
        rst["src"], rst["dst"], rst["sport"], rst["dport"] = (
            seg["dst"],
            seg["src"],
            seg["dport"],
            seg["sport"],
        )
        rst["wscale"], rst["mss"], rst["tsval"], rst["tsecr"] = (
            seg["wscale"],
            seg["mss"],
            seg["tsval"],
            seg["tsecr"],
        )
        if flags & Flag.ACK:
            rst["flags"], rst["seq"] = Flag.RST, seg["ack"]
        else:
            length = int(seg["payload_len"]) + bool(flags & Flag.SYN)
            rst["flags"], rst["ack"] = Flag.RST | Flag.ACK, (int(seg["seq"]) + length) % 2**32
        self.world.deliver(self.receiver("client", rst), rst, self.world.now + 2 * self.half)

    def counters(self):
        counts = {"backscatter": self.backscatter, **self.outside}
        for end in ("client", "server"):
            counts[f"sent_by_{end}"] = self.sent[end]
        if not self.perfect:
            for end in ("client", "server"):
                counts[f"lost_of_{end}"] = sum(lost for (e, _), (_, lost) in self.by_kind.items() if e == end)
            for (end, kind), (sent, lost) in self.by_kind.items():
                counts[f"{end}.{kind.replace('-', '_')}.sent"] = sent
                counts[f"{end}.{kind.replace('-', '_')}.lost"] = lost
            counts.update(duplicated=self.duplicated, reordered=self.reordered, late=self.late)
        return counts


class Flood:
    """A stream of spoofed segments (section 8)."""

    def __init__(self, facts, number, scenario, replicate):
        self.facts = facts
        self.key = stream(scenario.seed, replicate, FLOOD, number)
        self.gap = 1e9 / facts.rate if facts.rate else 0.0
        end = scenario.run.duration_ns
        self.stop = end if facts.stop_ns is None else min(end, facts.stop_ns)
        self.sent = 0
        self.area = 0.0
        self.nets = self.networks(facts.sources)
        if facts.arrivals == "poisson":
            self.area -= log_of(unit_above_zero(word(self.key, 0)))

    @staticmethod
    def networks(sources):
        """[(first address, addresses)]"""
        if sources.startswith("reflect:"):
            return [(int(IPv4Address("172.16.0.0")), int(sources.removeprefix("reflect:")))]
        if sources in ("0.0.0.0/0", "random"):
            return [(11 << 24, (223 - 11) << 24)]
        nets = [IPv4Network(text.strip()) for text in sources.split(",")]
        return [(int(net.network_address), net.num_addresses) for net in nets]

    def reflects(self, address):
        first, count = self.nets[0]
        return self.facts.sources.startswith("reflect:") and first <= address < first + count

    def due(self):
        """When the next one comes, None: never."""
        facts, on = self.facts, int(self.area * self.gap + 0.5)
        at = facts.start_ns + on + (on // facts.on_ns * facts.off_ns if facts.off_ns else 0)
        goes_on = self.gap > 0 and at < self.stop and (facts.count is None or self.sent < facts.count)
        return at if goes_on else None

    def segment(self, dst, dport):
        words = [word(self.key, 4 * self.sent + i) for i in range(5)]
        first, count = self.nets[0]
        share = (words[1] & 0xFFFFFF) / 2**24
        total, so_far = sum(count for _, count in self.nets), 0
        for net in self.nets:
            first, count = net
            so_far += count
            if share < so_far / total:
                break
        seg = np.zeros((), SEGMENT)
        flags = FLOOD_FLAGS[self.facts.kind]
        seg["src"], seg["dst"] = first + below(words[1], count), dst
        seg["sport"], seg["dport"] = 1024 + below(words[2], 64512), dport
        seg["seq"], seg["flags"], seg["wnd"] = words[3] >> 32, flags, 65535
        if flags & Flag.ACK:
            seg["ack"] = words[3] & 0xFFFFFFFF
        if flags & Flag.SYN:
            seg["opts"], seg["mss"] = 1, 1460
        self.sent += 1
        self.area += -log_of(unit_above_zero(words[4])) if self.facts.arrivals == "poisson" else 1.0
        return seg
