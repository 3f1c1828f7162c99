"""Speed and memory of the engine, as ratios to what the memory of this machine allows.

Not part of the installed package. `python -m benchmarks` prints one table (`sections`: what is measured);
`benchmarks.compare` and `benchmarks.instructions` compare two revisions; the bench_* files measure one
component or one end with pytest-benchmark (`pytest benchmarks/bench_timer_wheel.py`).
"""
