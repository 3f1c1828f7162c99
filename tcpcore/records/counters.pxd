# Every drop and every event has a name: that of the Linux MIB where Linux has one, else one of ours in the
# same style. `mib` follows Linux and may count one loss twice (ListenOverflows and ListenDrops); `causes`
# counts each refused or lost connection exactly once. The names and numbers that Python sees, tcpcore.Cause
# and the keys of Engine.counters and Engine.causes, are made of these two enums.
from libc.stdint cimport uint64_t


cpdef enum Mib:
    ActiveOpens
    PassiveOpens
    AttemptFails
    EstabResets
    InSegs
    OutSegs
    RetransSegs
    OutRsts
    InErrs
    InDestUnreachs
    ListenOverflows
    ListenDrops
    TCPReqQFullDrop
    TCPReqQFullDoCookies
    SyncookiesSent
    SyncookiesRecv
    SyncookiesFailed
    EmbryonicRsts
    TCPSynRetrans
    TCPTimeouts
    TW
    TWKilled
    TWRecycled
    TCPTimeWaitOverflow
    PAWSActive
    PAWSEstab
    PAWSOldAck
    PAWSTimewait
    TSEcrRejected
    TCPChallengeACK
    TCPSYNChallenge
    TCPACKSkippedSynRecv
    TCPACKSkippedPAWS
    TCPACKSkippedSeq
    TCPACKSkippedFinWait2
    TCPACKSkippedTimeWait
    TCPACKSkippedChallenge
    TCPAbortOnData
    TCPAbortOnClose
    TCPAbortOnTimeout
    TCPAbortOnMemory
    TCPLossProbes
    TCPKeepAlive
    TCPDeferAcceptDrop
    TCPOFOQueue
    TCPOFODrop
    TCPZeroWindowDrop
    TCPWinProbe
    SynQueueAdded
    SynQueueEstablished
    SynQueueEvicted
    SynQueueExpired
    SynQueueReset
    SynQueueAborted
    SynQueueListenerClosed
    SynCachePauses                # times FreeBSD's cache was given up for cookies
    PortsExhausted
    BlocksExhausted
    AddressInUse
    StaleHandles
    SyncookiesLostOptions         # options that both ends wanted and a cookie could not carry
    SynPayloadIgnored             # bytes that came on a SYN and were not accepted
    BytesReceived                 # bytes delivered in order
    ConnectionsClosed             # connections that ended by the close handshake
    N_MIB

cpdef enum CauseCode:
    NoCause
    # refused
    CauseAcceptQueueFull
    CauseSynQueueFull
    CauseSynQueueReserve
    CauseBlocksExhausted
    CausePortsExhausted
    CauseAddressInUse
    # lost while opening
    CauseSynQueueEvicted
    CauseSynQueueExpired
    CauseEmbryonicReset
    CauseEmbryonicAborted
    CauseListenerClosed
    CauseConnectRefused
    CauseConnectTimedOut
    CauseConnectAborted
    # lost afterwards
    CauseResetByPeer
    CauseTimedOut
    CauseAborted
    CauseUnreadData
    CauseDataAfterClose
    CauseFinWait2TimedOut
    CauseTooManyOrphans
    CauseUnreachable              # ICMP said that the peer is, at whatever stage
    N_CAUSES

cdef struct Counters:
    uint64_t mib[N_MIB]
    uint64_t causes[N_CAUSES]


cdef inline void count(Counters* counters, Mib what) noexcept nogil:
    counters.mib[<int>what] += 1


cdef inline void count_n(Counters* counters, Mib what, uint64_t n) noexcept nogil:
    counters.mib[<int>what] += n


cdef inline uint64_t counted(const Counters* counters, Mib what) noexcept nogil:
    return counters.mib[<int>what]
