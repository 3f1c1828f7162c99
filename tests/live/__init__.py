"""The running Linux kernel beside the engine: the same stimuli, the same answers.

`namespace` gives a private network with a TUN device, `packets` the bytes on it, `kernel` the six methods
of `tests.corpus.interpreter.Target` over it, `lab` many of them at once. See README.md.
"""
