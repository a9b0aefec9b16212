"""One read of a dense X per pass, X stored by columns (Fortran order, what pandas and polars hand over).

The same passes as rows.py with the same arguments, but A is Xᵀ by rows: (n, at least m). A tile is tall, some hundreds of
rows, so that each column gives a run that is worth a prefetch; four columns go at a time. Margins are built up column
by column, z += x_j·w_j, and the gradient is a dot product a column.
"""

import numpy as np
from numba import njit

from .pointwise import curvature, loss_residual
from .storage import LOOP, columns_of


@njit(**LOOP)
def tile_margins(T, at, w, b, q, z):
    """z[i] = Σ_j T[j, at + i]·w[j] + b for the q rows of a tile."""
    n, end = w.size, at + q
    for i in range(q):
        z[i] = b
    j = 0
    while j + 4 <= n:
        x0, x1, x2, x3 = T[j][at:end], T[j + 1][at:end], T[j + 2][at:end], T[j + 3][at:end]
        w0, w1, w2, w3 = w[j], w[j + 1], w[j + 2], w[j + 3]
        for i in range(q):
            z[i] += (x0[i] * w0 + x1[i] * w1) + (x2[i] * w2 + x3[i] * w3)
        j += 4
    while j < n:
        x0 = T[j][at:end]
        w0 = w[j]
        for i in range(q):
            z[i] += x0[i] * w0
        j += 1


@njit(**LOOP)
def tile_gradient(T, at, r, q, gradient):
    """gradient[j] += Σ T[j, at + i]·r[i] of the q rows of a tile, its last entry += Σr."""
    n, end = gradient.size - 1, at + q
    zero = r.dtype.type(0)
    j = 0
    while j + 4 <= n:
        x0, x1, x2, x3 = T[j][at:end], T[j + 1][at:end], T[j + 2][at:end], T[j + 3][at:end]
        g0, g1, g2, g3 = zero, zero, zero, zero
        for i in range(q):
            g0 += x0[i] * r[i]
            g1 += x1[i] * r[i]
            g2 += x2[i] * r[i]
            g3 += x3[i] * r[i]
        gradient[j] += g0
        gradient[j + 1] += g1
        gradient[j + 2] += g2
        gradient[j + 3] += g3
        j += 4
    while j < n:
        x0 = T[j][at:end]
        g0 = zero
        for i in range(q):
            g0 += x0[i] * r[i]
        gradient[j] += g0
        j += 1
    total = 0.0
    for i in range(q):
        total += r[i]
    gradient[n] += total


@njit(**LOOP)
def tile_squares(T, at, c, q, diagonal):
    """diagonal[j] += Σ c[i]·T[j, at + i]² over the q rows of a tile, its last entry += Σc."""
    n, end = diagonal.size - 1, at + q
    for j in range(n):
        x0 = T[j][at:end]
        g0 = c.dtype.type(0)
        for i in range(q):
            g0 += c[i] * (x0[i] * x0[i])
        diagonal[j] += g0
    total = 0.0
    for i in range(q):
        total += c[i]
    diagonal[n] += total


def scratch(A, W, tile):
    """What a call of a pass works in: a tile to convert into (if A is to be) and two vectors for a tile's rows."""
    dtype = W.dtype
    to_convert = 0 if A.dtype == dtype else tile
    return np.empty((W.shape[1], to_convert), dtype), np.empty(tile, dtype), np.empty(tile, dtype)


@njit(**LOOP)
def loss_gradient(A, y, s, W, b, start, stop, work, kept, value, gradient):
    """value[c] += Σ s·ℓ; gradient[c] += Xᵀ(s·∂ℓ/∂z); margins into kept unless it is empty."""
    converted, z, values = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T, at = columns_of(A, lo, q, converted)
        for c in range(W.shape[0]):
            tile_margins(T, at, W[c], b[c], q, z)
            if kept.size:
                for i in range(q):
                    kept[c, lo + i] = z[i]
            loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
            total = 0.0
            for i in range(q):
                total += values[i]
            value[c] += total
            tile_gradient(T, at, z, q, gradient[c])


@njit(**LOOP)
def hessian_vector(A, s, W, b, V, d, start, stop, work, result):
    """result[c] += Xᵀ(s·∂²ℓ/∂z²·(X·V[c] + d[c]))."""
    converted, z, u = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T, at = columns_of(A, lo, q, converted)
        for c in range(W.shape[0]):
            tile_margins(T, at, W[c], b[c], q, z)
            tile_margins(T, at, V[c], d[c], q, u)
            curvature(z, s[lo : lo + q], q)
            for i in range(q):
                z[i] *= u[i]
            tile_gradient(T, at, z, q, result[c])


@njit(**LOOP)
def diagonal(A, s, W, b, start, stop, work, result):
    """result[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]²."""
    converted, z, _ = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T, at = columns_of(A, lo, q, converted)
        for c in range(W.shape[0]):
            tile_margins(T, at, W[c], b[c], q, z)
            curvature(z, s[lo : lo + q], q)
            tile_squares(T, at, z, q, result[c])


@njit(**LOOP)
def margins(A, W, b, start, stop, work, z):
    """z[c, i] = X[i]·W[c] + b[c]."""
    converted, one, _ = work
    tile = one.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        T, at = columns_of(A, lo, q, converted)
        for c in range(W.shape[0]):
            tile_margins(T, at, W[c], b[c], q, z[c, lo : lo + q])
