"""Sums of products to twice the digits of float64: a number is a pair (high, low), their sum.

Products and sums are split without error (Dekker 1971; Ogita, Rump and Oishi 2005), so X·w is right to the
last digit of a long double even where terms of 1e9 cancel.
"""

import numpy as np

_SPLIT = 2.0**27 + 1


def two_sum(a, b):
    """a + b and its rounding error."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a, b):
    """a · b and its rounding error."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _halves(a):
    scaled = _SPLIT * a
    high = scaled - (scaled - a)
    return high, a - high


def pair(a):
    """A long double as a pair."""
    high = np.asarray(a).astype(np.float64)
    return high, (a - high).astype(np.float64)


def joined(high, low):
    """A pair as a long double."""
    return np.asarray(high).astype(np.longdouble) + np.asarray(low).astype(np.longdouble)


def added(a, b):
    """The sum of two pairs."""
    high, error = two_sum(a[0], b[0])
    return two_sum(high, error + a[1] + b[1])


def summed(high, low):
    """The sum of pairs along the first axis."""
    while len(high) > 1:
        half = len(high) // 2
        left = slice(2 * half, None)
        total, error = two_sum(high[:half], high[half : 2 * half])
        low = np.concatenate([low[:half] + low[half : 2 * half] + error, low[left]])
        high = np.concatenate([total, high[left]])
    return two_sum(high[0], low[0])


def product(A, B):
    """Aᵀ·B for pairs A (rows, a) and B (rows, b): a pair (a, b)."""
    columns = []
    for j in range(B[0].shape[1]):
        b_high, b_low = B[0][:, j, None], B[1][:, j, None]
        high, low = two_product(A[0], b_high)
        columns.append(summed(high, low + A[0] * b_low + A[1] * b_high))
    return tuple(np.stack(part, axis=1) for part in zip(*columns, strict=True))


def transposed(A):
    return np.ascontiguousarray(A[0].T), np.ascontiguousarray(A[1].T)
