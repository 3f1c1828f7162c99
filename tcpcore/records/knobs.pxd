# The knobs as C sees them: filled once per engine from sysctl.Config, then constant.
# A noun: one struct. Times are in ticks of 1 ms unless the name says otherwise. Every
# behaviour on which Linux, FreeBSD and the RFCs differ is a field here; no code asks for a profile.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum SynqPolicy:
    SYNQ_LINUX = 0
    SYNQ_DROP_NEW = 1
    SYNQ_EVICT_OLDEST = 2
    SYNQ_EVICT_RANDOM = 3
    SYNQ_SHORT_TIMER = 4
    SYNQ_FREEBSD = 5

cdef enum WindowRounding:
    ROUND_NOT = 0
    ROUND_DOWN = 1                # to whole MSS
    ROUND_UP = 2

cdef enum Acceptance:         # 3.10.7.4, first
    ACCEPT_LINUX = 0
    ACCEPT_RFC = 1            # the four cases
    ACCEPT_TRIM = 2           # cut to the window, and what is left goes on (FreeBSD)

cdef enum HalfOpenRules:      # SYN-RECEIVED that came from LISTEN
    HALF_OPEN_LINUX = 0       # its own, stricter order of the steps
    HALF_OPEN_RFC = 1         # the steps as they are
    HALF_OPEN_SYNCACHE = 2    # a SYN, a RST or an ACK is looked for, nothing else (FreeBSD)

cdef enum TimeWaitRules:
    TIME_WAIT_LINUX = 0
    TIME_WAIT_RFC = 1
    TIME_WAIT_FREEBSD = 2

cdef enum PawsRule:           # which segments with an old timestamp are answered
    PAWS_SPARE_ACKS = 0       # all, but a pure ACK less than an RTO old is let through (Linux)
    PAWS_ANSWER_ALL = 1       # RFC 7323 5.3 R1
    PAWS_ANSWER_TEXT = 2      # those that carry text (FreeBSD)

cdef enum SynText:            # text and FIN that come with a SYN
    SYN_TEXT_DROPPED = 0
    SYN_TEXT_KEPT = 1         # until ESTABLISHED
    SYN_TEXT_CLIENT = 2       # by who opened actively; the FIN of a SYN without ACK is forgotten (FreeBSD)

cdef struct Knobs:
    # queues
    uint8_t synq_policy           # SynqPolicy
    uint8_t tcp_syncookies
    uint8_t accept_half_more      # 3/2 backlog connections may wait for accept(); else one more than it
    uint8_t dup_syn_restarts      # a SYN again: resends of its SYN-ACK are counted afresh (FreeBSD)
    uint8_t accept_full_drops_syn     # a full accept queue refuses SYNs, not third segments only
    uint8_t tcp_abort_on_overflow
    uint32_t tcp_max_syn_backlog
    uint32_t tcp_max_tw_buckets
    # resending
    uint8_t tcp_synack_retries
    uint8_t tcp_syn_retries
    uint8_t tcp_syn_linear_timeouts
    uint8_t tcp_retries2
    uint8_t tcp_orphan_retries
    uint8_t rto_min_rule          # 0 variance: SRTT + max(4 RTTVAR, min); 1 rto: max(SRTT + 4 RTTVAR, min)
    uint32_t rto_initial
    uint32_t rto_slop
    uint32_t rto_min_us
    uint32_t rto_max
    uint32_t keepinit             # 0: none
    # closing
    uint32_t fin_timeout
    uint32_t time_wait
    uint8_t tcp_rfc1337
    uint8_t tcp_tw_reuse
    uint32_t tcp_tw_reuse_delay
    # RFC 5961
    uint32_t tcp_invalid_ratelimit
    uint32_t tcp_challenge_ack_limit   # a second; 2**31 - 1: unlimited
    uint8_t insecure_rst
    uint8_t insecure_syn
    uint8_t drop_synfin
    uint8_t blackhole
    # options and windows
    uint8_t tcp_timestamps        # 2: without the per-peer offset
    uint8_t tcp_window_scaling
    uint8_t tcp_sack
    uint8_t rcv_wscale            # the shift that rcv_buf needs
    uint8_t rcv_wscale_min
    uint16_t mss
    uint32_t rcv_buf              # bytes, rounded as the profile rounds
    uint32_t rcv_buf_stamped      # the same for a passive connection with timestamps
    uint32_t rcv_buf_whole        # not rounded
    uint8_t window_rounding       # WindowRounding
    uint32_t delack
    uint8_t auto_read
    # where the profiles part
    uint8_t acceptance            # Acceptance
    uint32_t paws_tolerance_ticks # PAWS lets a timestamp that is this much too old pass
    uint8_t paws_ignores_old_acks # an old ACK whose timestamp is old too is dropped in silence
    uint8_t ts_recent_needs_good_ack  # TS.Recent moves once the ACK was found good, not with the number
    uint8_t rst_seq_in_window     # a RST must begin in the window; else any acceptable one is looked at
    uint8_t fin_fills_buffer      # an unread FIN takes a byte of the buffer: the window's edge stays
    uint8_t fin_acked_at_once     # in FIN-WAIT-1, whatever of our own may still go out with the ACK
    uint8_t flagless_dropped      # without SYN, RST and ACK, before its numbers are looked at
    uint8_t fin_freezes_window    # after the peer's FIN the window is not opened any more
    uint8_t half_open_rules       # HalfOpenRules
    uint8_t time_wait_rules       # TimeWaitRules
    uint8_t paws_rule             # PawsRule
    uint8_t syn_text              # SynText
    uint8_t ack_range_793         # old ACKs are ignored, too new ones get an ordinary ACK; else RFC 5961 5.2
    uint8_t tsecr_checked         # while opening, an echo of what we never sent is a wrong ACK (Linux)
    uint8_t tolerate_missing_ts   # timestamps agreed, a segment without is taken (Linux)
    uint8_t window_by_buffer      # segments are judged by the buffer, whatever the header can say (FreeBSD)
    uint8_t ack_repeats_control   # an ordinary ACK repeats our unacknowledged SYN or FIN (FreeBSD)
    uint8_t seq_within_window     # an ACK's number stays inside the peer's window (Linux)
    uint8_t abort_rst_has_ack
    uint8_t crossed_syn_restarts  # simultaneous open: the SYN-ACK starts the resend timer afresh (FreeBSD)
    uint8_t listen_answers_synack     # LISTEN resets SYN+ACK
    uint8_t bad_ack_ends_half_open    # half-open: after the RST for a wrong ACK the entry goes (FreeBSD)
    uint8_t listen_drops_synfin   # LISTEN drops SYN+FIN (Linux)
    uint32_t early_syn_resend     # SYN-SENT: a wrong ACK makes the SYN due again this soon; 0: not
    uint8_t retries_by_count      # give up after n resends; else after the time they would take (Linux)
    uint8_t epipe_in_close_wait   # error of a RST in CLOSE-WAIT (Linux)
    uint8_t rst_before_fin        # after the peer's FIN a RST at RCV.NXT-1 is exact too (Linux)
    uint8_t refused_in_syn_received   # ECONNREFUSED in active SYN-RECEIVED (FreeBSD)
    uint8_t wrong_ack_first       # half-open: a wrong ACK is judged before the window (Linux)
    uint8_t unlisten_forgets      # half-open entries go with their listener at once (FreeBSD)
    uint8_t orphan_fin_wait_2_brief   # orphan FIN-WAIT-2 is kept and judged like TIME-WAIT (Linux)
    uint8_t shutdown_waits        # in active SYN-RECEIVED, until ESTABLISHED (Linux)
    uint8_t text_over_fin_resets  # text from before the peer's FIN to beyond it is reset (Linux)
    uint8_t time_wait_outlives    # TIME-WAIT goes on after abort() (Linux)
    uint8_t persist_restarts      # each ACK restarts the interval between zero-window probes (Linux)
    uint8_t ack_of_iss_opens      # active SYN-RECEIVED: an ACK that acknowledges nothing will do (Linux)
