"""SynCookies: the cookies of one host, driven in batches; for tests and benchmarks."""

import numpy as np

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t

from tcpcore.base.siphash cimport derive_key
from tcpcore.components.syncookie cimport (
    COOKIE_FREEBSD, COOKIE_LINUX, CookieOptions, Cookies, cookie_agree, cookie_init, cookie_lost, cookie_make,
    cookie_read, cookie_tsval,
)
from tcpcore.records.segment cimport OPT_SACK_OK, OPT_TS, OPT_WSCALE, Segment

from tcpcore.records.integers import to_uint
from tcpcore.records.segment import as_segments


_RULES = {"linux": COOKIE_LINUX, "freebsd": COOKIE_FREEBSD}

assert sizeof(CookieOptions) == 4

#: What a cookie says: MSS in bytes, the peer's window shift, options in use (Option bits, and 16 for ECN).
COOKIE_OPTIONS = np.dtype([("mss", np.uint16), ("opts", np.uint8), ("wscale", np.uint8)])


cdef int64_t time_of(now) except -1:
    if to_uint(now, "now", 64) >= 1 << 63:
        raise ValueError(f"now: expected 0 .. {(1 << 63) - 1}, got {now}")
    return now


@cython.final
cdef class SynCookies:
    """Cookies of one host, driven in batches.

    Methods raise TypeError or ValueError, naming it, for a parameter of the wrong type or out of range.

    Parameters
    ----------
    rule : {"linux", "freebsd"}
    mss : int
        Our own MSS in bytes, 1 to 65535.
    offers : int
        Option bits (and 16 for ECN) that this host agrees to.
    seed : int
        Where the key comes from, 0 to 2**64 - 1.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong type or out of range.
    """

    cdef Cookies cookies

    def __cinit__(self, rule, *, mss=1460, offers=OPT_WSCALE | OPT_SACK_OK | OPT_TS, seed=0):
        cdef uint64_t key = to_uint(seed, "seed", 64)
        if rule not in _RULES:
            raise ValueError(f"rule: expected one of {', '.join(_RULES)}, got {rule!r}")
        if to_uint(mss, "mss", 16) == 0:
            raise ValueError(f"mss: expected 1 .. 65535, got {mss}")
        cookie_init(&self.cookies, _RULES[rule], mss, to_uint(offers, "offers", 8),
                    derive_key(key, 0), derive_key(key, 1))

    def agree(self, syns):
        """What the cookie for each SYN will say.

        Parameters
        ----------
        syns : SEGMENT[n]

        Returns
        -------
        COOKIE_OPTIONS[n], uint8[n]
            And which options the SYN offered, we would have taken, and the cookie cannot carry.
        """
        cdef Py_ssize_t i, n = len(as_segments(syns, "syns"))
        agreed = np.zeros(n, COOKIE_OPTIONS)
        lost = np.zeros(n, np.uint8)
        cdef const Segment* rows = <const Segment*><uintptr_t>syns.ctypes.data
        cdef CookieOptions* out = <CookieOptions*><uintptr_t>agreed.ctypes.data
        cdef uint8_t* gone = <uint8_t*><uintptr_t>lost.ctypes.data
        for i in range(n):
            cookie_agree(&self.cookies, &rows[i], &out[i])
            gone[i] = cookie_lost(&self.cookies, &rows[i], &out[i])
        return agreed, lost

    def make(self, syns, now):
        """The ISN that answers each SYN.

        Parameters
        ----------
        syns : SEGMENT[n]
        now : int
            Nanoseconds, not negative.

        Returns
        -------
        uint32[n]
        """
        cdef Py_ssize_t i, n = len(as_segments(syns, "syns"))
        cdef int64_t at = time_of(now)
        isns = np.empty(n, np.uint32)
        cdef const Segment* rows = <const Segment*><uintptr_t>syns.ctypes.data
        cdef uint32_t* out = <uint32_t*><uintptr_t>isns.ctypes.data
        with nogil:
            for i in range(n):
                out[i] = cookie_make(&self.cookies, &rows[i], at)
        return isns

    def tsval(self, syns, clock):
        """TSval of the SYN-ACK to each SYN, without the peer's offset.

        Parameters
        ----------
        syns : SEGMENT[n]
        clock : int
            Milliseconds, 0 to 2**32 - 1.

        Returns
        -------
        uint32[n]
        """
        cdef Py_ssize_t i, n = len(as_segments(syns, "syns"))
        cdef uint32_t ticks = to_uint(clock, "clock", 32)
        values = np.empty(n, np.uint32)
        cdef const Segment* rows = <const Segment*><uintptr_t>syns.ctypes.data
        cdef uint32_t* out = <uint32_t*><uintptr_t>values.ctypes.data
        cdef CookieOptions agreed
        for i in range(n):
            cookie_agree(&self.cookies, &rows[i], &agreed)
            out[i] = cookie_tsval(&self.cookies, &agreed, ticks)
        return values

    def read(self, acks, now, ts_offset=0):
        """What the cookie says that each segment acknowledges.

        Parameters
        ----------
        acks : SEGMENT[n]
        now : int
            Nanoseconds, not negative.
        ts_offset : int
            What was added to the TSval of the SYN-ACKs, 0 to 2**32 - 1.

        Returns
        -------
        COOKIE_OPTIONS[n]
            All zeros where there is no good cookie.
        """
        cdef Py_ssize_t i, n = len(as_segments(acks, "acks"))
        cdef int64_t at = time_of(now)
        cdef uint32_t offset = to_uint(ts_offset, "ts_offset", 32)
        found = np.empty(n, COOKIE_OPTIONS)
        cdef const Segment* rows = <const Segment*><uintptr_t>acks.ctypes.data
        cdef CookieOptions* out = <CookieOptions*><uintptr_t>found.ctypes.data
        with nogil:
            for i in range(n):
                cookie_read(&self.cookies, &rows[i], offset, at, &out[i])
        return found
