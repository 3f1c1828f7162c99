"""Knobs at the ends of their ranges, alone and in pairs: what has a limit ends and says little.

Two engines with these knobs talk; then the wire is cut, and each is left alone until it has no timer.
Whatever state a connection was in, it must be given up or stay without a timer (ESTABLISHED with nothing in
flight has no limit), after no more rows than its resends can be, with `check()` clean all the way.

`python -m tests.properties.limits` goes through all pairs; the test of the same name draws from them.
"""

import itertools
import sys

from tcpcore import Config
from tests.properties.exchange import MS, PROFILES, world

#: (what happens before, as (ms, who, call), when the wire is cut, the buffer of the server)
STORIES = [
    ([], 10, None), ([], 30, None), ([], 50, None),
    ([(100, "a", "send"), (200, "b", "close")], 110, None),
    ([(100, "a", "send"), (200, "b", "close")], 210, None),
    ([(200, "a", "close")], 210, None), ([(200, "a", "close")], 300, None),
    ([(200, "a", "shutdown"), (300, "b", "close")], 310, None),
    ([(200, "a", "close"), (200, "b", "close")], 210, None),
    ([(200, "a", "close"), (200, "b", "close")], 230, None),
    ([(100, "a", "fill")], 300, 1000), ([(100, "a", "fill"), (200, "a", "close")], 1000, 1000),
]
CONNECTIONS = 3
BYTES = {"send": 100, "fill": 3000}
#: Resends of text or probes (255, a few more where time counts), a SYN's, and each byte in a row of its own.
ROWS = 255 + 20 + 2 * 255 + 3 * 3000
YEARS = 70                          # 255 intervals of 12.4 days are 8.7 years
#: What the stories need; their ends are asked for in tests/api.
EXCLUDED = {"capacity", "seed", "local_addr", "events", "ip_local_port_range"}


def ends():
    """{knob: its values at the ends of its range}, what Config takes of them."""
    found = {}
    for knob in Config.__dataclass_fields__.values():
        if knob.name in EXCLUDED:
            continue
        said = knob.metadata.get("knob")
        if said is None:
            continue
        values = [None, *said.names] if said.names else [None, said.highest, 0, 1, 127, 255]
        for value in values:
            try:
                said.check(knob.name, value)
            except (ValueError, TypeError):
                continue
            if value not in found.setdefault(knob.name, []):
                found[knob.name].append(value)
    return found


ENDS = ends()
SINGLE = [{name: value} for name, values in ENDS.items() for value in values]
PAIRS = [one | other for one, other in itertools.combinations(SINGLE, 2) if not one.keys() & other.keys()]


def fitting(profile, knobs):
    """The knobs, with what tcp_rto_max_ms bounds lowered to it, and a user timeout, which is no number of
    resends, to 200 of the longest intervals; nor is tcp_orphan_retries on Linux, but the time of so many that
    double, so that without doublings 255 are 8 hours of 200 ms: 15. None where they contradict each other."""
    most = knobs.get("tcp_rto_max_ms", PROFILES[profile]().tcp_rto_max_ms)
    bounded = {"tcp_rto_min_us": 1000 * most, "rto_initial_ms": most}
    if any(knobs.get(name, 0) > bound for name, bound in bounded.items()):
        return None
    whole = PROFILES[profile]()
    if "tcp_user_timeout_ms" in knobs:
        knobs = knobs | {"tcp_user_timeout_ms": min(knobs["tcp_user_timeout_ms"], 200 * most)}
    if "rto_doublings_max" in knobs and "tcp_orphan_retries" in knobs:
        knobs = knobs | {"tcp_orphan_retries": min(knobs["tcp_orphan_retries"], 15)}
    return {name: min(getattr(whole, name), bound) for name, bound in bounded.items()} | knobs


def until_silent(engine):
    """Rows that an engine sends by its timers alone; a number too large says that it does not end."""
    rows = steps = 0
    while (due := engine.next_timer()) is not None and due < YEARS * 365 * 86400 * 1000 * MS:
        rows += len(engine.advance(due))
        steps += 1
        if rows > CONNECTIONS * ROWS or steps > 4 * CONNECTIONS * ROWS:
            return 2**63
    return rows if due is None else 2**62


def play(profile, knobs, story):
    """What is wrong with one story under these knobs."""
    calls, cut, buffer = story
    knobs = fitting(profile, knobs)
    if knobs is None:
        return []
    more = {"auto_read": False, "rcv_buf": buffer} if buffer else {}
    wire, conns, ports = world((profile, profile), "open and close", range(CONNECTIONS), {**more, **knobs})
    for when, who, call in [*calls, (cut, None, None)]:
        wire.run(when * MS)
        if who:
            engine = wire.engines[who]
            known = conns if who == "a" else engine.lookup(0x0A000001, ports, 0x0A000002, [80] * len(ports))
            args = (BYTES[call], wire.now) if call in BYTES else (wire.now,)
            wire.put(who, getattr(engine, "send" if call in BYTES else call)(known[known != 0], *args))
    wrong = []
    for name, engine in wire.engines.items():
        rows = until_silent(engine)
        if rows > CONNECTIONS * ROWS:
            wrong.append(f"{profile} {knobs} {story}: {name} does not end ({rows:.3g} rows)")
        wrong += [f"{profile} {knobs} {story}: {text}" for text in engine.check()]
    return wrong


def main():
    wrong, n = [], 0
    for profile, knobs, story in itertools.product(PROFILES, SINGLE + PAIRS, STORIES):
        for text in play(profile, knobs, story):
            print(text, flush=True)
            wrong.append(text)
        n += 1
        if n % 10_000 == 0:
            print(n, "played,", len(wrong), "wrong", flush=True)
    print(f"{len(wrong)} wrong in {n} stories of {len(ENDS)} knobs")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
