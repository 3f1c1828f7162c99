"""Engines with something in every part of a snapshot, for test_snapshot.py and benchmarks of it."""

import numpy as np

from tcpcore import Config, Engine, segments
from tcpcore.snapshot import CHECKSUM_AT, checksum

MS, SECOND, DAY = 1_000_000, 1_000_000_000, 86_400 * 1_000_000_000
LOCAL, PEER = 0x0A000001, 0x0A000002
EVENTS = ("opened", "established", "accepted", "closed", "lost", "refused", "time_wait")
SYN, ACK, FIN = 2, 16, 1


def syns(ports, **fields):
    return segments(len(ports), src=PEER, dst=LOCAL, sport=ports, dport=80, flags=SYN, seq=99, wnd=5000,
                    mss=1460, opts=15, wscale=3, tsval=7, **fields)


def answers(rows, **fields):
    """What the peer says to SYN-ACKs: segments that acknowledge them."""
    rows = rows[rows["flags"] == SYN | ACK]
    values = {"src": PEER, "dst": LOCAL, "sport": rows["dport"], "dport": rows["sport"], "flags": ACK,
              "seq": rows["ack"], "ack": rows["seq"] + np.uint32(1), "wnd": 600, "opts": rows["opts"] & 8,
              "tsval": 8, "tsecr": rows["tsval"]}
    return segments(len(rows), **values | fields)


def passive(profile=Config.linux, **knobs):
    """Half-open entries, an accept queue, dead ones, ranges with a FIN, unread text, queued text."""
    eng = Engine(profile(capacity=64, local_addr="10.0.0.1", events=EVENTS, seed=5, auto_read=False,
                         **knobs))
    web = eng.listen(LOCAL, 80, 20)
    eng.listen(0, 81, auto_accept=True, auto_close=True, rcv_buf=9000, keepalive=True, user_timeout_ms=9000)
    gone = eng.listen(LOCAL, 82)
    eng.unlisten(gone, 0)
    rows = eng.receive(syns(np.arange(1, 13)), MS)
    eng.receive(answers(rows[:8]), 2 * MS)
    conns = eng.accept(web, 5)
    eng.send(conns, 3000, 3 * MS)
    text = answers(rows[:6], payload_len=[0, 10, 10, 1000, 10, 10])
    text["seq"] += np.array([0, 100, 300, 0, 50, 5], np.uint32)
    text["flags"][1] |= FIN
    eng.receive(text, 4 * MS)
    text["seq"] += np.uint32(2000)
    eng.receive(text[1:3], 4 * MS)
    eng.receive(answers(rows[5:7], flags=4), 4 * MS)                # reset in the accept queue
    eng.shutdown(conns[:1], 5 * MS)
    eng.close(conns[1:2], 5 * MS)
    eng.abort(conns[4:], 5 * MS)
    eng.receive(syns(np.arange(20, 24)), 1500 * MS)
    eng.advance(1600 * MS)
    return eng


def active(**knobs):
    """Chosen ports of several destinations, TIME-WAITs that may be replaced, no port left, one dead."""
    eng = Engine(Config.linux(capacity=40, local_addr="10.0.0.1", events=EVENTS, tcp_tw_reuse=1,
                              ip_local_port_range=(40000, 40007), **knobs))
    conns, rows = eng.connect([PEER, PEER, PEER + 1, PEER, PEER + 2], 80, MS)
    synacks = segments(5, src=rows["dst"], dst=LOCAL, sport=80, dport=rows["sport"], flags=SYN | ACK, seq=9,
                       ack=rows["seq"] + np.uint32(1), wnd=999, opts=8, tsval=1, tsecr=rows["tsval"])
    eng.receive(synacks, 2 * MS)
    eng.close(conns[:3], 3 * MS)
    fins = segments(3, src=rows["dst"][:3], dst=LOCAL, sport=80, dport=rows["sport"][:3], flags=ACK | FIN,
                    seq=10, ack=rows["seq"][:3] + np.uint32(2), wnd=999, opts=8, tsval=2,
                    tsecr=rows["tsval"][:3])
    eng.receive(fins, 4 * MS)
    eng.receive(segments(1, src=PEER, dst=LOCAL, sport=80, dport=rows["sport"][3], flags=4, seq=10), 5 * MS)
    eng.connect(PEER, 80, 6 * MS, n=9)
    eng.connect(PEER, 80, 7 * MS, sport=[50000, 50001], rcv_buf=300_000, user_timeout_ms=0)
    eng.close(conns[4], 8 * MS, linger_s=9)
    return eng


def flooded(**knobs):
    """A queue that overflows: victims, cookies, pauses, dead entries in the eviction queues."""
    eng = Engine(capacity=64, local_addr="10.0.0.1", events=EVENTS, somaxconn=4,
                 **{"tcp_syncookies": 0} | knobs)
    eng.listen(LOCAL, 80)
    eng.listen(0, 80, 2)
    for step in range(12):
        now = step * 40 * MS
        rows = eng.receive(syns(np.arange(100 + 7 * step, 107 + 7 * step)), now)
        eng.receive(answers(rows[-1:]), now + MS)
    return eng


def overdue():
    """Timers that nobody fired for weeks: in the heap, in far slots, cancelled, armed again."""
    eng = Engine(capacity=64, local_addr="10.0.0.1")
    eng.listen(LOCAL, 80)
    conns, _ = eng.connect(PEER, 80, 0, n=20)
    for day in (7, 14, 30):
        eng.receive(syns(np.arange(day, day + 4)), day * DAY)
        eng.abort(conns[day:day + 3], day * DAY)
    return eng


def paused():
    """A syncache that overflowed and is given up for cookies. Too large to be forged often."""
    eng = Engine(Config.freebsd(capacity=15_000, local_addr="10.0.0.1", seed=1))
    eng.listen(LOCAL, 80)
    ports = np.arange(1, 501)
    while not eng.counters["SynCachePauses"]:
        eng.receive(syns(ports), MS)
        ports += 500
    return eng


SCENES = {
    "empty": lambda: Engine(capacity=1),
    "passive": passive,
    "passive-freebsd": lambda: passive(Config.freebsd),
    "passive-strict": lambda: passive(Config.strict),
    "active": active,
    **{f"active-{rule}": lambda rule=rule: active(port_selection=rule)
       for rule in ("random", "random-retry", "hash", "double-hash", "random-increments")},
    **{f"flooded-{policy}": lambda policy=policy: flooded(synq_policy=policy)
       for policy in ("linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer")},
    "flooded-cookies": lambda: flooded(tcp_syncookies=1),
    "overdue": overdue,
}


def sealed(blob):
    """The bytes with the checksum that goes with them."""
    return bytes(blob[:CHECKSUM_AT]) + checksum(bytes(blob)) + bytes(blob[CHECKSUM_AT + 16:])


def drive(eng):
    """A little of everything that an engine does."""
    now = int(repr(eng).split("now ")[1].split()[0])
    blocks = eng.blocks[:64].copy()
    handles = blocks["generation"].astype(np.uint64) << np.uint64(32)
    handles |= np.arange(len(blocks), dtype=np.uint64)
    near = segments(len(blocks), src=blocks["raddr"], dst=blocks["laddr"], sport=blocks["rport"],
                    dport=blocks["lport"], seq=blocks["rcv_nxt"], ack=blocks["snd_nxt"], flags=ACK, wnd=500,
                    payload_len=100)
    said = [eng.next_timer(), eng.receive(near, now).tobytes(), eng.info(handles).tobytes(),
            eng.accept(1, 2).tobytes() if eng.state_counts()[1] else b""]
    near["flags"], near["seq"] = ACK | FIN, near["seq"] + np.uint32(100)
    said += [eng.receive(near, now + MS).tobytes(),
             eng.connect([PEER, PEER + 9] * 6, 80, now + MS)[1].tobytes(),
             eng.receive(syns(np.arange(300, 320)), now + 2 * MS).tobytes(),
             eng.recv(handles, None, now + 2 * MS)[1].tobytes()]
    out = segments(64)
    for pause in (300 * MS, 3 * SECOND, 100 * SECOND, 50 * DAY):
        said.append(eng.advance(now + pause, out=out).tobytes())
    said += [eng.close(handles[::2], now + 50 * DAY).tobytes(),
             eng.abort(handles[1::2], now + 50 * DAY).tobytes(), eng.events().tolist(), eng.counters,
             eng.causes, eng.state_counts().tolist(), eng.blocks.tobytes(), eng.next_timer()]
    return said
