"""One read of X for every pass of the logistic loss, written once for row-major, column-major and sparse X.

A lane processes its rows, from start to below stop, tile by tile. For every tile and output it computes the
margins; the pointwise formula on the whole tile (pointwise.py); and Xᵀ times its result, while the tile is
still in the cache. The sums of tiles are added up in float64. The storage of X decides which primitives are
compiled in: A is an array (m, n) of rows (rows.py), a tuple of one array, Xᵀ by rows (columns.py), or data,
indices and indptr (sparse.py).

Shapes: y (m,) codes 0 or 1, s (m,) weights or empty for ones, W (k, n) one output per row, b (k,), work from
`scratch`, kept and known (k, m) or empty, gradient (k, n + 1) float64, its last column for b.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from . import columns, rows, sparse
from .pointwise import curvature, loss_residual
from .storage import LOOP

INLINE = {name: value for name, value in LOOP.items() if name != "cache"}
"""Options of the functions below that choose primitives: Numba would cache these by this file alone."""


def tile_margins(A, lo, w, b, q, z):
    """z[i] = X[lo + i]·w + b for the q rows of a tile."""


def tile_gradient(A, lo, r, q, g, gradient):
    """gradient += Xᵀr over the q rows of a tile, its last entry += Σr; g (n,) is scratch."""


def tile_squares(A, lo, c, q, g, diagonal):
    """diagonal[j] += Σ c[i]·X[lo + i, j]² over the q rows, its last entry += Σc; g (n,) is scratch."""


@overload(tile_margins, jit_options=INLINE)
def _tile_margins(A, lo, w, b, q, z):
    if isinstance(A, types.Array):
        return lambda A, lo, w, b, q, z: rows.tile_margins(A[lo : lo + q], w, b, q, z)
    if len(A) == 1:
        return lambda A, lo, w, b, q, z: columns.tile_margins(A[0], lo, w, b, q, z)
    return lambda A, lo, w, b, q, z: sparse.tile_margins(A, w, b, lo, q, z)


@overload(tile_gradient, jit_options=INLINE)
def _tile_gradient(A, lo, r, q, g, gradient):
    if isinstance(A, types.Array):
        return lambda A, lo, r, q, g, gradient: rows.tile_gradient(A[lo : lo + q], r, q, g, gradient)
    if len(A) == 1:
        return lambda A, lo, r, q, g, gradient: columns.tile_gradient(A[0], lo, r, q, gradient)
    return lambda A, lo, r, q, g, gradient: sparse.tile_gradient(A, r, lo, q, gradient)


@overload(tile_squares, jit_options=INLINE)
def _tile_squares(A, lo, c, q, g, diagonal):
    if isinstance(A, types.Array):
        return lambda A, lo, c, q, g, diagonal: rows.tile_squares(A[lo : lo + q], c, q, g, diagonal)
    if len(A) == 1:
        return lambda A, lo, c, q, g, diagonal: columns.tile_squares(A[0], lo, c, q, diagonal)
    return lambda A, lo, c, q, g, diagonal: sparse.tile_squares(A, c, lo, q, diagonal)


def scratch(W, tile):
    """The scratch memory of a pass: sums of n, and two vectors for the rows of a tile.

    It is allocated in Python, because np.empty in compiled code makes compiling a pass take longer.
    """
    return np.empty(W.shape[1], W.dtype), np.empty(tile, W.dtype), np.empty(tile, W.dtype)


@njit(**LOOP)
def loss_gradient(A, y, s, W, b, start, stop, work, kept, value, gradient, diagonal):
    """value[c] += Σ s·ℓ; gradient[c] += Xᵀ(s·∂ℓ/∂z); margins into kept unless it is empty.

    Unless diagonal is empty, also diagonal[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]², which a solver that scales its
    steps requests first. For None in its place Numba would compile all of this a second time.
    """
    g, z, values = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, lo, W[c], b[c], q, z)
            if kept.size:
                for i in range(q):
                    kept[c, lo + i] = z[i]
            if diagonal.size:
                for i in range(q):
                    values[i] = z[i]
                curvature(values, s[lo : lo + q], q)
                tile_squares(A, lo, values, q, g, diagonal[c])
            loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
            total = 0.0
            for i in range(q):
                total += values[i]
            value[c] += total
            tile_gradient(A, lo, z, q, g, gradient[c])


@njit(**LOOP)
def hessian_vector(A, s, W, b, V, d, known, start, stop, work, result):
    """result[c] += Xᵀ(s·∂²ℓ/∂z²·(X·V[c] + d[c])); `known` may hold the margins at W."""
    g, z, u = work
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
            tile_gradient(A, lo, z, q, g, result[c])


@njit(**LOOP)
def diagonal(A, s, W, b, start, stop, work, result):
    """result[c, j] += Σ s·∂²ℓ/∂z²·X[i, j]²."""
    g, z, _ = work
    tile = z.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, lo, W[c], b[c], q, z)
            curvature(z, s[lo : lo + q], q)
            tile_squares(A, lo, z, q, g, result[c])


@njit(**LOOP)
def margins(A, W, b, start, stop, work, z):
    """z[c, i] = X[i]·W[c] + b[c]."""
    _, one, _ = work
    tile = one.size
    for lo in range(start, stop, tile):
        q = min(tile, stop - lo)
        for c in range(W.shape[0]):
            tile_margins(A, lo, W[c], b[c], q, z[c, lo : lo + q])
