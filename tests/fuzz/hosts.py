"""What a fuzzed script works with: an engine that is looked over, its configurations, its bad arguments.

Not here: how bytes become a script (`script`), how libFuzzer is started (`run`). Invariant: nothing here
draws a random number or asks the clock, so that the same bytes always make the same calls.
"""

import dataclasses

import numpy as np

from tcpcore import BLOCK, SEGMENT, Config, Engine

MS, SECOND, DAY = 10**6, 10**9, 86_400 * 10**9
LAST_NOW = 2**62
ADDRESSES = (0x0A000001, 0x0A000002)
NAMES = ("a", "b")
PROFILES = ("linux", "freebsd", "strict")
EVENTS = ("opened", "established", "accepted", "closed", "lost", "refused", "time_wait")
CAPACITIES = (16, 1, 4, 8, 64)
WAYS_OUT = ("Established", "Evicted", "Expired", "Reset", "Aborted", "ListenerClosed")
#: Rows that an engine sends by itself for one connection, for each byte queued apart: every resend there is.
ROWS = 1000


def knob_values():
    """[(knob, the values to try)] of all knobs but those that the script chooses by itself."""
    found = []
    for field in dataclasses.fields(Config):
        knob = field.metadata["knob"]
        tried = [*knob.names] or [0, 1, 2, 3, 5, 40, 127, 255, 400, 1000, 1460, 60_000, knob.highest, None]
        values = []
        for value in tried:
            try:
                knob.check(field.name, value)
            except (TypeError, ValueError):
                continue
            values.append(value)
        if field.name == "ip_local_port_range":
            values = [(40000, 40000), (40000, 40003), (1024, 65535)]
        if field.name not in ("capacity", "seed", "local_addr", "events"):
            found.append((field.name, values))
    return found


KNOB_VALUES = knob_values()
_configs = {}


def config_of(host, profile, capacity, choices):
    """The Config of a host, and its source; without any of the choices if these contradict each other."""
    key = host, profile, capacity, choices
    if key not in _configs:
        if len(_configs) > 5000:
            _configs.clear()
        knobs = {"capacity": capacity, "seed": 1, "local_addr": f"10.0.0.{host + 1}", "events": EVENTS}
        make, wanted = getattr(Config, profile), {}
        for index, which in choices:
            name, values = KNOB_VALUES[index % len(KNOB_VALUES)]
            wanted[name] = values[which % len(values)]
        try:
            config = make(**knobs, **wanted)
            knobs |= wanted
        except ValueError:
            config = make(**knobs)
        said = ", ".join(f"{name}={value!r}" for name, value in knobs.items())
        _configs[key] = config, f"Config.{profile}({said})"
    return _configs[key]


#: Arguments that are wrong, odd or just legal, as source; `engine`, `conns` and `segs` are the script's.
HOSTILE = """
None -1 0 1 2**16 2**31 2**32 2**62 2**62+1 2**63 2**64 2**70 True 1.0 float('nan') 'x' '' '10.0.0.2'
'0.0.0.0' b'x' [] [1] [1,2] [None] [-1] [2**64] [[1]] () {} object() np.uint8(7) np.float32(2) np.int64(-1)
np.uint64(2**64-1) np.zeros(0,np.uint64) np.zeros(0,SEGMENT) np.zeros(3,np.float64) np.zeros(3,np.uint64)
np.full(3,9,np.int8) np.zeros((2,2),np.uint64) np.zeros((2,1),SEGMENT) np.zeros(40,np.uint8)
np.zeros(4,SEGMENT)[::2] np.zeros(4,SEGMENT)[::-1] np.zeros(1,SEGMENT)[0] np.zeros(2,SEGMENT)['seq']
np.zeros(2,'>u4') np.zeros(2,'>u8') np.array('x') np.array(None) np.array([7,8],np.uint32)[::-1]
np.zeros(2,bool) np.array(5,np.uint16) engine.blocks engine.blocks['raddr']
engine.blocks[:1].view(np.uint64) engine.blocks['rport'] engine np.frombuffer(bytes(80),SEGMENT)
np.frombuffer(bytearray(121),SEGMENT,2,1) np.frombuffer(bytearray(17),np.uint64,2,1)
np.zeros(3,SEGMENT).view(np.recarray) conns conns[:1] conns[::-1] segs segs[:1] np.repeat(segs,2)
""".split()
VALUES = [compile(text, text, "eval") for text in HOSTILE]

#: Calls whose `out` shares memory with another argument, as source.
ALIASED = [compile(text, text, "eval") for text in (
    "engine.receive(np.frombuffer(memory, SEGMENT, 4), now, out=out)",
    "engine.close(np.frombuffer(memory, np.uint64, 5, 8), now, out=out)",
    "engine.recv(np.frombuffer(memory, np.uint64, 2, 384), 1, now, out=out)",
    "engine.send([1, 2], np.frombuffer(memory, np.uint32, 2, 240), now, out=out)",
    "engine.connect(np.frombuffer(memory, np.uint32, 2, 392), 80, now, out=out)",
    "engine.connect(1, np.frombuffer(memory, np.uint16, 2, 96), now, out=out)",
)]

#: The methods that take arguments, with good ones by name; the time is the script's.
GOOD = {
    "listen": {"addr": 0, "port": 99, "backlog": 3, "auto_accept": False, "auto_close": False,
               "rcv_buf": 9000},
    "unlisten": {"listener": 1, "now": 0, "out": None},
    "connect": {"dst": ADDRESSES[1], "dport": 80, "now": 0, "src": None, "sport": None, "n": None,
                "isn": None, "rcv_buf": None, "out": None},
    "accept": {"listener": 1, "limit": 1},
    "send": {"conns": 0, "nbytes": 100, "now": 0, "out": None},
    "recv": {"conns": 0, "nbytes": 100, "now": 0, "out": None},
    "shutdown": {"conns": 0, "now": 0, "out": None},
    "close": {"conns": 0, "now": 0, "out": None},
    "abort": {"conns": 0, "now": 0, "out": None},
    "receive": {"segs": 0, "now": 0, "out": None},
    "advance": {"now": 0, "out": None},
    "lookup": {"raddr": ADDRESSES[0], "rport": 80, "laddr": ADDRESSES[1], "lport": 80},
    "info": {"conns": 0},
    "room": {"listener": 1},
}
PARAMETERS = [(name, key) for name, arguments in GOOD.items() for key in arguments]


def source(value):
    """A value as Python source."""
    if isinstance(value, np.ndarray) and value.dtype == SEGMENT and value.flags.writeable:
        return f"np.zeros({len(value)}, SEGMENT)"              # to be written to
    if isinstance(value, np.ndarray) and value.dtype == SEGMENT:
        rows = ", ".join(
            "dict(" + ", ".join(f"{name}={row[name]}" for name in SEGMENT.names if row[name]) + ")"
            for row in value)
        return f"rows({rows})"
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()}, np.{value.dtype})"
    return repr(value)


def told(answer):
    """What a call gave, in a form that compares."""
    if isinstance(answer, tuple):
        return tuple(part.tobytes() for part in answer)
    return answer.tobytes() if isinstance(answer, np.ndarray | np.void) else answer


def pieces(name, args):
    """The calls with batches of one that do what this call does."""
    count = len(args[0])
    for i in range(count):
        yield tuple(arg[i:i + 1] if isinstance(arg, np.ndarray) else arg for arg in args)
    if not count:
        yield args


class Host:
    """An engine with its address, a second one that does the same by other means, and what was counted.

    `twice` is None, "slow" (the second engine has no fast path) or "single" (its batches are batches of one).
    """

    def __init__(self, number, config, text, twice, trace):
        self.number, self.name, self.config, self.trace = number, NAMES[number], config, trace
        self.engine = Engine(config)
        self.twice, self.second = twice, Engine(config) if twice else None
        if twice == "slow":
            self.second._predicting = False
        self.rows_in = self.rows_out = self.queued = 0
        self.conns, self.listeners = [], []
        if trace is not None:
            trace(f"{self.name} = Engine({text})" + (f"      # and beside it: {twice}" if twice else ""))

    def seen(self, engine):
        """All that can be seen of an engine and does not depend on where its memory lies."""
        blocks = engine.blocks.copy()
        blocks["timer_pos"] = 0       # where in the timer wheel: a batch cut in pieces may take other chunks
        return (blocks.tobytes(), engine.counters, engine.causes, engine.state_counts().tolist(),
                engine.next_timer(), repr(engine))

    def differences(self):
        """Where the second engine is not like the first, in words."""
        first, second, found = self.seen(self.engine), self.seen(self.second), []
        if first == second:
            return found
        for mine, its in zip(first, second, strict=True):
            if isinstance(mine, dict):
                mine, its = ({key: one[key] for key in mine if mine[key] != its[key]} for one in (mine, its))
            elif isinstance(mine, bytes):
                mine, its = (np.frombuffer(blocks, BLOCK) for blocks in (mine, its))
                apart = np.flatnonzero(mine != its)
                mine, its = mine[apart].tolist(), its[apart].tolist()
            if mine != its:
                found.append(f"{mine}, {self.twice} {its}")
        return found

    def write(self, name, args, options):
        """Print a call as source."""
        called = f"{self.name}.{name}"
        if callable(getattr(Engine, name)):
            said = [*map(source, args), *(f"{key}={source(value)}" for key, value in options.items())]
            called += f"({', '.join(said)})"
        refusable = "out" in options or name in ("listen", "unlisten", "accept", "room")
        self.trace(f"with suppress(ValueError, OSError): {called}" if refusable else called)

    def outcome(self, answer):
        rows = answer[1] if isinstance(answer, tuple) else answer
        first = f"{answer[0].tolist()}, " if isinstance(answer, tuple) else ""
        return first + (source(np.frombuffer(rows.tobytes(), SEGMENT)) if 0 < len(rows) < 10
                        else f"{len(rows)} rows")

    def ask(self, name, *args, **options):
        """A call that emits nothing."""
        if self.trace is not None:
            self.write(name, args, options)
        member = getattr(self.engine, name)
        answer = member(*args, **options) if callable(member) else member
        if self.second is not None:
            member = getattr(self.second, name)
            again = member(*args, **options) if callable(member) else member
            if name != "gauges":
                assert told(answer) == told(again), f"{name}: two engines differ"
        return answer

    def emit(self, name, *args, room=None, **options):
        """A call that emits: its answer, and the rows alone. `room` is the length of `out`, if any.

        A call that says that `out` is too short must change nothing, and is made again without it.
        """
        method = getattr(self.engine, name)
        answer = None
        if room is not None:
            # rows in the middle of a larger array: nothing may be written before and after them
            around = np.frombuffer(bytearray(b"\xa5" * (40 * (room + 2))), SEGMENT)
            out, before = around[1:-1], self.seen(self.engine)
            if self.trace is not None:
                self.write(name, args, options | {"out": out})
            try:
                answer = method(*args, out=out, **options)
            except ValueError as error:
                if not str(error).startswith("out: expected at least"):
                    raise
                assert self.seen(self.engine) == before, f"{name} failed and changed something"
            edges = around[:1].tobytes() + around[-1:].tobytes()
            assert edges == b"\xa5" * 80, f"{name} wrote outside of out"
        elif self.trace is not None:
            self.write(name, args, options)
        if answer is None:
            answer = method(*args, **options)
        rows = answer[1] if isinstance(answer, tuple) else answer
        if self.trace is not None:
            self.trace(f"    # {self.outcome(answer)}")
        self.rows_out += len(rows)
        if self.second is not None and name != "advance":
            self.repeat(name, args, options, told(answer))
        return answer, rows

    def repeat(self, name, args, options, answer):
        """The call once more, to the second engine, which must say the same."""
        method = getattr(self.second, name)
        if self.twice == "slow" or name == "unlisten":
            again = told(method(*args, **options))
        elif name == "advance":
            again, out, rows = b"", np.zeros(3, SEGMENT), (0, 0, 0)
            while len(rows) == 3:
                rows = method(*args, out=out)
                again += rows.tobytes()
        else:
            parts = [told(method(*piece, **options)) for piece in pieces(name, args)]
            again = (tuple(map(b"".join, zip(*parts, strict=True))) if isinstance(answer, tuple)
                     else b"".join(parts))
        assert again == answer, f"{name}: {answer} and {self.twice} {again}, {self.differences()}"

    def advance(self, now, room=None):
        """Fire what is due. It ends: rows are bounded, and nothing due is left."""
        most = self.config.capacity * ROWS + 3 * self.queued
        _, rows = self.emit("advance", now, room=room)
        total, all_rows = len(rows), [rows]
        while room is not None and len(rows) == room:
            _, rows = self.emit("advance", now, room=room)
            total += len(rows)
            all_rows.append(rows)
            assert total <= most, "advance does not end"
        due = self.engine.next_timer()
        assert due is None or due > now, f"due at {due}, not fired at {now}"
        assert total <= most, f"{total} rows in one advance"
        if len(all_rows) > 1:         # not concatenate, which leaves the padding between fields as it was
            rows = np.frombuffer(b"".join(map(np.ndarray.tobytes, all_rows)), SEGMENT)
        if self.second is not None:
            self.repeat("advance", (now,), {}, rows.tobytes())
        return rows

    def hostile(self, name, key, which, now, conns, segs):
        """A call with one bad argument: it does something legal, or raises and changes nothing."""
        arguments = GOOD[name] | ({"conns": conns} if "conns" in GOOD[name] else {})
        arguments |= {"now": now} if "now" in arguments else {}
        arguments |= {"segs": segs} if "segs" in arguments else {}
        if key == "n" and HOSTILE[which] in ("2**31", "2**32"):
            return                    # legal, and too much memory
        results, engines = [], [self.engine, *([self.second] if self.second is not None else [])]
        if self.trace is not None:
            self.trace(f"engine, conns, segs = {self.name}, {source(conns)}, {source(segs)}")
            said = ", ".join(f"{other}={HOSTILE[which]}" if other == key else f"{other}={other}"
                             if other in ("conns", "segs") else f"{other}={value!r}"
                             for other, value in arguments.items())
            self.trace(f"with suppress(Exception): {self.name}.{name}({said})")
        for engine in engines:
            value = eval(VALUES[which], {"np": np, "SEGMENT": SEGMENT, "engine": engine, "conns": conns,
                                         "segs": segs})
            before = self.seen(engine)
            try:
                answer = getattr(engine, name)(**(arguments | {key: value}))
            except (TypeError, ValueError, OSError, MemoryError, OverflowError) as error:
                results.append(str(error))
                assert self.seen(engine) == before, f"{name} failed and changed something: {error}"
                continue
            results.append(told(answer))
            rows = answer[1] if isinstance(answer, tuple) else answer
            if engine is self.engine and name in ("listen", "accept", "lookup", "info", "room"):
                self.listeners += [answer] if name == "listen" else []
            elif engine is self.engine:
                self.rows_out += len(rows)
                self.queued += 500_000 if name == "send" else 0
                self.rows_in += np.size(value if key == "segs" else segs) if name == "receive" else 0
        if "engine" not in HOSTILE[which] and "object" not in HOSTILE[which]:
            assert results == results[:1] * len(results), f"{name}: two engines differ"

    def aliased(self, which, now):
        """A call with an `out` that shares memory with another argument: an error, and nothing changes."""
        code, before, memory = ALIASED[which % len(ALIASED)], self.seen(self.engine), bytearray(b"\1" * 400)
        if self.trace is not None:
            self.trace(f"engine, memory, now = {self.name}, bytearray(b'\\1' * 400), {now}")
            self.trace(f"out = np.frombuffer(memory, SEGMENT)\nwith suppress(ValueError): {code.co_filename}")
        try:
            eval(code, {"engine": self.engine, "np": np, "SEGMENT": SEGMENT, "memory": memory, "now": now,
                        "out": np.frombuffer(memory, SEGMENT)})
        except ValueError:
            assert self.seen(self.engine) == before, f"{code.co_filename} failed and changed something"
        else:
            raise AssertionError(f"{code.co_filename} was taken")

    def look(self):
        """Check all that must hold between two calls."""
        engine = self.engine
        if self.trace is not None:
            self.trace(f"assert {self.name}.check() == []")
        wrong = engine.check()
        assert wrong == [], wrong
        counters, gauges, states = engine.counters, engine.gauges(), engine.state_counts().tolist()
        assert counters["InSegs"] == self.rows_in, (counters["InSegs"], self.rows_in)
        assert counters["OutSegs"] == self.rows_out, (counters["OutSegs"], self.rows_out)
        assert counters["SynQueueAdded"] == gauges["half_open"] + sum(
            counters["SynQueue" + way] for way in WAYS_OUT)
        assert sum(states[2:]) + gauges["held_dead"] == gauges["blocks_used"] <= self.config.capacity
        assert states[0] == 0 and counters["CurrEstab"] == states[4] + states[7]
        if self.second is not None:
            assert self.differences() == [], self.differences()
            assert self.second.check() == []

    def end(self, now):
        """Let go of everything and be silent: all must end, and nothing may be left."""
        for listener in self.listeners:
            try:
                self.engine.room(listener)
            except ValueError:
                continue
            self.emit("unlisten", listener, now)
        blocks = self.engine.blocks
        handles = blocks["generation"].astype(np.uint64) << np.uint64(32)
        handles |= np.arange(len(blocks), dtype=np.uint64)
        self.emit("close", handles, now)
        total = 0
        for _ in range(300):
            due = self.engine.next_timer()
            if due is None or due > LAST_NOW - 1:
                break
            now = min(max(due, now) + 400 * DAY, LAST_NOW)
            total += len(self.advance(now))
            assert total <= self.config.capacity * ROWS + 3 * self.queued, "timers never end"
        self.look()
        if now < LAST_NOW - 400 * DAY:
            assert self.engine.next_timer() is None, "timers never end"
            assert self.engine.gauges()["blocks_used"] == 0, self.engine.gauges()
