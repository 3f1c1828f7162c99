"""RFC 9293's figure 5 as data, held against a learned machine: what each has that the other lacks."""

from dataclasses import dataclass

from tcpcore import State

CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED = list(State)[:5]
FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT = list(State)[5:]
ENDS = {CLOSED, LISTEN}


@dataclass(frozen=True)
class Arrow:
    """One arrow of the figure: its words, and the letter that stands for them (none: no such call here)."""

    here: State
    there: State
    event: str
    action: str
    letter: str
    sent: str

    @property
    def move(self):
        return self.here, self.letter, self.there


FIGURE_5 = (
    Arrow(CLOSED, LISTEN, "passive OPEN", "create TCB", "LISTEN", "-"),
    Arrow(CLOSED, SYN_SENT, "active OPEN", "create TCB, snd SYN", "CONNECT", "SYN"),
    Arrow(LISTEN, CLOSED, "CLOSE", "delete TCB", "CLOSE", "-"),
    Arrow(LISTEN, SYN_SENT, "SEND", "snd SYN", "", ""),
    Arrow(LISTEN, SYN_RECEIVED, "rcv SYN", "snd SYN,ACK", "SYN", "SYN+ACK"),
    Arrow(SYN_SENT, CLOSED, "CLOSE", "delete TCB", "CLOSE", "ECONNRESET"),
    Arrow(SYN_SENT, SYN_RECEIVED, "rcv SYN", "snd SYN,ACK", "SYN", "SYN+ACK"),
    Arrow(SYN_SENT, ESTABLISHED, "rcv SYN,ACK", "snd ACK", "SYN+ACK", "ACK"),
    Arrow(SYN_RECEIVED, ESTABLISHED, "rcv ACK of SYN", "", "ACK", "-"),
    Arrow(SYN_RECEIVED, LISTEN, "rcv RST (passive)", "", "RST", "-"),
    Arrow(SYN_RECEIVED, FIN_WAIT_1, "CLOSE", "snd FIN", "CLOSE", "FIN+ACK"),
    Arrow(ESTABLISHED, FIN_WAIT_1, "CLOSE", "snd FIN", "CLOSE", "FIN+ACK"),
    Arrow(ESTABLISHED, CLOSE_WAIT, "rcv FIN", "snd ACK", "FIN+ACK", "ACK"),
    Arrow(FIN_WAIT_1, FIN_WAIT_2, "rcv ACK of FIN", "", "ACK", "-"),
    Arrow(FIN_WAIT_1, CLOSING, "rcv FIN", "snd ACK", "FIN crossing", "ACK"),
    Arrow(FIN_WAIT_2, TIME_WAIT, "rcv FIN", "snd ACK", "FIN+ACK", "ACK"),
    Arrow(CLOSING, TIME_WAIT, "rcv ACK of FIN", "", "ACK", "-"),
    Arrow(CLOSE_WAIT, LAST_ACK, "CLOSE", "snd FIN", "CLOSE", "FIN+ACK"),
    Arrow(LAST_ACK, CLOSED, "rcv ACK of FIN", "", "ACK", "closed"),
    Arrow(TIME_WAIT, CLOSED, "Timeout=2MSL", "delete TCB", "TIMEOUT", "closed"),
)

#: What the figure has and the machine lacks.
LACKS = {
    (LISTEN, "", SYN_SENT): (
        "SEND does not turn a LISTEN into an active open: there is no such call. What comes nearest is "
        "CONNECT from the same port while it listens; the listener stays."
    ),
    (SYN_RECEIVED, "CLOSE", FIN_WAIT_1): (
        "Linux lets the FIN wait until our SYN is acknowledged (shutdown_waits=1)."
    ),
}

#: The kinds of moves that the machine has and the figure lacks, in the order of `kind`.
KINDS = {
    "RST": (
        "An exact RST ends every state (the figure's note 3 leaves it out). The user hears ECONNREFUSED in "
        "SYN-SENT, EPIPE in CLOSE-WAIT, else ECONNRESET; of a half-open entry nothing. TIME-WAIT goes too "
        "(tcp_rfc1337=0)."
    ),
    "ABORT": (
        "ABORT ends every state at once, with a RST where the peer still counts on us. The figure's note 3 "
        "would have TIME-WAIT follow; Linux keeps none."
    ),
    "TIMEOUT": (
        "Who is not answered gives up: SYN, SYN-ACK and FIN are resent, then the state ends (ETIMEDOUT). An "
        "idle ESTABLISHED, CLOSE-WAIT or FIN-WAIT-2 with its application has no timer."
    ),
    "LISTEN": "Where a listener stays, the end of a connection leads back to LISTEN rather than to CLOSED.",
    "ride": (
        "The ACK that moves a state may ride on text or on a FIN, and an answering SYN-ACK on crossing SYNs; "
        "a FIN that comes with the ACK of our SYN leads from SYN-RECEIVED straight to CLOSE-WAIT."
    ),
    "note 2": "A FIN that acknowledges ours leads from FIN-WAIT-1 to TIME-WAIT (the figure's note 2).",
    "CONNECT": "CONNECT works beside a listener on the same port.",
    "reopen": "A SYN with a greater number reopens TIME-WAIT, if somebody listens (RFC 9293 MAY-2).",
    "gone": (
        "A half-open entry has no CLOSE of its own: its listener's CLOSE leaves it behind until its next "
        "timer, and what arrives for it meanwhile is reset."
    ),
    "waits": (
        "After an active open and a CLOSE in SYN-RECEIVED the ACK of our SYN sends the FIN that waited: "
        "FIN-WAIT-1, or CLOSING when the peer's FIN comes with it."
    ),
}


def kind(move):
    """Which of KINDS a move is that the figure lacks; None for one that nobody foresaw."""
    here, letter, there = move
    if letter in ("RST", "ABORT", "TIMEOUT") and there in ENDS:
        return "LISTEN" if (here, letter, CLOSED) in {arrow.move for arrow in FIGURE_5} else letter
    if here == SYN_RECEIVED and there in ENDS:
        return "gone"
    if here == SYN_RECEIVED and there in (FIN_WAIT_1, CLOSING):
        return "waits"
    if there == LISTEN and here != CLOSED:
        return "LISTEN"
    if (here, letter, there) == (FIN_WAIT_1, "FIN+ACK", TIME_WAIT):
        return "note 2"
    if (here, letter, there) == (TIME_WAIT, "SYN", SYN_RECEIVED):
        return "reopen"
    if (here, letter, there) == (LISTEN, "CONNECT", SYN_SENT):
        return "CONNECT"
    carries_ack = letter in ("data", "FIN+ACK", "FIN crossing", "SYN+ACK")
    moved_by_ack = {(arrow.here, arrow.there) for arrow in FIGURE_5 if arrow.letter == "ACK"}
    if carries_ack and (here, there) in moved_by_ack:
        return "ride"
    if "FIN" in letter and (here, there) in {
        (SYN_RECEIVED, CLOSE_WAIT), (ESTABLISHED, CLOSE_WAIT), (FIN_WAIT_2, TIME_WAIT)
    }:  # fmt: skip
        return "ride"
    return None


def lacking(moves):
    """The arrows of the figure that a machine with these moves does not have."""
    return [arrow for arrow in FIGURE_5 if arrow.sent not in moves.get(arrow.move, ())]


def beyond(moves):
    """The moves that the figure does not have, by kind."""
    drawn = {arrow.move for arrow in FIGURE_5}
    found = {}
    for move in moves:
        if move not in drawn:
            found.setdefault(kind(move), []).append(move)
    return found
