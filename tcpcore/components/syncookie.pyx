"""SYN cookies under Linux's rule and FreeBSD's: made, and read back from the third segment.

It does not decide when a SYN is answered by a cookie, nor whether any has been sent lately. Nothing is
kept: a cookie is a function of the SYN, the time and the key. Formats and sources: syncookie.pxd;
SipHash-2-4 is the hash of both rules.
"""

# The users of the key hash messages of three lengths (the 4-tuple 12 bytes, with the minute 16, FreeBSD's
# 25), so the numbers of one say nothing about another's.
from libc.string cimport memset

from tcpcore.base.siphash cimport Sip, sip_end, sip_start, sip_word, siphash24_2, siphash24_tuple
from tcpcore.base.siphash_batch cimport (
    SIPHASH_BATCH, siphash24_many, siphash24_many_3, tuple_first, tuple_last,
)
from tcpcore.records.segment cimport ACK, CWR, ECE, MSS_DEFAULT, OPT_MSS, RST, SYN, WSCALE_MAX

cdef enum:
    LOW_24 = 0xFFFFFF
    SECOND_NS = 1_000_000_000
    MINUTES = 2               # how many different ones are good
    TS_WSCALE = 0x0F          # the low bits of TSval
    TS_SACK = 0x10
    TS_ECN = 0x20
    TS_BITS = 0x3F
    PERIOD = 15               # FreeBSD: seconds that a key is used
    KEY_PARITY = 0x01         # the low byte of the cookie
    SACK = 0x02
    WSCALE_SHIFT = 2
    MSS_SHIFT = 5

# Linux's four and FreeBSD's eight MSS; FreeBSD's shifts, where index 0 is "no option".
cdef uint16_t[4] LINUX_MSS = [536, 1300, 1440, 1460]
cdef uint16_t[8] FREEBSD_MSS = [216, 536, 1200, 1360, 1400, 1440, 1452, 1460]
cdef uint16_t[8] FREEBSD_WSCALE = [0, 0, 1, 2, 4, 6, 7, 8]


cdef void cookie_init(Cookies* cookies, CookieRule rule, uint16_t mss, uint8_t offers,
                      uint64_t k0, uint64_t k1) noexcept nogil:
    """Cookies of a host: its MSS in bytes, the OptBits (and OPT_ECN) it agrees to, and a key."""
    memset(cookies, 0, sizeof(Cookies))
    cookies.k0 = k0
    cookies.k1 = k1
    cookies.mss = mss
    cookies.rule = rule
    cookies.offers = offers


# ---- what a cookie says

cdef uint32_t index_below(const uint16_t* table, uint32_t last, uint32_t value) noexcept nogil:
    """Index of the largest entry that is not above value; 0 when all are."""
    while last and table[last] > value:
        last -= 1
    return last


cdef uint32_t cookie_index(const Cookies* cookies, const Segment* syn) noexcept nogil:
    """Index of the MSS this SYN allows, cut to our own (as an ordinary opening does)."""
    cdef uint32_t mss = syn.mss if syn.opts & OPT_MSS and syn.mss else MSS_DEFAULT
    if mss > cookies.mss:
        mss = cookies.mss
    if cookies.rule == COOKIE_LINUX:
        return index_below(LINUX_MSS, 3, mss)
    return index_below(FREEBSD_MSS, 7, mss)


cdef uint32_t wscale_index(const CookieOptions* agreed) noexcept nogil:
    """FreeBSD's index of the agreed shift, 0 for none."""
    if not agreed.opts & OPT_WSCALE:
        return 0
    return index_below(FREEBSD_WSCALE, 7, agreed.wscale)


cdef void cookie_agree(const Cookies* cookies, const Segment* syn, CookieOptions* agreed) noexcept nogil:
    """What the cookie for this SYN will say (out), and so all that the SYN-ACK may agree to."""
    cdef uint32_t index = cookie_index(cookies, syn)
    agreed.opts = syn.opts & (OPT_WSCALE | OPT_SACK_OK | OPT_TS)
    if syn.flags & (ECE | CWR) == ECE | CWR:
        agreed.opts |= OPT_ECN
    agreed.opts &= cookies.offers
    agreed.wscale = 0
    if agreed.opts & OPT_WSCALE:
        agreed.wscale = syn.wscale if syn.wscale < WSCALE_MAX else WSCALE_MAX
    if cookies.rule == COOKIE_LINUX:
        agreed.mss = LINUX_MSS[index]
        if not agreed.opts & OPT_TS:
            agreed.opts = 0
            agreed.wscale = 0
    else:
        agreed.mss = FREEBSD_MSS[index]
        agreed.opts &= ~OPT_ECN
        agreed.wscale = <uint8_t>FREEBSD_WSCALE[wscale_index(agreed)]


# ---- Linux

cdef uint32_t linux_base(const Cookies* cookies, const Segment* seg, uint32_t irs) noexcept nogil:
    """What Linux's rule adds to all 32 bits."""
    return irs + <uint32_t>siphash24_tuple(cookies.k0, cookies.k1, seg.src, seg.sport, seg.dst, seg.dport)


cdef inline uint64_t ports_and_minute(const Segment* seg, uint32_t minute) noexcept nogil:
    """The second word of linux_mask."""
    return seg.sport | <uint64_t>seg.dport << 16 | <uint64_t>minute << 32


cdef uint32_t linux_mask(const Cookies* cookies, const Segment* seg, uint32_t minute) noexcept nogil:
    """What Linux's rule adds to the low 24 bits."""
    return <uint32_t>siphash24_2(cookies.k0, cookies.k1, tuple_first(seg.src, seg.dst),
                                 ports_and_minute(seg, minute))


cdef uint32_t linux_make(const Cookies* cookies, const Segment* syn, uint32_t index,
                         uint32_t minute) noexcept nogil:
    """The cookie with this MSS index, made in this minute."""
    return linux_cookie(linux_base(cookies, syn, syn.seq), linux_mask(cookies, syn, minute), index, minute)


cdef void cookie_many(const Cookies* cookies, const Segment* syns, Py_ssize_t n, uint32_t minute,
                      uint32_t* bases, uint32_t* masks) noexcept nogil:
    """What linux_cookie takes (out) for n <= SIPHASH_BATCH segments, as if each were a SYN."""
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef uint64_t hashes[SIPHASH_BATCH]
    cdef Py_ssize_t i
    for i in range(n):
        first[i] = tuple_first(syns[i].src, syns[i].dst)
        last[i] = tuple_last(syns[i].sport, syns[i].dport)
    siphash24_many(cookies.k0, cookies.k1, first, last, hashes, n)
    for i in range(n):
        bases[i] = syns[i].seq + <uint32_t>hashes[i]
        last[i] = ports_and_minute(&syns[i], minute)
    siphash24_many_3(cookies.k0, cookies.k1, first, last, <uint64_t>16 << 56, hashes, n)
    for i in range(n):
        masks[i] = <uint32_t>hashes[i]


cdef uint32_t linux_index(const Cookies* cookies, const Segment* ack, uint32_t minute) noexcept nogil:
    """MSS index in the cookie that this segment acknowledges; above 3: none that we sent lately."""
    cdef uint32_t left = ack.ack - 1 - linux_base(cookies, ack, ack.seq - 1)
    cdef uint32_t age = (minute - (left >> 24)) & 0xFF
    if age >= MINUTES:
        return LOW_24
    return (left - linux_mask(cookies, ack, minute - age)) & LOW_24


cdef uint32_t linux_bits(const CookieOptions* agreed) noexcept nogil:
    """The options as the low bits of TSval carry them."""
    cdef uint32_t bits = agreed.wscale if agreed.opts & OPT_WSCALE else TS_WSCALE
    if agreed.opts & OPT_SACK_OK:
        bits |= TS_SACK
    if agreed.opts & OPT_ECN:
        bits |= TS_ECN
    return bits


cdef bint linux_options(const Cookies* cookies, const Segment* ack, uint32_t ts_offset,
                        CookieOptions* out) noexcept nogil:
    """What the echoed timestamp says (out); False when it says what we never agree to."""
    cdef uint32_t bits = ack.tsecr - ts_offset if ack.tsecr else 0
    if not ack.opts & cookies.offers & OPT_TS:
        return True                                   # without tcp_timestamps the option is not read at all
    out.opts = OPT_TS
    if bits & TS_WSCALE != TS_WSCALE:
        out.opts |= OPT_WSCALE
        out.wscale = bits & TS_WSCALE
    if bits & TS_SACK:
        out.opts |= OPT_SACK_OK
    if bits & TS_ECN:
        out.opts |= OPT_ECN
    return out.opts & ~cookies.offers == 0


# ---- FreeBSD

cdef uint32_t freebsd_make(const Cookies* cookies, const Segment* seg, uint32_t irs, uint32_t low,
                           uint64_t period) noexcept nogil:
    """The cookie with this low byte.

    FreeBSD draws a new key every period and keeps the last two. Here the period is part of the message:
    under a keyed hash that is as good as a key of its own for every period, and none has to be kept."""
    cdef Sip s
    cdef uint32_t mac
    sip_start(&s, cookies.k0, cookies.k1)
    sip_word(&s, seg.src | <uint64_t>seg.dst << 32, True)
    sip_word(&s, seg.sport | <uint64_t>seg.dport << 16 | <uint64_t>irs << 32, True)
    sip_word(&s, period, True)
    sip_word(&s, low | <uint64_t>25 << 56, True)
    mac = <uint32_t>sip_end(&s, True)
    return (mac & <uint32_t>0xFFFFFF00) | (low ^ mac >> 24)


cdef uint32_t freebsd_low(const CookieOptions* agreed, uint32_t index, uint64_t period) noexcept nogil:
    """The low byte of FreeBSD's cookie: all that it says."""
    cdef uint32_t low = index << MSS_SHIFT | wscale_index(agreed) << WSCALE_SHIFT
    if agreed.opts & OPT_SACK_OK:
        low |= SACK
    return low | <uint32_t>(period & KEY_PARITY)


cdef bint freebsd_read(const Cookies* cookies, const Segment* ack, uint64_t period,
                       CookieOptions* out) noexcept nogil:
    """cookie_read under FreeBSD's rule; `out` is zeroed."""
    cdef uint32_t cookie = ack.ack - 1
    cdef uint32_t low = (cookie ^ cookie >> 24) & 0xFF, wscale = low >> WSCALE_SHIFT & 7
    period -= (period ^ low) & KEY_PARITY
    if freebsd_make(cookies, ack, ack.seq - 1, low, period) != cookie:
        return False
    out.mss = FREEBSD_MSS[low >> MSS_SHIFT]
    out.opts = ack.opts & cookies.offers & OPT_TS
    if low & SACK:
        out.opts |= OPT_SACK_OK
    if wscale:
        out.opts |= OPT_WSCALE
        out.wscale = <uint8_t>FREEBSD_WSCALE[wscale]
    return True


# ---- the calls

cdef uint32_t cookie_make(const Cookies* cookies, const Segment* syn, int64_t now) noexcept nogil:
    """The ISN that answers this SYN; now in ns, not negative."""
    cdef uint32_t index = cookie_index(cookies, syn)
    cdef uint64_t period
    cdef CookieOptions agreed
    if cookies.rule == COOKIE_LINUX:
        return linux_make(cookies, syn, index, cookie_minute(now))
    cookie_agree(cookies, syn, &agreed)
    period = now // SECOND_NS // PERIOD
    return freebsd_make(cookies, syn, syn.seq, freebsd_low(&agreed, index, period), period)


cdef uint32_t cookie_tsval(const Cookies* cookies, const CookieOptions* agreed,
                           uint32_t clock) noexcept nogil:
    """TSval of the SYN-ACK before the peer's offset is added; clock in ms. Linux's rule: the largest value
    not above the clock whose low bits are the options."""
    if cookies.rule == COOKIE_LINUX:
        return clock - ((clock - linux_bits(agreed)) & TS_BITS)
    return clock


cdef bint cookie_read(const Cookies* cookies, const Segment* ack, uint32_t ts_offset, int64_t now,
                      CookieOptions* out) noexcept nogil:
    """Whether this segment, with or without data or FIN, acknowledges a cookie of ours.

    What the cookie says goes to `out`, zeros if there is none. ts_offset is what was added to cookie_tsval;
    now in ns.
    """
    cdef uint32_t index
    memset(out, 0, sizeof(CookieOptions))
    if ack.flags & (ACK | SYN | RST) != ACK:
        return False
    if cookies.rule == COOKIE_FREEBSD:
        return freebsd_read(cookies, ack, now // SECOND_NS // PERIOD, out)
    index = linux_index(cookies, ack, cookie_minute(now))
    if index > 3:
        return False
    if not linux_options(cookies, ack, ts_offset, out):
        memset(out, 0, sizeof(CookieOptions))
        return False
    out.mss = LINUX_MSS[index]
    return True
