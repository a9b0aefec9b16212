"""One read of a dense X per pass, X stored by rows: loops over the rows [start, stop) of one lane.

A lane walks its rows tile by tile. Per tile and output: margins; the pointwise line on the whole tile
(pointwise.py); Xᵀ times its result, while the tile is still in the cache. Sums leave a tile as float64.

Four rows go at a time, so that w and the gradient are loaded once for four. They are not neighbours but a
quarter of the tile apart: four clean streams for the prefetcher. Four adjacent rows of 256 floats share one
page, and there two threads read 17 GB/s where they read 28 so, and 22 one row at a time. What else lost:
`prange` over the latter (20 GB/s, but it aborts the process when two Python threads enter it, dies after
fork, and its bits go by the number of threads), BLAS on a tile (6 GB/s: the pointwise line is a dozen NumPy
calls), no tile at all (14 GB/s: exp one row at a time). bench/alternatives.py measures them.

Shapes: A (m, at least n: rows may be padded or part of a wider table), y (m,) codes 0/1, s (m,) weights or
empty for ones, W (k, n) one output a row, b (k,), work from `scratch`, kept and known (k, m) or empty,
gradient (k, n + 1) float64, its last column for b.
"""

import numpy as np
from numba import njit

from .pointwise import curvature, loss_residual
from .storage import LOOP, load


@njit(**LOOP)
def tile_margins(T, w, b, q, z):
    """z[i] = T[i]·w + b for the q rows of a tile."""
    zero = w.dtype.type(0)
    n = w.size
    h = q // 4
    for i in range(h):
        x0, x1, x2, x3 = T[i], T[h + i], T[2 * h + i], T[3 * h + i]
        z0, z1, z2, z3 = zero, zero, zero, zero
        for j in range(n):
            z0 += load(x0[j], zero) * w[j]
            z1 += load(x1[j], zero) * w[j]
            z2 += load(x2[j], zero) * w[j]
            z3 += load(x3[j], zero) * w[j]
        z[i], z[h + i], z[2 * h + i], z[3 * h + i] = z0 + b, z1 + b, z2 + b, z3 + b
    for i in range(4 * h, q):
        x0 = T[i]
        z0 = zero
        for j in range(n):
            z0 += load(x0[j], zero) * w[j]
        z[i] = z0 + b


@njit(**LOOP)
def tile_gradient(T, r, q, g, gradient):
    """gradient += Tᵀr of the q rows of a tile, its last entry += Σr; g (n,) is scratch."""
    n = g.size
    h = q // 4
    zero = g.dtype.type(0)
    g[:] = zero
    for i in range(h):
        x0, x1, x2, x3 = T[i], T[h + i], T[2 * h + i], T[3 * h + i]
        r0, r1, r2, r3 = r[i], r[h + i], r[2 * h + i], r[3 * h + i]
        for j in range(n):
            g[j] += (r0 * load(x0[j], zero) + r1 * load(x1[j], zero)) + (
                r2 * load(x2[j], zero) + r3 * load(x3[j], zero)
            )
    for i in range(4 * h, q):
        x0 = T[i]
        r0 = r[i]
        for j in range(n):
            g[j] += r0 * load(x0[j], zero)
    for j in range(n):
        gradient[j] += g[j]
    total = 0.0
    for i in range(q):
        total += r[i]
    gradient[n] += total


@njit(**LOOP)
def tile_squares(T, c, q, g, diagonal):
    """diagonal[j] += Σ c[i]·T[i, j]² over the q rows of a tile, its last entry += Σc; g (n,) is scratch."""
    n = g.size
    h = q // 2
    zero = g.dtype.type(0)
    g[:] = zero
    for i in range(h):
        x0, x1 = T[i], T[h + i]
        c0, c1 = c[i], c[h + i]
        for j in range(n):
            a0, a1 = load(x0[j], zero), load(x1[j], zero)
            g[j] += c0 * (a0 * a0) + c1 * (a1 * a1)
    if 2 * h < q:
        x0 = T[q - 1]
        c0 = c[q - 1]
        for j in range(n):
            a0 = load(x0[j], zero)
            g[j] += c0 * (a0 * a0)
    for j in range(n):
        diagonal[j] += g[j]
    total = 0.0
    for i in range(q):
        total += c[i]
    diagonal[n] += total


def scratch(W, tile):
    """What a call of a pass works in: sums of n, and two vectors for a tile's rows.

    Made in Python: np.empty in compiled code costs half a second of compiling a pass.
    """
    dtype = W.dtype
    return np.empty(W.shape[1], dtype), np.empty(tile, dtype), np.empty(tile, dtype)


@njit(**LOOP)
def loss_gradient(A, y, s, W, b, start, stop, work, kept, value, gradient):
    """value[c] += Σ s·ℓ; gradient[c] += Xᵀ(s·∂ℓ/∂z); margins into kept unless it is empty."""
    g, z, values = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T = A[lo : lo + q]
        for c in range(W.shape[0]):
            tile_margins(T, W[c], b[c], q, z)
            if kept.size:
                for i in range(q):
                    kept[c, lo + i] = z[i]
            loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
            total = 0.0
            for i in range(q):
                total += values[i]
            value[c] += total
            tile_gradient(T, z, q, g, gradient[c])


@njit(**LOOP)
def loss_gradient_diagonal(A, y, s, W, b, start, stop, work, kept, value, gradient, diagonal):
    """As `loss_gradient`, and diagonal[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]²: what a solver that scales its steps asks for first."""
    g, z, values = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T = A[lo : lo + q]
        for c in range(W.shape[0]):
            tile_margins(T, W[c], b[c], q, z)
            if kept.size:
                for i in range(q):
                    kept[c, lo + i] = z[i]
            for i in range(q):
                values[i] = z[i]
            curvature(values, s[lo : lo + q], q)
            tile_squares(T, values, q, g, diagonal[c])
            loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
            total = 0.0
            for i in range(q):
                total += values[i]
            value[c] += total
            tile_gradient(T, z, q, g, gradient[c])


@njit(**LOOP)
def hessian_vector(A, s, W, b, V, d, known, start, stop, work, result):
    """result[c] += Xᵀ(s·∂²ℓ/∂z²·(X·V[c] + d[c])): both margins of a tile from one read of it; `known` may give those at W."""
    g, z, u = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T = A[lo : lo + q]
        for c in range(W.shape[0]):
            if known.size:
                for i in range(q):
                    z[i] = known[c, lo + i]
            else:
                tile_margins(T, W[c], b[c], q, z)
            tile_margins(T, V[c], d[c], q, u)
            curvature(z, s[lo : lo + q], q)
            for i in range(q):
                z[i] *= u[i]
            tile_gradient(T, z, q, g, result[c])


@njit(**LOOP)
def diagonal(A, s, W, b, start, stop, work, result):
    """result[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]²."""
    g, z, _ = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T = A[lo : lo + q]
        for c in range(W.shape[0]):
            tile_margins(T, W[c], b[c], q, z)
            curvature(z, s[lo : lo + q], q)
            tile_squares(T, z, q, g, result[c])


@njit(**LOOP)
def margins(A, W, b, start, stop, work, z):
    """z[c, i] = X[i]·W[c] + b[c]."""
    _, one, _ = work
    tile = one.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T = A[lo : lo + q]
        for c in range(W.shape[0]):
            tile_margins(T, W[c], b[c], q, z[c, lo : lo + q])


@njit(**LOOP)
def read(A, start, stop):
    """The sum of the rows of the lane: the plain read that passes are measured against."""
    total = A.dtype.type(0)
    h = (stop - start) // 4
    for i in range(start, start + h):
        x0, x1, x2, x3 = A[i], A[h + i], A[2 * h + i], A[3 * h + i]
        for j in range(x0.size):
            total += (x0[j] + x1[j]) + (x2[j] + x3[j])
    for i in range(start + 4 * h, stop):
        x0 = A[i]
        for j in range(x0.size):
            total += x0[j]
    return total
