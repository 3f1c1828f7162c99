"""What the names of an engine's counters, causes and states mean, one line each.

The names are those of `Engine.counters`, `Engine.causes`, `tcpcore.Cause` and `tcpcore.State`: the Linux MIB
where Linux has one, else names in its style. A test compares these tables with an engine, so none is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loadgen.scenario.model import KINDS
from tcpcore import Cause, State

#: Counters of one end, as `nstat` has them.
COUNTERS: Final[Mapping[str, str]] = {
    "ActiveOpens": "connections opened: CLOSED to SYN-SENT",
    "PassiveOpens": "connections begun by a peer: LISTEN to SYN-RECEIVED",
    "AttemptFails": "left SYN-SENT or SYN-RECEIVED for CLOSED or LISTEN",
    "EstabResets": "left ESTABLISHED or CLOSE-WAIT by a reset",
    "InSegs": "segments that came",
    "OutSegs": "segments sent, resent ones not counted",
    "RetransSegs": "segments sent again",
    "OutRsts": "resets sent",
    "InErrs": "segments with an error",
    "InDestUnreachs": "ICMP messages that said a peer is unreachable",
    "ListenOverflows": "SYNs and third ACKs that found the accept queue full",
    "ListenDrops": "SYNs and third ACKs that a listener lost, ListenOverflows included",
    "TCPReqQFullDrop": "SYNs dropped because the half-open queue was full (cookies off)",
    "TCPReqQFullDoCookies": "SYNs answered by a cookie because the half-open queue was full",
    "SyncookiesSent": "SYN cookies sent",
    "SyncookiesRecv": "valid cookies that came back",
    "SyncookiesFailed": "cookies that came back and were not valid",
    "EmbryonicRsts": "resets for a half-open entry",
    "TCPSynRetrans": "SYNs and SYN-ACKs sent again",
    "TCPTimeouts": "retransmission timers that fired",
    "TW": "TIME_WAIT entries that lasted their full time",
    "TWKilled": "TIME_WAIT entries of 4 s or less",
    "TWRecycled": "TIME_WAIT entries taken over by a new connection",
    "TCPTimeWaitOverflow": "closes that kept no TIME_WAIT entry: tcp_max_tw_buckets was reached",
    "PAWSActive": "SYN-ACKs refused for their timestamp",
    "PAWSEstab": "segments of a connection refused for their timestamp",
    "PAWSOldAck": "old ACKs with an old timestamp",
    "PAWSTimewait": "segments refused for their timestamp in TIME_WAIT",
    "TSEcrRejected": "SYN-ACKs refused for the timestamp they echo",
    "TCPChallengeACK": "challenge ACKs sent (RFC 5961)",
    "TCPSYNChallenge": "challenge ACKs sent for a SYN",
    "TCPACKSkippedSynRecv": "ACKs not sent in SYN-RECEIVED: tcp_invalid_ratelimit",
    "TCPACKSkippedPAWS": "ACKs not sent to an old timestamp: tcp_invalid_ratelimit",
    "TCPACKSkippedSeq": "ACKs not sent to a segment outside the window: tcp_invalid_ratelimit",
    "TCPACKSkippedFinWait2": "ACKs not sent in FIN-WAIT-2: tcp_invalid_ratelimit",
    "TCPACKSkippedTimeWait": "ACKs not sent in TIME-WAIT: tcp_invalid_ratelimit",
    "TCPACKSkippedChallenge": "challenge ACKs not sent: the limit was reached",
    "TCPAbortOnData": "connections reset because data came after close",
    "TCPAbortOnClose": "connections reset because unread data was closed over",
    "TCPAbortOnTimeout": "connections given up after the last resend",
    "TCPAbortOnMemory": "connections reset because tcp_max_orphans was reached",
    "TCPLossProbes": "last rows sent again before the RTO backs off (RFC 8985 7)",
    "TCPKeepAlive": "keepalive probes sent",
    "TCPDeferAcceptDrop": "bare ACKs that opened no connection: it waits for text (TCP_DEFER_ACCEPT)",
    "TCPOFOQueue": "segments that came out of order and were kept",
    "TCPOFODrop": "segments that came out of order and were dropped",
    "TCPZeroWindowDrop": "segments dropped because the window was closed",
    "TCPWinProbe": "window probes sent",
    "SynQueueAdded": "half-open entries made",
    "SynQueueEstablished": "half-open entries that became connections",
    "SynQueueEvicted": "half-open entries that gave way to another",
    "SynQueueExpired": "half-open entries whose resends came to an end",
    "SynQueueReset": "half-open entries ended by a reset",
    "SynQueueAborted": "half-open entries ended otherwise",
    "SynQueueListenerClosed": "half-open entries whose listener closed",
    "SynCachePauses": "times FreeBSD's cache was given up for cookies",
    "PortsExhausted": "connects refused: no port left towards the destination (EADDRNOTAVAIL)",
    "BlocksExhausted": "connections refused: the engine's capacity, no limit of a host",
    "AddressInUse": "connects refused: the chosen 4-tuple is in use",
    "StaleHandles": "calls for a connection that had gone",
    "SyncookiesLostOptions": "options both ends wanted and a cookie could not carry",
    "SynPayloadIgnored": "bytes on a SYN that were not accepted",
    "BytesReceived": "bytes received in order",
    "ConnectionsClosed": "connections that ended by the close handshake",
    "CurrEstab": "connections now in ESTABLISHED or CLOSE-WAIT (at the end of the run)",
    "EventsLost": "events the engine could not keep; 0 unless something is wrong",
}

#: Why a connection was refused or lost; each is counted once.
CAUSES: Final[Mapping[str, str]] = {
    "AcceptQueueFull": "the accept queue was full",
    "SynQueueFull": "the half-open queue was full",
    "SynQueueReserve": "the last quarter of the half-open queue is kept for known peers",
    "BlocksExhausted": "the engine's capacity was reached, no limit of a host",
    "PortsExhausted": "no port was left towards the destination (EADDRNOTAVAIL)",
    "AddressInUse": "the 4-tuple was in use",
    "SynQueueEvicted": "its half-open entry gave way to another",
    "SynQueueExpired": "its SYN-ACKs were never answered",
    "EmbryonicReset": "reset while half-open",
    "EmbryonicAborted": "ended while half-open",
    "ListenerClosed": "the listener closed",
    "ConnectRefused": "the SYN was answered by a reset (ECONNREFUSED)",
    "ConnectTimedOut": "the SYNs were never answered (ETIMEDOUT)",
    "ConnectAborted": "the application closed it while it was connecting",
    "ResetByPeer": "reset by the peer (ECONNRESET)",
    "TimedOut": "the resends came to an end (ETIMEDOUT)",
    "Aborted": "the application aborted it",
    "UnreadData": "closed over unread data, and so reset",
    "DataAfterClose": "data came after close, and so reset",
    "FinWait2TimedOut": "the peer's FIN did not come within tcp_fin_timeout",
    "TooManyOrphans": "closed where tcp_max_orphans had no application already",
    "Unreachable": "ICMP said that the peer is unreachable",
}

#: Counters of the link.
LINK: Final[Mapping[str, str]] = {
    "from_client": "segments the clients and floods sent",
    "from_server": "segments the server sent",
    "lost": "segments lost",
    **{f"lost.{kind}": f"segments lost: {kind}" for kind in KINDS},
    "duplicated": "segments that came twice",
    "reordered": "segments that were overtaken",
    "late": "copies that came long after",
    "old_reached": "late text that met another connection on its addresses and ports",
    "old_accepted": "late text that such a connection could take for its own",
    "backscatter": "segments of the server for addresses that nobody has",
    **{f"outside.{kind}": f"of these: {kind}" for kind in KINDS},
}

STATES: Final[tuple[str, ...]] = tuple(state.name for state in State)
CAUSE_NAMES: Final[tuple[str, ...]] = tuple(cause.name for cause in Cause if cause.value)

SIDES: Final = ("client", "server")

#: Counters of which less is better: something was lost, refused or given up.
LOSSES: Final = frozenset(
    "AttemptFails EstabResets RetransSegs InErrs ListenOverflows ListenDrops TCPReqQFullDrop TCPTimeouts "
    "SyncookiesFailed TCPSynRetrans TCPTimeWaitOverflow TCPAbortOnData TCPAbortOnClose TCPAbortOnTimeout "
    "TCPOFODrop "
    "TCPZeroWindowDrop SynQueueEvicted SynQueueExpired SynCachePauses PortsExhausted BlocksExhausted "
    "AddressInUse SyncookiesLostOptions EventsLost".split()
)
