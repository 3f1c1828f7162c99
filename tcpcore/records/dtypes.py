"""The numpy dtype of a C struct, derived from the struct, so that the layout is written down once.

A record module passes a typed memoryview of one struct; numpy reads the fields from it. Padding and spare
fields are left out by their leading underscore.
"""

import numpy as np


def struct_dtype(view, size, **nested):
    """The dtype of a memoryview over C structs of `size` bytes, without the fields that begin with "_".

    It is aligned, so that numpy.concatenate keeps the layout, and has the struct's own item size. `nested`
    are the dtypes of fields that are structs themselves.
    """
    full = np.asarray(view).dtype
    if full.itemsize != size:
        raise AssertionError(f"expected an item size of {size} bytes, got {full.itemsize}")
    for name, dtype in nested.items():
        if (size_of := full.fields[name][0].itemsize) != dtype.itemsize:
            raise AssertionError(f"{name}: expected {dtype.itemsize} bytes, got {size_of}")
    names = [name for name in full.names if not name.startswith("_")]
    return np.dtype({
        "names": names,
        "formats": [nested.get(name, full.fields[name][0]) for name in names],
        "offsets": [full.fields[name][1] for name in names],
        "itemsize": size,
    }, align=True)
