"""The batch and event loops: the only code that touches two components."""
