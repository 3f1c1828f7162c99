"""How fast and how large the engine is, as ratios to what the memory of this machine allows.

Not part of the package that is installed. `python -m benchmarks` prints one table; the bench_*
files are for pytest-benchmark (`pytest benchmarks/bench_wheel.py`).
"""
