import numpy as np

BLOCK: np.dtype[np.void]
COLD: np.dtype[np.void]
EVENT: np.dtype[np.void]
INFO: np.dtype[np.void]
KNOBS: np.dtype[np.void]
OP: np.dtype[np.void]
SEGMENT: np.dtype[np.void]
