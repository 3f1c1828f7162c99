# An int that one thread at a time may hold: without the GIL nothing else keeps two threads apart.
cdef extern from *:
    """
    #define TC_EXCHANGE(p, value) __atomic_exchange_n((p), (value), __ATOMIC_ACQUIRE)
    #define TC_RELEASE(p) __atomic_store_n((p), 0, __ATOMIC_RELEASE)
    #define TC_LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    """
    int atomic_exchange "TC_EXCHANGE"(int* p, int value) noexcept nogil
    void atomic_release "TC_RELEASE"(int* p) noexcept nogil
    int atomic_load "TC_LOAD"(const int* p) noexcept nogil
