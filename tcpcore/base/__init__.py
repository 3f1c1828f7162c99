"""Arithmetic and memory: no TCP, no state of its own."""
