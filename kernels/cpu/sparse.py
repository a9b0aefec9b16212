"""The tile primitives of a sparse X in compressed rows, and the loop over pairs of entries for a Hessian.

The entries of a tile are read for its margins, and again, while they are in the cache, for the sums. The sums
of a lane are float64 from the first addition on: additions to columns are scattered, so float32 accumulators
would only halve the cache that they take.

Short rows are processed one entry after the other in a simple loop: its end is mispredicted anyway, and a
remainder loop would be mispredicted again. In long rows a margin has four sums, since a single one would wait
for each addition before the next.

Indices are unsigned: for signed ones Numba checks whether each counts from the end, which takes longer than
the sum. With `reassoc`, the compiler would gather short rows into vectors, which costs more than it saves.

Shapes are as in rows.py, except for A = (data (nnz,), indices (nnz,), indptr (m + 1,)), the last two
unsigned, and the first row of the tile, lo.
"""

import numpy as np
from numba import njit

from .pointwise import curvature
from .storage import LOOP, load

ENTRIES = {**LOOP, "fastmath": {"contract"}}
LONG = 32  # mean number of entries of a row beyond which four sums are worth a loop for the remainder


@njit(**ENTRIES)
def tile_margins(A, w, b, lo, q, z):
    """z[i] = X[lo + i]·w + b for the q rows of a tile."""
    data, indices, indptr = A
    zero = w.dtype.type(0)
    first, one = np.uint64(lo), np.uint64(1)
    e = np.uint64(indptr[first])
    if np.uint64(indptr[first + np.uint64(q)]) - e > np.uint64(q * LONG):
        _long_margins(A, w, b, lo, q, z)
        return
    for i in range(np.uint64(0), np.uint64(q)):
        stop, p = np.uint64(indptr[first + i + one]), b
        while e < stop:
            p += load(data[e], zero) * w[indices[e]]
            e += one
        z[i] = p


@njit(**ENTRIES)
def _long_margins(A, w, b, lo, q, z):
    data, indices, indptr = A
    zero = w.dtype.type(0)
    first, one, two, three, four = np.uint64(lo), np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    e = np.uint64(indptr[first])
    for i in range(np.uint64(0), np.uint64(q)):
        stop = np.uint64(indptr[first + i + one])
        p, r, s, t = zero, zero, zero, zero
        for _ in range((stop - e) >> two):
            p += load(data[e], zero) * w[indices[e]]
            r += load(data[e + one], zero) * w[indices[e + one]]
            s += load(data[e + two], zero) * w[indices[e + two]]
            t += load(data[e + three], zero) * w[indices[e + three]]
            e += four
        while e < stop:
            p += load(data[e], zero) * w[indices[e]]
            e += one
        z[i] = ((p + r) + (s + t)) + b


@njit(**ENTRIES)
def tile_gradient(A, r, lo, q, gradient):
    """gradient += Xᵀr of the q rows of a tile, its last entry += Σr."""
    data, indices, indptr = A
    zero = r.dtype.type(0)
    total = 0.0
    first, one = np.uint64(lo), np.uint64(1)
    e = np.uint64(indptr[first])
    for i in range(np.uint64(0), np.uint64(q)):
        stop, factor = np.uint64(indptr[first + i + one]), r[i]
        total += factor
        while e < stop:
            gradient[indices[e]] += factor * load(data[e], zero)
            e += one
    gradient[gradient.size - 1] += total


@njit(**ENTRIES)
def tile_squares(A, c, lo, q, diagonal):
    """diagonal[j] += Σ c[i]·X[lo + i, j]² over the q rows of a tile, its last entry += Σc."""
    data, indices, indptr = A
    zero = c.dtype.type(0)
    total = 0.0
    first, one = np.uint64(lo), np.uint64(1)
    e = np.uint64(indptr[first])
    for i in range(np.uint64(0), np.uint64(q)):
        stop, factor = np.uint64(indptr[first + i + one]), c[i]
        total += factor
        while e < stop:
            x = load(data[e], zero)
            diagonal[indices[e]] += factor * (x * x)
            e += one
    diagonal[diagonal.size - 1] += total


@njit(**ENTRIES)
def hessian(A, s, W, b, start, stop, work, H):
    """H (n + 1, n + 1) += Xᵀ diag(s·∂²ℓ/∂z²) X of one output, its upper triangle: indices ascend in a row."""
    data, indices, indptr = A
    _, z, _ = work
    tile = z.size
    zero = z.dtype.type(0)
    n = H.shape[0] - 1
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        tile_margins(A, W[0], b[0], lo, q, z)
        curvature(z, s[lo : lo + q], q)
        for i in range(q):
            H[n, n] += z[i]
            last = np.uint64(indptr[lo + i + 1])
            for e in range(np.uint64(indptr[lo + i]), last):
                scaled = z[i] * load(data[e], zero)
                row = H[indices[e]]
                row[n] += scaled
                for f in range(e, last):
                    row[indices[f]] += scaled * load(data[f], zero)
