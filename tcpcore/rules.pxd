# Values of the knobs that choose a set of rules which only makes sense whole. A noun. Zero is Linux
# throughout; what each set says is in docs/semantics.md, what it looks like in transition.pyx.

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
