"""SYN-ACKs whose ISN is a cookie, and connections that open by an ACK of one.

Nothing is kept in between: the half-open entry of a cookie lives on the stack while the SYN-ACK is written.
Source: Linux cookie_v4_init_sequence and cookie_v4_check, FreeBSD syncookie_generate and syncookie_lookup.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport likely, unlikely
from tcpcore.records.action cimport Action
from tcpcore.records.counters cimport CauseAcceptQueueFull, CauseBlocksExhausted, Mib, count, count_n
from tcpcore.records.knobs cimport ROUND_MSS_DOWN
from tcpcore.records.out_of_order cimport Ranges
from tcpcore.records.segment cimport CWR, ECE, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE
from tcpcore.records.tcb cimport B_SACK, B_TS, B_WSCALE, ESTABLISHED, Cold, Tcb, Timestamps
from tcpcore.tcp.opens cimport open_cookie, open_passive
from tcpcore.tcp.receive_window cimport round_window
from tcpcore.tcp.rto cimport clock_ms
from tcpcore.tcp.syn_image cimport answer_alike, drop_image, is_alike, keep_image
from tcpcore.components.flow_table cimport flow_insert
from tcpcore.components.listeners cimport accept_queue_full, listener_at
from tcpcore.components.ports cimport in_port_range
from tcpcore.components.syncookie cimport (
    COOKIE_LINUX, OPT_ECN, CookieOptions, cookie_agree, cookie_index, cookie_lost, cookie_make, cookie_many,
    cookie_minute, cookie_read, cookie_tsval, linux_cookie,
)
from tcpcore.components.tcb_pool cimport pool_take
from tcpcore.loops.apply cimport (
    PriorState, apply_action, begin_action, drop_unwanted, enqueue, refuse, save_state,
)
from tcpcore.loops.isn_batch cimport isn_batch_find, stretch_from, ts_offset_for
from tcpcore.loops.passive cimport ask_of, buffer_for, count_passive, fill_passive_tuple, own_buffer
from tcpcore.loops.state cimport CookieImage

cdef enum:
    COOKIE_LIFE_S = 120       # Linux TCP_SYNCOOKIE_VALID: how long after the last one they are looked for


cdef void expect_cookies(Listener* listener, int64_t now) noexcept nogil:
    """Have ACKs to this listener looked at for cookies from now on."""
    listener.cookie_until = now + <int64_t>COOKIE_LIFE_S * 1_000_000_000


cdef uint32_t cookie_buffer(const EngineState* eng, const Listener* listener,
                            const CookieOptions* told) noexcept nogil:
    """The receive buffer of a connection that a cookie opens, as open_passive takes it.

    Linux rounds it to the MSS in the cookie, whether or not segments carry timestamps (cookie_v4_check).
    """
    cdef uint32_t size = listener.rcv_buf if listener.rcv_buf else eng.knobs.rcv_buf_whole
    cdef bint stamped = told.opts & OPT_TS
    if eng.knobs.window_rounding != ROUND_MSS_DOWN:
        return buffer_for(eng, listener, stamped)
    return own_buffer(eng, round_window(&eng.knobs, size, told.mss, False), stamped)


cdef uint32_t make_cookie(EngineState* eng, const Segment* seg, uint32_t index,
                          int64_t now) noexcept nogil:
    """cookie_make for this SYN and index of MSS. Under Linux's rule a stretch of SYNs is hashed at once."""
    cdef Py_ssize_t at = seg - eng.batch - eng.cookie_first, n
    cdef uint32_t minute = cookie_minute(now)
    if eng.cookies.rule != COOKIE_LINUX:
        return cookie_make(&eng.cookies, seg, now)
    if not 0 <= at < eng.cookie_count or eng.cookie_minute != minute:
        n = stretch_from(eng, seg, eng.cookie_first)
        if n == 0:
            return cookie_make(&eng.cookies, seg, now)
        cookie_many(&eng.cookies, seg, n, minute, eng.cookie_bases, eng.cookie_masks)
        eng.cookie_first = seg - eng.batch
        eng.cookie_count = n
        eng.cookie_minute = minute
        at = 0
    return linux_cookie(eng.cookie_bases[at], eng.cookie_masks[at], index, minute)


cdef void answer_by_cookie(EngineState* eng, const Segment* seg, uint32_t id, uint32_t offset, int64_t now,
                           Segment* rows) noexcept nogil:
    """The SYN-ACK for a SYN that is not like the last one, and its image."""
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef CookieImage* image = &eng.cookie_image
    cdef Tcb tcb
    cdef Cold cold
    cdef Timestamps stamp
    cdef Segment heard = seg[0]
    cookie_agree(&eng.cookies, seg, &image.agreed)
    image.index = cookie_index(&eng.cookies, seg)
    image.lost = options_in(cookie_lost(&eng.cookies, seg, &image.agreed))
    heard.opts &= image.agreed.opts | OPT_MSS
    if eng.cookies.rule == COOKIE_LINUX and not image.agreed.opts & OPT_ECN:
        heard.flags &= ~(ECE | CWR)                   # what the cookie cannot tell is not granted
    memset(&tcb, 0, sizeof(Tcb))
    fill_passive_tuple(&tcb, seg, id, listener)
    open_passive(&tcb, &cold, &stamp, &heard, &eng.knobs, now, 0, offset,
                 buffer_for(eng, listener, heard.opts & OPT_TS), rows)
    drop_image(&image.syn)
    keep_image(&image.syn, &tcb, seg, rows, 0)


cdef uint32_t send_cookie(EngineState* eng, const Segment* seg, uint32_t id, int64_t now,
                          Segment* rows) noexcept nogil:
    """Answer a SYN by a cookie; one row."""
    cdef CookieImage* image = &eng.cookie_image
    cdef uint32_t offset = ts_offset_for(eng, seg, isn_batch_find(eng, seg, now))
    if likely(eng.predicting and is_alike(&image.syn, seg)):
        answer_alike(&image.syn, seg, 0, 0, rows)
    else:
        answer_by_cookie(eng, seg, id, offset, now, rows)
    rows[0].seq = make_cookie(eng, seg, image.index, now)
    if rows[0].opts & OPT_TS:
        rows[0].tsval = cookie_tsval(&eng.cookies, &image.agreed, clock_ms(now)) + offset
    expect_cookies(listener_at(&eng.listeners, id), now)
    count_n(&eng.counters, Mib.SyncookiesLostOptions, image.lost)
    count(&eng.counters, Mib.SyncookiesSent)
    count_n(&eng.counters, Mib.SynPayloadIgnored, seg.payload_len)
    return 1


cdef uint32_t options_in(uint8_t opts) noexcept nogil:
    """How many options these OptBits are."""
    return (opts & 1) + (opts >> 1 & 1) + (opts >> 2 & 1) + (opts >> 3 & 1)


cdef bint cookie_back(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t id, int64_t now,
                      Segment* rows, uint32_t* n_rows) noexcept nogil:
    """Whether an ACK to a listener acknowledges a cookie; if so it has been dealt with: opened, or refused.

    Cookies are looked for only while one may be out (Linux tcp_synq_no_recent_overflow).
    """
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef CookieOptions told
    cdef uint32_t offset, ref
    n_rows[0] = 0
    if not eng.knobs.tcp_syncookies or now > listener.cookie_until:
        return False
    offset = ts_offset_for(eng, seg, isn_batch_find(eng, seg, now))
    if not cookie_read(&eng.cookies, seg, offset, now, &told):
        count(&eng.counters, Mib.SyncookiesFailed)
        return False
    count(&eng.counters, Mib.SyncookiesRecv)
    ref = 0
    if accept_queue_full(listener):
        count(&eng.counters, Mib.ListenOverflows)
        refuse(eng, CauseAcceptQueueFull, id, now)
    else:
        ref = pool_take(&eng.pool)
        if ref == 0:
            count(&eng.counters, Mib.BlocksExhausted)
            refuse(eng, CauseBlocksExhausted, id, now)
    if ref == 0:
        count(&eng.counters, Mib.ListenDrops)
    else:
        n_rows[0] = open_by_cookie(eng, seg, hash, ref - 1, id, &told, offset, now, rows)
    return True


cdef uint32_t open_by_cookie(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t slot, uint32_t id,
                             const CookieOptions* told, uint32_t offset, int64_t now,
                             Segment* rows) noexcept nogil:
    """ESTABLISHED out of a good cookie; there never was a half-open entry. Returns the rows written."""
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Action act
    cdef Ranges scratch
    cdef PriorState prior
    begin_action(eng, &act, &scratch, slot, rows)
    fill_passive_tuple(tcb, seg, id, listener)
    tcb.mss = told.mss
    tcb.bits |= (B_TS if told.opts & OPT_TS else 0) | (B_SACK if told.opts & OPT_SACK_OK else 0)
    if told.opts & OPT_WSCALE:
        tcb.bits |= B_WSCALE
        tcb.wscale = told.wscale | (0 if listener.rcv_buf else eng.knobs.rcv_wscale << 4)
    tcb.state = ESTABLISHED
    save_state(&prior, tcb)
    eng.counts[ESTABLISHED] += 1
    flow_insert(&eng.flows, hash, slot + 1)
    if unlikely(in_port_range(&eng.ports, tcb.lport)):
        count_passive(eng, tcb)
    if unlikely(eng.listeners.any_asked):
        ask_of(eng, slot, id)
    open_cookie(tcb, &eng.pool.colds[slot], seg, &eng.knobs, now, offset,
                cookie_buffer(eng, listener, told), &act)
    enqueue(eng, slot, now)
    drop_unwanted(eng, &act)
    apply_action(eng, slot, &prior, &act, now)
    return act.n_rows
