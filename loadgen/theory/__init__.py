"""Closed forms beside the simulation, each with the preconditions under which it holds."""
