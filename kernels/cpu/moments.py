"""Tiles of rows, scaled for the two Gram matrices of a sandwich from one read of X, for the logistic loss.

The products themselves are BLAS's, since a loop over pairs of columns reaches only a fraction of its speed.
The scaled tiles are still in the cache when BLAS reads them. They have a column for the intercept, so that
one product gives the last row and column, too.
"""

import numpy as np
from numba import njit

from .pointwise import curvature, loss_residual
from .storage import LOOP, load


@njit(**LOOP)
def scaled(A, lo, q, y, s, offset, w, b, centre, work, gradient, by_curvature, by_residual):
    """Fill in [x − centre, 1]·√(s·∂²ℓ/∂z²) and [x − centre, 1]·s·∂ℓ/∂z of the q rows of a tile.

    Shapes: A (m, at least n), y (m,) codes 0 or 1, s (m,) weights or empty for ones, offset (m,) or empty for
    zeros, w and centre (n,), work three vectors of at least q, gradient (n + 1,), by_curvature (q, n + 1),
    by_residual like it, or empty where it is not wanted.

    Returns Σ s·ℓ; gradient += Σ s·∂ℓ/∂z·[x − centre, 1].
    """
    z, values, roots = work
    zero, n = w.dtype.type(0), w.size
    for i in range(q):
        x, row = A[lo + i], by_curvature[i]
        margin = zero
        for j in range(n):
            row[j] = load(x[j], zero) - centre[j]
            margin += row[j] * w[j]
        row[n] = 1
        z[i] = margin + b + (offset[lo + i] if offset.size else zero)
        roots[i] = z[i]
    curvature(roots, s[lo : lo + q], q)
    loss_residual(z, y[lo : lo + q], s[lo : lo + q], q, values)
    total = 0.0
    for i in range(q):
        total += values[i]
        row, r, root = by_curvature[i], z[i], np.sqrt(roots[i])
        if by_residual.size:
            for j in range(n + 1):
                by_residual[i, j] = r * row[j]
        for j in range(n + 1):
            gradient[j] += r * row[j]
            row[j] *= root
    return total
