"""The TCP state machine (RFC 9293 3.10): pure functions over one TCB."""
