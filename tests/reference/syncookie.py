"""SYN cookies read by trying: of all cookies that could have been sent lately, is this one?"""

from tests.reference.siphash import derive_key, siphash, tuple_bytes

MASK = 0xFFFFFFFF
MSS, WSCALE, SACK_OK, TS, ECN = 1, 2, 4, 8, 16
LINUX_MSS = [536, 1300, 1440, 1460]
FREEBSD_MSS = [216, 536, 1200, 1360, 1400, 1440, 1452, 1460]
FREEBSD_WSCALE = [None, 0, 1, 2, 4, 6, 7, 8]


def round_down(table, value):
    return max([entry for entry in table if entry is not None and entry <= value], default=table[0])


class ReferenceCookies:
    """Segments are mappings with the names of SEGMENT; what a cookie says is (mss, opts, wscale)."""

    def __init__(self, rule, mss=1460, offers=WSCALE | SACK_OK | TS, seed=0):
        self.linux = rule == "linux"
        self.table = LINUX_MSS if self.linux else FREEBSD_MSS
        self.mss = mss
        self.offers = offers
        self.key = derive_key(seed, 0), derive_key(seed, 1)

    def agree(self, syn):
        mss = syn["mss"] if syn["opts"] & MSS and syn["mss"] else 536
        opts = syn["opts"] & (WSCALE | SACK_OK | TS) | (ECN if syn["flags"] & 0xC0 == 0xC0 else 0)
        opts &= self.offers
        if self.linux and not opts & TS:
            opts = 0
        if not self.linux:
            opts &= ~ECN
        wscale = min(syn["wscale"], 14) if opts & WSCALE else 0
        if not self.linux:
            wscale = round_down(FREEBSD_WSCALE[1:], wscale)
        return round_down(self.table, min(mss, self.mss)), opts, wscale

    def hash(self, seg, tail):
        ends = tuple_bytes(seg["src"], seg["sport"], seg["dst"], seg["dport"])
        return siphash(2, 4, *self.key, ends + tail)

    def linux_cookie(self, seg, irs, minute, mss):
        low = self.hash(seg, (minute & MASK).to_bytes(4, "little")) + LINUX_MSS.index(mss)
        return (self.hash(seg, b"") + irs + (minute << 24) + low % 2**24) & MASK

    def freebsd_cookie(self, seg, irs, period, mss, opts, wscale):
        index = FREEBSD_WSCALE.index(wscale if opts & WSCALE else None)
        low = FREEBSD_MSS.index(mss) << 5 | index << 2 | (2 if opts & SACK_OK else 0) | period & 1
        tail = irs.to_bytes(4, "little") + (period % 2**64).to_bytes(8, "little") + bytes([low])
        mac = self.hash(seg, tail) & MASK
        return mac & 0xFFFFFF00 | low ^ mac >> 24

    def make(self, syn, now):
        mss, opts, wscale = self.agree(syn)
        if self.linux:
            return self.linux_cookie(syn, syn["seq"], now // 60_000_000_000, mss)
        return self.freebsd_cookie(syn, syn["seq"], now // 15_000_000_000, mss, opts, wscale)

    def tsval(self, syn, clock):
        _, opts, wscale = self.agree(syn)
        if not self.linux:
            return clock
        low = (wscale if opts & WSCALE else 15) + 16 * bool(opts & SACK_OK) + 32 * bool(opts & ECN)
        return next(clock - back for back in range(64) if (clock - back) % 64 == low) & MASK

    def read(self, ack, now, ts_offset=0):
        """What the cookie says, None if there is none."""
        if ack["flags"] & 0x16 != 0x10:
            return None
        irs, cookie = (ack["seq"] - 1) & MASK, (ack["ack"] - 1) & MASK
        if self.linux:
            for minute in (now // 60_000_000_000, now // 60_000_000_000 - 1):
                for mss in LINUX_MSS:
                    if self.linux_cookie(ack, irs, minute, mss) == cookie:
                        return self.with_timestamp(mss, ack, ts_offset)
            return None
        for period in (now // 15_000_000_000, now // 15_000_000_000 - 1):
            for mss in FREEBSD_MSS:
                for wscale in FREEBSD_WSCALE:
                    for sack in (0, SACK_OK):
                        opts = sack | (0 if wscale is None else WSCALE)
                        if self.freebsd_cookie(ack, irs, period, mss, opts, wscale) == cookie:
                            return mss, opts | ack["opts"] & self.offers & TS, wscale or 0
        return None

    def with_timestamp(self, mss, ack, ts_offset):
        if not ack["opts"] & self.offers & TS:
            return mss, 0, 0
        low = (ack["tsecr"] - ts_offset) % 64 if ack["tsecr"] else 0
        wscale = low % 16
        opts = TS | (WSCALE if wscale < 15 else 0) | (SACK_OK if low & 16 else 0) | (ECN if low & 32 else 0)
        return None if opts & ~self.offers else (mss, opts, wscale if wscale < 15 else 0)
