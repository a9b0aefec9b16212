"""The tile primitives of a dense, column-major X, the layout of pandas and polars.

A is Xᵀ by rows, (n, at least m). A tile is tall, some hundreds of rows, so that its part of each column is
long enough for prefetching; four columns are processed at a time. Margins are added up column by column,
z += x_j·w_j, and the gradient is a dot product for each column.

Shapes are as in rows.py, except for A and the first row of the tile, lo.
"""

from numba import njit

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
