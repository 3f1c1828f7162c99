# Single integers and addresses as arguments, read without numpy.
#
# A function here that answers False has changed nothing and run no code of the caller's: the general way is
# taken then, which raises what has to be raised. True means that the general way would give this number.
from libc.stdint cimport uint32_t, uint64_t

cdef is_uint(value, uint64_t most, uint64_t* number)
cdef is_address(value, uint32_t* address)
