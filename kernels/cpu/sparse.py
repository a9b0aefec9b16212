"""One read of the entries of a sparse X per pass: loops over the rows [start, stop) of one lane, X in
compressed rows.

As in rows.py a lane walks its rows tile by tile: margins; the pointwise line on the whole tile
(pointwise.py), which vectorises; then the entries again, while they are in the cache, to be added up. The
sums of a lane are float64 from the first addition on: what a column's entries meet is scattered, so an
accumulator of float32 would save nothing but half of its cache.

Indices are unsigned: for signed ones Numba asks of each whether it counts from the end, at 1.1 ns an entry
where the sum then takes 0.5 (SciPy's takes 0.7, its transposed product 1.7). `reassoc` lets the compiler
gather short rows by vectors, which costs another 0.1 to 0.6 ns.

Shapes as in rows.py, but for A = (data (nnz,), indices (nnz,), indptr (m + 1,)), the last two unsigned; work
from `scratch`.
"""

import numpy as np
from numba import njit

from .pointwise import curvature, loss_residual
from .storage import LOOP, load

ENTRIES = {**LOOP, "fastmath": {"contract"}}


@njit(**ENTRIES)
def tile_margins(A, w, b, lo, q, z):
    """z[i] = X[lo + i]·w + b for the q rows of a tile."""
    data, indices, indptr = A
    zero = w.dtype.type(0)
    for i in range(q):
        total = zero
        for e in range(np.uint64(indptr[lo + i]), np.uint64(indptr[lo + i + 1])):
            total += load(data[e], zero) * w[indices[e]]
        z[i] = total + b


@njit(**ENTRIES)
def tile_gradient(A, r, lo, q, gradient):
    """gradient += Xᵀr of the q rows of a tile, its last entry += Σr."""
    data, indices, indptr = A
    zero = r.dtype.type(0)
    total = 0.0
    for i in range(q):
        factor = r[i]
        total += factor
        for e in range(np.uint64(indptr[lo + i]), np.uint64(indptr[lo + i + 1])):
            gradient[indices[e]] += factor * load(data[e], zero)
    gradient[gradient.size - 1] += total


@njit(**ENTRIES)
def tile_squares(A, c, lo, q, diagonal):
    """diagonal[j] += Σ c[i]·X[lo + i, j]² over the q rows of a tile, its last entry += Σc."""
    data, indices, indptr = A
    zero = c.dtype.type(0)
    total = 0.0
    for i in range(q):
        factor = c[i]
        total += factor
        for e in range(np.uint64(indptr[lo + i]), np.uint64(indptr[lo + i + 1])):
            x = load(data[e], zero)
            diagonal[indices[e]] += factor * (x * x)
    diagonal[diagonal.size - 1] += total


def scratch(W, tile):
    """What a call of a pass works in: two vectors for a tile's rows."""
    dtype = W.dtype
    return np.empty(tile, dtype), np.empty(tile, dtype)


@njit(**ENTRIES)
def loss_gradient(A, y, s, W, b, start, stop, work, kept, value, gradient):
    """value[c] += Σ s·ℓ; gradient[c] += Xᵀ(s·∂ℓ/∂z); margins into kept unless it is empty."""
    z, values = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, W[c], b[c], lo, q, z)
            if kept.size:
                for i in range(q):
                    kept[c, lo + i] = z[i]
            loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
            total = 0.0
            for i in range(q):
                total += values[i]
            value[c] += total
            tile_gradient(A, z, lo, q, gradient[c])


@njit(**ENTRIES)
def loss_gradient_diagonal(A, y, s, W, b, start, stop, work, kept, value, gradient, diagonal):
    """As `loss_gradient`, and diagonal[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]²: what a solver that scales its steps asks for first."""
    z, values = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, W[c], b[c], lo, q, z)
            if kept.size:
                for i in range(q):
                    kept[c, lo + i] = z[i]
            for i in range(q):
                values[i] = z[i]
            curvature(values, s[lo : lo + q], q)
            tile_squares(A, values, lo, q, diagonal[c])
            loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
            total = 0.0
            for i in range(q):
                total += values[i]
            value[c] += total
            tile_gradient(A, z, lo, q, gradient[c])


@njit(**ENTRIES)
def hessian_vector(A, s, W, b, V, d, known, start, stop, work, result):
    """result[c] += Xᵀ(s·∂²ℓ/∂z²·(X·V[c] + d[c])): both margins of a tile from one read of it; `known` may give those at W."""
    z, u = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            if known.size:
                for i in range(q):
                    z[i] = known[c, lo + i]
            else:
                tile_margins(A, W[c], b[c], lo, q, z)
            tile_margins(A, V[c], d[c], lo, q, u)
            curvature(z, s[lo : lo + q], q)
            for i in range(q):
                z[i] *= u[i]
            tile_gradient(A, z, lo, q, result[c])


@njit(**ENTRIES)
def diagonal(A, s, W, b, start, stop, work, result):
    """result[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]²."""
    z, _ = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, W[c], b[c], lo, q, z)
            curvature(z, s[lo : lo + q], q)
            tile_squares(A, z, lo, q, result[c])


@njit(**ENTRIES)
def hessian(A, s, W, b, start, stop, work, H):
    """H (n + 1, n + 1) += Xᵀ diag(s·∂²ℓ/∂z²) X of one output: the upper triangle, indices ascend within a row."""
    data, indices, indptr = A
    z, _ = work
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


@njit(**ENTRIES)
def margins(A, W, b, start, stop, work, z):
    """z[c, i] = X[i]·W[c] + b[c]."""
    for c in range(W.shape[0]):
        tile_margins(A, W[c], b[c], start, stop - start, z[c, start:stop])
