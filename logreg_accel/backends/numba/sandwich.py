"""The sums of a sandwich, of two classes and row-major X: a loop scales the rows, BLAS multiplies them."""

import numpy as np

from ... import clock
from ...losses import Logistic
from .. import moments as m
from ..threads import blas_limit
from . import kernels, lanes

_TILE_BYTES = 1 << 19
_MOST_COLUMNS = 512  # with more columns, the product takes nearly all of the time in any case


def totals(backend, pass_, block, stored):
    """Totals in float64, of rows from which their centre, if any, is subtracted."""
    X, (size, outputs) = block.X, pass_.W.shape
    layout, A = lanes.layout(X)
    n = size - 1
    if layout != "rows" or X.dtype != np.float64 or outputs > 1 or n > _MOST_COLUMNS:
        return None
    loop = kernels.loops("moments").scaled
    centre = np.zeros(n) if X.centre is None else X.centre
    vectors = (np.ascontiguousarray(block.y), _vector(block.sample_weight), _vector(block.offset))
    given = (*vectors, np.ascontiguousarray(pass_.W[:-1, 0]), float(pass_.W[-1, 0]), centre)
    tile = max(_TILE_BYTES // (8 * size), 2 * size)
    n_lanes = lanes.hessian_count(X, pass_)
    parts = [None] * n_lanes

    def work(i, start, stop):
        value, gradient, rows = 0.0, np.zeros(size), min(tile, stop - start)
        beside = np.empty((3, rows))
        scaled = [np.empty((rows, size)), np.empty((rows if pass_.meat else 0, size))]
        sums, product = np.zeros((2, size, size)), np.empty((size, size))
        for lo in range(start, stop, tile):
            clock.check()
            q = min(tile, stop - lo)
            value += loop(A, lo, q, *given, beside, gradient, *scaled)
            for which in range(1 + pass_.meat):
                part = scaled[which][:q]
                sums[which] += np.matmul(part.T, part, out=product)  # of one array, for which BLAS has syrk
        parts[i] = m.Totals(np.array([value]), gradient[:, None], sums[0], sums[1] if pass_.meat else None)

    with blas_limit(1):
        backend.run_lanes(work, lanes.bounds(X, n_lanes))
    return pass_.combine(parts)


def _vector(values):
    """Convert values to float64, as the loop takes them; None becomes an empty array."""
    return np.empty(0) if values is None else np.ascontiguousarray(values, dtype=np.float64).ravel()


kernels.KERNELS[m.Moments, Logistic, None] = kernels.KERNELS[m.Moments, Logistic, "rows"] = totals
