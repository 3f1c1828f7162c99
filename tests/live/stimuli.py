"""What hypothesis does to a connection: segments around the edges, calls, short waits.

One example is a handful of turns under one setting; it is put to every station (tests.live.script) at once.
"""

from hypothesis import strategies as st

from tests.live.script import STATIONS, WINDOW, Script

#: Stations without an application of their own.
UNATTENDED = {"closed", "listen", "syn_rcvd", "unaccepted"}

SETTINGS = st.sampled_from([
    {}, {}, {}, {"tcp_invalid_ratelimit": 500}, {"tcp_rto_min_us": 200_000}, {"tcp_fin_timeout": 1},
    {"tcp_rfc1337": 1}, {"tcp_syncookies": 1}, {"tcp_syncookies": 2}, {"tcp_abort_on_overflow": 1},
    {"tcp_max_tw_buckets": 0}, {"tcp_orphan_retries": 1}, {"tcp_syn_retries": 1}, {"tcp_synack_retries": 1},
])
FLAGS = st.sampled_from(["A", "PA", "FA", "R", "S", "SA", "RA", "FPA", "F", "", "P", "SF", "SR", "FPU",
                         "FSA"])
#: Beside the next number, at both edges of the window, at the ISN.
SEQ = st.sampled_from([0, 0, 0, 0, -1, 1, -2, 10, 100, -1000, WINDOW - 1, WINDOW, WINDOW + 1])
ACK = st.sampled_from([0, 0, 0, 0, -1, 1, -2, -50, 5000, 2**25, -70_000])
LENGTHS = st.sampled_from([0, 1, 10, 100, 1000])
WINDOWS = st.sampled_from([WINDOW, WINDOW, 0, 50, 101, 2000])
#: The peer's clock beside what it would show; None: no option.
STAMPS = st.sampled_from([0, 0, 0, 0, -1, -2, -50, -5000, 10, None])
ECHOES = st.sampled_from(["last", "last", "last", 0, 12345])
WAITS = st.sampled_from([0.03, 0.03, 0.1, 0.3])

SEGMENTS = st.fixed_dictionaries({
    "flags": FLAGS, "seq": SEQ, "ack": ACK, "length": LENGTHS, "wnd": WINDOWS, "stamp": STAMPS,
    "echo": ECHOES, "wait": WAITS,
})
CALLS = st.fixed_dictionaries({
    "call": st.sampled_from(["send", "recv", "shutdown", "close", "abort", "error", "accept", "unlisten"]),
    "n": st.sampled_from([100, 1, 700]), "wait": WAITS,
})
EXAMPLES = st.fixed_dictionaries({
    "sysctl": SETTINGS, "stamped": st.booleans(), "backlog": st.sampled_from([16, 0, 1]),
    "turns": st.lists(st.one_of(SEGMENTS, SEGMENTS, CALLS), min_size=1, max_size=5),
})


def arrive(script, turn):
    """A segment counted from where the peer stands; it moves on when it spoke in order."""
    length = turn["length"] if "P" in turn["flags"] or not set(turn["flags"]) & set("SFR") else 0
    ts = None
    if script.stamped and turn["stamp"] is not None:
        ts = [script.tsval + turn["stamp"], turn["echo"] if "A" in turn["flags"] else 0]
        script.tsval += 1
    options = {"mss": 1460} if turn["flags"] == "S" else {}
    script.segment(turn["flags"], seq=script.r + turn["seq"], ack=script.l + turn["ack"], length=length,
                   wnd=turn["wnd"], ts=ts, **options)
    if turn["seq"] == 0:
        script.r += length + ("F" in turn["flags"])


def call(script, turn, unattended):
    """An application call, where there is an application."""
    listening = any(step.get("call") == "listen" for step in script.steps)
    name = turn["call"]
    if name in ("accept", "unlisten"):
        if listening and not script.unlistened:
            script.steps.append({"call": "accept" if name == "accept" else "close", "on": "l1"})
            script.unlistened = name == "unlisten"
    elif not unattended:
        script.call(name, **({"n": turn["n"]} if name in ("send", "recv") else {}))
        script.l += {"send": turn["n"], "shutdown": 1, "close": 1}.get(name, 0)


def scenarios(example):
    """The example's turns from every station."""
    for name, station in STATIONS.items():
        script = Script(sysctl=example["sysctl"], backlog=example["backlog"], stamped=example["stamped"])
        station(script)
        for turn in example["turns"]:
            if "flags" in turn:
                arrive(script, turn)
            else:
                call(script, turn, name in UNATTENDED)
            script.wait(turn["wait"])
            script.look()
        if name not in UNATTENDED:
            script.call("error")
        yield script.scenario(name)
