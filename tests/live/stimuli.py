"""What is done to a connection next: segments around the edges, calls, waits, other connections.

An example is a station (tests.live.script), a host's settings, a peer's options and a handful of turns, all
drawn from one seed. It is data, so that it can be shrunk turn by turn; `scenario` writes it down.
"""

from tests.live.script import (
    BOUND_PORT,
    CLIENT_PORT,
    PLAIN,
    PORT,
    SECOND_PORT,
    SERVER_PORT,
    STATIONS,
    USUAL,
    WINDOW,
    Script,
)  # fmt: skip

#: Stations without an application of their own.
UNATTENDED = {"closed", "listen", "syn_rcvd", "unaccepted"}

SETTINGS = [
    {}, {}, {}, {}, {"tcp_invalid_ratelimit": 0}, {"tcp_rto_min_us": 1_000_000}, {"tcp_fin_timeout": 1},
    {"tcp_rfc1337": 1}, {"tcp_syncookies": 0}, {"tcp_syncookies": 2}, {"tcp_abort_on_overflow": 1},
    {"tcp_max_tw_buckets": 0}, {"tcp_orphan_retries": 1}, {"tcp_syn_retries": 1}, {"tcp_synack_retries": 1},
    {"tcp_retries2": 3}, {"tcp_tw_reuse": 1}, {"tcp_rto_max_ms": 1000}, {"tcp_sack": 0},
    {"tcp_window_scaling": 0}, {"tcp_timestamps": 0}, {"tcp_syn_linear_timeouts": 0},
    {"tcp_early_retrans": 0}, {"tcp_early_retrans": 0}, {"tcp_early_retrans": 0},
]  # fmt: skip
PEERS = [
    USUAL, USUAL, USUAL, PLAIN, PLAIN, {"mss": 1460, "sack_ok": True}, {"mss": 1460, "ts": True},
    {"mss": 1460, "ts": True, "wscale": 0}, {"mss": 1460, "sack_ok": True, "wscale": 14},
    {"mss": 536, "sack_ok": True, "wscale": 2, "ts": True}, {}, {"mss": 100}, {"mss": 9000, "wscale": 15},
    USUAL | {"ecn": True},
]  # fmt: skip
#: The peer's ISN: away from the wrap, at it, so that text crosses it, at the sign.
ISNS = [1000, 1000, 1000, 2**32 - 1, 2**32 - 2, 2**32 - 500, 2**31 - 1, 0, 2**32 - 60_000]
FLAGS = ["A", "PA", "FA", "R", "S", "SA", "RA", "FPA", "F", "", "P", "SF", "SR", "FPU", "FSA"]
#: Rare, beside the others: with ECN bits, a window probe's.
ECN_FLAGS = ["AE", "PAC", "SEC", "SE", "SC", "SAE"]
#: Beside the next number, at both edges of the window, at the ISN.
SEQ = [0, 0, 0, 0, -1, 1, -2, 10, 100, -1000, "W-1", "W+0", "W+1"]
ACK = [0, 0, 0, 0, -1, 1, -2, -50, 5000, 2**25, -70_000]
LENGTHS = [0, 1, 10, 100, 1000]
WINDOWS = [WINDOW, WINDOW, 0, 50, 101, 2000]
#: The peer's clock beside what it would show; None: no option.
STAMPS = [0, 0, 0, 0, -1, -2, -50, -5000, 10, None]
ECHOES = ["last", "last", "last", 0, 12345]
WAITS = [0.03, 0.03, 0.1, 0.3]
#: To reach timers: a delayed ACK's, resends, probes, the end of FIN_WAIT_2 and of an opening.
LONG_WAITS = [0.6, 1.1, 1.1, 2.2, 3.3]
LONGER_WAITS = [7.0, 16.0, 32.0, 65.0]
CALLS = ["send", "recv", "shutdown", "close", "abort", "error", "accept", "unlisten"]
SENDS = [100, 1, 700, 3000]
OTHERS = ["second", "listener", "connect", "again", "connect_again", "back"]


def segment_turn(rng):
    flags = rng.choice(FLAGS) if rng.random() < 0.95 else rng.choice(ECN_FLAGS)
    return {"flags": flags, "seq": rng.choice(SEQ), "ack": rng.choice(ACK), "length": rng.choice(LENGTHS),
            "wnd": rng.choice(WINDOWS), "stamp": rng.choice(STAMPS), "echo": rng.choice(ECHOES),
            "wait": rng.choice(WAITS)}


def call_turn(rng):
    return {"call": rng.choice(CALLS), "n": rng.choice(SENDS), "wait": rng.choice(WAITS)}


def example(rng, patience=0.0):
    """What one seed draws; `patience` is the share of examples that wait up to a minute."""
    turns = [call_turn(rng) if rng.random() < 1 / 3 else segment_turn(rng) for _ in range(rng.randint(1, 5))]
    if rng.random() < 0.25:
        other = {"other": rng.choice(OTHERS), "greet": rng.random() < 0.7, "isn": rng.choice([2_000_000, -5]),
                 "wait": rng.choice(WAITS)}
        turns.insert(rng.randint(0, len(turns)), other)
    if rng.random() < 0.35:
        turns.insert(rng.randint(0, len(turns)), {"wait": rng.choice(LONG_WAITS)})
    if rng.random() < patience:
        turns.insert(rng.randint(0, len(turns)), {"wait": rng.choice(LONGER_WAITS)})
    return {"station": rng.choice(list(STATIONS)), "sysctl": rng.choice(SETTINGS), "peer": rng.choice(PEERS),
            "isn": rng.choice(ISNS), "backlog": rng.choice([16, 0, 1]), "turns": turns}


def arrive(script, turn):
    """A segment counted from where the peer stands; it moves on when it spoke in order."""
    length = turn["length"] if "P" in turn["flags"] or not set(turn["flags"]) & set("SFR") else 0
    ts = None
    if script.stamped and turn["stamp"] is not None:
        ts = [script.tsval + turn["stamp"], turn["echo"] if "A" in turn["flags"] else 0]
        script.tsval += 1
    options = {}
    if turn["flags"].strip("EC") == "S":
        options = {name: value for name, value in script.peer.items() if name not in ("ts", "ecn")}
    seq = turn["seq"] if isinstance(turn["seq"], str) else script.r + turn["seq"]
    script.segment(turn["flags"], seq=seq, ack=script.l + turn["ack"], length=length,
                   wnd=turn["wnd"], ts=ts, **options)
    if turn["seq"] == 0:
        script.r += length + ("F" in turn["flags"])


def call(script, turn, unattended):
    """An application call, where there is an application."""
    name = turn["call"]
    if name in ("accept", "unlisten"):
        if "l1" in script.listening:
            script.steps.append({"call": "accept" if name == "accept" else "close", "on": "l1"})
            if name == "unlisten":
                script.listening.discard("l1")
    elif not unattended:
        script.call(name, **({"n": turn["n"]} if name in ("send", "recv") else {}))
        script.l += {"send": turn["n"], "shutdown": 1, "close": 1}.get(name, 0)


def greet(script, sport, dport, whole, isn=None):
    """Another client's SYN, and perhaps all of its handshake."""
    script.meet(sport, dport, isn).syn().wait()
    script.l = 1
    if whole:
        script.segment("A").wait()


def other(script, turn):
    """Something of a connection that is not the first one; what follows speaks of it."""
    what, label = turn["other"], script.label
    if what == "second" and "c2" not in script.conns:
        script.label = "c2"
        greet(script, CLIENT_PORT + 1, PORT, turn["greet"])
    elif what == "listener" and "l2" not in script.listening and "c3" not in script.conns:
        script.listen("l2", SECOND_PORT)
        script.label = "c3"
        greet(script, CLIENT_PORT, SECOND_PORT, turn["greet"])
    elif what == "connect" and "c4" not in script.conns:
        script.label = "c4"
        script.meet(SERVER_PORT, BOUND_PORT + 1).call("connect").wait()
        script.l = 1
        if turn["greet"]:
            script.syn("SA").wait()
    elif what in ("again", "connect_again") and "c1" in script.conns and "c1b" not in script.conns:
        first = script.conns["c1"]
        active = first["sport"] == SERVER_PORT
        if active != (what == "connect_again"):
            return
        script.label = "c1b"
        isn = (first["isn"] + script.places.get("c1", (0, 0))[0] + turn["isn"]) % 2**32
        if not active:
            greet(script, first["sport"], first["dport"], turn["greet"], isn)
        else:
            script.meet(first["sport"], first["dport"], isn).call("connect").wait()
            script.l = 1
    elif what == "back":
        script.label = "c1" if label != "c1" and "c1" in script.conns else label


def scenario(example):
    """The example as steps."""
    script = Script(sysctl=example["sysctl"], backlog=example["backlog"], peer=example["peer"],
                    isn=example["isn"])
    station = example["station"]
    STATIONS[station](script)
    for turn in example["turns"]:
        if "flags" in turn:
            arrive(script, turn)
        elif "call" in turn:
            call(script, turn, station in UNATTENDED and script.label != "c4")
        elif "other" in turn:
            other(script, turn)
        script.wait(turn["wait"])
        script.look()
    if station not in UNATTENDED:
        script.label = "c1"
        script.call("error")
    return script.scenario(station)


def simpler(example):
    """Examples with one thing less, the largest steps first."""
    turns = example["turns"]
    for i in range(len(turns)):
        yield example | {"turns": turns[:i] + turns[i + 1:]}
    for key, plain in (("sysctl", {}), ("peer", PLAIN), ("isn", 1000), ("backlog", 16)):
        if example[key] != plain:
            yield example | {key: plain}
    usual = {"seq": 0, "ack": 0, "length": 0, "wnd": WINDOW, "stamp": 0, "echo": "last", "wait": 0.03}
    for i, turn in enumerate(turns):
        for key, plain in usual.items():
            if turn.get(key, plain) != plain:
                yield example | {"turns": [*turns[:i], turn | {key: plain}, *turns[i + 1:]]}
