from enum import IntEnum

class SynqPolicy(IntEnum):
    SYNQ_LINUX = 0
    SYNQ_FREEBSD = 1
    SYNQ_DROP_NEW = 2
    SYNQ_EVICT_OLDEST = 3
    SYNQ_EVICT_RANDOM = 4
    SYNQ_SHORT_TIMER = 5

class AcceptQueueRule(IntEnum):
    ACCEPT_QUEUE_ONE_MORE = 0
    ACCEPT_QUEUE_HALF_MORE = 1

class RtoMinRule(IntEnum):
    RTO_MIN_VARIANCE = 0
    RTO_MIN_RTO = 1

class RetriesRule(IntEnum):
    RETRIES_TIME = 0
    RETRIES_COUNT = 1

class PersistInterval(IntEnum):
    PERSIST_RTO = 0
    PERSIST_SRTT = 1

class PersistProbe(IntEnum):
    PROBE_OLD_NUMBER = 0
    PROBE_BYTE = 1

class PersistEnds(IntEnum):
    PERSIST_ENDS_PROBES = 0
    PERSIST_ENDS_SILENCE = 1

class WindowOffered(IntEnum):
    OFFERED_LINUX = 0
    OFFERED_FREEBSD = 1

class WindowUpdate(IntEnum):
    UPDATE_DOUBLED = 0
    UPDATE_TWO_SEGMENTS = 1

class WindowRounding(IntEnum):
    ROUND_MSS_DOWN = 0
    ROUND_MSS_UP = 1
    ROUND_NONE = 2

class Acceptance(IntEnum):
    ACCEPT_LINUX = 0
    ACCEPT_RFC = 1
    ACCEPT_TRIM = 2

class HalfOpenRules(IntEnum):
    HALF_OPEN_LINUX = 0
    HALF_OPEN_RFC = 1
    HALF_OPEN_SYNCACHE = 2

class TimeWaitRules(IntEnum):
    TIME_WAIT_LINUX = 0
    TIME_WAIT_RFC = 1
    TIME_WAIT_FREEBSD = 2

class PawsAnswers(IntEnum):
    PAWS_SPARE_ACKS = 0
    PAWS_ANSWER_ALL = 1
    PAWS_ANSWER_TEXT = 2

class AckRange(IntEnum):
    ACK_RANGE_RFC5961 = 0
    ACK_RANGE_RFC793 = 1

class SynText(IntEnum):
    SYN_TEXT_DROPPED = 0
    SYN_TEXT_KEPT = 1
    SYN_TEXT_CLIENT = 2

class UnreachableRules(IntEnum):
    UNREACHABLE_LINUX = 0
    UNREACHABLE_RFC = 1
    UNREACHABLE_FREEBSD = 2
