"""The engine against the reference: the same calls and segments, and the same results after each step.

Rows byte for byte, `info` of every handle ever seen, populations, gauges, counters, causes, events,
deadlines; and the engine's own `check()`. Peers are half polite: a segment is made from where the connection
stands, usually what an ordinary peer would send next, and else a little (or a window) beside it. The clocks
of ISN and timestamps and the peers' numbers start at the wrap. Batches are split at random for one of the
two.
"""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tcpcore import OP, Config, Engine, EventKind, Flag, OpKind, State, format_segments, segments
from tests.reference.engine import ReferenceEngine
from tests.reference.events import merged

MS = 1_000_000
SPACE = 1 << 32
EDGE = 0xFFFF_FF00
LOCAL, PEER = "10.0.0.1", "10.0.0.2"
LOCAL_ADDR, PEER_ADDR = 0x0A000001, 0x0A000002
#: (the peer's port, ours): to listeners, and back to where we connect from.
PASSIVE = [(sport, dport) for sport in (1000, 1001, 1002) for dport in (80, 81)]
ACTIVE = [(7, 40_000), (7, 40_001)]
FLOWS = PASSIVE + ACTIVE

COMMON = {"capacity": 5, "isn": "rfc793", "isn_tick_ns": MS, "tcp_syncookies": 0}
CONFIGS = {
    "linux": Config.linux(tcp_timestamps=2, **COMMON),
    "linux, no options": Config.linux(tcp_timestamps=0, tcp_window_scaling=0, tcp_sack=0, **COMMON),
    "linux, few retries, small buffer": Config.linux(
        tcp_timestamps=2, auto_read=False, rcv_buf=3000, tcp_synack_retries=1, tcp_syn_retries=1,
        tcp_syn_linear_timeouts=1, tcp_retries2=2, tcp_orphan_retries=1, tcp_max_tw_buckets=1,
        tcp_fin_timeout=3, time_wait_ms=3000, tcp_max_syn_backlog=6, tcp_rfc1337=1,
        **{**COMMON, "capacity": 8}),
    "drop-new": Config.linux(
        tcp_timestamps=2, synq_policy="drop-new", tcp_abort_on_overflow=1, delack_ms=40, rcv_buf=200_000,
        tcp_fin_timeout=62, tcp_invalid_ratelimit=0, auto_read=False, **{**COMMON, "capacity": 3}),
    "evict-oldest": Config.linux(
        tcp_timestamps=2, synq_policy="evict-oldest", accept_queue_rule="half-more", **COMMON),
    "short-timer": Config.linux(tcp_timestamps=0, synq_policy="short-timer", dup_syn_restarts=1, **COMMON),
    "freebsd": Config.freebsd(tcp_timestamps=2, **COMMON),
    "freebsd, no options, small buffer": Config.freebsd(
        tcp_timestamps=0, tcp_window_scaling=0, tcp_sack=0, auto_read=False, rcv_buf=4000, tcp_fin_timeout=3,
        **COMMON),
    "freebsd, its switches": Config.freebsd(
        tcp_timestamps=0, insecure_rst=1, insecure_syn=1, drop_synfin=1, blackhole=2, **COMMON),
    "odd switches": Config.linux(
        tcp_timestamps=2, insecure_rst=1, insecure_syn=1, drop_synfin=1, blackhole=1, time_wait_ms=0,
        delack_ms=100, mss=1000, rcv_wscale_min=3, keepinit_ms=2500, early_syn_resend_ms=0, **COMMON),
    "strict": Config.strict(tcp_timestamps=2, tcp_challenge_ack_limit=None, **COMMON),
    "strict, no options, small buffer": Config.strict(
        tcp_timestamps=0, tcp_challenge_ack_limit=None, auto_read=False, rcv_buf=3000, **COMMON),
    "strict, odd switches": Config.strict(
        tcp_timestamps=2, tcp_challenge_ack_limit=None, insecure_rst=1, insecure_syn=1, tcp_rfc1337=1,
        delack_ms=40, keepinit_ms=2500, **COMMON),
}
#: Every machine draws one of these; each profile as often as another, whatever the number of its variants.
NAMES = st.sampled_from(["linux", "freebsd", "strict"]).flatmap(lambda profile: st.sampled_from(
    sorted(name for name in CONFIGS if name.split(",")[0] == profile
           or (profile == "linux" and name.split(",")[0] not in ("freebsd", "strict")))))

#: What `acceptance` does not say: drawn one by one, on top of any profile, as is `acceptance` itself.
BESIDE_ACCEPTANCE = {
    "acceptance": st.sampled_from(["linux", "rfc", "trim"]),
    "paws_tolerance_ticks": st.sampled_from([0, 1, 5]),
    **dict.fromkeys(
        ["paws_ignores_old_acks", "ts_recent_needs_good_ack", "rst_seq_in_window", "fin_fills_buffer",
         "fin_acked_at_once", "flagless_dropped", "fin_freezes_window"], st.integers(0, 1)),
}
MIXED = st.one_of(st.just({}), st.fixed_dictionaries({}, optional=BESIDE_ACCEPTANCE))

#: What a host changes while it runs, to small values; not what depends on a key or a cookie.
LIVE = {
    "somaxconn": st.sampled_from([0, 1, 4096]),
    "tcp_max_syn_backlog": st.sampled_from([0, 1, 6, 4096]),
    "tcp_fin_timeout": st.sampled_from([0, 3, 60, 61, 62, 200]),
    "time_wait_ms": st.sampled_from([0, 1, 3000, 60_000]),
    "tcp_max_tw_buckets": st.sampled_from([0, 1, 2, 4096]),
    "tcp_invalid_ratelimit": st.sampled_from([0, 500, 3000]),
    "ack_war_timewindow_ms": st.sampled_from([0, 1000]),
    "blackhole": st.integers(0, 2),
    "tcp_ecn": st.integers(0, 2),
    "tcp_ecn_fallback": st.integers(0, 1),
    "ecn_maxretries": st.sampled_from([0, 1, 255]),
    **dict.fromkeys(
        ["tcp_synack_retries", "tcp_syn_retries", "tcp_syn_linear_timeouts", "tcp_retries2",
         "tcp_orphan_retries", "ack_war_cnt"], st.sampled_from([0, 1, 2, 6])),
    **dict.fromkeys(
        ["tcp_abort_on_overflow", "tcp_rfc1337", "insecure_rst", "insecure_syn", "drop_synfin"],
        st.integers(0, 1)),
}

FIN, SYN, RST, PSH, ACK = Flag.FIN, Flag.SYN, Flag.RST, Flag.PSH, Flag.ACK
flags = st.one_of(
    st.sampled_from([SYN, ACK, ACK, ACK | PSH, ACK | PSH, ACK | FIN, ACK | FIN]),
    st.sampled_from([SYN | ACK, RST, RST | ACK, SYN | FIN, FIN, Flag(0), SYN | RST, FIN | SYN | ACK, PSH,
                     Flag(0xFF), SYN | Flag.ECE | Flag.CWR]),
)
nearby = st.sampled_from([0] * 12 + [-2, -1, 1, 2, 3, 99, 100, -100, 536, 1460])
far = st.sampled_from([0] * 12 + [3000, 64_239, 64_240, 64_241, 65_535, 2**31 - 1, 2**31, -64_240, -2**30])
lengths = st.sampled_from([0] * 6 + [1, 2, 99, 100, 100, 536, 1448, 1460, 4000])
windows = st.sampled_from([64_240, 64_240, 64_240, 0, 1, 99, 100, 101, 600, 3000, 65_535])
lines = st.fixed_dictionaries({
    "flow": st.sampled_from(FLOWS + PASSIVE[:1] * 6 + ACTIVE[:1] * 3),
    "flags": flags,
    "seq": nearby, "seq_far": far, "from_irs": st.sampled_from([False] * 9 + [True]),
    "ack": nearby, "ack_far": far, "from_una": st.sampled_from([False] * 5 + [True]),
    "length": lengths,
    "wnd": windows,
    "mss": st.sampled_from([None, 0, 40, 536, 1460, 9000]),
    "wscale": st.sampled_from([None, 0, 7, 14, 15, 255]),
    "sack": st.booleans(),
    "stamps": st.sampled_from([True] * 9 + [False]),
    "tsval": st.sampled_from([0] * 8 + [1, -1, 5, -5, -300, -2000, 2**31]),
    "tsecr": st.sampled_from([0] * 8 + [-1, 1, -200, 5000, None]),
})
pauses = st.one_of(
    st.sampled_from([0, 1, MS - 1, MS, 7 * MS, 8 * MS, 40 * MS, 100 * MS, 200 * MS, 499 * MS, 500 * MS]),
    st.sampled_from([1000 * MS, 1500 * MS, 3000 * MS, 7000 * MS, 60_000 * MS, 61_000 * MS, 200_000 * MS]),
)


def joined(parts):
    """One array of several; numpy's own concatenation would drop the padding of SEGMENT."""
    rows = segments(sum(len(part) for part in parts))
    end = 0
    for part in parts:
        rows[end:end + len(part)] = part
        end += len(part)
    return rows


def plain(counts):
    return {name: int(n) for name, n in counts.items() if n}


class EngineAndReference(RuleBasedStateMachine):
    @initialize(name=NAMES, mixed=MIXED, later=st.sampled_from([0, 0, 1, 999_999]))
    def start(self, name, mixed, later):
        config = CONFIGS[name].replace(events=[kind.name.lower() for kind in EventKind], **mixed)
        self.engine, self.reference = Engine(config), ReferenceEngine(config)
        self.now = EDGE * MS + later
        self.listeners = []            # (the engine's id, the reference's)
        self.conns = []                # handles ever given
        self.compare(self.engine.advance(self.now), self.reference.advance(self.now))

    # -- comparing

    def compare(self, engine_rows, reference_rows):
        engine, reference = self.engine, self.reference
        if engine_rows.tobytes() != reference_rows.tobytes():
            raise AssertionError(f"the engine sent\n{format_segments(engine_rows)}\n"
                                 f"the reference\n{format_segments(reference_rows)}")
        for flow in FLOWS:
            ends = (PEER, flow[0], LOCAL, flow[1])
            handle = int(engine.lookup(*ends)[0])
            assert handle == int(reference.lookup(*ends)[0]), flow
            if handle and handle not in self.conns:
                self.conns.append(handle)
        conns = np.array(self.conns, dtype=np.uint64)
        mine, its = engine.info(conns), reference.info(conns)
        for name in its.dtype.names:
            if name != "listener":
                assert mine[name].tolist() == its[name].tolist(), name
        assert engine.state_counts().tolist() == reference.state_counts().tolist()
        gauges = reference.gauges()
        assert {name: engine.gauges()[name] for name in gauges} == gauges
        assert plain(engine.causes) == plain(reference.causes)
        assert plain(engine.counters) == plain(reference.counters)
        # listeners have numbers of their own in each; the reference may have had a batch in pieces
        told, its = ([event[:2] + event[3:] for event in events]
                     for events in (engine.events().tolist(), merged(reference.events().tolist())))
        assert told == its
        due, exact = engine.next_timer(), reference.next_timer()
        assert (due is None) == (exact is None) and (due is None or due <= exact), (due, exact)
        assert engine.check() == [] and reference.check() == []

    def both(self, call, *args, **options):
        """The same call to both, answered by rows."""
        self.compare(getattr(self.engine, call)(*args, **options),
                     getattr(self.reference, call)(*args, **options))

    # -- the application

    @rule(port=st.sampled_from([80, 80, 81]), anywhere=st.booleans(), backlog=st.sampled_from([0, 1, 2, 8]),
          auto_accept=st.booleans(), auto_close=st.booleans(),
          rcv_buf=st.sampled_from([None, None, 1000, 100_000]), defer=st.sampled_from([0, 0, None, 1, 4]))
    def listen(self, port, anywhere, backlog, auto_accept, auto_close, rcv_buf, defer):
        if any((listener.addr, listener.port) == (0 if anywhere else LOCAL_ADDR, port)
               for listener in self.reference.listeners.values()):
            return
        args = ("0.0.0.0" if anywhere else LOCAL, port, backlog)
        options = {"auto_accept": auto_accept, "auto_close": auto_close, "rcv_buf": rcv_buf,
                   "defer_accept": defer}
        self.listeners.append((self.engine.listen(*args, **options), self.reference.listen(*args, **options)))

    @precondition(lambda self: self.listeners)
    @rule(data=st.data())
    def unlisten(self, data):
        mine, its = self.listeners.pop(data.draw(st.integers(0, len(self.listeners) - 1)))
        self.compare(self.engine.unlisten(mine, self.now), self.reference.unlisten(its, self.now))

    @rule(data=st.data(), names=st.lists(st.sampled_from(sorted(LIVE)), min_size=1, max_size=3, unique=True))
    def set_knobs(self, data, names):
        """The host's settings change; nothing happens yet."""
        knobs = {name: data.draw(LIVE[name]) for name in names}
        self.engine.set_knobs(**knobs)
        self.reference.set_knobs(**knobs)
        assert self.engine.config == self.reference.config
        self.both("receive", segments(0), self.now)

    @precondition(lambda self: self.listeners)
    @rule(data=st.data(), limit=st.sampled_from([None, 1, 2]))
    def accept(self, data, limit):
        mine, its = data.draw(st.sampled_from(self.listeners))
        assert self.engine.accept(mine, limit).tolist() == self.reference.accept(its, limit).tolist()

    @rule(flows=st.lists(st.sampled_from(ACTIVE), min_size=1, max_size=2),
          isn=st.sampled_from([None, EDGE, SPACE - 1]))
    def connect(self, flows, isn):
        options = {"sport": [flow[1] for flow in flows], "isn": isn}
        mine, rows = self.engine.connect(PEER, 7, self.now, **options)
        its, reference_rows = self.reference.connect(PEER, 7, self.now, **options)
        assert mine.tolist() == its.tolist()
        self.conns += [handle for handle in mine.tolist() if handle and handle not in self.conns]
        self.compare(rows, reference_rows)

    def some(self, data):
        """Handles, most of them alive and the application's."""
        alive = [conn.handle for conn in self.reference.slots.values() if not conn.queued]
        pool = st.sampled_from(alive * 5 + self.conns) if alive else st.sampled_from(self.conns)
        picked = data.draw(st.lists(pool, min_size=1, max_size=2, unique=True))
        return [handle for handle in picked if not (conn := self.reference.find(handle)) or not conn.queued]

    @precondition(lambda self: self.conns)
    @rule(data=st.data(), nbytes=st.sampled_from([1, 100, 1460, 5000, 70_000]))
    def send(self, data, nbytes):
        self.both("send", self.some(data), nbytes, self.now)

    @precondition(lambda self: self.conns)
    @rule(data=st.data(), nbytes=st.sampled_from([None, 0, 1, 1500]))
    def recv(self, data, nbytes):
        conns = self.some(data)
        mine, rows = self.engine.recv(conns, nbytes, self.now)
        its, reference_rows = self.reference.recv(conns, nbytes, self.now)
        assert mine.tolist() == its.tolist()
        self.compare(rows, reference_rows)

    @precondition(lambda self: self.conns)
    @rule(data=st.data(), call=st.sampled_from(["close", "close", "shutdown", "abort"]))
    def leave(self, data, call):
        self.both(call, self.some(data), self.now)

    @precondition(lambda self: self.conns)
    @rule(data=st.data(), linger_s=st.sampled_from([-1, 0, 1, 1, 3, 3, 100]))
    def linger(self, data, linger_s):
        conns = self.some(data)
        rows = self.engine.close(conns, self.now, linger_s=linger_s)
        self.compare(rows, self.reference.close(conns, self.now, linger_s=linger_s))

    @precondition(lambda self: self.conns)
    @rule(data=st.data(), code=st.sampled_from([0, 1, 1, 2, 3, 4, 13, 99, 2816, 2817]))
    def unreachable(self, data, code):
        self.both("unreachable", self.some(data), self.now, code)

    # -- the wire

    def segment(self, line):
        """A row from where the connection of that flow stands."""
        sport, dport = line["flow"]
        conn = self.reference.flows.get((LOCAL_ADDR, dport, PEER_ADDR, sport))
        seq = ack = EDGE
        tsval, tsecr = self.now // MS % SPACE, 0
        if conn:
            if conn.state != State.SYN_SENT:
                seq = conn.irs if line["from_irs"] or line["flags"] == SYN else conn.rcv_nxt
            ack = conn.snd_una if line["from_una"] else conn.snd_nxt
            tsecr = self.now // MS % SPACE
        syn = bool(line["flags"] & SYN)
        options, opts = {}, 0
        for name, bit in (("mss", 1), ("wscale", 2)):
            if syn and line[name] is not None:
                options[name], opts = line[name], opts | bit
        opts |= 4 * (syn and line["sack"])
        if line["stamps"]:
            opts |= 8
            options["tsval"] = (tsval + line["tsval"]) % SPACE
            options["tsecr"] = 0 if line["tsecr"] is None else (tsecr + line["tsecr"]) % SPACE
        return segments(1, src=PEER, dst=LOCAL, sport=sport, dport=dport, flags=int(line["flags"]),
                        seq=(seq + line["seq"] + line["seq_far"]) % SPACE,
                        ack=(ack + line["ack"] + line["ack_far"]) % SPACE if line["flags"] & ACK else 0,
                        wnd=line["wnd"], payload_len=line["length"], opts=opts, **options)

    def deliver(self, batch, size):
        """The engine gets the batch whole, the reference in pieces."""
        rows = self.engine.receive(batch, self.now)
        pieces = [self.reference.receive(batch[i:i + size], self.now) for i in range(0, len(batch), size)]
        self.compare(rows, joined(pieces))

    @rule(batch=st.lists(lines, min_size=1, max_size=4), size=st.integers(1, 4))
    def receive(self, batch, size):
        self.deliver(joined([self.segment(line) for line in batch]), size)

    @rule(flow=st.sampled_from(PASSIVE), wnd=windows, stamps=st.booleans())
    def handshake(self, flow, wnd, stamps):
        """A peer opens a connection, if it is let in."""
        line = {"flow": flow, "seq": 0, "seq_far": 0, "from_irs": False, "ack": 0, "ack_far": 0,
                "from_una": False, "length": 0, "wnd": wnd, "mss": 1460, "wscale": 7 if stamps else None,
                "sack": True, "stamps": stamps, "tsval": 0, "tsecr": 0}
        self.deliver(self.segment({**line, "flags": SYN}), 1)
        self.deliver(self.segment({**line, "flags": ACK}), 1)

    @rule(which=st.sampled_from(FLOWS), flags=st.sampled_from([ACK, ACK, ACK | FIN]),
          length=lengths, wnd=windows)
    def polite(self, which, flags, length, wnd):
        """What an ordinary peer would send next."""
        conn = self.reference.flows.get((LOCAL_ADDR, which[1], PEER_ADDR, which[0]))
        if conn:
            stamps = conn.ts or conn.state == State.SYN_SENT
            self.deliver(self.segment({
                "flow": which, "flags": SYN | ACK if conn.state == State.SYN_SENT else flags, "seq": 0,
                "seq_far": 0, "from_irs": False, "ack": 0, "ack_far": 0, "from_una": False,
                "length": length, "wnd": wnd, "mss": 1460, "wscale": 7, "sack": True, "stamps": stamps,
                "tsval": 0, "tsecr": 0}), 1)

    @rule(flow=st.sampled_from(ACTIVE), length=lengths, fin=st.booleans(), wnd=windows, whole=st.booleans())
    def cross(self, flow, length, fin, wnd, whole):
        """The peer's SYN crosses ours, and perhaps its SYN-ACK follows at once."""
        conn = self.reference.flows.get((LOCAL_ADDR, flow[1], PEER_ADDR, flow[0]))
        if conn and conn.state == State.SYN_SENT:
            line = {"flow": flow, "seq": 0, "seq_far": 0, "from_irs": True, "ack": 0, "ack_far": 0,
                    "from_una": False, "wnd": wnd, "mss": 1460, "wscale": 7, "sack": True, "stamps": True,
                    "tsval": 0, "tsecr": 0}
            first = SYN | FIN if fin else SYN
            self.deliver(self.segment({**line, "flags": first, "length": length}), 1)
            if whole:
                self.deliver(self.segment({**line, "flags": SYN | ACK, "length": 0}), 1)

    # -- several of all that, each at its own time

    def op(self, data, kind):
        """A row of a timed batch, but for its time."""
        row = np.zeros(1, OP)
        row["kind"] = kind
        if kind == OpKind.SEGMENT:
            row["seg"] = self.segment(data.draw(lines))
        elif kind == OpKind.CONNECT:
            row["seg"] = segments(1, dst=PEER, dport=7, sport=data.draw(st.sampled_from(ACTIVE))[1],
                                  src=data.draw(st.sampled_from([0, LOCAL])))
        elif kind == OpKind.ACCEPT:
            row["conn"] = data.draw(st.sampled_from(self.listeners))[0]
        else:
            row["conn"] = (self.some(data) or [0])[0]
            row["arg"] = data.draw(st.sampled_from([0, 1, 100, 1460, 5000, 70_000]))
        return row

    @precondition(lambda self: self.conns and self.listeners)
    @rule(data=st.data(), kinds=st.lists(st.sampled_from([OpKind.SEGMENT] * 4 + list(OpKind)), max_size=6),
          rest=pauses)
    def play(self, data, kinds, rest):
        ops = np.concatenate([np.zeros(0, OP), *(self.op(data, kind) for kind in kinds)]).astype(OP)
        for i in range(len(ops)):
            self.now += data.draw(pauses)
            ops["at"][i] = self.now
        self.now += rest
        theirs = ops.copy()
        for mine, its in self.listeners:
            theirs["conn"][(ops["kind"] == OpKind.ACCEPT) & (ops["conn"] == mine)] = its
        rows, times = self.engine.play(ops, self.now)
        reference_rows, reference_times, results = self.reference.play(theirs, self.now)
        assert ops["result"].tolist() == results
        assert times.tolist() == reference_times
        made = ops["result"][np.isin(ops["kind"], [OpKind.CONNECT, OpKind.ACCEPT])].tolist()
        self.conns += [handle for handle in made if handle and handle not in self.conns]
        self.compare(rows, joined(reference_rows))

    # -- the clock

    @rule(pause=pauses)
    def wait(self, pause):
        self.now += pause
        self.both("advance", self.now)

    @rule(late=st.sampled_from([-1, 0, 0, 0, 1, MS]))
    def wait_for_a_timer(self, late):
        due = self.reference.next_timer()
        if due is not None and due + late >= self.now:
            self.now = due + late
            self.both("advance", self.now)


TestEngineAndReference = EngineAndReference.TestCase
TestEngineAndReference.settings = settings(max_examples=100, stateful_step_count=40)
