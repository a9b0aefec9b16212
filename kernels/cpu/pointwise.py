"""The pointwise formulas of the logistic loss on a tile of margins, written for the compiler to vectorise.

With t = exp(−|z|) and z̃ = ±z (+ for y = 1)::

    ℓ = max(−z̃, 0) + log1p(t)      ∂ℓ/∂z = ∓(t if z̃ > 0 else 1)/(1 + t)      ∂²ℓ/∂z² = t/(1 + t)²

Numba's np.exp and np.log1p are scalar calls where Intel's SVML is absent, and at 64 features and fewer they
would cost more than reading X. Both are polynomials here, float32 or float64 after the type of z:

- exp: x = k·ln 2 + r with |r| ≤ ln 2/2, a Taylor polynomial in r, then k added to the exponent's bits. k
  comes from adding 1.5·2^23 (2^52 for float64), which leaves round(x/ln 2) in the low bits: no conversion to
  integer, so a NaN remains one. The fast-math flag `reassoc` would cancel that addition, so these functions
  do not have it.
- log1p(t) = 2·artanh(u), u = t/(2 + t) ≤ 1/3: an odd series in u, exact for small t, in which rows do not
  depend on each other. (A running product Π(1 + t) with one log per tile is a chain of dependent operations,
  which cannot be vectorised, and it needs a second form for weighted rows.)
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from .caching import CACHE

POLYNOMIAL = {"error_model": "numpy", "fastmath": {"contract"}}
POINTWISE = {"nogil": True, "cache": CACHE, **POLYNOMIAL}


def _exp_nonpositive(x):
    """exp(x) for x ≤ 0; NaN for NaN."""


def _log1p_unit(t):
    """log(1 + t) for 0 ≤ t ≤ 1."""


def _exp32(x):
    x = np.float32(-87.0) if x < np.float32(-87.0) else x
    shifted = x * np.float32(1.4426950408889634) + np.float32(12582912.0)
    k = shifted - np.float32(12582912.0)
    r = (x - k * np.float32(0.693359375)) + k * np.float32(2.12194440e-4)
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1.0)
    p = p * r + np.float32(1.0)
    bits = (np.float32(shifted).view(np.int32) << np.int32(23)) + np.int32(127 << 23)
    return p * np.int32(bits).view(np.float32)


def _exp64(x):
    x = -708.0 if x < -708.0 else x
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    k = shifted - 6755399441055744.0
    r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
    p = 1 / 6227020800
    p = p * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    bits = (np.float64(shifted).view(np.int64) << np.int64(52)) + (np.int64(1023) << np.int64(52))
    return p * np.int64(bits).view(np.float64)


def _log1p32(t):
    u = t / (np.float32(2.0) + t)
    v = u * u
    p = np.float32(2 / 15)
    p = p * v + np.float32(2 / 13)
    p = p * v + np.float32(2 / 11)
    p = p * v + np.float32(2 / 9)
    p = p * v + np.float32(2 / 7)
    p = p * v + np.float32(2 / 5)
    p = p * v + np.float32(2 / 3)
    p = p * v + np.float32(2.0)
    return u * p


def _log1p64(t):
    u = t / (2.0 + t)
    v = u * u
    p = 2 / 33
    p = p * v + 2 / 31
    p = p * v + 2 / 29
    p = p * v + 2 / 27
    p = p * v + 2 / 25
    p = p * v + 2 / 23
    p = p * v + 2 / 21
    p = p * v + 2 / 19
    p = p * v + 2 / 17
    p = p * v + 2 / 15
    p = p * v + 2 / 13
    p = p * v + 2 / 11
    p = p * v + 2 / 9
    p = p * v + 2 / 7
    p = p * v + 2 / 5
    p = p * v + 2 / 3
    p = p * v + 2.0
    return u * p


@overload(_exp_nonpositive, jit_options=POLYNOMIAL)
def _choose_exp(x):
    return _exp32 if x == types.float32 else _exp64


@overload(_log1p_unit, jit_options=POLYNOMIAL)
def _choose_log1p(t):
    return _log1p32 if t == types.float32 else _log1p64


@njit(**POINTWISE)
def loss_residual(z, y, s, q, values):
    """First q rows of a tile: z (margins) becomes s·∂ℓ/∂z, values becomes s·ℓ; an empty s means ones."""
    one = z.dtype.type(1)
    zero = z.dtype.type(0)
    for i in range(q):
        sign = z.dtype.type(2 * np.int32(y[i]) - 1)
        signed = sign * z[i]
        t = _exp_nonpositive(-abs(z[i]))
        miss = (t if signed > zero else one) / (one + t)
        values[i] = (-signed if signed < zero else zero) + _log1p_unit(t)
        z[i] = -sign * miss
    if s.size:
        for i in range(q):
            values[i] *= s[i]
            z[i] *= s[i]


@njit(**POINTWISE)
def curvature(z, s, q):
    """First q rows of a tile: z (margins) becomes s·∂²ℓ/∂z²; an empty s means ones."""
    one = z.dtype.type(1)
    for i in range(q):
        t = _exp_nonpositive(-abs(z[i]))
        z[i] = t / ((one + t) * (one + t))
    if s.size:
        for i in range(q):
            z[i] *= s[i]


@njit(**POINTWISE)
def _line_tile(z0, z1, y, s, t, q, slopes, curvatures):
    one = z0.dtype.type(1)
    zero = z0.dtype.type(0)
    for i in range(q):
        step = z1[i] - z0[i]
        sign = z0.dtype.type(2 * np.int32(y[i]) - 1)
        signed = sign * (z0[i] + t * step)
        e = _exp_nonpositive(-abs(signed))
        miss = (e if signed > zero else one) / (one + e)
        slopes[i] = -sign * miss * step
        curvatures[i] = e / ((one + e) * (one + e)) * (step * step)
    if s.size:
        for i in range(q):
            slopes[i] *= s[i]
            curvatures[i] *= s[i]


@njit(**POINTWISE)
def line(z0, z1, y, s, t, start, stop, sums):
    """sums (2,) += slope and curvature in t of Σ s·ℓ at the margins z0 + t·(z1 − z0) of the lane's rows."""
    tile = 512
    slopes, curvatures = np.empty(tile, z0.dtype), np.empty(tile, z0.dtype)
    for lo in range(start, stop, tile):
        hi = min(lo + tile, stop)
        _line_tile(z0[lo:hi], z1[lo:hi], y[lo:hi], s[lo:hi], t, hi - lo, slopes, curvatures)
        for i in range(hi - lo):
            sums[0] += slopes[i]
            sums[1] += curvatures[i]
