# SYN cookies: the ISN carries what a half-open entry would have remembered, so that a full queue still
# answers (RFC 4987 3.6). Nothing is stored: every result is a function of the arguments, and a cookie is
# accepted as often as it comes back while it is not too old.
#
#   COOKIE_LINUX     bits 31..24   (minute + carry) mod 256    all 32: + H(tuple) + SEG.SEQ
#                    bits 23..0    H(tuple, minute) + MSS index
#     MSS 536 1300 1440 1460; good while the minute is this one or the last: 60 to 120 s.
#     A cookie says nothing else. The other options ride in the low bits of our TSval, and come
#     back in TSecr, unauthenticated; without timestamps they are lost:
#
#        bit    31         6   5   4  3    0
#             |  clock      |ECN|SACK|wscale|      wscale 15: no such option
#
#   COOKIE_FREEBSD   bits 31..8    24 bits of MAC(tuple, SEG.SEQ, period, low byte)
#                    bits 7..0     |MSS 3|wscale 3|SACK 1|key 1|  xor bits 31..24
#     MSS 216 536 1200 1360 1400 1440 1452 1460; wscale: none 0 1 2 4 6 7 8, rounded down;
#     key: parity of the period of 15 s; good in its own period and the next: 15 to 30 s.
#
# tuple is (peer address, own address, peer port, own port), H and MAC are SipHash-2-4. What a
# table lacks is rounded down, and to its first entry if that is above the number.
#
# Blind forgery: of the 2**32 ACK numbers that may go with one SEG.SEQ, Linux's rule takes
# exactly 2 minutes * 4 indices = 8, odds 2**-29, FreeBSD's the 256 low bytes, odds 2**-24.
# Linux's indices are neighbours, so a genuine cookie is also good with an ACK a little lower;
# and as only ISN - SEG.SEQ is looked at, so is one with seq and ack shifted together.
#
# cookie_many hashes for a stretch of SYNs at once what linux_cookie takes.
#
# What the event loop does. To answer a SYN: cookie_agree; the SYN-ACK has the ISN of cookie_make and
# agrees to no more than that, its TSval is cookie_tsval + offset. For an ACK to a listener that no TCB is
# for: cookie_read; True is a connection with IRS = SEG.SEQ - 1, ISS = SEG.ACK - 1. Whether cookies have
# been sent lately (Linux: within two minutes) and whether the accept queue has room is asked before.
# Source: RFC 4987 3.6; Linux net/ipv4/syncookies.c; FreeBSD 14 tcp_syncache.c (syncookie_generate, _lookup).
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.segment cimport OPT_SACK_OK, OPT_TS, OPT_WSCALE, Segment

cdef enum CookieRule:
    COOKIE_LINUX = 0
    COOKIE_FREEBSD = 1

cdef enum:
    OPT_ECN = 16              # among OptBits: ECN, which SYNs ask for by ECE and CWR (RFC 3168 6.1.1)

cdef struct Cookies:
    uint64_t k0
    uint64_t k1
    uint16_t mss              # our own: the peer's is cut to it
    uint8_t rule              # CookieRule
    uint8_t offers            # OptBit and OPT_ECN: what this host agrees to

cdef struct CookieOptions:
    uint16_t mss              # bytes we may send, as the cookie tells it
    uint8_t opts              # of OPT_WSCALE, OPT_SACK_OK, OPT_TS, OPT_ECN: in use
    uint8_t wscale            # the peer's shift, with OPT_WSCALE

cdef void cookie_init(Cookies* cookies, CookieRule rule, uint16_t mss, uint8_t offers,
                      uint64_t k0, uint64_t k1) noexcept nogil
cdef void cookie_agree(const Cookies* cookies, const Segment* syn, CookieOptions* agreed) noexcept nogil
cdef uint32_t cookie_make(const Cookies* cookies, const Segment* syn, int64_t now) noexcept nogil
cdef uint32_t cookie_index(const Cookies* cookies, const Segment* syn) noexcept nogil
cdef void cookie_many(const Cookies* cookies, const Segment* syns, Py_ssize_t n, uint32_t minute,
                      uint32_t* bases, uint32_t* masks) noexcept nogil
cdef uint32_t cookie_tsval(const Cookies* cookies, const CookieOptions* agreed, uint32_t clock) noexcept nogil
cdef bint cookie_read(const Cookies* cookies, const Segment* ack, uint32_t ts_offset, int64_t now,
                      CookieOptions* out) noexcept nogil


cdef inline uint32_t cookie_minute(int64_t now) noexcept nogil:
    """The minute that a cookie of Linux's rule is made in."""
    return <uint32_t>(now // 1_000_000_000 // 60)


cdef inline uint32_t linux_cookie(uint32_t base, uint32_t mask, uint32_t index,
                                  uint32_t minute) noexcept nogil:
    """The cookie of Linux's rule; base: H(tuple) + SEG.SEQ, mask: H(tuple, minute)."""
    return base + (minute << 24) + ((mask + index) & 0xFFFFFF)


cdef inline uint8_t cookie_lost(const Cookies* cookies, const Segment* syn,
                                const CookieOptions* agreed) noexcept nogil:
    """OptBits that both ends wanted and the cookie for this SYN cannot carry."""
    return syn.opts & cookies.offers & (OPT_WSCALE | OPT_SACK_OK | OPT_TS) & ~agreed.opts
