"""What the engine says of a connection and of a listener: INFO and ROOM.

Both are answers, made for the caller: the engine keeps the facts elsewhere. RFC 9293 3.10.6 (STATUS).
"""

import numpy as np

#: The queues of one listener as ``Engine.room`` sees them. ``half_open`` and ``accept`` are how many places
#: of the half-open and of the accept queue are taken, ``half_open_max`` and ``accept_max`` how many there
#: are, ``half_open_set_by`` and ``accept_set_by`` what sets that number (see ``Engine.room``); ``backlog`` is
#: the effective one.
ROOM = np.dtype([
    ("half_open", "u4"), ("half_open_max", "u4"), ("half_open_set_by", "U20"),
    ("accept", "u4"), ("accept_max", "u4"), ("accept_set_by", "U20"), ("backlog", "u4"),
], align=True)
