# What Cython cannot express: prefetch, branch hints, and `expect`, an assertion that traps in debug
# builds and is nothing in others. PREDICTION is false in a build with TCPCORE_PREDICTION=0 (setup.py).
# The other verbatim C of tcpcore is in siphash_batch.pxd (target_clones), tags.pxd (SSE2) and arena.pyx
# (poisoning).
cdef extern from *:
    """
    /* a function that only prefetches looks pure to gcc, which drops its calls: the empty asm */
    #define TC_PREFETCH(p) do { __builtin_prefetch((p), 1, 3); __asm__ volatile(""); } while (0)
    #define TC_LIKELY(x) __builtin_expect(!!(x), 1)
    #define TC_UNLIKELY(x) __builtin_expect(!!(x), 0)
    #ifdef TCPCORE_NO_PREDICTION
    #define TC_PREDICTION 0
    #else
    #define TC_PREDICTION 1
    #endif
    #ifdef TCPCORE_DEBUG
    #define TC_EXPECT(c) do { if (!(c)) __builtin_trap(); } while (0)
    #else
    #define TC_EXPECT(c) do { } while (0)
    #endif
    """
    const bint PREDICTION "TC_PREDICTION"
    void prefetch "TC_PREFETCH"(const void* p) noexcept nogil
    bint likely "TC_LIKELY"(bint x) noexcept nogil
    bint unlikely "TC_UNLIKELY"(bint x) noexcept nogil
    void expect "TC_EXPECT"(bint c) noexcept nogil
