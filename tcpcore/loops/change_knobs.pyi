# No Python names: for cimport only.
