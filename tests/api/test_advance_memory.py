"""What advance() holds at once, without `out`."""

import os
import subprocess
import sys
import textwrap

import numpy as np

from tcpcore import Engine
from tests.api.every_call import PEER


def connecting(n):
    eng = Engine(capacity=n, tcp_timestamps=0)
    eng.connect(np.arange(n) // 20_000 + PEER, 80, 0)
    return eng


def test_advance_without_out_is_bounded():
    eng = connecting(600_000)
    now = 2_500_000_000           # a SYN is sent again after 1 s and after 2 s
    first = eng.advance(now)
    assert len(first) == 2**20 and eng.next_timer() <= now
    rest = eng.advance(now)
    assert len(rest) == 1_200_000 - 2**20 and eng.next_timer() > now
    assert eng.counters["OutSegs"] == 600_000 + len(first) + len(rest) and eng.check() == []


def test_advance_loses_no_row_when_memory_ends():
    """A process of its own: the limit of its address space is 12 MiB above what it uses."""
    program = textwrap.dedent("""
        import resource
        import numpy as np
        from tcpcore import Engine
        eng = Engine(capacity=400_000, tcp_timestamps=0)
        keep = eng.connect(np.arange(400_000) // 20_000 + 0x0A000002, 80, 0)
        pages = int(open("/proc/self/statm").read().split()[0])
        now, rows, calls = 1_500_000_000, 0, 0
        limit = pages * resource.getpagesize() + (12 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        while eng.next_timer() <= now:
            rows += len(eng.advance(now))
            calls += 1
        print(rows, calls > 1, eng.counters["OutSegs"] - 400_000)
    """)
    asan = os.environ.get("ASAN_OPTIONS", "") + ":allocator_may_return_null=1"
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | {"ASAN_OPTIONS": asan},
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["400000", "True", "400000"], done.stderr
