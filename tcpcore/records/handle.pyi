import numpy as np
import numpy.typing as npt

from tcpcore.records.segment import _Integers

def as_handles(conns: _Integers) -> npt.NDArray[np.uint64]: ...
def slots_of(conns: _Integers) -> npt.NDArray[np.intp]: ...
