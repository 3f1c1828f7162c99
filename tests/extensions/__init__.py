"""The components of tcpcore as Python classes and functions, for tests and benchmarks.

One module for each component, and for each header of base that is tested by itself. They are compiled in
place by `TCPCORE_TESTS=1 python setup.py build_ext --inplace`, as `make build` and `make debug` do; no wheel
has them.
"""
