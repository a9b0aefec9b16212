"""The table of compiled loops, and how each is called for a pass over a block."""

from typing import Any, NamedTuple

import numpy as np

from ... import clock
from ...data import compute_dtype
from ...losses import Logistic, Multinomial
from .. import passes as p
from . import lanes, many
from .lanes import loops

_MOST_OUTPUTS = 8  # outputs of independent models; with more, BLAS on a tile is faster
_MOST_SOFTMAX_WEIGHTS = 500_000  # weights of a softmax model; with more, BLAS on a tile is faster
_LINE_LANE_ROWS = 16384
_MIRRORED_ROWS = 512
_PIECES_AT_ONCE = 64  # pieces of half the size of a common L2 cache together


def lasso_sweeps(H, slope, u, l1, sweeps):
    """Coordinate descent on the model of a step; see kernels/cpu/lasso.py."""
    return loops("lasso").lasso_sweeps(H, slope, u, l1, sweeps)


def column_sweep(*arguments):
    """Coordinate descent over columns of X; see kernels/cpu/lasso.py."""
    return loops("lasso").column_sweep(*arguments)


def drawing_loops():
    """The sweeps of priority sampling; see kernels/cpu/drawing.py."""
    return loops("drawing")


def checksums(words, factors, pieces):
    """Checksums of some pieces; see kernels/cpu/checksums.py."""
    sums = np.empty(len(pieces), dtype=np.uint64)
    loops("checksums").of_pieces(words, factors, pieces, sums)
    return sums


def read_checked(file, offset, words, factors, sums):
    """Fill words from a file, without returning to Python; False if checksums do not match."""
    return loops("checksums").read(file, offset, words, factors, sums, _PIECES_AT_ONCE)


class _Job(NamedTuple):
    """The arguments of the loops of a dense or sparse pass."""

    loops: Any  # kernels.cpu.passes or softmax
    A: Any
    y: np.ndarray
    s: np.ndarray
    W: np.ndarray  # (k, n)
    b: np.ndarray  # (k,)
    bounds: list  # of lanes of rows
    tile: int

    @property
    def lanes(self):
        return len(self.bounds) - 1

    def scratch(self):
        return self.loops.scratch(self.W, self.tile)

    @classmethod
    def for_pass(cls, layout, pass_, block, A):
        """The job of a pass over a block; None if there are too many outputs for the loops."""
        X, (rows, k), dtype = block.X, pass_.W.shape, compute_dtype(block.X.dtype)
        softmax = isinstance(getattr(pass_, "loss", None), Multinomial)
        if k * (rows - 1) > _MOST_SOFTMAX_WEIGHTS if softmax else k > _MOST_OUTPUTS:
            return None
        tile = lanes.tile_rows(layout, X, softmax * 2 * k * dtype.itemsize)
        y = np.empty(0, dtype=np.uint8) if block.y is None else np.ascontiguousarray(block.y)
        chosen = loops("softmax" if softmax else "passes")
        bounds = lanes.bounds(X, lanes.count(X, k))
        return cls(chosen, A, y, _weights(block, dtype), *_split(pass_.W, dtype), bounds, tile)


def with_job(layout):
    """A decorator for kernels of one layout: they are called with a job, and decline if there is none."""

    def decorate(kernel):
        def run(backend, pass_, block, A):
            job = _Job.for_pass(layout, pass_, block, A)
            return None if job is None else kernel(backend, pass_, block, job)

        return run

    return decorate


def loss_gradient(backend, pass_, block, job):
    """The loss, the gradient and, if the pass asks for them, the margins and the diagonal."""
    k, n = job.W.shape
    m = block.X.shape[0]
    softmax = isinstance(pass_.loss, Multinomial)
    if softmax and pass_.diagonal:
        return None
    kept = np.empty((k if pass_.keep_margins else 0, m), dtype=job.W.dtype)
    value = np.zeros((job.lanes, 1 if softmax else k))
    gradient = np.zeros((job.lanes, k, n + 1))
    diagonal = np.zeros_like(gradient) if pass_.diagonal else np.empty((job.lanes, 0, 0))

    def work(i, start, stop):
        arguments = (job.A, job.y, job.s, job.W, job.b, start, stop, job.scratch())
        job.loops.loss_gradient(*arguments, kept, value[i], gradient[i], diagonal[i])

    backend.run_lanes(work, job.bounds)
    return p.Sums(
        value.sum(axis=0),
        gradient.sum(axis=0).T,
        kept.T if pass_.keep_margins else None,
        diagonal.sum(axis=0).T if pass_.diagonal else None,
    )


def hessian_vector(backend, pass_, block, job):
    """Both margins of a tile from one read of it."""
    v, d = _split(pass_.V, job.W.dtype)
    known = (
        np.empty((len(job.W), 0), job.W.dtype)
        if pass_.margins is None
        else np.ascontiguousarray(pass_.margins.T)
    )

    def loop(start, stop, out):
        job.loops.hessian_vector(job.A, job.s, job.W, job.b, v, d, known, start, stop, job.scratch(), out)

    return _sum(backend, job, loop)


def diagonal(backend, pass_, block, job):
    """The diagonal of the Hessian."""

    def loop(start, stop, out):
        job.loops.diagonal(job.A, job.s, job.W, job.b, start, stop, job.scratch(), out)

    return _sum(backend, job, loop)


def sparse_hessian(backend, pass_, block, job):
    """A loop over pairs of entries of a row, for one output."""
    if len(job.W) > 1:
        return None
    size = lanes.hessian_size(pass_)
    n_lanes = min(lanes.hessian_count(block.X, pass_), job.lanes)
    sums = [np.zeros((size, size)) for _ in range(n_lanes)]
    at_once = lanes.hessian_rows(block.X)

    def work(i, start, stop):
        for rows in clock.slices(stop - start, at_once):
            part = start + rows.start, start + rows.stop
            loops("sparse").hessian(job.A, job.s, job.W, job.b, *part, job.scratch(), sums[i])

    backend.run_lanes(work, lanes.bounds(block.X, n_lanes))
    H = sums[0] if n_lanes == 1 else sum(sums)
    for rows in clock.slices(size, _MIRRORED_ROWS):  # the lower triangle is zero
        H[rows, : rows.start] = H[: rows.start, rows].T
        H[rows, rows] += np.triu(H[rows, rows], 1).T
    return H


def margins(backend, pass_, block, job):
    """X·W + b."""
    z = np.empty((len(job.W), block.X.shape[0]), dtype=job.W.dtype)

    def work(i, start, stop):
        job.loops.margins(job.A, job.W, job.b, start, stop, job.scratch(), z)

    backend.run_lanes(work, job.bounds)
    return z.T


def line(backend, pass_, block, stored):
    """Slope and curvature along a line, of one output."""
    if pass_.start.shape[1] != 1:
        return None
    z0, z1 = pass_.start[:, 0], pass_.end[:, 0]
    s, y, t = _weights(block, z0.dtype), np.ascontiguousarray(block.y), z0.dtype.type(pass_.t)
    n_lanes = max(1, min(lanes.MOST_LANES, len(z0) // _LINE_LANE_ROWS))
    sums = np.zeros((n_lanes, 2))
    loop = loops("pointwise").line
    backend.run_lanes(
        lambda i, start, stop: loop(z0, z1, y, s, t, start, stop, sums[i]), lanes.even(len(z0), n_lanes)
    )
    return sums.sum(axis=0)


KERNELS: dict = {(p.Line, Logistic, None): line, **many.KERNELS}
for _layout in ("rows", "columns", "sparse"):
    _job = with_job(_layout)
    KERNELS[p.LossGradient, Logistic, _layout] = _job(loss_gradient)
    KERNELS[p.HessianVector, Logistic, _layout] = _job(hessian_vector)
    KERNELS[p.Diagonal, Logistic, _layout] = _job(diagonal)
    KERNELS[p.Margins, None, _layout] = _job(margins)
_rows, _sparse = with_job("rows"), with_job("sparse")
KERNELS[p.LossGradient, Multinomial, "rows"] = _rows(loss_gradient)
KERNELS[p.HessianVector, Multinomial, "rows"] = _rows(hessian_vector)
KERNELS[p.Hessian, Logistic, "sparse"] = KERNELS[p.MeanHessian, Logistic, "sparse"] = _sparse(sparse_hessian)


# -- pointwise formulas of the generic bodies ----------------------------------------------------------------


def _softmax(name, Z, s, *more):
    """Run a loop of kernels/cpu/softmax.py, and return its result and its output for Z (rows, K)."""
    Z = np.array(Z.T, order="C")
    weights = np.empty(0, dtype=Z.dtype) if s is None else np.ascontiguousarray(s[:, 0], dtype=Z.dtype)
    work = np.empty((5, Z.shape[1]), dtype=Z.dtype)
    return getattr(loops("softmax"), name)(Z, *more, weights, Z.shape[1], work), Z.T


def softmax_residual(backend, loss, Z, y, s):
    """s·∂ℓ/∂z and Σ s·ℓ."""
    value, rows = _softmax("loss_residual", Z, s, y)
    return rows, np.array([value])


def softmax_curvature(backend, loss, Z, y, s):
    """The diagonal of s·∂²ℓ/∂z²."""
    return _softmax("curvature", Z, s)[1], None


def softmax_curvature_product(backend, loss, Z, y, s, U):
    """s·∂²ℓ/∂z²·U."""
    return _softmax("curvature_product", Z, s, np.array(U.T, order="C"))[1], None


POINTWISE = {
    ("residual", Multinomial): softmax_residual,
    ("curvature", Multinomial): softmax_curvature,
    ("curvature_product", Multinomial): softmax_curvature_product,
}


# -- the pieces ----------------------------------------------------------------------------------------------


def _sum(backend, job, loop):
    """Sum over lanes what loop(start, stop, out) adds to out (k, n + 1); returned as (n + 1, k)."""
    k, n = job.W.shape
    sums = np.zeros((job.lanes, k, n + 1))
    backend.run_lanes(lambda i, start, stop: loop(start, stop, sums[i]), job.bounds)
    return sums.sum(axis=0).T


def _split(W, dtype):
    """W (n + 1, k) as weights (k, n) and intercepts (k,)."""
    return np.ascontiguousarray(W[:-1].T, dtype=dtype), W[-1].astype(dtype)


def _weights(block, dtype):
    s = block.sample_weight
    return np.empty(0, dtype=dtype) if s is None else np.ascontiguousarray(s, dtype=dtype)
