from enum import IntEnum

class OpKind(IntEnum):
    SEGMENT = 1
    CONNECT = 2
    ACCEPT = 3
    SEND = 4
    RECV = 5
    SHUTDOWN = 6
    CLOSE = 7
    ABORT = 8
