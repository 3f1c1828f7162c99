# Random draws: words of a counter-based generator (SplitMix64) and our own transforms.
#
# A stream is a key, a draw a key and a number: no draw depends on how many were made before. log and exp
# are made of +, -, * and / alone (the extensions are compiled without contraction into fused operations),
# sqrt is exact by IEEE 754: the same bits on every machine, which a library's functions do not promise.
# Sources: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014); Wichura, AS 241
# (1988).
from libc.math cimport floor, frexp, ldexp, sqrt
from libc.stdint cimport int64_t, uint64_t

# What a stream is for. The numbers are part of the results: never renumber.
cdef enum Purpose:
    FOR_ARRIVALS = 1          # of a load
    FOR_CONNECTIONS = 2       # of a load: DRAWS_OF_CONNECTION words each
    FOR_TRIES = 3             # of a load: TRIES_OF_CONNECTION words each
    FOR_LINK = 4              # of a direction: DRAWS_OF_SEGMENT words each
    FOR_ACCEPT = 5            # of an accept loop
    FOR_FLOOD = 6             # of a flood: DRAWS_OF_SPOOFED words each
    FOR_SPREAD = 7            # the key of SO_REUSEPORT's hash
    FOR_ENGINES = 8           # seeds
    FOR_RECONNECT = 9         # after reset-all
    FOR_HALF_CLOSE = 10       # of a load
    FOR_LAST_ACK = 11         # of a direction
    FOR_BURSTS = 12           # honest crowds that a detector is shown

cdef enum:
    DRAWS_OF_CONNECTION = 4   # hold, host, destination, who closes
    TRIES_OF_CONNECTION = 64
    DRAWS_OF_SEGMENT = 8      # delay, loss, duplicate, jitter, reorder, late, burst, loss in a burst
    DRAWS_OF_SPOOFED = 4      # gap, source, port, numbers

cdef enum FamilyKind:
    FAMILY_CONST = 0
    FAMILY_EXP = 1
    FAMILY_LOGNORMAL = 2
    FAMILY_NORMAL = 3
    FAMILY_UNIFORM = 4
    FAMILY_TRACE = 5

cdef struct Family:
    FamilyKind kind
    double a                  # ns: value, mean or lower end
    double b                  # sigma (of the logarithm), standard deviation or upper end
    const int64_t* samples    # of a trace, ns
    int64_t n


cdef inline uint64_t word(uint64_t key, uint64_t i) noexcept nogil:
    """Word i of the stream `key`; also the key of a stream within a stream."""
    cdef uint64_t z = key + 0x9E3779B97F4A7C15ULL * (i + 1)
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef inline uint64_t stream(uint64_t seed, uint64_t replicate, uint64_t purpose,
                            uint64_t number) noexcept nogil:
    """The key of a stream."""
    return word(word(word(word(0, seed), replicate), purpose), number)


cdef inline double unit(uint64_t bits) noexcept nogil:
    """In [0, 1), of 53 bits."""
    return <double>(bits >> 11) * (1.0 / 9007199254740992.0)


cdef inline double unit_above_zero(uint64_t bits) noexcept nogil:
    """In (0, 1], of 53 bits."""
    return <double>((bits >> 11) + 1) * (1.0 / 9007199254740992.0)


cdef inline bint hit(uint64_t bits, double chance) noexcept nogil:
    """True with this chance: never at 0, always at 1."""
    return unit(bits) < chance


cdef inline uint64_t below(uint64_t bits, uint64_t n) noexcept nogil:
    """0 .. n - 1 for n up to 2**32, by the high half of a product (bias below n / 2**32)."""
    return ((bits >> 32) * n) >> 32


cdef inline double log_of(double x) noexcept nogil:
    """Natural logarithm of x > 0, wrong by less than 1e-14."""
    cdef int exponent
    cdef double mantissa = frexp(x, &exponent)        # 1/2 .. 1
    cdef double s = (mantissa - 0.7071067811865476) / (mantissa + 0.7071067811865476)
    cdef double q = s * s
    cdef double sum = 2.0 / 17
    sum = sum * q + 2.0 / 15
    sum = sum * q + 2.0 / 13
    sum = sum * q + 2.0 / 11
    sum = sum * q + 2.0 / 9
    sum = sum * q + 2.0 / 7
    sum = sum * q + 2.0 / 5
    sum = sum * q + 2.0 / 3
    sum = sum * q + 2.0
    return sum * s + (exponent - 0.5) * 0.6931471805599453


cdef inline double exp_of(double x) noexcept nogil:
    """e**x for |x| < 700, by its series around a multiple of log 2."""
    cdef double k = floor(x * 1.4426950408889634 + 0.5)
    cdef double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10
    cdef double sum = 1.0
    cdef int i
    for i in range(14, 0, -1):
        sum = 1.0 + sum * r / i
    return ldexp(sum, <int>k)


cdef inline double normal_of(double p) noexcept nogil:
    """The standard normal quantile of 0 < p < 1 (AS 241, PPND16)."""
    cdef double q = p - 0.5, r, x
    if -0.425 <= q <= 0.425:
        r = 0.180625 - q * q
        return q * (((((((2.5090809287301226727e+3 * r + 3.3430575583588128105e+4) * r
                         + 6.7265770927008700853e+4) * r + 4.5921953931549871457e+4) * r
                       + 1.3731693765509461125e+4) * r + 1.9715909503065514427e+3) * r
                     + 1.3314166789178437745e+2) * r + 3.3871328727963666080e0) / (
                   ((((((5.2264952788528545610e+3 * r + 2.8729085735721942674e+4) * r
                        + 3.9307895800092710610e+4) * r + 2.1213794301586595867e+4) * r
                      + 5.3941960214247511077e+3) * r + 6.8718700749205790830e+2) * r
                    + 4.2313330701600911252e+1) * r + 1.0)
    r = sqrt(-log_of(p if q < 0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        x = (((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r
                  + 2.41780725177450611770e-1) * r + 1.27045825245236838258e0) * r
                + 3.64784832476320460504e0) * r + 5.76949722146069140550e0) * r
              + 4.63033784615654529590e0) * r + 1.42343711074968357734e0) / (
            ((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r
                 + 1.51986665636164571966e-2) * r + 1.48103976427480074590e-1) * r
               + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0) * r
             + 2.05319162663775882187e0) * r + 1.0)
    else:
        r -= 5.0
        x = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r
                  + 1.24266094738807843860e-3) * r + 2.65321895265761230930e-2) * r
                + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0) * r
              + 5.46378491116411436990e0) * r + 6.65790464350110377720e0) / (
            ((((((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r
                 + 1.84631831751005468180e-5) * r + 7.86869131145613259100e-4) * r
               + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1) * r
             + 5.99832206555887937690e-1) * r + 1.0)
    return -x if q < 0 else x


cdef inline double unit_open(uint64_t bits) noexcept nogil:
    """In (0, 1), of 52 bits and a half."""
    return (<double>(bits >> 12) + 0.5) * (1.0 / 4503599627370496.0)


cdef inline int64_t draw_time(const Family* family, uint64_t bits, uint64_t i) noexcept nogil:
    """A time in ns, at least 0; `i` numbers the draws, for a trace. At most 2**61."""
    cdef double x
    if family.kind == FAMILY_CONST:
        x = family.a
    elif family.kind == FAMILY_EXP:
        x = -log_of(unit_above_zero(bits)) * family.a
    elif family.kind == FAMILY_LOGNORMAL:
        x = exp_of(log_of(family.a) - family.b * family.b / 2.0 + family.b * normal_of(unit_open(bits)))
    elif family.kind == FAMILY_NORMAL:
        x = family.a + family.b * normal_of(unit_open(bits))
    elif family.kind == FAMILY_UNIFORM:
        x = family.a + (family.b - family.a) * unit(bits)
    else:
        return family.samples[i % <uint64_t>family.n]
    if x <= 0.0:
        return 0
    if x >= 2305843009213693952.0:
        return <int64_t>1 << 61
    return <int64_t>(x + 0.5)
