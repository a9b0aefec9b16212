"""One read of a dense, row-major X per pass: loops over the rows [start, stop) of one lane.

A lane walks its rows tile by tile. Per tile: margins, four rows at a time against the weights; the pointwise line on
the whole tile (kernels/cpu/pointwise.py); Xᵀ times its result, four rows at a time, while the tile is still in cache.
Arithmetic is in w's dtype (float32 or float64), X may be stored as any number type that converts to it; sums leave a
tile as float64. One row at a time instead of four re-reads w and the gradient for every row and is limited by the
load ports, not by memory. `prange` instead of serial lanes aborts the process when two Python threads enter it.

Shapes: X (m, at least n: rows may be padded or be part of a wider table), y (m,) codes 0/1, s (m,) weights or empty for ones, w (n,), b a number, gradient (n + 1,) float64.
"""

import numpy as np
from numba import njit

from .pointwise import curvature, loss_residual

LOOP = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


@njit(**LOOP)
def tile_margins(X, w, b, lo, q, z):
    """z[i] = X[lo + i]·w + b for the q rows of a tile."""
    zero = w.dtype.type(0)
    n = w.size
    i = 0
    while i + 4 <= q:
        x0, x1, x2, x3 = X[lo + i], X[lo + i + 1], X[lo + i + 2], X[lo + i + 3]
        z0, z1, z2, z3 = zero, zero, zero, zero
        for j in range(n):
            z0 += w.dtype.type(x0[j]) * w[j]
            z1 += w.dtype.type(x1[j]) * w[j]
            z2 += w.dtype.type(x2[j]) * w[j]
            z3 += w.dtype.type(x3[j]) * w[j]
        z[i], z[i + 1], z[i + 2], z[i + 3] = z0 + b, z1 + b, z2 + b, z3 + b
        i += 4
    while i < q:
        x0 = X[lo + i]
        z0 = zero
        for j in range(n):
            z0 += w.dtype.type(x0[j]) * w[j]
        z[i] = z0 + b
        i += 1


@njit(**LOOP)
def tile_gradient(X, r, lo, q, g, gradient):
    """gradient += Xᵀr of the q rows of a tile, its last entry += Σr; g (n,) is scratch in the arithmetic's dtype."""
    n = g.size
    number = g.dtype.type
    g[:] = number(0)
    i = 0
    while i + 4 <= q:
        x0, x1, x2, x3 = X[lo + i], X[lo + i + 1], X[lo + i + 2], X[lo + i + 3]
        r0, r1, r2, r3 = r[i], r[i + 1], r[i + 2], r[i + 3]
        for j in range(n):
            g[j] += (r0 * number(x0[j]) + r1 * number(x1[j])) + (r2 * number(x2[j]) + r3 * number(x3[j]))
        i += 4
    while i < q:
        x0 = X[lo + i]
        r0 = r[i]
        for j in range(n):
            g[j] += r0 * number(x0[j])
        i += 1
    total = 0.0
    for i in range(q):
        total += r[i]
    for j in range(n):
        gradient[j] += g[j]
    gradient[n] += total


@njit(**LOOP)
def loss_gradient(X, y, s, w, b, start, stop, tile, kept, gradient):
    """Σ s·ℓ of the rows, returned; gradient += Xᵀ(s·∂ℓ/∂z); margins into kept (m,) unless it is empty."""
    z = np.empty(tile, dtype=w.dtype)
    values = np.empty(tile, dtype=w.dtype)
    g = np.empty(w.size, dtype=w.dtype)
    value = 0.0
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        tile_margins(X, w, b, lo, q, z)
        if kept.size:
            kept[lo : lo + q] = z[:q]
        loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
        for i in range(q):
            value += values[i]
        tile_gradient(X, z, lo, q, g, gradient)
    return value


@njit(**LOOP)
def hessian_vector(X, s, w, b, v, c, start, stop, tile, result):
    """result += Xᵀ(s·∂²ℓ/∂z²·(X·v + c)): both products of a tile from one read of it."""
    z = np.empty(tile, dtype=w.dtype)
    u = np.empty(tile, dtype=w.dtype)
    g = np.empty(w.size, dtype=w.dtype)
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        tile_margins(X, w, b, lo, q, z)
        tile_margins(X, v, c, lo, q, u)
        curvature(z, s[lo : lo + q], q)
        for i in range(q):
            z[i] *= u[i]
        tile_gradient(X, z, lo, q, g, result)


@njit(**LOOP)
def margins(X, w, b, start, stop, z):
    """z[i] = X[i]·w + b for the rows of the lane."""
    tile_margins(X, w, b, start, stop - start, z[start:stop])


@njit(**LOOP)
def read(X, start, stop):
    """The sum of the rows of the lane: the plain read that passes are measured against."""
    total = X.dtype.type(0)
    for i in range(start, stop):
        row = X[i]
        for j in range(row.size):
            total += row[j]
    return total
