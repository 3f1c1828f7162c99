"""The layout of the engine's knobs and the numbers of their choices, for whoever compares them with `Config`.

The struct and its enums are in knobs.pxd; `engine.pyx` fills one from a `Config`. Not here: what a knob does
and what its values are (tcpcore/knobs.py).
"""
