"""The passes of the softmax loss over a sparse X, by the loops of kernels/cpu/classes.py.

They use a copy of X by columns, which is made once and kept with X.
"""

import numpy as np

from ...data import compute_dtype
from ...losses import Multinomial
from .. import passes as p
from . import kernels, lanes

_TILE_ROWS = 256  # rows of a tile, so that the margins of all classes stay in the cache
_MOST_BYTES = 1 << 16  # largest size of the margins of a tile


class _Job:
    """X by rows and by columns, and what both halves of a pass need."""

    def __init__(self, backend, pass_, block, A):
        X, self.backend, self.A = block.X, backend, A
        self.dtype, (self.m, self.n), self.k = compute_dtype(X.dtype), X.shape, pass_.W.shape[1]
        self.loops = kernels.loops("classes")
        self.transposed = lanes.layout(X.by_columns())[1]
        self.y = np.empty(0, dtype=np.uint8) if block.y is None else np.ascontiguousarray(block.y)
        s = block.sample_weight
        self.s = np.empty(0, self.dtype) if s is None else np.ascontiguousarray(s, dtype=self.dtype)
        pieces = max(1, min(lanes.MOST_LANES, X.nbytes * self.k // lanes.LANE_BYTES))
        self.rows = lanes.bounds(X, pieces)
        self.columns = lanes.bounds(X.by_columns(), min(pieces, self.n))
        self.tile = max(16, min(_TILE_ROWS, _MOST_BYTES // (self.k * self.dtype.itemsize)))

    def weights(self, W):
        return np.ascontiguousarray(W, dtype=self.dtype)

    def empty(self, wanted=True):
        """A new array with a number for every row and class, the classes of a row being neighbours."""
        return np.empty((self.m, self.k) if wanted else (0, self.k), dtype=self.dtype)

    def scratch(self):
        return self.loops.scratch(self.k, self.tile, self.dtype)

    def combine(self, R, squared=False):
        """Xᵀ·R and below it ΣR, or the same with X squared."""
        G = np.zeros((self.n + 1, self.k))

        def work(i, start, stop):
            self.loops.combine(self.transposed, R, squared, start, stop, np.empty(self.k, R.dtype), G)

        self.backend.run_lanes(work, self.columns)
        G[-1] = R.sum(axis=0, dtype=np.float64)
        return G


def _with_job(kernel):
    """A decorator: a kernel is called with a job, and declines where there is no room for the copy of X."""

    def run(backend, pass_, block, A):
        if not block.X.has_columns:
            there = backend.free_bytes(block.X)
            if there is not None and there < 2 * block.X.nbytes:
                return None
        return kernel(backend, pass_, _Job(backend, pass_, block, A))

    return run


@_with_job
def _loss_gradient(backend, pass_, job):
    W, R, C = job.weights(pass_.W), job.empty(), job.empty(pass_.diagonal)
    kept = np.empty((job.k, job.m if pass_.keep_margins else 0), dtype=job.dtype)
    value = np.zeros((len(job.rows) - 1, 1))

    def work(i, start, stop):
        job.loops.residuals(job.A, job.y, job.s, W, start, stop, job.scratch(), kept, value[i], R, C)

    backend.run_lanes(work, job.rows)
    diagonal = job.combine(C, squared=True) if pass_.diagonal else None
    return p.Sums(value.sum(axis=0), job.combine(R), kept.T if pass_.keep_margins else None, diagonal)


@_with_job
def _hessian_vector(backend, pass_, job):
    W, V, R = job.weights(pass_.W), job.weights(pass_.V), job.empty()
    known = np.empty((job.k, 0), job.dtype)
    if pass_.margins is not None:
        known = np.ascontiguousarray(pass_.margins.T)

    def work(i, start, stop):
        job.loops.products(job.A, job.s, W, V, known, start, stop, job.scratch(), R)

    backend.run_lanes(work, job.rows)
    return job.combine(R)


kernels.KERNELS[p.LossGradient, Multinomial, "sparse"] = _loss_gradient
kernels.KERNELS[p.HessianVector, Multinomial, "sparse"] = _hessian_vector
