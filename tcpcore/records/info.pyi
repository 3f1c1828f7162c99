import numpy as np

ROOM: np.dtype[np.void]
