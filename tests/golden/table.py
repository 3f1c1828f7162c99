"""The transition table: state x flags x where SEG.SEQ and SEG.ACK lie -> state, rows, counters.

Nothing is decided here. For each state one engine is brought there by segments and calls with one connection
per case, all alike; then each case is one segment, and what it changed is printed. Numbers are told from
where the connection stood: rows count seq from SND.NXT and ack from RCV.NXT. Both number spaces wrap inside
the windows.
"""

from pathlib import Path

import numpy as np

from tcpcore import Config, Engine, Flag, State, segments

GOLDEN = {profile: Path(__file__).with_name(f"transitions{suffix}.txt")
          for profile, suffix in (("linux", ""), ("freebsd", "-freebsd"), ("strict", "-strict"))}

SPACE = 1 << 32
TICK = 1_000_000
LOCAL, PEER = "10.0.0.1", "10.0.0.2"
SERVICE = 80
#: What they are ready to take; 64,240 is what Linux makes of a buffer of 65,535 bytes.
WINDOWS = {profile: getattr(Config, profile)().window() for profile in GOLDEN}
SAID = 1000                           # bytes each end has sent and seen acknowledged
IRS = ISS = SPACE - 1 - SAID - 500    # the edge SND.UNA and RCV.NXT stand 500 below the wrap
START = ISS * TICK                    # the ISN clock reads ISS
FIRST_PORT = 1024

LETTERS = dict(zip("FSRPAUEC", Flag, strict=True))
#: Flags of the segment, and its payload.
SEGMENTS = [("-", 0), ("S", 0), ("SA", 0), ("A", 0), ("FA", 0), ("F", 0), ("R", 0), ("RA", 0), ("SF", 0),
            ("SR", 0), ("FSRPAUEC", 0), ("PA", 100)]
#: Where SEG.ACK lies.
ACKS = {
    "ancient": lambda una, nxt: una - SAID - 2,
    "old": lambda una, nxt: una - 1,
    "una": lambda una, nxt: una,
    "new": lambda una, nxt: nxt,
    "beyond": lambda una, nxt: nxt + 1,
}

HEAD = """\
The transition table, printed from the code by `python -m tests.golden`. A test compares; review the diff.

One segment per line, each to a connection of its own in that state; {profile} profile without options.
seq   where SEG.SEQ lies, from RCV.NXT: below (-{said}), left-1 (-1), exact, inside (+1000),
      right (+RCV.WND, {window}), beyond
ack   where SEG.ACK lies: ancient (before our SYN), old (SND.UNA-1), una, new (SND.NXT), beyond (SND.NXT+1)
rows  flags (PSH left out), seq counted from SND.NXT, ack from RCV.NXT, =0 the number 0, (n) payload
A * stands for all of them. InSegs and OutSegs are left out.
"""


def places(window):
    """Where SEG.SEQ lies, counted from RCV.NXT."""
    return {"below": -SAID, "left-1": -1, "exact": 0, "inside": 1000, "right": window,
            "beyond": window + 1000}


def bits(flags):
    return sum(LETTERS[letter] for letter in flags if letter != "-")


class Scene:
    """Connections, all alike, between one engine and as many ports of one peer."""

    def __init__(self, n, profile):
        self.n = n
        self.window = min(WINDOWS[profile], 65_535)
        self.now = START
        self.ports = np.arange(FIRST_PORT, FIRST_PORT + n)
        self.engine = Engine(getattr(Config, profile)(
            capacity=2 * n, local_addr=LOCAL, somaxconn=n, isn="rfc793", isn_tick_ns=TICK, tcp_timestamps=0,
            tcp_sack=0, tcp_window_scaling=0, tcp_syncookies=0, tcp_max_syn_backlog=4 * n,
            tcp_challenge_ack_limit=None))
        self.conns = np.zeros(n, np.uint64)
        self.said, self.acked = 0, 0  # the peer's next number and what it acknowledges, from IRS and ISS

    def arrive(self, flags, payload_len=0):
        """The same ordinary segment from each peer."""
        self.engine.receive(segments(
            self.n, src=PEER, dst=LOCAL, sport=self.ports, dport=SERVICE, wnd=self.window, flags=bits(flags),
            seq=(IRS + self.said) % SPACE, ack=(ISS + self.acked) % SPACE if "A" in flags else 0,
            payload_len=payload_len), self.now)
        self.said += payload_len + ("S" in flags) + ("F" in flags)

    def listen(self):
        self.listener = self.engine.listen(LOCAL, SERVICE)

    def connect(self):
        self.conns, _ = self.engine.connect(PEER, self.ports, self.now, src=LOCAL, sport=SERVICE, isn=ISS)

    def established(self):
        self.listen()
        self.arrive("S")
        self.acked += 1
        self.arrive("A")
        self.conns = self.engine.accept(self.listener)
        self.send()
        self.acked += SAID
        self.arrive("A", SAID)

    def send(self):
        self.engine.send(self.conns, SAID, self.now)

    def shutdown(self):
        self.engine.shutdown(self.conns, self.now)

    def fin_acknowledged(self):
        self.acked += 1
        self.arrive("A")


def closed(scene):
    pass


def listening(scene):
    scene.listen()


def syn_sent(scene):
    scene.connect()


def half_open(scene):
    scene.listen()
    scene.arrive("S")


def crossed(scene):
    scene.connect()
    scene.arrive("S")


def established(scene):
    scene.established()
    scene.send()


def fin_wait_1(scene):
    scene.established()
    scene.shutdown()


def orphan_fin_wait_1(scene):
    scene.established()
    scene.engine.close(scene.conns, scene.now)


def fin_wait_2(scene):
    fin_wait_1(scene)
    scene.fin_acknowledged()


def orphan_fin_wait_2(scene):
    orphan_fin_wait_1(scene)
    scene.fin_acknowledged()


def close_wait(scene):
    scene.established()
    scene.arrive("FA")
    scene.send()


def closing(scene):
    fin_wait_1(scene)
    scene.arrive("FA")


def last_ack(scene):
    scene.established()
    scene.arrive("FA")
    scene.shutdown()


def time_wait(scene):
    fin_wait_2(scene)
    scene.arrive("FA")


SCENES = [
    ("CLOSED", closed), ("LISTEN", listening), ("SYN_SENT", syn_sent),
    ("SYN_RECEIVED from LISTEN (half-open)", half_open),
    ("SYN_RECEIVED from SYN_SENT (simultaneous open)", crossed),
    ("ESTABLISHED, text in flight", established),
    ("FIN_WAIT_1", fin_wait_1), ("FIN_WAIT_1, orphan", orphan_fin_wait_1),
    ("FIN_WAIT_2", fin_wait_2), ("FIN_WAIT_2, orphan", orphan_fin_wait_2),
    ("CLOSE_WAIT, text in flight", close_wait),
    ("CLOSING", closing), ("LAST_ACK", last_ack), ("TIME_WAIT", time_wait),
]
NO_SEQ = {"CLOSED", "LISTEN", "SYN_SENT"}       # nothing is expected yet
NO_ACK = {"CLOSED", "LISTEN"}                   # nothing was sent


def cases(state, una, nxt, window):
    """(flags, payload, name of seq, SEG.SEQ - RCV.NXT, name of ack, SEG.ACK) of each line."""
    acks = {"*": nxt} if state in NO_ACK else {name: where(una, nxt) for name, where in ACKS.items()}
    if una == nxt:
        acks.pop("new", None)
    for flags, payload in SEGMENTS:
        for seq, offset in [("*", 0)] if state in NO_SEQ else places(window).items():
            for ack, acked in acks.items() if "A" in flags else [("", 0)]:
                yield flags, payload, seq, offset, ack, acked % SPACE


def signed(number):
    return (number + SPACE // 2) % SPACE - SPACE // 2


def number(value, origin):
    return "=0" if value == 0 else f"{signed(value - origin):+d}"


def row_text(row, nxt, expected):
    flags = "".join(letter for letter in "SFRAUEC" if row["flags"] & LETTERS[letter])
    ack = f",{number(int(row['ack']), expected)}" if row["flags"] & Flag.ACK else ""
    length = f"({row['payload_len']})" if row["payload_len"] else ""
    return f"{flags}{number(int(row['seq']), nxt)}{ack}{length}"


def tally(engine):
    return {name: value for counts in (engine.counters, engine.causes) for name, value in counts.items()
            if name not in ("InSegs", "OutSegs", "CurrEstab")}


def standing(scene):
    """(SND.UNA, SND.NXT, RCV.NXT) of the connections, which all stand alike."""
    handles = scene.engine.lookup(PEER, scene.ports, LOCAL, SERVICE)
    info = scene.engine.info(handles)
    if not handles.any():
        return ISS, ISS, IRS
    assert len(np.unique(info[["state", "snd_una", "snd_nxt", "rcv_nxt"]])) == 1
    return int(info[0]["snd_una"]), int(info[0]["snd_nxt"]), int(info[0]["rcv_nxt"]) or IRS


def section(title, prepare, profile):
    """The lines of one state."""
    state = title.replace(",", "").split()[0]
    trial = Scene(1, profile)
    prepare(trial)
    una, nxt, expected = standing(trial)
    todo = list(cases(state, una, nxt, WINDOWS[profile]))
    scene = Scene(len(todo), profile)
    prepare(scene)
    assert standing(scene) == (una, nxt, expected)
    engine = scene.engine
    yield ""
    yield f"== {title}"
    yield f"{'flags':9}{'seq':7} {'ack':8}-> {'state':13}{'rows':22}counters, causes"
    before = tally(engine)
    for port, (flags, payload, seq, offset, ack, acked) in zip(scene.ports, todo, strict=True):
        rows = engine.receive(segments(
            1, src=PEER, dst=LOCAL, sport=port, dport=SERVICE, wnd=scene.window, flags=bits(flags),
            seq=(expected + offset) % SPACE, ack=acked, payload_len=payload), scene.now)
        after = tally(engine)
        told = " ".join(row_text(row, nxt, expected) for row in rows) or "."
        changed = " ".join(name + (f"+{value - before[name]}" if value != before[name] + 1 else "")
                           for name, value in after.items() if value != before[name])
        now = State(int(engine.info(engine.lookup(PEER, int(port), LOCAL, SERVICE))[0]["state"]))
        if state == "LISTEN" and now == State.CLOSED:
            now = State.LISTEN        # nothing came of it
        name = "XMAS" if len(flags) == len(LETTERS) else flags + (f"({payload})" if payload else "")
        yield f"{name:9}{seq:7} {ack:8}-> {now.name:13}{told:22}{changed}".rstrip()
        before = after
    assert engine.check() == []


def printed(profile):
    """The whole table."""
    lines = [line for title, prepare in SCENES for line in section(title, prepare, profile)]
    head = HEAD.format(profile=profile.capitalize(), said=SAID, window=WINDOWS[profile])
    return head + "\n".join(lines) + "\n"
