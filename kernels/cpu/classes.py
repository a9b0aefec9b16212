"""Passes of the softmax loss over a sparse X, in which an entry is multiplied by the weights of all classes.

The first use of an entry goes by rows: it is multiplied by a vector of weights, and the margins of a row stay
in the cache. The second use goes by columns, through a transposed copy of X: the sums of a column stay in
registers and the residuals, (m, k), in the cache. By rows, every entry would load and store k float64 sums of
its column, and every lane would need sums of its own. A column belongs to one thread, so its sum has the same
bits at any number of threads.

Shapes: A = (data, indices, indptr) as in sparse.py, of X or of its transposed copy; y (m,) codes, s (m,)
weights or empty for ones, W and V (n + 1, k), the intercepts last; known and kept (k, m) or empty; R (m, k)
the factors of the rows in the second use, work from `scratch`.
"""

import numpy as np
from numba import njit

from . import softmax
from .sparse import ENTRIES
from .storage import LOOP, load

_SUMMED = 256  # entries that are summed in the arithmetic before the sum is added up in float64


def scratch(k, tile, dtype):
    """The scratch memory of a lane: two matrices of the margins of a tile, and five vectors of its rows."""
    return (
        np.empty((k, tile), dtype),
        np.empty((k, tile), dtype),
        np.empty((5, tile), dtype),
        np.empty(k, dtype),
    )


@njit(**ENTRIES)
def _add(A, e, stop, R, squared, z):
    """z[c] += Σ x·R[j, c], or Σ x²·R[j, c], of the entries x from e to below stop, j the index of each.

    Four entries at a time: z is in memory, and a single entry would wait for the sums of the last one.
    """
    data, indices, _ = A
    zero = R.dtype.type(0)
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    for _ in range((stop - e) >> two):
        x, r = load(data[e], zero), R[indices[e]]
        x1, r1 = load(data[e + one], zero), R[indices[e + one]]
        x2, r2 = load(data[e + two], zero), R[indices[e + two]]
        x3, r3 = load(data[e + three], zero), R[indices[e + three]]
        if squared:
            x, x1, x2, x3 = x * x, x1 * x1, x2 * x2, x3 * x3
        for c in range(z.size):
            z[c] += (x * r[c] + x1 * r1[c]) + (x2 * r2[c] + x3 * r3[c])
        e += four
    while e < stop:
        x, r = load(data[e], zero), R[indices[e]]
        x = x * x if squared else x
        for c in range(z.size):
            z[c] += x * r[c]
        e += one


@njit(**ENTRIES)
def tile_margins(A, W, lo, q, z, Z):
    """Z[:, i] = X[lo + i]·W[:-1] + W[-1] for the q rows of a tile; z (k,) is scratch."""
    indptr, (last, k) = A[2], (W.shape[0] - 1, W.shape[1])
    for i in range(q):
        for c in range(k):
            z[c] = W[last, c]
        _add(A, np.uint64(indptr[lo + i]), np.uint64(indptr[lo + i + 1]), W, False, z)
        for c in range(k):
            Z[c, i] = z[c]


@njit(**LOOP)
def _given(known, lo, q, Z):
    for c in range(Z.shape[0]):
        for i in range(q):
            Z[c, i] = known[c, lo + i]


@njit(**LOOP)
def _put(Z, lo, q, R):
    for i in range(q):
        for c in range(Z.shape[0]):
            R[lo + i, c] = Z[c, i]


@njit(**LOOP)
def residuals(A, y, s, W, start, stop, work, kept, value, R, C):
    """value[0] += Σ s·ℓ, R = s·∂ℓ/∂z; margins into kept and s·∂²ℓ/∂z² into C unless they are empty."""
    Z, U, vectors, z = work
    tile = Z.shape[1]
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        tile_margins(A, W, lo, q, z, Z)
        if kept.size:
            for c in range(Z.shape[0]):
                for i in range(q):
                    kept[c, lo + i] = Z[c, i]
        if C.size:
            for c in range(Z.shape[0]):
                for i in range(q):
                    U[c, i] = Z[c, i]
            softmax.curvature(U, s[lo : lo + q], q, vectors)
            _put(U, lo, q, C)
        value[0] += softmax.loss_residual(Z, y[lo : lo + q], s[lo : lo + q], q, vectors)
        _put(Z, lo, q, R)


@njit(**LOOP)
def products(A, s, W, V, known, start, stop, work, R):
    """R = s·∂²ℓ/∂z²·(X·V); `known` may give the margins at W."""
    Z, U, vectors, z = work
    tile = Z.shape[1]
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        if known.size:
            _given(known, lo, q, Z)
        else:
            tile_margins(A, W, lo, q, z, Z)
        tile_margins(A, V, lo, q, z, U)
        softmax.curvature_product(Z, U, s[lo : lo + q], q, vectors)
        _put(Z, lo, q, R)


@njit(**ENTRIES)
def combine(A, R, squared, start, stop, g, G):
    """G[j] = Σ x·R[i], or Σ x²·R[i], of the columns from start to below stop; g (k,) is scratch."""
    indptr, k = A[2], R.shape[1]
    zero = R.dtype.type(0)
    for j in range(start, stop):
        e, last = np.uint64(indptr[j]), np.uint64(indptr[j + 1])
        while e < last:
            end = min(e + np.uint64(_SUMMED), last)
            for c in range(k):
                g[c] = zero
            _add(A, e, end, R, squared, g)
            e = end
            for c in range(k):
                G[j, c] += g[c]
