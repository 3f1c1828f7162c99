# The knobs as the TCP state machine and the components read them: one struct, filled once per engine.
#
# A field is named like the knob of Config it holds (tcpcore/knobs.py: default, range, what it does), so that
# engine.pyx fills the struct by name; only the derived ones at its end are made from something else
# (config.DERIVED). A choice is the number of its name in the declaration, and its enum is called like the
# knob. None is 0. Times are in ticks of 1 ms unless the name says otherwise. tests/config compares.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cpdef enum SynqPolicy:
    SYNQ_LINUX = 0, SYNQ_FREEBSD = 1, SYNQ_DROP_NEW = 2
    SYNQ_EVICT_OLDEST = 3, SYNQ_EVICT_RANDOM = 4, SYNQ_SHORT_TIMER = 5

cpdef enum AcceptQueueRule:   # how many may wait for accept() at backlog B: B + 1; 3/2 B (FreeBSD)
    ACCEPT_QUEUE_ONE_MORE = 0, ACCEPT_QUEUE_HALF_MORE = 1
cpdef enum RtoMinRule:        # SRTT + max(4 RTTVAR, min) (Linux); max(SRTT + 4 RTTVAR, min): RFC 6298 2.4
    RTO_MIN_VARIANCE = 0, RTO_MIN_RTO = 1
cpdef enum RetriesRule:       # give up after the time that n resends would take (Linux); after n resends
    RETRIES_TIME = 0, RETRIES_COUNT = 1
cpdef enum PersistInterval:   # of zero-window probes, before it doubles
    PERSIST_RTO = 0, PERSIST_SRTT = 1  # 4 SRTT + 8 RTTVAR (FreeBSD: tcp_setpersist)
cpdef enum PersistProbe:      # an empty ACK at SND.UNA - 1 (Linux); a byte of new text (FreeBSD)
    PROBE_OLD_NUMBER = 0, PROBE_BYTE = 1
cpdef enum PersistEnds:       # after so many probes without an answer; FreeBSD: tcp_timer_persist
    PERSIST_ENDS_PROBES = 0, PERSIST_ENDS_SILENCE = 1
cpdef enum WindowOffered:
    OFFERED_LINUX = 0, OFFERED_FREEBSD = 1
cpdef enum WindowUpdate:      # twice the window (Linux); two segments, or half the buffer (FreeBSD)
    UPDATE_DOUBLED = 0, UPDATE_TWO_SEGMENTS = 1
cpdef enum WindowRounding:    # to whole MSS
    ROUND_MSS_DOWN = 0, ROUND_MSS_UP = 1, ROUND_NONE = 2

cpdef enum Acceptance:        # 3.10.7.4, first; RFC: the four cases
    ACCEPT_LINUX = 0, ACCEPT_RFC = 1
    ACCEPT_TRIM = 2           # cut to the window, and what is left goes on (FreeBSD)
cpdef enum HalfOpenRules:     # SYN-RECEIVED that came from LISTEN
    HALF_OPEN_LINUX = 0       # its own, stricter order of the steps
    HALF_OPEN_RFC = 1         # the steps as they are
    HALF_OPEN_SYNCACHE = 2    # a SYN, a RST or an ACK is looked for, nothing else (FreeBSD)
cpdef enum TimeWaitRules:
    TIME_WAIT_LINUX = 0, TIME_WAIT_RFC = 1, TIME_WAIT_FREEBSD = 2

cpdef enum PawsAnswers:       # which segments with an old timestamp are answered
    PAWS_SPARE_ACKS = 0       # all, but a pure ACK less than an RTO old is let through (Linux)
    PAWS_ANSWER_ALL = 1       # RFC 7323 5.3 R1
    PAWS_ANSWER_TEXT = 2      # those that carry text (FreeBSD)
cpdef enum AckRange:          # an ACK of something old, or of something never sent
    ACK_RANGE_RFC5961 = 0     # a challenge ACK (RFC 5961 5.2)
    ACK_RANGE_RFC793 = 1      # old: ignored; never sent: an ordinary ACK
cpdef enum SynText:           # text and FIN that come with a SYN
    SYN_TEXT_DROPPED = 0
    SYN_TEXT_KEPT = 1         # until ESTABLISHED
    SYN_TEXT_CLIENT = 2       # by who opened actively; the FIN of a SYN without ACK is forgotten (FreeBSD)
cpdef enum UnreachableRules:  # ICMP destination unreachable, by state
    UNREACHABLE_LINUX = 0     # ends an attempt to connect, is remembered by a connection
    UNREACHABLE_RFC = 1       # protocol and port: ends it, at any time
    UNREACHABLE_FREEBSD = 2   # port: ends an attempt; others by the second, after resends; connections ignore

cdef struct Knobs:
    # the queues of a listener
    uint8_t synq_policy           # SynqPolicy
    uint8_t accept_queue_rule     # AcceptQueueRule
    uint8_t tcp_syncookies, dup_syn_restarts, accept_full_drops_syn, tcp_abort_on_overflow
    uint32_t tcp_max_syn_backlog, syncache_bucketlimit
    # resending
    uint8_t tcp_synack_retries, tcp_syn_retries, tcp_syn_linear_timeouts, tcp_retries2, tcp_orphan_retries
    uint8_t orphan_probes_end, closed_window_ends, tcp_early_retrans, tcp_keepalive_probes, always_keepalive
    uint16_t tcp_keepalive_time, tcp_keepalive_intvl      # s
    uint32_t tcp_user_timeout_ms  # 0: none
    uint8_t rto_min_rule          # RtoMinRule
    uint8_t retries_rule          # RetriesRule
    uint8_t rexmit_drop_options, rto_doublings_max
    uint32_t rto_initial_ms, rto_slop_ms, rto_syn_resent_ms, tcp_rto_min_us, tcp_rto_max_ms
    uint32_t keepinit_ms          # 0: no bound
    uint8_t persist_interval, persist_probe, persist_ends     # PersistInterval, PersistProbe, PersistEnds
    uint32_t persmin_ms, persmax_ms   # 0: none; 0: tcp_rto_max_ms
    # closing
    uint8_t tcp_rfc1337, tcp_tw_reuse, nolocaltimewait, fast_finwait2_recycle
    uint32_t time_wait_ms, tcp_max_tw_buckets, tcp_max_orphans, tcp_tw_reuse_delay, tw_reuse_clock_ms
    # doubtful segments
    uint8_t insecure_rst, insecure_syn, drop_synfin, blackhole, ack_war_cnt
    uint32_t tcp_challenge_ack_limit, tcp_invalid_ratelimit
    uint32_t ack_war_timewindow_ms
    # options and windows
    uint8_t tcp_timestamps, tcp_window_scaling, tcp_sack, rcv_wscale_min
    uint8_t tcp_ecn, tcp_ecn_fallback, ecn_maxretries, crossed_ecn_granted
    uint8_t window_rounding, window_offered, window_update    # WindowRounding, WindowOffered, WindowUpdate
    uint8_t window_by_buffer, own_buffer_wscale, auto_read
    uint16_t mss, tcp_min_snd_mss
    uint32_t delack_ms
    # where the stacks and the RFCs part
    uint8_t acceptance            # Acceptance
    uint8_t half_open_rules       # HalfOpenRules
    uint8_t time_wait_rules       # TimeWaitRules
    uint8_t paws_answers          # PawsAnswers
    uint8_t ack_range             # AckRange
    uint8_t syn_text              # SynText
    uint8_t unreachable_rules, unreachable_undoes_backoff    # UnreachableRules
    uint32_t early_syn_resend_ms, paws_tolerance_ticks, paws_idle_ms
    uint8_t paws_ignores_old_acks, ts_recent_needs_good_ack, tsecr_checked, tolerate_missing_ts
    uint8_t listen_drops_synfin, listen_answers_synack, wrong_ack_first, bad_ack_ends_half_open
    uint8_t crossed_syn_restarts, crossed_synack_opens, crossed_synack_offers, crossed_keepalive
    uint8_t ack_of_iss_opens, shutdown_waits, unlisten_forgets, close_forgets_opening
    uint8_t flagless_dropped, rst_seq_in_window, rst_before_fin, refused_in_syn_received, epipe_in_close_wait
    uint8_t ack_repeats_control, seq_within_window, abort_rst_has_ack, persist_restarts, overlap_acked_at_once
    uint8_t resets_from_last_ack, rst_at_sack_edge, rst_has_window, fin_needs_window, linger_takes_text
    uint8_t fin_fills_buffer, fin_acked_at_once, fin_freezes_window, text_over_fin_resets
    uint8_t orphan_fin_wait_2_brief, time_wait_outlives, beyond_window_dropped, bare_fin_needs_window
    # derived
    uint8_t rcv_wscale, plain_wscale      # plain_wscale: with which header_window holds
    uint32_t rcv_buf, rcv_buf_stamped     # bytes, rounded; for a passive connection with timestamps
    uint16_t header_window, header_window_stamped     # what SEG.WND says of them after the handshake
    uint32_t rcv_buf_whole        # bytes, not rounded
    uint32_t rcv_buf_judged       # bytes: rcv_buf before it is rounded up to what the shift can tell
    uint32_t plain_rto_ms         # the RTO after one round trip is this and the trip,
    uint16_t plain_rtt_max        # which has at most so many ms; 0: of none it is so
    uint32_t fin_timeout_ms, linger   # tcp_fin_timeout; linger_s + 1, 0: None
    uint32_t fin_wait_2_idle_ms   # without fast_finwait2_recycle: silence that ends FIN-WAIT-2
    uint32_t fin_wait_2_check_ms  # and how often it is looked for
