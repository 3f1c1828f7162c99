"""The components of tcpcore as Python classes and functions, for tests and benchmarks.

A module for each component (and one for each header of base that has tests), compiled in place by
`TCPCORE_TESTS=1 python setup.py build_ext --inplace`, which `make build` and `make debug` run. No wheel has them.
"""
