"""ICMP destination unreachable and time exceeded, as the reference engine has them.

A mixin of `ReferenceEngine`. Source: docs/semantics.md section 16; RFC 9293 3.9.2.2, RFC 6069.
"""

import errno

from tcpcore import State
from tests.reference.connection import tick
from tests.reference.data import REXMT

LINUX = {0: errno.ENETUNREACH, 1: errno.EHOSTUNREACH, 2: errno.ENOPROTOOPT, 3: errno.ECONNREFUSED,
         5: errno.EOPNOTSUPP, 6: errno.ENETUNREACH, 7: errno.EHOSTDOWN, 8: errno.ENONET,
         9: errno.ENETUNREACH, 10: errno.EHOSTUNREACH, 11: errno.ENETUNREACH, 12: errno.EHOSTUNREACH,
         13: errno.EHOSTUNREACH, 14: errno.EHOSTUNREACH, 15: errno.EHOSTUNREACH}
FREEBSD = {code: errno.ECONNREFUSED if code in (2, 3, 9, 10, 13) else errno.EHOSTUNREACH for code in LINUX}
ROUTE_CODES, HARD_CODES, TIME_EXCEEDED = (0, 1), (2, 3), 11 * 256
LINUX[TIME_EXCEEDED] = FREEBSD[TIME_EXCEEDED] = errno.EHOSTUNREACH
OPENING = (State.SYN_SENT, State.SYN_RECEIVED)


class Icmp:
    def hear_unreachable(self, conn, code, now):
        error = (FREEBSD if self.config.unreachable_rules == "freebsd" else LINUX).get(code)
        if error is None or conn.state in (State.CLOSED, State.TIME_WAIT) or conn.in_time_wait_table:
            return
        ends, remembers = getattr(self, f"unreachable_{self.config.unreachable_rules}")(conn, code, error)
        if ends and conn.half_open:
            self.count("ListenDrops")
            self.drop_half_open(conn, "Unreachable", "SynQueueAborted")
        elif ends:
            if conn.state in OPENING:
                self.count("AttemptFails")
            self.die(conn, error, "Unreachable")
        elif remembers:
            conn.error = error
            if (self.config.unreachable_undoes_backoff and code in ROUTE_CODES and conn.retries
                    and conn.backoff and conn.state not in OPENING and conn.main and conn.main[1] == REXMT):
                self.undo_backoff(conn, now)

    def unreachable_linux(self, conn, code, _):
        if conn.half_open:
            return code in (*ROUTE_CODES, TIME_EXCEEDED), False
        return conn.state in OPENING, True

    def unreachable_rfc(self, conn, code, _):
        return code in HARD_CODES, not conn.half_open

    def unreachable_freebsd(self, conn, code, error):
        if conn.state not in OPENING:
            return False, False
        if (error == errno.ECONNREFUSED or code == TIME_EXCEEDED) and not conn.half_open:
            return conn.state == State.SYN_SENT, False
        return bool(conn.error) and conn.retries >= (3 if conn.half_open else 4), True

    def undo_backoff(self, conn, now):
        """RFC 6069."""
        began = conn.main[0] - self.interval(conn)
        conn.backoff -= 1
        due = began + self.interval(conn)
        if due > tick(now):
            self.arm(conn, "main", due, REXMT)
        else:
            self.data_timer(conn, now)
