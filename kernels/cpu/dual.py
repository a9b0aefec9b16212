"""Coordinate ascent on the dual of the logistic loss with an L2 penalty, and the gap at a point of the dual.

A row has one number p in [0, 1]: its residual is −p towards its own class, and w = C·Σ s·p·ỹ·x is kept up to
date. With the margin m = ỹ·(x·w + b) and q = C·s·(‖x‖² + κ), the problem of a single row is solved by the
margin t for which::

    t = m + q·(σ(−t) − p)

The new p is σ(−t). The right side decreases in t and the left side increases, so Newton's method finds t,
safeguarded by the margins of the largest and the least change of p. In terms of t there is no logarithm, and
p cannot leave its bounds (Yu, Huang and Lin 2011, Machine Learning 85, solve for p).

Since b is not penalised, Σ s·p·ỹ has to be 0. An augmented Lagrangian achieves that, in which b is the
multiplier and κ the strength. liblinear and others penalise the intercept, which is another problem.

A is an array (m, n) of rows, or data, indices and indptr, the last two unsigned. y (m,) codes 0 or 1, s (m,)
weights or empty for ones.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from .pointwise import POLYNOMIAL, _exp_nonpositive
from .storage import LOOP, load

ENTRIES = {**LOOP, "fastmath": {"contract"}}
INLINE = {name: value for name, value in ENTRIES.items() if name != "cache"}
DENSE = {**INLINE, "fastmath": {"contract", "reassoc"}}

_STEPS = 20  # steps of Newton's method for one row at most; one or two are usual
_SMALL = 0.1  # a step of the margin so short that Newton's method needs no further one


def dot(A, i, w):
    """X[i]·w in float64; the last entry of w, for b, is left out."""


def add(A, i, d, w):
    """w += d·X[i]; the last entry of w, for b, is not changed."""


def square(A, i, n):
    """‖X[i]‖² in float64."""


@njit(**DENSE)
def _dense_dot(A, i, w):
    total = 0.0
    for j in range(w.size - 1):
        total += load(A[i, j], total) * w[j]
    return total


@njit(**DENSE)
def _dense_add(A, i, d, w):
    for j in range(w.size - 1):
        w[j] += d * load(A[i, j], d)


@njit(**DENSE)
def _dense_square(A, i, n):
    total = 0.0
    for j in range(n):
        x = load(A[i, j], total)
        total += x * x
    return total


@njit(**INLINE)
def _sparse_dot(A, i, w):
    data, indices, indptr = A
    total = 0.0
    for e in range(np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(1)])):
        total += load(data[e], total) * w[indices[e]]
    return total


@njit(**INLINE)
def _sparse_add(A, i, d, w):
    data, indices, indptr = A
    for e in range(np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(1)])):
        w[indices[e]] += d * load(data[e], d)


@njit(**INLINE)
def _sparse_square(A, i, n):
    data, _, indptr = A
    total = 0.0
    for e in range(np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(1)])):
        x = load(data[e], total)
        total += x * x
    return total


@overload(dot, jit_options=INLINE)
def _dot(A, i, w):
    if isinstance(A, types.Array):
        return lambda A, i, w: _dense_dot(A, i, w)
    return lambda A, i, w: _sparse_dot(A, i, w)


@overload(add, jit_options=INLINE)
def _add(A, i, d, w):
    if isinstance(A, types.Array):
        return lambda A, i, d, w: _dense_add(A, i, d, w)
    return lambda A, i, d, w: _sparse_add(A, i, d, w)


@overload(square, jit_options=INLINE)
def _square(A, i, n):
    if isinstance(A, types.Array):
        return lambda A, i, n: _dense_square(A, i, n)
    return lambda A, i, n: _sparse_square(A, i, n)


@njit(nogil=True, **POLYNOMIAL)
def _miss(t):
    """σ(−t) and its curvature σ(t)·σ(−t)."""
    e = _exp_nonpositive(-abs(t))
    r = 1 / (1 + e)
    return (e * r if t > 0 else r), e * r * r


@njit(nogil=True, **POLYNOMIAL)
def _solved(m, q, p):
    """The p that solves the problem of a row, and the row's gap before."""
    new, curvature = _miss(m)
    off = abs(new - p)
    gap = 0.5 * off * off / curvature if off < 0.5 * curvature else off
    low, high, t = m - q * p, m + q * (1 - p), m
    for _ in range(_STEPS):
        off = (t - m) - q * (new - p)
        step = off / (1 + q * curvature)
        if abs(step) <= _SMALL:
            return new + curvature * step, gap
        if off > 0:
            high = t
        else:
            low = t
        t -= step
        if not (low <= t <= high):
            t = 0.5 * (low + high)
        new, curvature = _miss(t)
    return new, gap


@njit(**ENTRIES)
def epoch(A, y, s, C, kappa, order, state, w):
    """Visit each of some rows once; changes state[:, 0] = p and w (n + 1,), whose last entry is b.

    state[:, 1] are the ‖x‖²; `kappa` is 0 if there is no b. Returns the approximate duality gap, in units of
    the loss: the sum of the gap that each row had when it was visited.
    """
    n, total = w.size - 1, 0.0
    for k in range(order.size):
        i = np.uint64(order[k])
        weight = np.float64(s[i]) if s.size else 1.0
        sign, c, before = 2.0 * y[i] - 1, C * weight, state[i, 0]
        margin = sign * (dot(A, i, w) + w[n])
        after, gap = _solved(margin, c * (state[i, 1] + kappa), before)
        total += weight * gap
        change = c * (after - before) * sign
        if change != 0:
            state[i, 0] = after
            w[n] += kappa * change
            add(A, i, change, w)
    return total


@njit(**ENTRIES)
def squares(A, n, state):
    """state[:, 1] = ‖x‖²."""
    for i in range(len(state)):
        state[i, 1] = square(A, np.uint64(i), n)


@njit(**ENTRIES)
def residuals(y, z, state):
    """state[:, 0] = the p that belong to the margins z (m,)."""
    for i in range(z.size):
        state[i, 0] = _miss((2.0 * y[i] - 1) * z[i])[0]


@njit(**ENTRIES)
def sides(y, s, state):
    """Σ s·p of the rows of each class."""
    negative, positive = 0.0, 0.0
    for i in range(len(state)):
        mass = state[i, 0] * (s[i] if s.size else 1.0)
        if y[i]:
            positive += mass
        else:
            negative += mass
    return negative, positive


@njit(**ENTRIES)
def combine(A, y, s, negative, positive, state, w):
    """w += Σ s·p·x, p times one factor for each class, the first below zero: one read of X."""
    for i in range(len(state)):
        weight = s[i] if s.size else 1.0
        add(A, np.uint64(i), weight * state[i, 0] * (positive if y[i] else negative), w)


@njit(**ENTRIES)
def best_intercept(y, s, z, b):
    """The best b for the margins z (m,) without an intercept, by Newton's method from a b nearby."""
    for _ in range(_STEPS):
        slope, curvature = 0.0, 0.0
        for i in range(z.size):
            weight, sign = (np.float64(s[i]) if s.size else 1.0), 2.0 * y[i] - 1
            p, c = _miss(sign * (z[i] + b))
            slope -= weight * p * sign
            curvature += weight * c
        step = slope / curvature if curvature > 0 else 0.0
        b -= min(max(step, -1.0), 1.0)
        if abs(step) < 1e-7:
            break
    return b


@njit(**ENTRIES)
def gap(y, s, z, b, negative, positive, state):
    """Σ s·(ℓ(z + b) + ℓ*(−p) + p·margin), each at least 0, p times one factor for each class."""
    total = 0.0
    for i in range(z.size):
        t = (2.0 * y[i] - 1) * (z[i] + b)
        p = min(state[i, 0] * (positive if y[i] else negative), 1.0)
        entropy = (p * np.log(p) if p > 0 else 0.0) + ((1 - p) * np.log1p(-p) if p < 1 else 0.0)
        loss = (-t if t < 0 else 0.0) + np.log1p(np.exp(-abs(t)))
        total += max(loss + entropy + p * t, 0.0) * (s[i] if s.size else 1.0)
    return total
