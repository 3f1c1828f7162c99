"""Reference implementation of the simulator's draws: SplitMix64 words and their transforms, in plain floats.

The operations are those of loadgen/sim/draw.pxd in the same order; IEEE 754 gives them the same bits.
"""

from math import floor, frexp, ldexp, sqrt

MASK = 2**64 - 1
ARRIVALS, CONNECTIONS, TRIES, LINK, ACCEPT, FLOOD, SPREAD = range(1, 8)
RECONNECT, HALF_CLOSE, LAST_ACK = range(9, 12)

CENTRE = (
    [2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608],
    [5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0],
)  # fmt: skip
MIDDLE = (
    [7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734],
    [1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0],
)  # fmt: skip
TAIL = (
    [2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772],
    [2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0],
)  # fmt: skip


def word(key, i):
    z = (key + 0x9E3779B97F4A7C15 * (i + 1)) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def stream(seed, replicate, purpose, number):
    return word(word(word(word(0, seed), replicate), purpose), number)


def unit(bits):
    return (bits >> 11) / 2**53


def unit_above_zero(bits):
    return ((bits >> 11) + 1) / 2**53


def unit_open(bits):
    return ((bits >> 12) + 0.5) / 2**52


def below(bits, n):
    return ((bits >> 32) * n) >> 32


def polynomial(coefficients, x):
    value = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def log_of(x):
    mantissa, exponent = frexp(x)
    s = (mantissa - 0.7071067811865476) / (mantissa + 0.7071067811865476)
    terms = [2.0 / n for n in range(17, 1, -2)] + [2.0]
    return polynomial(terms, s * s) * s + (exponent - 0.5) * 0.6931471805599453


def exp_of(x):
    k = floor(x * 1.4426950408889634 + 0.5)
    r = (x - k * 0.69314718036912381649) - k * 1.90821492927058770002e-10
    value = 1.0
    for i in range(14, 0, -1):
        value = 1.0 + value * r / i
    return ldexp(value, k)


def normal_of(p):
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * polynomial(CENTRE[0], r) / polynomial(CENTRE[1], r)
    r = sqrt(-log_of(p if q < 0 else 1.0 - p))
    above, under = MIDDLE if r <= 5.0 else TAIL
    r -= 1.6 if r <= 5.0 else 5.0
    x = polynomial(above, r) / polynomial(under, r)
    return -x if q < 0 else x


def draw(family, bits, i):
    """A time in ns, by its family; `i` numbers the draws of a trace."""
    if family.family == "trace":
        return family.samples[i % len(family.samples)]
    if family.family == "const":
        x = float(family.a)
    elif family.family == "exp":
        x = -log_of(unit_above_zero(bits)) * family.a
    elif family.family == "lognormal":
        x = exp_of(log_of(family.a) - family.b * family.b / 2.0 + family.b * normal_of(unit_open(bits)))
    elif family.family == "normal":
        x = family.a + family.b * normal_of(unit_open(bits))
    else:
        x = family.a + (family.b - family.a) * unit(bits)
    return min(max(0, int(x + 0.5)), 2**61) if x > 0 else 0
