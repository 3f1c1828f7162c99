# The event loop: what happens next, until a time.
from libc.stdint cimport int64_t

from loadgen.sim.world cimport Sim

cdef int64_t loop_next(Sim* sim) noexcept nogil
cdef int64_t loop_run(Sim* sim, int64_t until, int64_t most) noexcept nogil
