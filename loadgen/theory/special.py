"""The special functions behind closed forms and intervals: incomplete gamma and beta, and their inverses.

Nothing but `math`. Series and continued fractions of NIST's Digital Library of Mathematical Functions (DLMF),
evaluated by Lentz's method; the tests compare each with scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

_ERROR: Final = 1e-15  # relative, of series and fractions
_TINY: Final = 1e-300
_LARGE: Final = 100.0  # from here on Stirling's series is exact to 1e-15


def poisson_tail(mean: float, least: int) -> float:
    """P(N >= least) of a Poisson number: the regularised lower gamma function P(least, mean)."""
    return gamma_p(least, mean) if least > 0 else 1.0


def poisson_cdf(mean: float, most: float) -> float:
    """P(N <= most) of a Poisson number, small values exactly (NIST DLMF 8.4.10)."""
    most = math.floor(most)
    return gamma_q(most + 1, mean) if most >= 0 else 0.0


def normal_cdf(z: float) -> float:
    """P(Z <= z) of a standard normal number."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def normal_quantile(confidence: float) -> float:
    """z with P(|Z| <= z) = confidence."""
    low, high = 0.0, 40.0
    for _ in range(100):
        middle = (low + high) / 2
        if math.erfc(middle / math.sqrt(2)) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def chi_squared(below: float, dof: int) -> float:
    """x with P(X <= x) = below for so many degrees of freedom."""
    # x / (1 + x) is in (0, 1), where `root` looks
    found = root(lambda y: gamma_p(dof / 2, y / (1 - y) / 2) if y < 1 else 1.0, below)
    return found / (1 - found) if found < 1 else math.inf


def student_t(confidence: float, dof: float) -> float:
    """t with P(|t'| <= t) = confidence for so many degrees of freedom."""
    # P(|t'| > t) is the incomplete beta function at x = dof / (dof + t**2)
    x = root(lambda x: beta_i(dof / 2, 0.5, x), 1 - confidence)
    return math.sqrt(dof * (1 - x) / x)


def _fraction(first: float, terms: Callable[[int], tuple[float, float]]) -> float:
    """first + a1 / (b1 + a2 / (b2 + ...)) where terms(k) is (ak, bk), by Lentz's method."""
    value = upper = first or _TINY
    lower = 0.0
    for k in range(1, 100_000):
        a, b = terms(k)
        lower = 1 / (b + a * lower or _TINY)
        upper = b + a / upper or _TINY
        value *= upper * lower
        if abs(upper * lower - 1) < _ERROR:
            break
    return value


def _log_gamma_density(s: float, x: float) -> float:
    """log(x**s exp(-x) / Gamma(s)); for large s without the cancellation between its terms (DLMF 5.11.1)."""
    if s < _LARGE:
        return s * math.log(x) - x - math.lgamma(s)
    apart = (x - s) / s
    rest = (1 / 12 - (1 / 360 - 1 / (1260 * s * s)) / (s * s)) / s
    return 0.5 * math.log(s / (2 * math.pi)) - rest - s * (apart - math.log1p(apart))


def gamma_p(s: float, x: float) -> float:
    """Regularised lower incomplete gamma function P(s, x) (NIST DLMF 8.11.4 and 8.9.2)."""
    if x <= 0:
        return 0.0
    scale = math.exp(_log_gamma_density(s, x))
    if x < s + 1:
        term = total = 1 / s
        k = s
        while term > total * _ERROR:
            k += 1
            term *= x / k
            total += term
        return scale * total
    return 1 - gamma_q(s, x)


def gamma_q(s: float, x: float) -> float:
    """Regularised upper incomplete gamma function Q(s, x) = 1 - P(s, x), small values exactly."""
    if x < s + 1:
        return 1 - gamma_p(s, x)
    scale = math.exp(_log_gamma_density(s, x))
    return scale / _fraction(x + 1 - s, lambda k: (-k * (k - s), x + 2 * k + 1 - s))


def beta_i(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I(x; a, b) (NIST DLMF 8.17.4 and 8.17.22)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_i(b, a, 1 - x)

    def term(k: int) -> tuple[float, float]:
        m, odd = divmod(k, 2)
        if odd:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0

    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _fraction(1.0, term))


def root(rising: Callable[[float], float], value: float) -> float:
    """x in (0, 1) where a rising function has this value."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if rising(middle) < value:
            low = middle
        else:
            high = middle
    return high
