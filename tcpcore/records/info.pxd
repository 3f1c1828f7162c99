# What Engine.info says of a connection, 32 bytes. INFO, the numpy dtype, is derived from the struct.
#
#   0     1       2     4        8       12      16      20     24       32
#   |state|retries|error|listener|snd_una|snd_nxt|rcv_nxt|unread|deadline|
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

cdef struct Info:
    uint8_t state             # State
    uint8_t retries
    uint16_t error            # errno as SO_ERROR would give it
    uint32_t listener         # listener id, 0 for active opens
    uint32_t snd_una
    uint32_t snd_nxt
    uint32_t rcv_nxt
    uint32_t unread           # bytes
    int64_t deadline          # ns, 0 while no timer runs
