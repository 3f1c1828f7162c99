"""Bytes as a script of calls to two engines in contact, with everything a caller and a peer may do.

The first bytes choose two configurations, the others are operations: one byte says which operation and on
which host, more say the rest, and a byte that is missing is 0. Any bytes are a script. `play` runs one and
raises AssertionError where the engine is wrong. libFuzzer chooses the bytes (`run`), and `make test` plays
those kept in `corpus`. Not here: what is asserted (`hosts`).
"""

import struct
from collections import deque

import numpy as np

from tcpcore import SEGMENT
from tests.fuzz.hosts import (
    ADDRESSES,
    CAPACITIES,
    DAY,
    LAST_NOW,
    MS,
    PARAMETERS,
    PROFILES,
    SECOND,
    VALUES,
    Host,
    config_of,
)

ROW = struct.Struct("<IIHHIIHHBBBxHxxII")     # SEGMENT
SRC, DST, SPORT, DPORT, SEQ, ACK, WND, LEN, FLAGS, OPTS, WSCALE, MSS, TSVAL, TSECR = range(14)
WIDTHS = (32, 32, 16, 16, 32, 32, 16, 16, 8, 8, 8, 16, 32, 32)
STARTS = (0, (2**32 - 300) * MS, (2**31 - 100) * MS, LAST_NOW - 3 * DAY)
DELTAS = (1, -1, 2, 100, -100, 536, 1460, -1460, 3000, 65_535, -65_535, 2**31, 2**31 - 1, 100_000, -2, 2**30)
FILLS = (0, 1, 2, 7, 14, 15, 48, 255, 536, 1000, 1460, 9000, 65_535, 2**31, 2**32 - 1, 80)
FLAGS_OF_REPLY = (16, 17, 4, 24, 20, 18, 2, 0)
PAUSES = (0, 1, MS, 5 * MS, 20 * MS, 40 * MS, 41 * MS, 200 * MS, 500 * MS, SECOND, 1001 * MS, 3 * SECOND,
          10 * SECOND, 61 * SECOND, 120 * SECOND, 600 * SECOND, 3600 * SECOND, DAY, 7 * DAY, 13 * DAY,
          25 * DAY, 2**31 * MS, 2**32 * MS, 1000 * DAY)
PORTS = (80, 81, 40000, 40001, 1024, 65535, 1, 443)
BACKLOGS = (None, 0, 1, 2, 5, 100, 2**31, 2**62)
BUFFERS = (None, 1, 1000, 4000, 65_535, 100_000, 2**24, 65535 << 14)
AMOUNTS = (100, 1, 1460, 3000, 9000, 0, 536, 20_000)
QUEUED = 60_000         # bytes per host and script: each may become a row
UNDER_WAY = 100         # rows on the wire to a host
KNOWN = 48              # rows remembered, to forge others from
OPERATIONS = 120


def rows_of(parts):
    """Rows given as bytes, as an array of exactly their memory."""
    return np.frombuffer(b"".join(parts), SEGMENT) if parts else np.zeros(0, SEGMENT)


class Script:
    """Two hosts, the wires between them, the time, and the bytes that are still to be read."""

    def __init__(self, data, trace=None):
        self.data, self.at = data, 0
        self.known = deque(maxlen=KNOWN)
        self.wires = [], []
        mode = self.byte()
        twice = (None, "slow", "single", None)[mode & 3]
        self.ends, alike = bool(mode & 4), bool(mode & 8)
        self.now = STARTS[mode >> 4 & 3]
        hosts, choice = [], None
        for number in (0, 1):
            if choice is None or not alike:
                choice = self.choice()
            beside = twice if mode >> 6 & 1 == number else None
            hosts.append(Host(number, *config_of(number, *choice), beside, trace))
        self.hosts = hosts

    def byte(self):
        at = self.at
        self.at = at + 1
        return self.data[at] if at < len(self.data) else 0

    def choice(self):
        """Profile, capacity and knobs."""
        first = self.byte()
        knobs = tuple((self.byte(), self.byte()) for _ in range(first // 15 % 6))
        return PROFILES[first % 3], CAPACITIES[first // 3 % 5], knobs

    def play(self):
        done = 0
        while self.at < len(self.data) and done < OPERATIONS:
            code = self.byte()
            host = self.hosts[code >> 7]
            OPERATIONS_BY_CODE[code & 31](self, host, code >> 5 & 3)
            done += 1
        for host in self.hosts:
            host.look()
        if self.ends:
            for host in self.hosts:
                host.end(self.now)

    # --- what helps the operations ----------------------------------------------------------------

    def room(self, how):
        """The length of `out`, or None: most calls have none."""
        return (None, None, 200, self.byte())[how]

    def sent(self, host, rows):
        """Put what a host has sent on the wire, to whom it is for."""
        raw = rows[:UNDER_WAY].tobytes()
        for at in range(0, len(raw), 40):
            row = raw[at:at + 40]
            self.known.append(row)
            to = raw[at + 4:at + 8]
            if to == PACKED[0]:
                self.put(0, row)
            elif to == PACKED[1]:
                self.put(1, row)
            else:
                self.put(1 - host.number, row)

    def put(self, number, row):
        wire = self.wires[number]
        if len(wire) < UNDER_WAY:
            wire.append(row)

    def emit(self, host, name, *args, room=None, **options):
        answer, rows = host.emit(name, *args, room=room, **options)
        self.sent(host, rows)
        return answer

    def take_in(self, host, parts, room=None):
        host.rows_in += len(parts)
        rows = self.emit(host, "receive", rows_of(parts), self.now, room=room)
        assert len(rows) <= 2 * len(parts)

    def some(self, host):
        """Handles: one, two, the same twice, a stale or senseless one, or all."""
        which = self.byte()
        conns = host.conns or [0]
        one = conns[which % len(conns)]
        how = which >> 5
        if how < 4:
            chosen = [one]
        elif how == 4:
            chosen = conns
        elif how == 5:
            chosen = [one, conns[-1], one]
        elif how == 6:
            chosen = [one ^ 1 << 32, one, 0, one ^ 1]
        else:
            chosen = [2**64 - 1, which, one, which << 32]
        return np.array(chosen, np.uint64)

    def listener(self, host):
        which = self.byte()
        ids = host.listeners
        return ids[which % len(ids)] if ids and which < 250 else which % 4

    # --- operations: each takes the host and two bits more -----------------------------------------

    def listen(self, host, how):
        first, second = self.byte(), self.byte()
        try:
            host.listeners.append(host.ask(
                "listen", 0 if how & 1 else ADDRESSES[host.number], PORTS[first % 4],
                BACKLOGS[first >> 2 & 7], auto_accept=bool(how & 2), auto_close=bool(first & 128),
                rcv_buf=BUFFERS[second & 7 if second & 8 else 0]))
        except OSError:
            pass

    def unlisten(self, host, how):
        try:
            self.emit(host, "unlisten", self.listener(host), self.now, room=self.room(how))
        except ValueError as error:
            assert str(error).startswith("listener"), error

    def connect(self, host, how):
        first, second = self.byte(), self.byte()
        count = 1 + (first >> 5)
        dst = np.full(count, ADDRESSES[host.number if second & 64 else 1 - host.number], np.uint32)
        options = {"sport": (None, None, PORTS[second & 3], np.arange(1, count + 1))[second >> 2 & 3]}
        if second & 16:
            options["isn"] = FILLS[first & 15]
        if second & 32:
            options["rcv_buf"] = BUFFERS[1 + first % 7]
        if not isinstance(options["sport"], np.ndarray):
            options = {key: value for key, value in options.items() if value is not None}
        else:
            options["sport"] = options["sport"][0].item() if host.twice == "single" else options["sport"]
        conns, _ = self.emit(host, "connect", dst, PORTS[first & 3], self.now, room=self.room(how), **options)
        host.conns += conns.tolist()
        del host.conns[:-40]

    def accept(self, host, how):
        try:
            host.conns += host.ask("accept", self.listener(host), (None, 1, 2, 0)[how]).tolist()
        except ValueError as error:
            assert str(error).startswith("listener"), error
        del host.conns[:-40]

    def adopt(self, host, how):
        """Learn the handle of whatever is in a slot."""
        slot = self.byte() % host.config.capacity
        host.conns.append(int(host.engine.blocks["generation"][slot]) << 32 | slot)

    def send(self, host, how):
        conns, amount = self.some(host), AMOUNTS[self.byte() & 7]
        if how == 1 and len(conns) > 1:
            amount = np.array([amount, *range(len(conns) - 1)], np.uint32)
        total = int(np.sum(np.zeros(len(conns), np.int64) + amount))
        if host.queued + total > QUEUED:
            return
        host.queued += total
        self.emit(host, "send", conns, amount, self.now, room=self.room(how))

    def recv(self, host, how):
        conns, amount = self.some(host), self.byte()
        self.emit(host, "recv", conns, None if amount & 128 else AMOUNTS[amount & 7], self.now,
                  room=self.room(how))

    def shutdown(self, host, how):
        self.emit(host, "shutdown", self.some(host), self.now, room=self.room(how))

    def close(self, host, how):
        self.emit(host, "close", self.some(host), self.now, room=self.room(how))

    def abort(self, host, how):
        self.emit(host, "abort", self.some(host), self.now, room=self.room(how))

    def deliver(self, host, how):
        """All that is under way to the host; or less, or twice, or in another order."""
        wire, which = self.wires[host.number], self.byte()
        parts, kept = wire[:], []
        if which & 7 == 1:
            parts = parts[1:]
        elif which & 7 == 2:
            parts, kept = parts[:1], parts[1:]
        elif which & 7 == 3:
            parts = parts[::-1]
        elif which & 7 == 4:
            parts = [part for part in parts for _ in (0, 1)]
        elif which & 7 == 5:
            parts = []
        elif which & 7 == 6:
            parts, kept = parts[-1:], parts[:-1]
        wire[:] = kept
        self.take_in(host, parts, self.room(how))

    def talk(self, host, how):
        """Some rounds of what is under way, with a pause after each."""
        which = self.byte()
        for _ in range(1 + (which & 3)):
            for one in (host, self.hosts[1 - host.number]):
                parts = self.wires[one.number][:]
                del self.wires[one.number][:]
                if parts:
                    self.take_in(one, parts)
            if which & 28:
                self.pause(PAUSES[which >> 2 & 7])

    def spoil(self, row):
        """A row with up to three fields changed."""
        fields = list(ROW.unpack(row))
        for _ in range(self.byte() & 3):
            which, value = self.byte(), self.byte()
            field = which % 14
            if which >= 224 or value < 16 and field != FLAGS:
                value = FILLS[value & 15]
            elif field in (FLAGS, OPTS):
                value = fields[field] ^ value
            else:
                value = fields[field] + DELTAS[value & 15] * (1 + (value >> 7))
            fields[field] = value % (1 << WIDTHS[field])
        return ROW.pack(*fields)

    def forge(self, host, how):
        """A segment that was sent before, changed, now or with what comes next."""
        which = self.byte()
        if not self.known:
            return
        self.arrive(host, self.spoil(self.known[-1 - which % len(self.known)]), how)

    def arrive(self, host, row, how):
        if how & 1:
            self.put(host.number, row)
        else:
            self.take_in(host, [row])

    def forge_for(self, host, how):
        """A segment as the peer of one of the host's connections would send it, changed."""
        which = self.byte()
        blocks = host.engine.blocks
        block = blocks[which % min(16, len(blocks))]
        self.arrive(host, self.spoil(ROW.pack(
            int(block["raddr"]), int(block["laddr"]), int(block["rport"]), int(block["lport"]),
            int(block["rcv_nxt"]), int(block["snd_nxt"]), FILLS[which & 15] & 65_535, 0, 16,
            8 if which & 64 else 0, 0, 1460, self.now // MS & 0xFFFFFFFF, 0)), how)

    def reply(self, host, how):
        """The answer of an ordinary peer to a segment that was sent before, changed."""
        which, more = self.byte(), self.byte()
        if not self.known:
            return
        f = ROW.unpack(self.known[-1 - which % len(self.known)])
        end = f[SEQ] + f[LEN] + (f[FLAGS] & 1) + (f[FLAGS] >> 1 & 1)
        row = ROW.pack(f[DST], f[SRC], f[DPORT], f[SPORT], f[ACK], end & 0xFFFFFFFF,
                       FILLS[more & 15] & 65_535, 100 if more & 128 else 0, FLAGS_OF_REPLY[more >> 4 & 7],
                       f[OPTS], f[WSCALE], f[MSS],
                       self.now // MS & 0xFFFFFFFF, f[TSVAL])
        self.arrive(host, self.spoil(row) if which & 128 else row, how)

    def flood(self, host, how):
        """SYNs of strangers, up to 32 in a batch."""
        which = self.byte()
        parts = [ROW.pack(0x0A000003 + (i if how & 2 else 0), ADDRESSES[host.number], 1 + i + (which & 32),
                          PORTS[which >> 6], i, 0, 5000, 0, 2, 15 if how & 1 else 0, 7, 1460, i, 0)
                 for i in range(1 + which % 32)]
        self.take_in(host, parts)

    def acknowledge(self, host, how):
        """The third segment to each of the host's SYN-ACKs that are remembered."""
        parts = []
        for row in self.known:
            f = ROW.unpack(row)
            if f[FLAGS] == 18 and f[SRC] == ADDRESSES[host.number]:
                parts.append(ROW.pack(
                    f[DST], f[SRC], f[DPORT], f[SPORT], f[ACK], f[SEQ] + 1 & 0xFFFFFFFF, 5000,
                    100 if how & 1 else 0, 16, f[OPTS] & 8, 0, 0, self.now // MS & 0xFFFFFFFF, f[TSVAL]))
        self.take_in(host, parts[::-1] if how & 2 else parts)

    def raw(self, host, how):
        """Forty bytes."""
        self.arrive(host, bytes(self.byte() for _ in range(40)), how)

    def pause(self, length, hosts=None):
        self.now = min(self.now + length, LAST_NOW)
        for host in hosts or self.hosts:
            self.sent(host, host.advance(self.now))

    def wait(self, host, how):
        self.pause(PAUSES[self.byte() % len(PAUSES)], None if how & 1 else [host])

    def advance(self, host, how):
        """Time goes on for one host, with an `out` that may be short."""
        self.now = min(self.now + PAUSES[self.byte() % len(PAUSES)], LAST_NOW)
        self.sent(host, host.advance(self.now, (None, 1, 3, 1 + self.byte() % 8)[how]))

    def silence(self, host, how):
        """Time goes on and nobody calls advance."""
        self.now = min(self.now + PAUSES[self.byte() % len(PAUSES)] * (1 + how), LAST_NOW)

    def tick(self, host, how):
        """On to the next timer of the host, some times."""
        for _ in range(1 + self.byte() % 16):
            due = host.engine.next_timer()
            if due is None or due > LAST_NOW:
                break
            self.now = max(self.now, due)
            self.sent(host, host.advance(self.now))

    def look(self, host, how):
        """Everything that only looks."""
        host.ask("info", self.some(host))
        row = ROW.unpack(self.known[-1]) if self.known else (1, 2, 3, 4)
        host.ask("lookup", row[DST], row[DPORT], row[SRC], row[SPORT])
        host.ask("lookup", np.array(row[:2], np.uint32), np.array(row[2:4], np.uint16), row[SRC], row[SPORT])
        try:
            host.ask("room", self.listener(host))
        except ValueError as error:
            assert str(error).startswith("listener"), error
        for name in ("gauges", "counters", "causes", "state_counts", "next_timer"):
            host.ask(name)
        repr(host.engine)

    def events(self, host, how):
        host.ask("events")

    def check(self, host, how):
        host.look()

    def hostile(self, host, how):
        """A bad argument."""
        which, value = self.byte(), self.byte()
        name, key = PARAMETERS[which % len(PARAMETERS)]
        conns = self.some(host)
        segs = rows_of(list(self.known)[-3:])
        host.hostile(name, key, value % len(VALUES), self.now, conns, segs)
        self.now = max(self.now, int(repr(host.engine).split()[-2]))

    def aliased(self, host, how):
        """An `out` that shares memory with another argument."""
        host.aliased(self.byte(), self.now)


PACKED = tuple(address.to_bytes(4, "little") for address in ADDRESSES)
OPERATIONS_BY_CODE = (
    Script.talk, Script.listen, Script.connect, Script.accept, Script.send, Script.recv, Script.shutdown,
    Script.close, Script.abort, Script.deliver, Script.forge, Script.forge_for, Script.reply, Script.flood,
    Script.acknowledge, Script.wait, Script.advance, Script.silence, Script.tick, Script.look, Script.events,
    Script.check, Script.hostile, Script.aliased, Script.raw, Script.unlisten, Script.adopt, Script.talk,
    Script.deliver, Script.reply, Script.forge, Script.forge_for,
)


HEAD = """\
from contextlib import suppress

import numpy as np
from tcpcore import SEGMENT, Config, Engine

def rows(*fields):
    made = np.zeros(len(fields), SEGMENT)
    for row, values in zip(made, fields):
        for name, value in values.items():
            row[name] = value
    return made
"""


def play(data, trace=None):
    """Run the script that these bytes are; `trace` gets it line by line, as Python source."""
    Script(data, trace).play()
