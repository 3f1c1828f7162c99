import numpy as np

INFO: np.dtype[np.void]
ROOM: np.dtype[np.void]
