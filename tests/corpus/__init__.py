"""Replays of a recorded Linux kernel: `interpreter` knows the format, `adapter` the engine."""
