"""One read of a dense X per pass, X stored by columns (Fortran order, what pandas and polars hand over).

The same passes as rows.py with the same arguments, but A is Xᵀ by rows: (n, at least m). A tile is tall, some
hundreds of rows, so that each column gives a run that is worth a prefetch; four columns go at a time. Margins
are built up column by column, z += x_j·w_j, and the gradient is a dot product a column.
"""

import numpy as np
from numba import njit

from .pointwise import curvature, loss_residual
from .storage import LOOP, load


@njit(**LOOP)
def tile_margins(A, lo, w, b, q, z):
    """z[i] = Σ_j A[j, lo + i]·w[j] + b for the q rows of a tile."""
    n, end = w.size, lo + q
    zero = w.dtype.type(0)
    for i in range(q):
        z[i] = b
    j = 0
    while j + 4 <= n:
        x0, x1, x2, x3 = A[j][lo:end], A[j + 1][lo:end], A[j + 2][lo:end], A[j + 3][lo:end]
        w0, w1, w2, w3 = w[j], w[j + 1], w[j + 2], w[j + 3]
        for i in range(q):
            z[i] += (load(x0[i], zero) * w0 + load(x1[i], zero) * w1) + (
                load(x2[i], zero) * w2 + load(x3[i], zero) * w3
            )
        j += 4
    while j < n:
        x0 = A[j][lo:end]
        w0 = w[j]
        for i in range(q):
            z[i] += load(x0[i], zero) * w0
        j += 1


@njit(**LOOP)
def tile_gradient(A, lo, r, q, gradient):
    """gradient[j] += Σ A[j, lo + i]·r[i] of the q rows of a tile, its last entry += Σr."""
    n, end = gradient.size - 1, lo + q
    zero = r.dtype.type(0)
    j = 0
    while j + 4 <= n:
        x0, x1, x2, x3 = A[j][lo:end], A[j + 1][lo:end], A[j + 2][lo:end], A[j + 3][lo:end]
        g0, g1, g2, g3 = zero, zero, zero, zero
        for i in range(q):
            g0 += load(x0[i], zero) * r[i]
            g1 += load(x1[i], zero) * r[i]
            g2 += load(x2[i], zero) * r[i]
            g3 += load(x3[i], zero) * r[i]
        gradient[j] += g0
        gradient[j + 1] += g1
        gradient[j + 2] += g2
        gradient[j + 3] += g3
        j += 4
    while j < n:
        x0 = A[j][lo:end]
        g0 = zero
        for i in range(q):
            g0 += load(x0[i], zero) * r[i]
        gradient[j] += g0
        j += 1
    total = 0.0
    for i in range(q):
        total += r[i]
    gradient[n] += total


@njit(**LOOP)
def tile_squares(A, lo, c, q, diagonal):
    """diagonal[j] += Σ c[i]·A[j, lo + i]² over the q rows of a tile, its last entry += Σc."""
    n, end = diagonal.size - 1, lo + q
    zero = c.dtype.type(0)
    for j in range(n):
        x0 = A[j][lo:end]
        g0 = zero
        for i in range(q):
            a0 = load(x0[i], zero)
            g0 += c[i] * (a0 * a0)
        diagonal[j] += g0
    total = 0.0
    for i in range(q):
        total += c[i]
    diagonal[n] += total


def scratch(W, tile):
    """What a call of a pass works in: two vectors for a tile's rows."""
    return np.empty(tile, W.dtype), np.empty(tile, W.dtype)


@njit(**LOOP)
def loss_gradient(A, y, s, W, b, start, stop, work, kept, value, gradient):
    """value[c] += Σ s·ℓ; gradient[c] += Xᵀ(s·∂ℓ/∂z); margins into kept unless it is empty."""
    z, values = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, lo, W[c], b[c], q, z)
            if kept.size:
                for i in range(q):
                    kept[c, lo + i] = z[i]
            loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
            total = 0.0
            for i in range(q):
                total += values[i]
            value[c] += total
            tile_gradient(A, lo, z, q, gradient[c])


@njit(**LOOP)
def loss_gradient_diagonal(A, y, s, W, b, start, stop, work, kept, value, gradient, diagonal):
    """As `loss_gradient`, and diagonal[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]²: what a solver that scales its steps asks for first."""
    z, values = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, lo, W[c], b[c], q, z)
            if kept.size:
                for i in range(q):
                    kept[c, lo + i] = z[i]
            for i in range(q):
                values[i] = z[i]
            curvature(values, s[lo : lo + q], q)
            tile_squares(A, lo, values, q, diagonal[c])
            loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
            total = 0.0
            for i in range(q):
                total += values[i]
            value[c] += total
            tile_gradient(A, lo, z, q, gradient[c])


@njit(**LOOP)
def hessian_vector(A, s, W, b, V, d, known, start, stop, work, result):
    """result[c] += Xᵀ(s·∂²ℓ/∂z²·(X·V[c] + d[c])); `known` may give the margins at W."""
    z, u = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            if known.size:
                for i in range(q):
                    z[i] = known[c, lo + i]
            else:
                tile_margins(A, lo, W[c], b[c], q, z)
            tile_margins(A, lo, V[c], d[c], q, u)
            curvature(z, s[lo : lo + q], q)
            for i in range(q):
                z[i] *= u[i]
            tile_gradient(A, lo, z, q, result[c])


@njit(**LOOP)
def diagonal(A, s, W, b, start, stop, work, result):
    """result[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]²."""
    z, _ = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, lo, W[c], b[c], q, z)
            curvature(z, s[lo : lo + q], q)
            tile_squares(A, lo, z, q, result[c])


@njit(**LOOP)
def margins(A, W, b, start, stop, work, z):
    """z[c, i] = X[i]·W[c] + b[c]."""
    one, _ = work
    tile = one.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, lo, W[c], b[c], q, z[c, lo : lo + q])
